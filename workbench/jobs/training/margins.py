"""Cross-validated margins of a finished run: one training for each fold, then the margins of all folds in the record.

A fold is a run folder in runs/NAME/margins/, so it is trained, stopped and resumed like a run. Imports no torch.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from curation_db.exporting.manifest import ManifestError, read_manifest
from curation_db.foreign_json import JsonError, parse_json
from curation_db.queue.margins import MarginSource, PairMargin, StoredMargins, store_margins
from curation_db.storage.store import Store
from trainers.errors import RunRefused, TrainerError
from trainers.run_files import LOG, MARGINS, RunState, TrainingStatus, is_locked, read_run
from trainers.settings import Fold, RunConfig, available_cores, create_run, read_config
from workbench.errors import NothingToDo, UsageError
from workbench.jobs.training.training import OnStarted, OnState, run_all
from workbench.workspace.layout import Workspace
from workbench.workspace.models import finished_runs

FOLDS = 5
SMALLEST_ALPHA = 0.1
"""Interpolation of the folds of a run whose guard chose the base model: a fold has to differ from it."""


@dataclass(frozen=True, slots=True)
class CrossValidation:
    """The folds of a run."""

    run: Path
    folds: tuple[Path, ...]
    steps: int
    """Steps of each fold."""


def prepare_folds(workspace: Workspace, run: str, *, folds: int = FOLDS, steps: int | None = None) -> CrossValidation:
    """Create the folders of the folds; folders of the same settings stay, with what is trained already.

    Args:
        run: Name of a finished run.
        steps: Steps of each fold; None: as many as the weights of the run have taken.

    Raises:
        UsageError: there is no such finished run, or a folder cannot be created.
    """
    known = {folder.name: folder for folder in finished_runs(workspace)}
    if run not in known:
        hint = f"finished: {', '.join(known)}" if known else "train first: negwb train EXPORT"
        raise UsageError(f"no finished run {run!r}", hint=hint)
    folder = known[run]
    try:
        config, result = read_config(folder), read_run(folder).result
        taken = steps or int(result["kept_step"])
        wanted = {
            folder / "margins" / f"fold-{number}-of-{folds}": _fold_config(config, result, Fold(number, folds), taken)
            for number in range(1, folds + 1)
        }
        for path, fold_config in wanted.items():
            _create(path, fold_config)
    except TrainerError as error:
        raise UsageError(error.message, hint=error.hint) from error
    return CrossValidation(folder, tuple(wanted), taken)


def _fold_config(config: RunConfig, result: Mapping[str, Any], fold: Fold, steps: int) -> RunConfig:
    """Return the settings of the run, without a choice that needs a validation: the run has made it."""
    alpha = float(result.get("interpolation", {}).get("alpha", config.settings.interpolation)) or SMALLEST_ALPHA
    settings = replace(
        config.settings,
        steps=steps,
        keep="last",
        patience=None,
        guard_images=0,
        interpolation=alpha,
        interpolation_max_loss=None,
    )
    return replace(
        config, save_pth=False, save_hf=False, recipe=None, report_to=(), routed=False, fold=fold, settings=settings
    )


def _create(path: Path, config: RunConfig) -> None:
    if path.is_dir():
        try:
            if read_config(path) == config:
                return
        except TrainerError:  # damaged, or of another version
            pass
        if is_locked(path):
            raise TrainerError(f"another process trains {path}", hint="wait for its end, or use the same options")
        shutil.rmtree(path)
    create_run(path, config)


def train_folds(
    validation: CrossValidation,
    progress: Callable[[str, int, int], None] = lambda name, done, of: None,
    started: OnStarted = lambda folder, pid: None,
) -> None:
    """Train the folds that are not finished.

    Raises:
        TrainerError: a training failed.
        KeyboardInterrupt: the trainings were stopped; their state is saved.
    """

    def report_state(state: RunState) -> None:
        if state.steps:
            progress(f"training {state.name}", state.step, state.steps)

    left = [folder for folder in validation.folds if read_run(folder).status is not TrainingStatus.DONE]
    try:
        _run(left, report_state, started)
    except RunRefused:
        raise
    except TrainerError as error:
        raise TrainerError(error.message, hint=_hint(validation.run.name, left)) from error


def _hint(run: str, folds: Sequence[Path]) -> str:
    """Return what to do after a failure; a fold whose data or settings have changed has to start again."""
    states = {folder: read_run(folder) for folder in folds}
    failed = [folder for folder, state in states.items() if state.status is TrainingStatus.FAILED]
    if not failed:  # killed
        return f"continue with: negwb mistaken {run}"
    return f"log: {failed[0] / LOG}; to start this fold again, delete {failed[0]} and run: negwb mistaken {run}"


def _run(folders: Sequence[Path], on_state: OnState, started: OnStarted) -> None:
    """Train in parallel as far as the cores allow; torch uses all cores where the run does not limit its threads."""
    configs = [read_config(folder) for folder in folders]
    parallel = all(config.device == "cpu" and config.settings.threads == 1 for config in configs)
    run_all(folders, on_state, started, at_once=available_cores() if parallel else 1)


def read_margins(validation: CrossValidation) -> list[PairMargin]:
    """Return the margins of all folds.

    Raises:
        TrainerError: a fold has no readable margins.
    """
    return [margin for folder in validation.folds for margin in _read(folder / MARGINS)]


def _read(path: Path) -> Iterator[PairMargin]:
    try:
        for line in path.read_bytes().splitlines():
            row = parse_json(line)
            yield PairMargin(str(row["source"]), str(row["key"]), float(row["margin"]))
    except (OSError, JsonError, KeyError, TypeError, ValueError) as error:
        raise TrainerError(f"{path} is damaged: {error}", hint=f"delete {path.parent} and run again") from error


def store_run_margins(store: Store, validation: CrossValidation, margins: Sequence[PairMargin]) -> StoredMargins:
    """Replace the margins in the record by those of the run.

    Raises:
        TrainerError: the export of the run cannot be read.
        NothingToDo: the record has none of the pairs.
    """
    config, result = read_config(validation.run), read_run(validation.run).result
    try:
        manifest = read_manifest(Path(config.export))
    except ManifestError as error:
        raise TrainerError(str(error)) from error
    if not margins:
        raise NothingToDo(
            f"no pair of {manifest.name} has a margin", hint="a margin needs the original caption and the concept"
        )
    source = MarginSource(
        run=validation.run.name,
        model_hash=str(result["model"]["model_hash"]),
        export=manifest.name,
        event_seq=manifest.event_seq,
    )
    return store_margins(store, source, margins)
