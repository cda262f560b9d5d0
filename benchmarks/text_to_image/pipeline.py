"""Stable Diffusion 1.x through diffusers, whose text encoder can be replaced.

Only folders in the layout of diffusers with safetensors are loaded: a pickled weight file can run code. All tokens of a
text reach the U-Net, so nothing is trimmed at the end token. `clip_skip` is not offered: diffusers reads an attribute
that the CLIPTextModel of transformers 5 does not have.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, Final

import torch
from diffusers import StableDiffusionPipeline
from PIL import Image
from torch import Tensor
from transformers import CLIPTextModel

from benchmarks.errors import BenchError
from benchmarks.text_to_image.job import Precision, Sampling
from benchmarks.text_to_image.pipeline_folder import PipelineFolder
from curation_db.language.sanitize import first_line
from trainers.models.clip_model import hash_of, hash_state

_DTYPES: Final[Mapping[Precision, torch.dtype]] = {
    "fp32": torch.float32,
    "fp16": torch.float16,
    "bf16": torch.bfloat16,
}
_TEXTS: Final = 64
"""Texts that are encoded at once."""
_SHAPE: Final = {
    "hidden_size": "width",
    "num_hidden_layers": "layers",
    "num_attention_heads": "heads",
    "max_position_embeddings": "tokens",
    "vocab_size": "vocabulary",
}
"""Values of a text encoder's configuration that have to be those of the pipeline, with their name in messages."""


class TextToImage:
    """A pipeline, with its own text encoder or another one."""

    def __init__(self, pipe: Any, name: str) -> None:
        """
        Args:
            pipe: In fp32, so that its hashes do not depend on the precision of the pictures.
        """
        self._pipe = pipe
        self.name = name
        self.original: CLIPTextModel = pipe.text_encoder
        """The text encoder that the pipeline was saved with."""
        self.original_hash = encoder_hash(self.original)
        self.hash = hash_of(
            hash_state(pipe.unet.state_dict()),
            hash_state(pipe.vae.state_dict()),
            [_plain(pipe.unet.config), _plain(pipe.vae.config), _plain(pipe.scheduler.config)],
            [type(pipe.scheduler).__name__, sorted(pipe.tokenizer.get_vocab().items()), self.tokens],
        )
        """sha256 over everything that makes a picture, but the text encoder."""

    @property
    def tokens(self) -> int:
        """Number of tokens of every text, with padding: 77."""
        return int(self._pipe.tokenizer.model_max_length)

    @property
    def device(self) -> torch.device:
        return torch.device(self._pipe.device)

    def token_ids(self, texts: Sequence[str]) -> Tensor:
        """Return the tokens that the pipeline makes of the texts, padded and cut.  -> (N, 77)"""
        encoded = self._pipe.tokenizer(
            list(texts), padding="max_length", max_length=self.tokens, truncation=True, return_tensors="pt"
        )
        ids: Tensor = encoded.input_ids
        return ids

    def count_cut(self, texts: Sequence[str]) -> int:
        """Return how many texts have more tokens than the pipeline reads."""
        whole = self._pipe.tokenizer(list(texts), truncation=False).input_ids
        return sum(len(ids) > self.tokens for ids in whole)

    @torch.inference_mode()
    def hidden_states(self, texts: Sequence[str]) -> Tensor:
        """Return what the U-Net reads of the texts under the present text encoder.  -> (N, 77, width) float32, CPU"""
        parts = (list(texts[start : start + _TEXTS]) for start in range(0, len(texts), _TEXTS))
        return torch.cat([self._pipe.encode_prompt(part, self.device, 1, False)[0].float().cpu() for part in parts])

    def check_fits(self, encoder: CLIPTextModel, name: str) -> None:
        """Check that a text encoder has the sizes of the pipeline's own.

        Raises:
            BenchError: It has others; the message names the first.
        """
        for key, word in _SHAPE.items():
            ours, theirs = (int(getattr(model.config, key)) for model in (encoder, self.original))
            if ours != theirs:
                raise BenchError(
                    f"the text encoder of {name} does not fit {self.name}: {word} {ours:,}, not {theirs:,}",
                    hint="Stable Diffusion 1.x needs a run that started from a ViT-L/14 of CLIP",
                )

    @contextmanager
    def text_encoder(self, encoder: CLIPTextModel) -> Iterator[None]:
        """Use another text encoder, in the precision and on the device of the pipeline; then the original again."""
        before = self._pipe.text_encoder
        moved: Any = encoder  # the annotation of transformers names no device
        self._pipe.text_encoder = moved.to(self.device, dtype=before.dtype)
        try:
            yield
        finally:
            self._pipe.text_encoder = before

    def pictures(self, texts: Sequence[str], seeds: Sequence[int], sampling: Sampling) -> list[Image.Image]:
        """Return one picture for each text and seed.

        The noise is drawn on the CPU with one generator per picture, so it is the same in any batch, on any device and
        under any text encoder.
        """
        with torch.inference_mode():
            output = self._pipe(
                prompt=list(texts),
                num_inference_steps=sampling.steps,
                guidance_scale=sampling.guidance,
                height=sampling.size,
                width=sampling.size,
                generator=[torch.Generator("cpu").manual_seed(seed) for seed in seeds],
            )
        images: list[Image.Image] = output.images
        return images


def load_pipeline(folder: PipelineFolder, *, device: str = "cpu", precision: Precision = "fp32") -> TextToImage:
    """Load a pipeline without its safety checker, which would blacken pictures of some prompts and seeds only.

    Raises:
        BenchError: A component cannot be loaded, or the device cannot be used.
    """
    for name in ("diffusers", "transformers"):
        logging.getLogger(name).setLevel(logging.ERROR)
    try:
        load: Any = StableDiffusionPipeline.from_pretrained
        pipe = load(
            folder.path,
            use_safetensors=True,
            local_files_only=True,
            variant=folder.variant,
            safety_checker=None,
            feature_extractor=None,
            requires_safety_checker=False,
        )
        loaded = TextToImage(pipe, folder.name)
        pipe.to(device, dtype=_DTYPES[precision])
    except Exception as error:  # diffusers, transformers and torch raise nearly anything on foreign files
        message = f"the pipeline {folder.name} cannot be loaded: {type(error).__name__}: {first_line(error)}"
        raise BenchError(message, hint=folder.download_hint) from error
    pipe.set_progress_bar_config(disable=True)
    return loaded


def encoder_hash(encoder: CLIPTextModel) -> str:
    """Return the sha256 over the weights and the configuration that determine the hidden states."""
    keys = (*_SHAPE, "intermediate_size", "hidden_act", "layer_norm_eps")
    return hash_of(hash_state(encoder.state_dict()), [str(getattr(encoder.config, key)) for key in keys])


def _plain(config: Mapping[str, Any]) -> list[str]:
    """Return the configuration of a component without its origin, such as the version that saved it."""
    return sorted(f"{key}={value}" for key, value in config.items() if not key.startswith("_"))
