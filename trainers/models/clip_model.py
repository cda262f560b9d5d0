"""A CLIP model with one interface for every source.

Features are unit float32 on the CPU, whatever the model's device.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from copy import copy, deepcopy
from dataclasses import asdict, dataclass
from functools import cache
from pathlib import Path
from typing import Any, Final, cast
from weakref import WeakKeyDictionary

import open_clip  # type: ignore[import-untyped]
import torch
from open_clip.tokenizer import SimpleTokenizer  # type: ignore[import-untyped]
from open_clip.transform import PreprocessCfg, image_transform_v2  # type: ignore[import-untyped]
from open_clip.transformer import QuickGELU  # type: ignore[import-untyped]
from PIL import Image
from torch import Tensor, nn
from torch.nn import functional

from trainers.errors import TrainerError
from trainers.models.text_tower import TextTower
from trainers.tokens.loaded_tokenizer import counter_of
from trainers.tokens.token_counting import BPE_FILE

CONFIG_FILE = "open_clip_config.json"
WEIGHTS_FILE = "open_clip_model.safetensors"
_BATCH = 64

Tokenizer = Callable[[list[str]], Tensor]


@dataclass(eq=False)
class ClipModel:
    """A loaded model with its tokenizer, preprocessing and configuration."""

    name: str
    """The requested model spec."""
    arch: str
    config: Mapping[str, Any]
    """open_clip's model_cfg, which defines the architecture."""
    model: Any
    """open_clip model in evaluation mode."""
    tokenizer: Tokenizer
    """From N texts to token ids (N, context_length)."""
    preprocess: Callable[[Image.Image], Tensor]
    """The evaluation transform, also used in training: no random augmentation."""
    preprocess_config: Mapping[str, Any]
    vocabulary: Path | None = None
    """Vocabulary file, where the vocabulary is not CLIP's."""
    precision: str = "fp32"
    warnings: tuple[str, ...] = ()
    """What a person must know before the model is used, one line each."""

    def __post_init__(self) -> None:
        self.text_tower = TextTower(self.model, context_length=self.context_length, vocab_size=self._vocab_size)

    @property
    def _vocab_size(self) -> int:
        return int(self.config["text_cfg"].get("vocab_size", 49408))

    @property
    def context_length(self) -> int:
        """Maximum number of tokens, with start and end token."""
        return int(self.config["text_cfg"].get("context_length", 77))

    @property
    def embed_dim(self) -> int:
        """Feature dimension D."""
        return int(self.config["embed_dim"])

    @property
    def activation(self) -> str:
        """quickgelu or gelu, read from the modules, not from a name."""
        return "quickgelu" if any(isinstance(part, QuickGELU) for part in self.model.modules()) else "gelu"

    @property
    def device(self) -> torch.device:
        return cast(torch.device, next(self.model.parameters()).device)

    @property
    def model_hash(self) -> str:
        """sha256 over all present weights, the structure, the preprocessing and the tokenizer."""
        vocabulary = self.vocabulary.read_bytes() if self.vocabulary else b""
        tokenizer = {"context_length": self.context_length, "vocabulary": hashlib.sha256(vocabulary).hexdigest()}
        weights, _ = hash_weights(self.model, self.model.visual)
        return hash_of(self.visual_hash, weights, hash_structure(self.model), tokenizer)

    @property
    def visual_hash(self) -> str:
        """sha256 over the image tower and its preprocessing."""
        (weights,) = hash_weights(self.model.visual)
        return hash_of(weights, hash_structure(self.model.visual), self._preprocessing)

    @property
    def _preprocessing(self) -> Mapping[str, Any]:
        """The preprocessing without unset values, which evaluation does not use."""
        return {name: value for name, value in self.preprocess_config.items() if value is not None}

    def to_device(self, device: str) -> None:
        """Move the weights to a torch device, in evaluation mode."""
        self.model.to(device).eval()

    def encode_images(self, images: Sequence[Image.Image]) -> Tensor:
        """Return unit features.  -> (N, D) float32, CPU"""
        batches = [images[i : i + _BATCH] for i in range(0, len(images), _BATCH)]
        parts = [self.encode_pixels(torch.stack([self.preprocess(image) for image in batch])) for batch in batches]
        return torch.cat(parts) if parts else torch.empty(0, self.embed_dim)

    @torch.inference_mode()
    def encode_pixels(self, pixels: Tensor) -> Tensor:
        """Return unit features of one batch of preprocessed images.  (N, 3, H, W) -> (N, D) float32, CPU"""
        features = self.model.encode_image(pixels.to(self.device))
        return functional.normalize(features, dim=-1).float().cpu()

    def encode_texts(self, texts: Sequence[str]) -> Tensor:
        """Return unit features; texts longer than the context are cut, as in CLIP.  -> (N, D) float32, CPU"""
        if not texts:
            return torch.empty(0, self.embed_dim)
        return self.text_tower.encode_all(self.tokenizer(list(texts)))

    @property
    def tokenizer_name(self) -> str:
        if self.vocabulary is not None:
            return self.vocabulary.name
        hub_name = self.config["text_cfg"].get("hf_tokenizer_name", "")
        return "clip" if isinstance(self.tokenizer, SimpleTokenizer) else str(hub_name or type(self.tokenizer).__name__)

    def token_counter(self) -> Callable[[str], int] | None:
        """Return a function that counts the tokens of a text, with those that are added; None: not known."""
        return counter_of(self.tokenizer)

    def describe(self) -> dict[str, Any]:
        """Return the description of the model for a result, as JSON types."""
        return {
            "name": self.name,
            "arch": self.arch,
            "activation": self.activation,
            "precision": self.precision,
            "context_length": self.context_length,
            "embed_dim": self.embed_dim,
            "parameters": sum(p.numel() for p in self.model.parameters()),
            "model_hash": self.model_hash,
            "visual_hash": self.visual_hash,
            "trims_text": self.text_tower.trims,
            "open_clip": open_clip.__version__,
            "torch": str(torch.__version__),
        }


