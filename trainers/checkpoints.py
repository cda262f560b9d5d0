"""Checkpoint of a training in one file: trained weights, optimizer moments, random state, position.

The safetensors header carries the position, so a checkpoint is whole or absent. It is written to a draft and renamed.
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

FORMAT = 3
"""2: the state includes the thread count, the fingerprint includes the content of the images. 3: `best_value`."""
FOLDER, BEST = CHECKPOINTS, "best.safetensors"

Weights = Mapping[str, nn.Parameter]


@dataclass(frozen=True, slots=True)
class CheckpointState:
    step: int
    """Steps done."""
    seconds: float
    """Training time in seconds, over all attempts."""
    best_value: float | None = None
    """Best validation result so far, by the criterion of the settings."""
    best_step: int | None = None
    fingerprint: str = ""
    """Hash of everything that must not change between attempts."""
    threads: int = 0
    """Thread count of torch in all attempts; the last bits of the weights depend on it."""
    steps: int = 0
    """Total number of steps."""


def save_checkpoint(folder: Path, state: CheckpointState, weights: Weights, optimizer: torch.optim.Optimizer) -> None:
    tensors = {f"weight.{name}": value.detach().cpu() for name, value in weights.items()}
    for name, value in weights.items():
        moments = optimizer.state.get(value, {})
        tensors |= {f"optim.{name}.{part}": moment.cpu() for part, moment in moments.items() if torch.is_tensor(moment)}
    tensors["random.torch"] = torch.get_rng_state()
    position = {name: getattr(state, name) for name in CheckpointState.__slots__}
    _write(folder / FOLDER / LATEST, tensors, {"format": FORMAT, "place": position})


def _write(path: Path, tensors: Mapping[str, Tensor], header: Mapping[str, Any]) -> None:
    with saving(path, run=path.parent.parent.name):
        path.parent.mkdir(exist_ok=True)
        with replacing(path, only_writer=True) as draft:
            metadata = {"negwb": json.dumps(dict(header), allow_nan=False)}
            save_file({k: v.contiguous() for k, v in tensors.items()}, draft, metadata=metadata)


@contextmanager
def saving(path: Path, *, run: str) -> Iterator[None]:
    """Translate the write errors of Python and the libraries into one TrainerError."""
    try:
        yield
    except (OSError, SafetensorError, RuntimeError) as error:  # RuntimeError: raised by torch.save
        reason = (error.strerror if isinstance(error, OSError) else "") or first_line(error)
        hint = f"free disk space, then run: negwb train --resume {run}"
        raise TrainerError(f"{path} cannot be written: {reason}", hint=hint) from error


def saved_threads(folder: Path) -> int | None:
    """Return the thread count of the attempts so far; None where no state is saved."""
    path = folder / FOLDER / LATEST
    return CheckpointState(**_header(path)["place"]).threads or None if path.is_file() else None


def load_checkpoint(
    folder: Path, weights: Weights, optimizer: torch.optim.Optimizer, *, fingerprint: str
) -> CheckpointState | None:
    """Restore the checkpoint and return its position; None where there is no checkpoint.

    Raises:
        TrainerError: the checkpoint belongs to other settings, data or weights, or is damaged.
    """
    path = folder / FOLDER / LATEST
    if not path.is_file():
        return None
    tensors, header = _read(path)
    state = CheckpointState(**header["place"])
    if state.fingerprint != fingerprint:
        raise TrainerError(f"{folder}: settings, data or model changed since the run began", hint="start a new run")
    put_weights(weights, {k.removeprefix("weight."): v for k, v in tensors.items() if k.startswith("weight.")})
    for name, value in weights.items():
        parts = {k.rpartition(".")[2]: v for k, v in tensors.items() if k.startswith(f"optim.{name}.")}
        # The prefix of weight `a` also matches the moments of weight `a.b`.
        own = {part: moment for part, moment in parts.items() if f"optim.{name}.{part}" in tensors}
        if own:
            optimizer.state[value] = {k: v if k == "step" else v.to(value.device) for k, v in own.items()}
    torch.set_rng_state(tensors["random.torch"])
    return state


def _read(path: Path) -> tuple[dict[str, Tensor], dict[str, Any]]:
    header = _header(path)
    with _reading(path), safe_open(path, "pt") as file:
        return {name: file.get_tensor(name) for name in file.keys()}, header  # noqa: SIM118  # not a mapping


def _header(path: Path) -> dict[str, Any]:
    with _reading(path), safe_open(path, "pt") as file:
        header = dict(parse_json((file.metadata() or {})["negwb"]))
        format_ = header["format"]
    if format_ != FORMAT:
        raise TrainerError(f"{path} was saved by another version of negwb", hint="start a new run")
    return header


@contextmanager
def _reading(path: Path) -> Iterator[None]:
    try:
        yield
    except (SafetensorError, OSError, KeyError, ValueError, TypeError) as error:
        raise TrainerError(
            f"{path} is damaged: {first_line(error)}", hint="delete it to start the run again"
        ) from error


@torch.no_grad()
def put_weights(weights: Weights, tensors: Mapping[str, Tensor]) -> None:
    """Copy `tensors` into the weights of the same names."""
    if set(weights) != set(tensors):
        raise TrainerError("the checkpoint belongs to another model")
    for name, value in weights.items():
        value.copy_(tensors[name])


def save_best(folder: Path, weights: Weights) -> None:
    """Save the trained weights of the best epoch so far."""
    _write(folder / FOLDER / BEST, {name: value.detach().cpu() for name, value in weights.items()}, {"format": FORMAT})


def load_best(folder: Path, weights: Weights) -> None:
    put_weights(weights, _read(folder / FOLDER / BEST)[0])
