"""Interpolation between the base and the trained model of a finished run (WiSE-FT), for a curve of scores over alpha.

The image towers are equal, so image features are computed once, and each alpha costs the encoding of texts only.
"""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from trainers.data.training_data import load, tables
from trainers.errors import TrainerError
from trainers.features.image_decoding import Decoding
from trainers.features.image_features import ImageFeatures
from trainers.loop.interpolation import interpolate
from trainers.loop.validation import Validator
from trainers.models.clip_model import ClipModel
from trainers.models.saving import save_model
from trainers.run_files import DONE, LOG, METRICS, RunWriter, create_whole, read_run
from trainers.settings import RunConfig, TrainSettings, read_config, write_config

_VISUAL = "visual."


class InterpolatedModel:
    """A model whose weights are those of a base and of a tuned model, interpolated by alpha."""

    def __init__(self, base: ClipModel, tuned: ClipModel) -> None:
        """
        Args:
            tuned: its weights are replaced by `set_alpha`.

        Raises:
            TrainerError: the image towers differ, or the text towers have other weights or shapes.
        """
        if base.visual_hash != tuned.visual_hash:
            raise TrainerError(
                f"{base.name} and {tuned.name} have different image towers",
                hint="name the model that the run started from",
            )
        self.model = tuned
        self._base, self._tuned = _text_weights(base), _text_weights(tuned)
        try:
            interpolate(self._base, self._tuned, 0.0)
        except ValueError as error:
            raise TrainerError(f"{base.name} and {tuned.name} cannot be interpolated: {error}") from error

    def set_alpha(self, alpha: float) -> None:
        """Set the weights to base + alpha * (tuned - base)."""
        self.model.model.load_state_dict(interpolate(self._base, self._tuned, alpha), strict=False)


def _text_weights(model: ClipModel) -> dict[str, Tensor]:
    """Return a copy of all weights but those of the image tower, logit_scale included."""
    state: dict[str, Tensor] = model.model.state_dict()
    return {name: value.detach().clone() for name, value in state.items() if not name.startswith(_VISUAL)}


class _ForwardedLog(RunWriter):
    """Passes the lines of the log on."""

    def __init__(self, folder: Path, log: Callable[[str], None]) -> None:
        super().__init__(folder)
        self._log = log

    def log(self, line: str) -> None:
        self._log(line)


def validator_of(config: RunConfig, model: ClipModel, log: Callable[[str], None]) -> Validator | None:
    """Return the validation of a run with its guard, on the split of the run; None where it has no validation pairs.

    Images whose features are not cached are encoded. No file of the run is written.

    Args:
        log: Called with lines like those of log.txt, among them `run_files.work_line`.

    Raises:
        TrainerError: the export or its images cannot be read.
    """
    settings = config.settings
    if not settings.val_share:
        return None
    folder = Path(tempfile.mkdtemp(prefix="negwb-sweep-"))  # the reports on images belong to the training
    try:
        writer = _ForwardedLog(folder, log)
        store = ImageFeatures(Path(config.cache), model, Decoding(settings.decode))
        data = load(config, store, writer, lambda: False)
        loaded = tables(data, model, store, writer, lambda: False, guard_images=settings.guard_images)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    return None if loaded.val is None else Validator(loaded.val, loaded.guard, settings)


@torch.no_grad()
def save_interpolated_run(
    run: Path, model: ClipModel, alpha: float, folder: Path, validation: dict[str, float]
) -> None:
    """Save an interpolated model as the new run `folder`, with settings, metrics and log of the run that trained it.

    Args:
        model: its present weights are saved.
        validation: the fields of `Validation.to_row` for these weights; empty: not measured.

    Raises:
        TrainerError: the folder exists, or it cannot be written.
    """
    config, result = read_config(run), dict(read_run(run).result)
    for name in ("validation", "interpolation"):  # those of the weights of `run`
        result.pop(name, None)
    result |= {"model": model.describe() | {"name": str(folder / "model")}}
    result |= {"interpolated_from": {"run": run.name, "alpha": alpha}} | (
        {"validation": validation} if validation else {}
    )

    def write(new: Path) -> None:
        write_config(
            new, replace(config, settings=_settings(config.settings, run, alpha), save_pth=False, save_hf=False)
        )
        for name in (METRICS, LOG):
            if (run / name).is_file():
                shutil.copyfile(run / name, new / name)
        save_model(model, new / "model")
        writer = RunWriter(new)
        writer.log(f"interpolated: base + {alpha:g} * ({run.name} - base)")
        writer.end(DONE, result)

    create_whole(folder, write)


def _settings(settings: TrainSettings, run: Path, alpha: float) -> TrainSettings:
    """Return the settings of a training that would have saved these weights."""
    return replace(settings, interpolation=alpha * interpolation_of(settings, run), interpolation_max_loss=None)


def interpolation_of(settings: TrainSettings, run: Path) -> float:
    """Return the share of the trained weights in the saved model of a finished run: 1 unless it was interpolated."""
    choice: Any = read_run(run).result.get("interpolation")
    value = choice.get("alpha") if isinstance(choice, dict) else None
    return float(value) if isinstance(value, (int, float)) and 0 < value <= 1 else settings.interpolation
