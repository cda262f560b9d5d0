"""`negwb report compare`: two models, item by item."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Annotated

import typer

from workbench.errors import UsageError

if TYPE_CHECKING:
    from benchmarks.analysis.model_pair import ModelPair, PairedTask
    from workbench.console.tables import Listing

EPILOG = """\b
Examples:
  negwb report compare base run-001
  negwb report compare run-001 run-002 --flipped 50
  negwb report compare base run-001 --json | jq '.tasks[0].flipped[].id'
"""


def compare(
    context: typer.Context,
    first: Annotated[str, typer.Argument(metavar="A", help="Name of a model, or the first characters of its hash.")],
    second: Annotated[str, typer.Argument(metavar="B", help="The model that is compared with A.")],
    flipped: Annotated[int, typer.Option(min=0, help="Flipped items to list for each task.")] = 10,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object with all flipped items.")] = False,
) -> None:
    """Show the paired difference B - A of every common task, its test, its slices, and the flipped items.

    base names the base model, as in negwb bench run --model base.

    p is McNemar's exact test, corrected (Holm) for the tasks of one protocol, and among slices for those of a task.
    """
    from benchmarks.analysis.model_pair import compare_pair
    from benchmarks.errors import BenchError
    from workbench.console.progress_bars import step_bars
    from workbench.console.tables import show
    from workbench.workspace.layout import find_workspace
    from workbench.workspace.operations import RESULTS, measured_name

    workspace = find_workspace(context.obj)
    try:
        with step_bars() as bars:
            pair = compare_pair(
                workspace.root / RESULTS,
                measured_name(workspace, first),
                measured_name(workspace, second),
                cache=workspace.cache,
                progress=lambda done, total: bars("comparing results", done, total),
            )
    except BenchError as error:
        raise UsageError(error.message, hint=error.hint) from error
    if as_json:
        typer.echo(json.dumps(pair.as_dict(), allow_nan=False))
    else:
        show(list(_listings(pair, flipped)))


def _notes(task: PairedTask, letters: Mapping[str, str]) -> Iterator[tuple[str, str, str]]:
    """Yield what makes a comparison doubtful."""
    from workbench.reports.benchmark_report import difference_notes

    name = f"{task.second.task}, {task.second.protocol}"
    for row in (task.first, task.second):
        yield from ((name, letters[row.model], note) for note in row.notes)
    yield from ((name, "", note) for note in difference_notes(task.difference))


def _listings(pair: ModelPair, most: int) -> Iterator[Listing]:
    from workbench.console.number_format import percent
    from workbench.console.tables import Listing
    from workbench.reports.benchmark_report import affirmed_figure, figure_cells

    headers = ("A %", "B %", "B - A", "95 %", "p", "gained", "lost")
    rows, parts, items = [], [], []
    for task in pair.tasks:
        cells = figure_cells(task.second.correct, task.second.n, task.second.accuracy, task.difference)
        counts = f"{task.difference.gained:,}", f"{task.difference.lost:,}"
        shares = percent(task.first.accuracy.estimate), cells.share
        name = task.second.task, task.second.protocol
        pairs = zip((task.first, task.second), task.affirmed, strict=True)
        affirmed = [affirmed_figure(row, twin) if row.denied else "" for row, twin in pairs]
        rows.append((*name, f"{task.second.n:,}", *shares, *cells[3:], *counts, *affirmed))
        for part in task.slices:
            if part.base is not None:
                cells = figure_cells(part.correct, part.n, part.accuracy, part.base)
                shares = percent(part.accuracy.estimate - part.base.difference.estimate), cells.share
                counts = f"{part.base.gained:,}", f"{part.base.lost:,}"
                parts.append((", ".join(name), part.cut, part.value, f"{part.n:,}", *shares, *cells[3:], *counts))
        listed = task.flipped[:most]
        items += [(", ".join(name), "gained" if item.gained else "lost", item.id, item.text) for item in listed]
    yield Listing(
        f"A: {pair.first}, B: {pair.second}", ("task", "rule", "n", *headers, "affirm A %", "affirm B %"), rows, left=2
    )
    if notes := [note for task in pair.tasks for note in _notes(task, {pair.first: "A", pair.second: "B"})]:
        yield Listing("Notes", ("task", "", "note"), list(dict.fromkeys(notes)), left=3, grouped=True)
    if parts:
        yield Listing("By slice", ("task", "cut", "value", "n", *headers), parts, left=3, grouped=True)
    if items:
        yield Listing("Flipped items", ("task", "B", "item", "text"), items, left=4, grouped=True)
