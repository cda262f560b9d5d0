"""CLIPSeg (Lüddecke & Ecker, CVPR 2022): a decoder on CLIP's ViT-B/16 that segments what a text describes.

The text enters as one vector, the output of CLIP's text tower before normalisation. `ClipSeg.text_tower` puts the text
tower of another CLIP model in the place of its own for a while; the decoder and the image tower stay as they are.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Final, cast

import torch
from PIL import Image
from torch import Tensor
from torch.nn import functional

from trainers.errors import ModelRefused, TrainerError
from trainers.models.clip_model import ClipModel, hash_of, hash_state
from trainers.models.hf_clip import hf_text_config
from trainers.models.layouts import to_hf
from trainers.models.routed import RoutedClipModel
from trainers.models.saving import openai_state
from trainers.segmentation.pretrained import CLIPSEG, CLIPSEG_MODEL, config_facts, find_folder, load_pretrained

_TEXT: Final = ("text_model.", "text_projection.")
_TEXT_BATCH: Final = 64
_PROBE_TOLERANCE: Final = 1e-4
"""Largest relative difference of the text vectors from those of the model that the weights come from."""
_SAME: Final = 1e-3
"""Largest difference of image tower weights that counts as rounding (fp16 has 11 bits)."""
_COMPARED: Final = {"num_attention_heads": "heads", "hidden_act": "activation", "layer_norm_eps": "layer norm epsilon"}
"""Options of a text tower that its weights do not show."""


class ClipSeg:
    """A loaded CLIPSeg model; see `load_clipseg`."""

    def __init__(self, name: str, model: Any, processor: Any) -> None:
        self.name = name
        self.model = model
        """transformers' CLIPSegForImageSegmentation in evaluation mode."""
        self._processor = processor
        self.base_hash = hash_of(
            hash_state({key: value for key, value in model.state_dict().items() if not _is_text(key)}),
            config_facts(model.config.to_dict()),
            config_facts(processor.to_dict()),
        )
        """Hash of everything but the text tower."""

    @property
    def device(self) -> torch.device:
        return cast(torch.device, next(self.model.parameters()).device)

    @property
    def text_hash(self) -> str:
        """Hash of the text tower that is in use."""
        return hash_state({key: value for key, value in self.model.state_dict().items() if _is_text(key)})

    @contextmanager
    def text_tower(self, clip: ClipModel) -> Iterator[None]:
        """Use the text tower of `clip` within the context, then the former one again.

        Raises:
            ModelRefused: It does not fit, or gives other vectors here than in `clip`.
        """
        tower = _tower_of(clip, self.model)
        weights = {key: value for key, value in self.model.clip.state_dict().items() if key.startswith(_TEXT)}
        former = {key: value.clone() for key, value in weights.items()}
        try:
            with torch.no_grad():
                for key, value in tower.items():
                    weights[key].copy_(value)
            self._probe(clip)
            yield
        finally:
            with torch.no_grad():
                for key, value in former.items():
                    weights[key].copy_(value)

    def _probe(self, clip: ClipModel) -> None:
        ids = clip.tokenizer(["a dog", "a photo of a man who is not wearing a hat"])
        ours, theirs = self.encode_ids(ids), raw_text_features(clip, ids)
        if not bool((ours - theirs).abs().max() <= _PROBE_TOLERANCE * theirs.abs().max()):
            raise ModelRefused(
                f"the text tower of {clip.name} gives other vectors in {self.name}",
                hint="its end-of-text token or its activation is another one",
            )

    @torch.inference_mode()
    def encode_ids(self, ids: Tensor) -> Tensor:
        """Return the vectors of token ids under the text tower in use.  (N, L) -> (N, D) float32, CPU"""
        parts = [
            self.model.get_conditional_embeddings(len(batch), input_ids=batch.to(self.device)).float().cpu()
            for batch in torch.split(ids, _TEXT_BATCH)
        ]
        return torch.cat(parts) if len(ids) else torch.empty(0, self.model.config.projection_dim)

    def encode_texts(self, clip: ClipModel, texts: Sequence[str]) -> Tensor:
        """Return the vectors of texts under the text tower of `clip`; a routed model chooses its tower for each text.

        -> (N, D) float32, CPU

        Raises:
            ModelRefused: as for `text_tower`.
        """
        if isinstance(clip, RoutedClipModel):
            vectors = self.encode_texts(clip.base, texts).clone()
            negated = torch.tensor(clip.routes(texts), dtype=torch.bool)
            if bool(negated.any()):
                routed = [text for text, route in zip(texts, negated.tolist(), strict=True) if route]
                vectors[negated] = self.encode_texts(clip.tuned, routed)
            return vectors
        with self.text_tower(clip):
            return self.encode_ids(clip.tokenizer(list(texts)))

    def encode_texts_with_own_tower(self, texts: Sequence[str]) -> Tensor:
        """Return the vectors of texts under CLIPSeg's own text tower and tokenizer.  -> (N, D) float32, CPU

        Raises:
            ModelRefused: The folder has no tokenizer.
        """
        from transformers import CLIPTokenizer  # noqa: PLC0415 -- only this route needs it

        try:
            tokenizer = CLIPTokenizer.from_pretrained(find_folder(self.name, CLIPSEG_MODEL), local_files_only=True)
        except Exception as error:  # transformers raises errors of many classes
            raise ModelRefused(
                f"{self.name} has no tokenizer", hint="vocab.json, merges.txt and tokenizer_config.json are missing"
            ) from error
        length = int(self.model.config.text_config.max_position_embeddings)
        encoded = tokenizer(list(texts), padding="max_length", truncation=True, max_length=length, return_tensors="pt")
        return self.encode_ids(encoded["input_ids"])

    @torch.inference_mode()
    def logits(self, image: Image.Image, vectors: Tensor) -> Tensor:
        """Return the logits of each pixel for each text.  (N, D) -> (N, H, W) float32, CPU

        The image is encoded once, and the map of the decoder is enlarged to the size of the image bilinearly.
        """
        pixels = self._processor(images=[image.convert("RGB")], return_tensors="pt")["pixel_values"].to(self.device)
        seen = self.model.clip.vision_model(pixels, output_hidden_states=True, interpolate_pos_encoding=True)
        layers = [seen.hidden_states[layer + 1] for layer in self.model.extract_layers]
        count = len(vectors)
        small = self.model.decoder([each.expand(count, -1, -1) for each in layers], vectors.to(self.device)).logits
        small = small.reshape(count, 1, *small.shape[-2:]).float()
        large = functional.interpolate(small, size=(image.height, image.width), mode="bilinear", align_corners=False)
        return large[:, 0].cpu()

    def doubts(self, clip: ClipModel) -> list[str]:
        """Return why the vectors of `clip` may mean nothing to the decoder; one line each.

        The decoder was trained on the vectors of one CLIP model. A model with the same image tower is that model with
        tuned texts; with another image tower it has a space of its own, even where the shapes agree.
        """
        if self._has_image_tower_of(clip):
            return []
        towers = f"the image tower of {clip.name} is not that of {self.name}"
        return [f"{towers}; its text vectors may lie in another space than those on which the decoder was trained"]

    def _has_image_tower_of(self, clip: ClipModel) -> bool:
        plain = clip.base if isinstance(clip, RoutedClipModel) else clip
        try:
            theirs = to_hf({key: value for key, value in openai_state(plain).items() if key.startswith("visual.")})
        except (TrainerError, KeyError):
            return False
        ours = self.model.clip.state_dict()
        return all(
            key in ours and ours[key].shape == value.shape and bool((ours[key].cpu() - value).abs().max() <= _SAME)
            for key, value in theirs.items()
        )