def hash_state(state: Mapping[str, Tensor]) -> str:
    """Return the sha256 over name, type, shape and bytes of every tensor, in the order of the names."""
    digest = hashlib.sha256()
    for name, tensor in sorted(state.items()):
        value = tensor.detach().cpu().contiguous()
        digest.update(f"{name}\n{value.dtype}\n{tuple(value.shape)}\n".encode())
        digest.update(value.reshape(-1).view(torch.uint8).numpy().data)
    return digest.hexdigest()


_PROBED_VALUES: Final = 64
"""Values per tensor in a stamp."""
_Stamp = tuple[tuple[object, ...], ...]
_HASHED: Final[WeakKeyDictionary[nn.Module, tuple[_Stamp, str]]] = WeakKeyDictionary()


def hash_weights(*modules: nn.Module) -> list[str]:
    """Return the `hash_state` of each module, computed again only if its weights have changed.

    One evaluation asks for the hash of a model several times, and ViT-B/32 has 605 MB. The modules are hashed at once,
    each in a thread, because hashlib releases the GIL.
    """
    stamps = [_stamp(module) for module in modules]
    known = [_HASHED.get(module) for module in modules]
    changed = [
        module
        for module, stamp, entry in zip(modules, stamps, known, strict=True)
        if stamp is None or entry is None or entry[0] != stamp
    ]
    with ThreadPoolExecutor(max(1, len(changed)), thread_name_prefix="hash") as pool:
        hashed = dict(zip(changed, pool.map(lambda module: hash_state(module.state_dict()), changed), strict=True))
    for module, stamp in zip(modules, stamps, strict=True):
        if module in hashed and stamp is not None:
            _HASHED[module] = stamp, hashed[module]
    return [hashed[module] if module in hashed else _HASHED[module][1] for module in modules]


def _stamp(module: nn.Module) -> _Stamp | None:
    """Return what changes with the weights of a module; None if a tensor does not record that it was written.

    torch counts the writes to a tensor, except those through `.data`, of which conversions make use. For these the
    stamp has some values of each tensor, too.
    """
    state = sorted(module.state_dict(keep_vars=True).items())
    if any(value.is_inference() for _, value in state):
        return None
    return tuple(
        (
            name,
            id(value),
            value.data_ptr(),
            value._version,
            value.dtype,
            value.device,
            tuple(value.shape),
            _probe(value),
        )
        for name, value in state
    )


