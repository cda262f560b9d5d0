"""Reads state dicts in openai/CLIP's naming and infers the architecture from the shapes of the weights.

open_clip uses the same naming. The number of heads is not visible in any shape; it follows OpenAI's rule, width / 64.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from open_clip.factory import load_state_dict  # type: ignore[import-untyped]
from torch import Tensor

from curation_db.language.sanitize import first_line
from trainers.errors import TrainerError

_NOT_WEIGHTS = ("input_resolution", "context_length", "vocab_size")
"""Entries of OpenAI's TorchScript archives that are not weights."""


def read_weights(path: Path) -> dict[str, Tensor]:
    """Read the weights of a file (plain, TorchScript, {"state_dict": ...}, {"model": ...}, safetensors) as float32.

    Raises:
        TrainerError: the file is missing or is not a state dict.
    """
    if not path.is_file():
        raise TrainerError(f"there is no file {path}")
    try:
        state = load_state_dict(str(path))
    except Exception as error:  # torch.load raises nearly any exception on a foreign file
        raise TrainerError(f"{path} holds no weights: {first_line(error, limit=160)}") from error
    state = state.get("model", state) if isinstance(state, dict) else None
    if not isinstance(state, dict) or not all(isinstance(value, Tensor) for value in state.values()):
        raise TrainerError(f"{path} is not a state dict")
    weights = {name: value for name, value in state.items() if name not in _NOT_WEIGHTS}
    return {name: value.float() if value.is_floating_point() else value for name, value in weights.items()}


def config_of(state: Mapping[str, Tensor], path: Path, *, quick_gelu: bool) -> dict[str, Any]:
    """Infer open_clip's model_cfg from the weights, like `build_model_from_openai_state_dict` of open_clip 3.3."""
    try:
        vision = _vit(state) if "visual.proj" in state else _resnet(state)
        width = state["ln_final.weight"].shape[0]
        text = {
            "context_length": state["positional_embedding"].shape[0],
            "vocab_size": state["token_embedding.weight"].shape[0],
            "width": width,
            "heads": max(1, width // 64),
            "layers": len({name.split(".")[2] for name in state if name.startswith("transformer.resblocks")}),
        }
        embed_dim = state["text_projection"].shape[1]
    except KeyError as error:
        raise TrainerError(f"{path} is not an openai-style CLIP: it has no {error}") from error
    except (IndexError, ValueError) as error:  # a weight has the right name but another number of dimensions
        raise TrainerError(f"{path} is not an openai-style CLIP: {first_line(error)}") from error
    return {"embed_dim": embed_dim, "quick_gelu": quick_gelu, "vision_cfg": vision, "text_cfg": text}


def _vit(state: Mapping[str, Tensor]) -> dict[str, Any]:
    width, _, _, patch = state["visual.conv1.weight"].shape
    grid = round((state["visual.positional_embedding"].shape[0] - 1) ** 0.5)
    blocks = [name for name in state if name.startswith("visual.") and name.endswith(".attn.in_proj_weight")]
    vision = {"image_size": patch * grid, "layers": len(blocks), "width": width, "patch_size": patch}
    return vision if width >= 64 else vision | {"head_width": width}


def _resnet(state: Mapping[str, Tensor]) -> dict[str, Any]:
    layers = [
        len({name.split(".")[2] for name in state if name.startswith(f"visual.layer{part}.")}) for part in range(1, 5)
    ]
    grid = round((state["visual.attnpool.positional_embedding"].shape[0] - 1) ** 0.5)
    width = state["visual.layer1.0.conv1.weight"].shape[0]
    return {"image_size": grid * 32, "layers": layers, "width": width, "patch_size": None}