def load_clipseg(name: str = CLIPSEG, *, device: str = "cpu") -> ClipSeg:
    """Load a CLIPSeg model from a folder, or from the cache of the Hugging Face hub.

    Raises:
        ModelRefused: There are no weights on this machine, or they are incomplete or damaged.
    """
    from transformers import AutoImageProcessor, CLIPSegForImageSegmentation  # noqa: PLC0415 -- seconds

    model, processor = load_pretrained(
        CLIPSegForImageSegmentation, AutoImageProcessor, name, what=CLIPSEG_MODEL, device=device
    )
    return ClipSeg(name, model, processor)


@torch.inference_mode()
def raw_text_features(clip: ClipModel, ids: Tensor) -> Tensor:
    """Return the text vectors of a CLIP model before normalisation.  (N, L) -> (N, D) float32, CPU"""
    return cast(Tensor, clip.model.encode_text(ids.to(clip.device)).float().cpu())


def _tower_of(clip: ClipModel, model: Any) -> dict[str, Tensor]:
    """Return the text tower of `clip` under the names of transformers.

    Raises:
        ModelRefused: It has another structure than that of the CLIPSeg `model`.
    """
    try:
        options = hf_text_config(clip.config)
        state = to_hf({key: value for key, value in openai_state(clip).items() if not key.startswith("visual.")})
    except (TrainerError, KeyError) as error:
        reason = error.message if isinstance(error, TrainerError) else f"it has the weight {error}"
        raise ModelRefused(f"the text tower of {clip.name} is not CLIP's: {reason}") from error
    tower = {key: value for key, value in state.items() if key.startswith(_TEXT)}
    own = {key: value for key, value in model.clip.state_dict().items() if key.startswith(_TEXT)}
    hint = "CLIPSeg's published weights take a text tower of ViT-B/16"
    if tower.keys() != own.keys():
        differing = min(tower.keys() ^ own.keys())
        raise ModelRefused(f"the text tower of {clip.name} does not fit: only one has {differing}", hint=hint)
    for key, value in tower.items():
        if value.shape != own[key].shape:
            sizes = f"{list(value.shape)} instead of {list(own[key].shape)}"
            raise ModelRefused(f"the text tower of {clip.name} does not fit: {key} has the shape {sizes}", hint=hint)
    for option, called in _COMPARED.items():
        if options[option] != (wanted := getattr(model.config.text_config, option)):
            reason = f"its {called} is {options[option]} instead of {wanted}"
            raise ModelRefused(f"the text tower of {clip.name} does not fit: {reason}", hint=hint)
    return tower


def _is_text(key: str) -> bool:
    return key.removeprefix("clip.").startswith(_TEXT)
