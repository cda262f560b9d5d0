"""Checkpoints of a training: trained weights, optimizer moments, random state and position in one safetensors file.

The header carries the position and a sha256 over position and tensors, which is checked when the file is read: a block
that a disk lost would otherwise resume to other weights. A file is written to a draft and renamed, so it is whole or
absent. The newest checkpoints stay, each with the best weights that it refers to; where the newest is damaged, the one
before it takes its place.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Callable, Iterator, Mapping
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
from trainers.models.clip_model import hash_state
from trainers.run_files import CHECKPOINTS, checkpoint_path, checkpoints_of

FORMAT = 4
"""2: the state has the thread count, the fingerprint the content of the images; 3: `best_value`; 4: sha256, one file
for each step."""
FOLDER = CHECKPOINTS
_BEST = re.compile(r"best-(\d{9})\.safetensors$")
_FORMER_NAME = "latest.safetensors"
"""Name of the checkpoint before format 4."""

Weights = Mapping[str, nn.Parameter]


class DamagedCheckpoint(TrainerError):
    """A file of the checkpoints folder has lost or changed some of its bytes."""


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
    scaler: Mapping[str, float] | None = None
    """State of the gradient scaler; None where no gradient is scaled."""


def save_checkpoint(
    folder: Path, state: CheckpointState, weights: Weights, optimizer: torch.optim.Optimizer, *, keep: int
) -> None:
    """Save the state of a run; remove all checkpoints but the `keep` newest, and best weights without a checkpoint.

    Checkpoints of later steps are removed, too: the run went back to a step before them.
    """
    tensors = {f"weight.{name}": value.detach().cpu() for name, value in weights.items()}
    for name, value in weights.items():
        moments = optimizer.state.get(value, {})
        tensors |= {f"optim.{name}.{part}": moment.cpu() for part, moment in moments.items() if torch.is_tensor(moment)}
    tensors["random.torch"] = torch.get_rng_state()
    position = {name: getattr(state, name) for name in CheckpointState.__slots__}
    _write(checkpoint_path(folder, state.step), tensors, {"place": position})
    _prune(folder, state.step, keep)


def _prune(folder: Path, step: int, keep: int) -> None:
    known = checkpoints_of(folder)
    retained = [each for each in known if each <= step][:keep]
    for each in known.keys() - retained:
        known[each].unlink(missing_ok=True)
    used: set[int | None] = set()
    for each in retained:
        try:
            used.add(_state_of(known[each], _header(known[each])).best_step)
        except TrainerError:
            continue  # a damaged checkpoint refers to nothing
    for path in (folder / FOLDER).iterdir():
        match = _BEST.match(path.name)
        if (match and int(match[1]) not in used) or path.name.endswith(".new"):  # the draft of a killed process
            path.unlink(missing_ok=True)


def _write(path: Path, tensors: Mapping[str, Tensor], header: Mapping[str, Any]) -> None:
    with saving(path, run=path.parent.parent.name):
        path.parent.mkdir(exist_ok=True)
        with replacing(path, only_writer=True) as draft:
            content = {"format": FORMAT, **header}
            content["sha256"] = _hash_of(content, tensors)
            metadata = {"negwb": json.dumps(content, allow_nan=False)}
            save_file({k: v.contiguous() for k, v in tensors.items()}, draft, metadata=metadata)


def _hash_of(header: Mapping[str, Any], tensors: Mapping[str, Tensor]) -> str:
    """Return the sha256 over a header, without its own sha256, and all tensors."""
    rest = {name: value for name, value in header.items() if name != "sha256"}
    return hashlib.sha256(json.dumps([rest, hash_state(tensors)], sort_keys=True).encode()).hexdigest()


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
    for path in checkpoints_of(folder).values():
        try:
            return _state_of(path, _header(path)).threads or None
        except DamagedCheckpoint:
            continue  # `load_checkpoint` reports it
    return None


def load_checkpoint(
    folder: Path,
    weights: Weights,
    optimizer: torch.optim.Optimizer,
    *,
    fingerprint: str,
    needs_best: bool,
    warn: Callable[[str], None],
) -> CheckpointState | None:
    """Restore the newest intact checkpoint and return its position; None where there is no checkpoint.

    Args:
        fingerprint: hash of everything that must not have changed.
        needs_best: whether the end of the run uses the best weights, so that they must be intact, too.
        warn: called with a line for each damaged checkpoint.

    Raises:
        DamagedCheckpoint: there are checkpoints, but none is intact.
        TrainerError: the checkpoint belongs to other settings, data or weights, or to another version.
    """
    former = folder / FOLDER / _FORMER_NAME
    if former.is_file():
        raise _other_version(former)
    paths = list(checkpoints_of(folder).values())
    for number, path in enumerate(paths):
        try:
            tensors, state = _read_state(folder, path, needs_best=needs_best)
        except DamagedCheckpoint as error:
            if number == len(paths) - 1:
                raise
            warn(f"{error.message}; the checkpoint before it is used")
            continue
        if state.fingerprint != fingerprint:
            raise TrainerError(f"{folder}: settings, data or model changed since the run began", hint="start a new run")
        _restore(tensors, weights, optimizer)
        return state
    return None


def _read_state(folder: Path, path: Path, *, needs_best: bool) -> tuple[dict[str, Tensor], CheckpointState]:
    tensors, header = _read(path)
    state = _state_of(path, header)
    if needs_best and state.best_step is not None:
        _read(_best_path(folder, state.best_step))
    return tensors, state


def _restore(tensors: Mapping[str, Tensor], weights: Weights, optimizer: torch.optim.Optimizer) -> None:
    put_weights(weights, {k.removeprefix("weight."): v for k, v in tensors.items() if k.startswith("weight.")})
    for name, value in weights.items():
        parts = {k.rpartition(".")[2]: v for k, v in tensors.items() if k.startswith(f"optim.{name}.")}
        # The prefix of weight `a` also matches the moments of weight `a.b`.
        own = {part: moment for part, moment in parts.items() if f"optim.{name}.{part}" in tensors}
        if own:
            optimizer.state[value] = {k: v if k == "step" else v.to(value.device) for k, v in own.items()}
    torch.set_rng_state(tensors["random.torch"])


def _read(path: Path) -> tuple[dict[str, Tensor], dict[str, Any]]:
    header = _header(path)
    with _reading(path), safe_open(path, "pt") as file:
        tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118  # not a mapping
    if header.get("sha256") != _hash_of(header, tensors):
        raise _damaged(path, "its content does not match its sha256")
    return tensors, header


def _header(path: Path) -> dict[str, Any]:
    with _reading(path), safe_open(path, "pt") as file:
        header = dict(parse_json((file.metadata() or {})["negwb"]))
        format_ = header["format"]
    if format_ != FORMAT:
        raise _other_version(path)
    return header


def _state_of(path: Path, header: Mapping[str, Any]) -> CheckpointState:
    with _reading(path):
        return CheckpointState(**header["place"])


def _other_version(path: Path) -> TrainerError:
    return TrainerError(f"{path} was saved by another version of negwb", hint="start a new run")


def _damaged(path: Path, reason: str) -> DamagedCheckpoint:
    hint = f"delete the folder {path.parent} to start the run again"
    return DamagedCheckpoint(f"{path} is damaged: {reason}", hint=hint)


@contextmanager
def _reading(path: Path) -> Iterator[None]:
    try:
        yield
    except (SafetensorError, OSError, KeyError, ValueError, TypeError) as error:
        raise _damaged(path, first_line(error)) from error


@torch.no_grad()
def put_weights(weights: Weights, tensors: Mapping[str, Tensor]) -> None:
    """Copy `tensors` into the weights of the same names."""
    if set(weights) != set(tensors):
        raise TrainerError("the checkpoint belongs to another model")
    for name, value in weights.items():
        value.copy_(tensors[name])


def _best_path(folder: Path, step: int) -> Path:
    return folder / FOLDER / f"best-{step:09}.safetensors"


def save_best(folder: Path, step: int, weights: Weights) -> None:
    """Save the trained weights of the best epoch so far, which ends with `step`."""
    _write(_best_path(folder, step), {name: value.detach().cpu() for name, value in weights.items()}, {"step": step})


def load_best(folder: Path, step: int, weights: Weights) -> None:
    """Load the weights that `save_best` saved at `step`.

    Raises:
        DamagedCheckpoint: they are not intact.
    """
    try:
        tensors, _ = _read(_best_path(folder, step))
    except DamagedCheckpoint as error:
        raise DamagedCheckpoint(error.message, hint=f"train on from the checkpoint before: {resume(folder)}") from error
    put_weights(weights, tensors)


def resume(folder: Path) -> str:
    return f"negwb train --resume {folder.name}"
