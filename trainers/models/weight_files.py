"""Reads the weights of a file: safetensors, torch's formats, TorchScript archives, and containers of these.

Nothing in a file can run: pickles are read with `weights_only`, and TorchScript archives by `torchscript`.
"""

from __future__ import annotations

import argparse
import re
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from pickle import UnpicklingError
from typing import Any

import numpy as np
import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import load_file, save_file
from torch import Tensor

from curation_db.language.sanitize import display_text, first_line
from trainers.errors import TrainerError
from trainers.models.clip_model import hash_state
from trainers.models.torchscript import is_torchscript, read_torchscript

_CONTAINERS = (
    "state_dict",
    "model_state_dict",
    "model_state",
    "model",
    "module",
    "net",
    "network",
    "weights",
    "params",
)
"""Keys of training checkpoints with the weights, as open_clip, Lightning, CoN-CLIP, DeepSpeed and others write them."""
_NOT_WEIGHTS = ("input_resolution", "context_length", "vocab_size")
"""Entries of OpenAI's TorchScript archives that are not weights."""
HASH_KEY = "negwb_sha256"
"""Key in the metadata of a safetensors file with the `hash_state` of its tensors."""
_CHUNK = 1 << 22
_REFUSED = re.compile(r"GLOBAL ([\w.]+)")
_DOWNLOAD_HINT = "copy or download the file again"
_PICKLE_HINT = "save only the weights: torch.save(model.state_dict(), FILE), or as safetensors"


@dataclass(frozen=True, eq=False)
class WeightFile:
    """The weights of a file with what the file shows about their origin."""

    path: Path
    state: Mapping[str, Tensor]
    """float32 where floating; names as in the file."""
    has_quick_gelu_code: bool = False
    """Whether the file is a TorchScript archive whose code computes QuickGELU."""
    stored_as_half: bool = False
    """Whether any weight is stored with fewer than 32 bits."""


def read_weights(path: Path) -> WeightFile:
    """Read the weights of a file.

    Raises:
        TrainerError: the file is missing, damaged, holds no tensors, would have to run code, or is not finite.
    """
    if not path.is_file():
        raise TrainerError(f"there is no file {path}")
    content, quick_gelu = _read(path)
    tensors = _tensors_of(content)
    if not tensors:
        keys = ", ".join(display_text(str(key), limit=40) for key in list(content)[:5]) if _is_mapping(content) else ""
        content_text = f"its first keys are {keys}" if keys else f"it holds a {type(content).__name__}"
        raise TrainerError(f"{path} holds no weights: {content_text}", hint=_PICKLE_HINT)
    state = {name: value for name, value in tensors.items() if name not in _NOT_WEIGHTS}
    half = any(value.is_floating_point() and value.element_size() < 4 for value in state.values())
    state = {name: value.float() if value.is_floating_point() else value for name, value in state.items()}
    _check_finite(state, path)
    return WeightFile(path, state, quick_gelu, half)


def read_shards(folder: Path, names: list[str]) -> WeightFile:
    """Read the weights that are distributed over several files of a folder."""
    parts = [read_weights(folder / name) for name in names]
    state = {name: value for part in parts for name, value in part.state.items()}
    return WeightFile(folder, state, stored_as_half=any(part.stored_as_half for part in parts))


def _read(path: Path) -> tuple[Any, bool]:
    try:
        if path.suffix == ".safetensors":
            return _read_safetensors(path), False
        if is_torchscript(path):
            return read_torchscript(path)
        _check_archive(path)
        with torch.serialization.safe_globals(_harmless_globals()):
            return torch.load(path, map_location="cpu", weights_only=True), False
    except TrainerError:
        raise
    except UnpicklingError as error:
        raise TrainerError(f"{path} holds no weights: {_refusal(error)}", hint=_PICKLE_HINT) from error
    except (OSError, MemoryError) as error:
        raise TrainerError(f"{path} cannot be read: {first_line(error)}", hint=_DOWNLOAD_HINT) from error
    except (SafetensorError, zipfile.BadZipFile) as error:
        raise TrainerError(f"{path} is damaged: {first_line(error, limit=160)}", hint=_DOWNLOAD_HINT) from error
    except Exception as error:  # torch.load raises nearly any exception on a foreign file
        reason = f"{path} holds no weights: {type(error).__name__}: {first_line(error, limit=160)}"
        raise TrainerError(reason, hint=_DOWNLOAD_HINT) from error