def _probe(value: Tensor) -> bytes:
    """Return some values of a tensor, evenly spaced."""
    flat = value.detach().reshape(-1)
    step = max(1, len(flat) // _PROBED_VALUES)
    return bytes(flat[::step].contiguous().view(torch.uint8).cpu().numpy().data)


_NOT_STRUCTURE = frozenset({"training", "grad_checkpointing", "output_dict", "image_mean", "image_std"})
"""Attributes of modules that do not change a feature, or that the preprocessing has."""


def hash_structure(model: nn.Module) -> str:
    """Return the sha256 over what defines the function of a model beside its weights.

    This is the name, the type and the plain attributes of each module (activation, heads, eps, pooling), and the
    buffers that a state dict does not have (the causal mask).
    """
    lines = [[name, type(part).__name__, _plain_attributes(part)] for name, part in model.named_modules()]
    saved = model.state_dict().keys()
    unsaved = {name: buffer for name, buffer in model.named_buffers() if name not in saved}
    return hash_of(lines, hash_state(unsaved))


def _plain_attributes(part: nn.Module) -> dict[str, object]:
    values = {name: value for name, value in vars(part).items() if not name.startswith("_")}
    return {name: value for name, value in values.items() if name not in _NOT_STRUCTURE and _is_plain(value)}


def _is_plain(value: object) -> bool:
    if isinstance(value, (list, tuple)):
        return all(map(_is_plain, value))
    return value is None or isinstance(value, (bool, int, float, str))


def hash_of(*parts: object) -> str:
    """Return the sha256 over JSON values."""
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()


def build(
    config: Mapping[str, Any],
    preprocess: Mapping[str, Any],
    *,
    name: str,
    arch: str,
    bpe: Path | None = None,
    tokenizer: Tokenizer | None = None,
) -> ClipModel:
    """Build an open_clip model from its `model_cfg`, with random weights.

    Args:
        bpe: the vocabulary of a byte-pair tokenizer, where it is not CLIP's.
        tokenizer: a tokenizer of another kind.
    """
    parts = deepcopy(dict(config))
    if "timm_model_name" in parts["vision_cfg"]:
        parts["vision_cfg"]["timm_model_pretrained"] = False
    if "hf_model_name" in parts["text_cfg"]:
        parts["text_cfg"]["hf_model_pretrained"] = False
    custom = parts.pop("custom_text", False) or "hf_model_name" in parts["text_cfg"]
    model = (open_clip.CustomTextCLIP if custom else open_clip.CLIP)(**parts)
    size = model.visual.image_size
    merged = PreprocessCfg(**{**preprocess, "size": size})
    transform = image_transform_v2(merged, is_train=False)
    tokenizer = tokenizer or _tokenizer(config["text_cfg"], bpe)
    return ClipModel(name, arch, config, model.eval(), tokenizer, transform, preprocess_values(merged), bpe)


def preprocess_values(preprocess: PreprocessCfg) -> dict[str, Any]:
    """Return the values as read back from a JSON file, so that tuples and lists hash alike."""
    return cast(dict[str, Any], json.loads(json.dumps(asdict(preprocess))))


def _tokenizer(text_config: Mapping[str, Any], bpe: Path | None) -> Tokenizer:
    length = int(text_config.get("context_length", 77))
    if bpe is not None:
        return cast(Tokenizer, SimpleTokenizer(bpe_path=str(bpe), context_length=length))
    if int(text_config.get("vocab_size", 49408)) != 49408:
        raise TrainerError(f"a vocabulary of {text_config['vocab_size']} tokens, but no {BPE_FILE} beside the weights")
    tokenizer = copy(_clips_tokenizer())
    tokenizer.context_length = length
    return cast(Tokenizer, tokenizer)


@cache
def _clips_tokenizer() -> SimpleTokenizer:
    """Return the tokenizer with CLIP's vocabulary, whose 48,894 merges take 60 ms to read; copies share its tables."""
    return SimpleTokenizer()
