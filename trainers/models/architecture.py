"""Infers open_clip's model_cfg from the shapes of openai-style weights, and names and compares architectures.

The number of heads is not visible in any shape. It comes from the architecture of open_clip with the same sizes, else
from OpenAI's rule, width / 64.
"""

from __future__ import annotations

from collections.abc import Mapping
from copy import deepcopy
from functools import cache
from pathlib import Path
from typing import Any

import open_clip  # type: ignore[import-untyped]
from torch import Tensor

from curation_db.language.sanitize import first_line
from trainers.errors import TrainerError

_KNOWN = ("ViT-B-32", "ViT-B-16", "ViT-L-14", "ViT-L-14-336", "RN50", "RN101", "RN50x4", "RN50x16", "RN50x64")


_HINT = "if open_clip has its architecture, name it: NAME:FILE"


def config_of(state: Mapping[str, Tensor], path: Path, *, quick_gelu: bool) -> dict[str, Any]:
    """Infer open_clip's model_cfg from the weights, like `build_model_from_openai_state_dict` of open_clip 3.3.

    Raises:
        TrainerError: a weight is missing or has another number of dimensions.
    """
    try:
        vision = _vit(state) if "visual.proj" in state else _resnet(state)
        width = state["ln_final.weight"].shape[0]
        text = {
            "context_length": state["positional_embedding"].shape[0],
            "vocab_size": state["token_embedding.weight"].shape[0],
            "width": width,
            "heads": max(1, width // 64),
            "layers": len({name.split(".")[2] for name in state if name.startswith("transformer.resblocks")}),
            **_mlp_ratio(state, "transformer", width),
        }
        embed_dim = state["text_projection"].shape[1]
    except KeyError as error:
        raise TrainerError(f"{path} is not an openai-style CLIP: it has no {error}", hint=_HINT) from error
    except (IndexError, ValueError) as error:  # a weight has the right name but another number of dimensions
        raise TrainerError(f"{path} is not an openai-style CLIP: {first_line(error)}", hint=_HINT) from error
    inferred = {"embed_dim": embed_dim, "quick_gelu": quick_gelu, "vision_cfg": vision, "text_cfg": text}
    if "logit_bias" in state:
        inferred["init_logit_bias"] = 0.0
    known = _known_by_sizes().get(tuple(sizes(inferred).items()))
    return inferred if known is None else _with_quick_gelu(known, quick_gelu) | _logit_bias(inferred)


def _logit_bias(config: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in config.items() if name == "init_logit_bias"}


def _with_quick_gelu(config: Mapping[str, Any], quick_gelu: bool) -> dict[str, Any]:
    return deepcopy(dict(config)) | {"quick_gelu": quick_gelu}


def _vit(state: Mapping[str, Tensor]) -> dict[str, Any]:
    width, _, _, patch = state["visual.conv1.weight"].shape
    grid = round((state["visual.positional_embedding"].shape[0] - 1) ** 0.5)
    blocks = [name for name in state if name.startswith("visual.") and name.endswith(".attn.in_proj_weight")]
    vision = {"image_size": patch * grid, "layers": len(blocks), "width": width, "patch_size": patch}
    vision |= _mlp_ratio(state, "visual.transformer", width)
    return vision if width >= 64 else vision | {"head_width": width}


def _mlp_ratio(state: Mapping[str, Tensor], tower: str, width: int) -> dict[str, float]:
    hidden = state.get(f"{tower}.resblocks.0.mlp.c_fc.weight")
    return {} if hidden is None or hidden.shape[0] == 4 * width else {"mlp_ratio": hidden.shape[0] / width}


def _resnet(state: Mapping[str, Tensor]) -> dict[str, Any]:
    layers = [
        len({name.split(".")[2] for name in state if name.startswith(f"visual.layer{part}.")}) for part in range(1, 5)
    ]
    grid = round((state["visual.attnpool.positional_embedding"].shape[0] - 1) ** 0.5)
    width = state["visual.layer1.0.conv1.weight"].shape[0]
    return {"image_size": grid * 32, "layers": layers, "width": width, "patch_size": None}


def sizes(config: Mapping[str, Any]) -> dict[str, object]:
    """Return the sizes of both towers that weights show, with open_clip's defaults."""
    vision, text = config["vision_cfg"], config["text_cfg"]
    return {
        "image size": _fixed(vision.get("image_size", 224)),
        "patch size": _fixed(vision.get("patch_size", 16)),
        "image width": vision.get("width", 768),
        "image layers": _fixed(vision.get("layers", 12)),
        "text width": text.get("width", 512),
        "text layers": text.get("layers", 12),
        "context length": text.get("context_length", 77),
        "vocabulary": text.get("vocab_size", 49408),
        "embedding": config["embed_dim"],
    }


def _fixed(value: object) -> object:
    return tuple(value) if isinstance(value, (list, tuple)) else value


def check_sizes(named: Mapping[str, Any], own: Mapping[str, Any], name: str, path: Path) -> None:
    """Refuse a file whose sizes are not those of the named architecture.

    Raises:
        TrainerError: with the sizes of both.
    """
    theirs = sizes(named)
    wrong = [f"{size} {theirs[size]} and {value}" for size, value in sizes(own).items() if theirs[size] != value]
    if wrong:
        shown = "; ".join(wrong)
        hint = f"the file is {arch_of(own)}: position embeddings are never resized; name that architecture, or the file"
        raise TrainerError(f"{name} and {path} differ: {shown}", hint=hint)


def check_supported(config: Mapping[str, Any], name: str) -> None:
    """Refuse architectures that are not two towers with one feature each.

    Raises:
        TrainerError: CoCa of open_clip.
    """
    if "multimodal_cfg" in config:
        hint = "use a model with an image and a text tower only, such as CLIP, SigLIP, PE, EVA or MobileCLIP"
        raise TrainerError(f"{name} is a CoCa, which has a caption decoder and is not supported", hint=hint)


def is_openai_style(config: Mapping[str, Any]) -> bool:
    """Return whether open_clip's CLIP class builds both towers itself, with openai's names."""
    text, vision = config["text_cfg"], config["vision_cfg"]
    foreign = "hf_model_name" in text or "timm_model_name" in vision
    return not (foreign or config.get("custom_text") or "multimodal_cfg" in config)


@cache
def _known_by_sizes() -> dict[tuple[tuple[str, object], ...], dict[str, Any] | None]:
    """Return open_clip's architectures by their sizes; None where two with the same sizes differ in another way."""
    config_by_shape: dict[tuple[tuple[str, object], ...], dict[str, Any] | None] = {}
    for name in open_clip.list_models():
        config = open_clip.get_model_config(name)
        if not is_openai_style(config):
            continue
        config.pop("quick_gelu", None)
        key = tuple(sizes(config).items())
        config_by_shape[key] = config if config_by_shape.get(key, config) == config else None
    return config_by_shape


def arch_of(config: Mapping[str, Any], named: str = "") -> str:
    """Return open_clip's name of the architecture without the activation; otherwise a description of its parts."""
    if named:
        return named.removesuffix("-quickgelu")
    vision, text = config["vision_cfg"], config["text_cfg"]
    if "timm_model_name" in vision:
        return f"{vision['timm_model_name']}-text-{text.get('width')}x{text.get('layers')}"
    for known in _KNOWN:
        if sizes(open_clip.get_model_config(known)) == sizes(config):
            return known
    tower = "RN" if isinstance(vision.get("layers"), (list, tuple)) else f"ViT-p{vision.get('patch_size')}"
    return f"{tower}-{vision.get('width')}-{vision.get('image_size')}px-text-{text.get('width')}x{text.get('layers')}"