def _read_safetensors(path: Path) -> dict[str, Tensor]:
    """Read all tensors; compare them with the hash that `save_hashed` has written."""
    state = load_file(path)
    with safe_open(path, "pt") as file:
        expected = (file.metadata() or {}).get(HASH_KEY)
    if expected is not None and expected != hash_state(state):
        raise TrainerError(f"{path} is damaged: its weights do not match their sha256", hint=_DOWNLOAD_HINT)
    return state


def save_hashed(state: Mapping[str, Tensor], path: Path) -> None:
    """Save tensors as safetensors with their hash, which `read_weights` checks."""
    # One key alone: safetensors writes several in a random order, and equal weights have equal bytes.
    save_file(dict(state), path, metadata={HASH_KEY: hash_state(state)})


def _check_archive(path: Path) -> None:
    """Compare the tensors of a zip archive with their checksums, which torch.load ignores.

    Raises:
        BadZipFile: a checksum is wrong.
    """
    if not zipfile.is_zipfile(path):
        return  # a format of torch before 1.6
    with zipfile.ZipFile(path) as archive:
        for entry in archive.infolist():
            if entry.CRC and entry.compress_type == zipfile.ZIP_STORED:  # 0: saved without a checksum
                with archive.open(entry) as file:
                    while file.read(_CHUNK):
                        pass


def _refusal(error: UnpicklingError) -> str:
    """Return the reason of a refused pickle without torch's advice to switch the protection off."""
    lines = str(error).splitlines()
    if named := _REFUSED.search(str(error)):
        return f"it is a pickle that needs {display_text(named[1], limit=80)}, which could run code"
    return f"it is no file of torch ({display_text(lines[-1] if lines else '', limit=120)})"


def _harmless_globals() -> list[Any]:
    """Return the constructors of plain values beside the weights: numpy scalars and arrays, parsed arguments."""
    kinds = (np.bool_, np.int8, np.uint8, np.int16, np.int32, np.int64, np.float16, np.float32, np.float64, np.str_)
    scalar = np._core.multiarray.scalar  # type: ignore[attr-defined]
    rebuild = np._core.multiarray._reconstruct  # type: ignore[attr-defined]
    # numpy 1 wrote the same functions under another module
    renamed = [(scalar, "numpy.core.multiarray.scalar"), (rebuild, "numpy.core.multiarray._reconstruct")]
    dtypes = {type(np.dtype(kind)) for kind in kinds}
    return [scalar, rebuild, np.ndarray, np.dtype, *renamed, *dtypes, argparse.Namespace]


def _tensors_of(content: Any, depth: int = 0) -> dict[str, Tensor]:
    """Return the tensors of a state dict, or of the first container in it that has some."""
    if not _is_mapping(content) or depth > 3:
        return {}
    for key in _CONTAINERS:
        if _is_mapping(content.get(key)) and (inner := _tensors_of(content[key], depth + 1)):
            return inner
    return {str(name): value.detach() for name, value in content.items() if isinstance(value, Tensor)}


def _is_mapping(value: object) -> bool:
    return isinstance(value, Mapping)


def _check_finite(state: Mapping[str, Tensor], path: Path) -> None:
    for name, value in state.items():
        if value.is_floating_point() and not bool(torch.isfinite(value).all()):
            raise TrainerError(
                f"{path} has weights that are not finite: {display_text(name, limit=80)}",
                hint="the training that wrote it has diverged, or the file is damaged",
            )
