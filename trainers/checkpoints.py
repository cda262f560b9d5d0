"""The resume state of a training in one file: trained weights, optimizer moments, random state, where it was.

One safetensors file whose header carries the rest, so a checkpoint is whole or not there; written beside and renamed.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor, nn

from curation_db.atomic_write import replacing
from curation_db.foreign_json import parse_json
from curation_db.language.sanitize import first_line
from trainers.errors import TrainerError
from trainers.run_files import CHECKPOINTS, LATEST

FORMAT = 2
"""2: the thread count goes with the state, the pictures' content into the fingerprint."""
FOLDER, BEST = CHECKPOINTS, "best.safetensors"

Weights = Mapping[str, nn.Parameter]


@dataclass(frozen=True, slots=True)
class CheckpointPaths:
    """Where a training is."""

    step: int
    """Steps done."""
    seconds: float
    """Time spent on them, over all attempts."""
    best_loss: float | None = None
    """Smallest validation loss so far."""
    best_step: int | None = None
    fingerprint: str = ""
    """Of what must not change between attempts."""
    threads: int = 0
    """Of torch in all attempts: the last bits depend on it."""
    steps: int = 0
    """In all."""


def save_checkpoint(folder: Path, place: CheckpointPaths, weights: Weights, optimizer: torch.optim.Optimizer) -> None:
    """Write the resume state."""
    tensors = {f"weight.{name}": value.detach().cpu() for name, value in weights.items()}
    for name, value in weights.items():
        state = optimizer.state.get(value, {})
        tensors |= {f"optim.{name}.{part}": moment.cpu() for part, moment in state.items() if torch.is_tensor(moment)}
    tensors["random.torch"] = torch.get_rng_state()
    told = {name: getattr(place, name) for name in CheckpointPaths.__slots__}
    _write(folder / FOLDER / LATEST, tensors, {"format": FORMAT, "place": told})


def _write(path: Path, tensors: Mapping[str, Tensor], told: Mapping[str, Any]) -> None:
    with saving(path, run=path.parent.parent.name):
        path.parent.mkdir(exist_ok=True)
        with replacing(path, only_writer=True) as draft:
            metadata = {"negwb": json.dumps(dict(told), allow_nan=False)}
            save_file({k: v.contiguous() for k, v in tensors.items()}, draft, metadata=metadata)


@contextmanager
def saving(path: Path, *, run: str) -> Iterator[None]:
    """Turn what Python and the libraries raise when the disk refuses into one clear TrainerError."""
    try:
        yield
    except (OSError, SafetensorError, RuntimeError) as error:  # RuntimeError: torch.save's own
        why = (error.strerror if isinstance(error, OSError) else "") or first_line(error)
        hint = f"free space, then: negwb train --resume {run}"
        raise TrainerError(f"{path} cannot be written: {why}", hint=hint) from error


def saved_threads(folder: Path) -> int | None:
    """The thread count of the attempts so far; None where no state is saved."""
    path = folder / FOLDER / LATEST
    return CheckpointPaths(**_header(path)["place"]).threads or None if path.is_file() else None


def load_checkpoint(
    folder: Path, weights: Weights, optimizer: torch.optim.Optimizer, *, fingerprint: str
) -> CheckpointPaths | None:
    """Put the resume state back; None where there is none.

    Raises:
        TrainerError: it belongs to other settings, data or weights, or is damaged.
    """
    path = folder / FOLDER / LATEST
    if not path.is_file():
        return None
    tensors, told = _read(path)
    place = CheckpointPaths(**told["place"])
    if place.fingerprint != fingerprint:
        raise TrainerError(f"{folder}: settings, data or model changed since the run began", hint="start a new run")
    put_weights(weights, {k.removeprefix("weight."): v for k, v in tensors.items() if k.startswith("weight.")})
    for name, value in weights.items():
        parts = {k.rpartition(".")[2]: v for k, v in tensors.items() if k.startswith(f"optim.{name}.")}
        # The moments of `a.b` must not be taken for those of `a`.
        own = {part: moment for part, moment in parts.items() if f"optim.{name}.{part}" in tensors}
        if own:
            optimizer.state[value] = {k: v if k == "step" else v.to(value.device) for k, v in own.items()}
    torch.set_rng_state(tensors["random.torch"])
    return place


def _read(path: Path) -> tuple[dict[str, Tensor], dict[str, Any]]:
    told = _header(path)
    with _reading(path), safe_open(path, "pt") as file:
        return {name: file.get_tensor(name) for name in file.keys()}, told  # noqa: SIM118  # it is no mapping


def _header(path: Path) -> dict[str, Any]:
    with _reading(path), safe_open(path, "pt") as file:
        told = dict(parse_json((file.metadata() or {})["negwb"]))
        saved = told["format"]
    if saved != FORMAT:
        raise TrainerError(f"{path} was saved by another version of negwb", hint="start a new run")
    return told


@contextmanager
def _reading(path: Path) -> Iterator[None]:
    try:
        yield
    except (SafetensorError, OSError, KeyError, ValueError, TypeError) as error:
        raise TrainerError(
            f"{path} is damaged: {first_line(error)}", hint="delete it to begin the run again"
        ) from error


@torch.no_grad()
def put_weights(weights: Weights, tensors: Mapping[str, Tensor]) -> None:
    """Copy `tensors` into the weights of the same names."""
    if set(weights) != set(tensors):
        raise TrainerError("the checkpoint is of another model")
    for name, value in weights.items():
        value.copy_(tensors[name])


def save_best(folder: Path, weights: Weights) -> None:
    """Keep the trained weights of the best epoch so far."""
    _write(folder / FOLDER / BEST, {name: value.detach().cpu() for name, value in weights.items()}, {"format": FORMAT})


def load_best(folder: Path, weights: Weights) -> None:
    """Put the best epoch's weights back."""
    put_weights(weights, _read(folder / FOLDER / BEST)[0])
