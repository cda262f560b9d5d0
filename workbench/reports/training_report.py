"""Runs side by side: what each was trained on, and how its model answers, by the cues of the training pairs."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from benchmarks.analysis.comparison import ComparisonRow, LeftOut, Slice
from benchmarks.schema import NO_CUE
from benchmarks.training_overlap import overlap_text
from curation_db.exporting.manifest import ExportItem
from workbench.console.number_format import NONE
from workbench.console.tables import Listing
from workbench.reports.benchmark_report import figure_cells
from workbench.reports.run_origin import CUTS, Cut, RunOrigin, count_by, with_value

_FIGURES = ("%", "95 %", "vs ref", "95 %", "p")
_CUE: Cut = "cue"


@dataclass(frozen=True, slots=True)
class TrainedModel:
    origin: RunOrigin
    results: tuple[ComparisonRow, ...]
    """One for each task, with slices; empty: the model was not evaluated."""
    left_out: tuple[LeftOut, ...] = ()
    """Tasks without a result here, because the run was trained on their images."""

    def result_on(self, task: str, dataset: str) -> ComparisonRow | None:
        return next((row for row in self.results if (row.task, row.dataset_sha256) == (task, dataset)), None)


def listings(models: Sequence[TrainedModel]) -> list[Listing]:
    """Return the tables: runs, scores, scores by training cue, reject reasons, and who decided."""
    tables = [_runs(models), *(_scores(models, *place) for place in _tasks(models))]
    tables += [_by_cue(models, *place) for place in _tasks(models)]
    tables += [table for cut in CUTS if _is_informative(table := _counts(models, cut), cut)]
    return [table for table in [*tables, _problems(models)] if table.rows]


def _is_informative(table: Listing, cut: Cut) -> bool:
    """Return whether a table of counts has several values, or names who decided."""
    return cut in ("reason", "decider") or len({row[0] for row in table.rows}) > 1


def _runs(models: Sequence[TrainedModel]) -> Listing:
    cells = [
        (
            origin.run,
            origin.arm.arm if origin.arm else "",
            origin.export.name,
            str(origin.seed),
            f"{len(origin.items):,}" if origin.items else NONE,
            f"{origin.accepted:,}" if origin.items else NONE,
            f"{origin.rejected:,}" if origin.items else NONE,
            NONE if origin.left_out is None else f"{len(origin.left_out):,}",
        )
        for origin in (model.origin for model in models)
    ]
    headers = ("run", "arm", "export", "seed", "pairs", "accepted", "rejected", "left out")
    return Listing("Runs and their training pairs; left out: rejected and not in the export", headers, cells, left=3)


def _tasks(models: Iterable[TrainedModel]) -> list[tuple[str, str]]:
    """Return tasks and hashes of their data sets."""
    return list(dict.fromkeys((row.task, row.dataset_sha256) for model in models for row in model.results))


def _scores(models: Sequence[TrainedModel], task: str, dataset: str) -> Listing:
    cells = []
    for model in models:
        if row := model.result_on(task, dataset):
            figures = figure_cells(row.correct, row.n, row.accuracy, row.base)
            cells.append((model.origin.run, _arm(model), f"{len(model.origin.items):,}", *figures))
    title = f"{task}, data {dataset[:8]}"
    return Listing(title, ("run", "arm", "pairs", "right", *_FIGURES), cells, left=2)


def _arm(model: TrainedModel) -> str:
    return model.origin.arm.arm if model.origin.arm else ""


def _by_cue(models: Sequence[TrainedModel], task: str, dataset: str) -> Listing:
    """Return the table of a task by cue: training pairs with the cue beside the answers to texts with it."""
    trained = {model.origin.run: count_by(model.origin.items, _CUE) for model in models}
    measured = {model.origin.run: _slices(model.result_on(task, dataset)) for model in models}
    cues = dict.fromkeys(cue for tables in (trained, measured) for table in tables.values() for cue in table)
    if not any(cue != NO_CUE for table in measured.values() for cue in table):
        cues = {}
    cells = []
    for cue in cues:
        for model in models:
            part = measured[model.origin.run].get(cue)
            figures = figure_cells(part.correct, part.n, part.accuracy, part.base) if part else ("",) * 6
            cells.append((cue, model.origin.run, f"{trained[model.origin.run].get(cue, 0):,}", *figures))
    title = f"{task} by cue: training pairs with the cue, answers to texts with it"
    return Listing(title, ("cue", "run", "pairs", "right", *_FIGURES), cells, left=2, grouped=True)


def _slices(row: ComparisonRow | None) -> dict[str, Slice]:
    return {part.value: part for part in row.slices if part.cut == _CUE} if row else {}


def _counts(models: Sequence[TrainedModel], cut: Cut) -> Listing:
    inside = {model.origin.run: count_by(model.origin.items, cut) for model in models}
    outside = {model.origin.run: count_by(model.origin.left_out or (), cut) for model in models}
    values = dict.fromkeys(value for tables in (inside, outside) for table in tables.values() for value in table)
    cells = [
        (
            value,
            origin.run,
            f"{inside[origin.run].get(value, 0):,}",
            NONE if origin.left_out is None else f"{outside[origin.run].get(value, 0):,}",
        )
        for value in values
        for origin in (model.origin for model in models)
    ]
    return Listing(f"Pairs by {cut}", (cut, "run", "pairs", "left out"), cells, left=2, grouped=True)


def _problems(models: Sequence[TrainedModel]) -> Listing:
    cells = [(model.origin.run, model.origin.problem) for model in models if model.origin.problem]
    cells += [
        (model.origin.run, f"{each.task} is left out: {overlap_text(each.overlap, each.images)}")
        for model in models
        for each in model.left_out
    ]
    return Listing("Not complete", ("run", "why"), cells, left=2)


def decisions(origin: RunOrigin, only: tuple[Cut, str] | None = None) -> list[tuple[ExportItem, bool]]:
    """Return the pairs of the export, then the left out ones, each with whether it is in the export.

    Args:
        only: Cut and value that the pairs have to have.
    """
    parts = ((origin.items, True), (origin.left_out or (), False))
    return [(item, inside) for items, inside in parts for item in (with_value(items, *only) if only else items)]


def decisions_listing(origin: RunOrigin, only: tuple[Cut, str] | None, most: int) -> Listing:
    """Return the table of the first decisions behind a run."""
    listed = decisions(origin, only)
    where = f", {only[0]} {only[1]}" if only else ""
    cells = [
        (
            "in the export" if inside else "left out",
            item.state,
            ", ".join(item.reasons),
            ", ".join(item.deciders),
            item.file_name or item.image_key,
            item.text,
        )
        for item, inside in listed[:most]
    ]
    title = f"{origin.run}: {len(cells):,} of {len(listed):,} decisions{where}"
    return Listing(title, ("pairs", "state", "reasons", "decided by", "image", "text"), cells, left=6, grouped=True)


def as_dict(model: TrainedModel, only: tuple[Cut, str] | None, most: int) -> dict[str, Any]:
    """Return the object of a run for --json, with its first `most` decisions."""
    origin = model.origin
    return {
        "run": origin.run,
        "arm": origin.arm and origin.arm._asdict(),
        "seed": origin.seed,
        "export": origin.export.name,
        "export_sha256": origin.export.manifest.export_sha256 if origin.export.manifest else None,
        "event_seq": origin.export.manifest.event_seq if origin.export.manifest else None,
        "pairs": len(origin.items),
        "accepted": origin.accepted,
        "rejected": origin.rejected,
        "left_out": None if origin.left_out is None else len(origin.left_out),
        "counts": {cut: count_by(origin.items, cut) for cut in CUTS},
        "counts_left_out": {cut: count_by(origin.left_out or (), cut) for cut in CUTS},
        "problem": origin.problem,
        "results": [asdict(row) for row in model.results],
        "results_left_out": [asdict(each) for each in model.left_out],
        "decisions": [
            {**{name: getattr(item, name) for name in item.__slots__}, "in_export": inside}
            for item, inside in decisions(origin, only)[:most]
        ],
    }
