"""Decides between QuickGELU and GELU by the origin of the weights, because the weights do not show it.

A wrong activation costs points of accuracy silently. So it is asked for, or proven by a config, by code in the file, by
open_clip's table of published weights, or by the names of the published NegationCLIP files. It is never guessed.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from pathlib import Path, PurePosixPath
from typing import Any

import open_clip  # type: ignore[import-untyped]
import torch

from trainers.errors import TrainerError
from trainers.models.weight_files import WeightFile

QUICK_GELU, GELU = "quickgelu", "gelu"
"""Prefixes of model specs that ask for an activation: quickgelu:FILE."""
_HASH = re.compile(r"\b[0-9a-f]{8,64}\b")
_NEGATIONCLIP = re.compile(r"negationclip_.*\.pth", re.IGNORECASE)
"""File names of the published NegationCLIP, whose evaluator loads them into OpenAI's class."""


def prove_activation(file: WeightFile) -> bool | None:
    """Return whether the weights need QuickGELU, as the file or open_clip's table proves; None: no proof."""
    if file.has_quick_gelu_code:
        return True
    if _NEGATIONCLIP.fullmatch(file.path.name) and has_half_values(file):
        return True
    return _by_published_file(file.path)


def has_half_values(file: WeightFile) -> bool:
    """Return whether float32 matrices of the image tower all hold half-precision values.

    OpenAI published its models in half precision, so fine-tunings with a frozen image tower have such towers. Models
    trained elsewhere have them only if they were rounded to half precision.
    """
    matrices = [
        value
        for name, value in file.state.items()
        if value.ndim > 1 and ("visual." in name or "vision_model." in name) and "position" not in name
    ]
    if file.stored_as_half or not matrices:
        return False
    return all(torch.equal(value, value.half().float()) for value in matrices)


def is_of_openai(config: Mapping[str, Any]) -> bool:
    """Return whether a configuration has the sizes of a model that OpenAI published."""
    sizes = _sizes(config)
    return any(
        _sizes(open_clip.get_model_config(name)) == sizes
        for name, tag in open_clip.list_pretrained()
        if tag == "openai"
    )


def _sizes(config: Mapping[str, Any]) -> tuple[Any, ...]:
    image, text = config["vision_cfg"], config["text_cfg"]
    return config["embed_dim"], image.get("layers"), image.get("width"), text.get("width"), text.get("layers")


def mismatch_warning(name: str) -> str:
    """Return the warning about weights that look like OpenAI's in a model with plain GELU."""
    return (
        f"{name} seems to derive from OpenAI's weights, which need QuickGELU, but plain GELU is used: features are"
        " wrong and accuracy falls by several points unless this is intended"
    )


def ask_for_activation(file: WeightFile, name: str = "") -> TrainerError:
    """Return the error that asks for the activation, with what open_clip's table of published weights shows."""
    if name:
        quick, plain = _tags(name)
        hint = f"{name}-quickgelu:{file.path} for weights from {', '.join([*quick, 'NegationCLIP'])}"
        if plain:
            shown = ", ".join(plain[:6]) + (f" and {len(plain) - 6} more" if len(plain) > 6 else "")
            hint += f"; {name}-gelu:{file.path} for weights from {shown}"
    else:
        hint = f"{QUICK_GELU}:{file.path} for weights that derive from OpenAI, MetaCLIP or DFN, {GELU}:{file.path} for"
        hint += " most of LAION and DataComp"
    if has_half_values(file):
        hint += "; its image tower has half-precision values, as OpenAI's models have"
    asked = f"neither the weights nor {name} show" if name else "the weights do not show"
    return TrainerError(f"the activation of {file.path} is unknown: {asked} QuickGELU or GELU", hint=hint)


def always_gelu(name: str) -> bool:
    """Return whether there are published weights of an architecture, all with GELU."""
    quick, plain = _tags(name)
    return bool(plain) and not quick


def _tags(name: str) -> tuple[list[str], list[str]]:
    """Return the published weights of an architecture that use QuickGELU, and those that use GELU."""
    configs = {tag: open_clip.get_pretrained_cfg(name, tag) for tag in open_clip.list_pretrained_tags_by_model(name)}
    quick = [tag for tag, config in configs.items() if config.get("quick_gelu")]
    return quick, [tag for tag in configs if tag not in quick]


def _by_published_file(path: Path) -> bool | None:
    """Look the file up in open_clip's table by its name, and by the hash that the address of the original contains."""
    for name, tag in open_clip.list_pretrained():
        config = open_clip.get_pretrained_cfg(name, tag)
        address = PurePosixPath(config.get("url") or "")
        if address.name == path.name and address.name:
            expected = _HASH.findall(f"{address.parent.name} {address.stem}")
            if expected and _sha256(path).startswith(tuple(expected)):
                return bool(config.get("quick_gelu", False))
    return None


def _sha256(path: Path) -> str:
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()
