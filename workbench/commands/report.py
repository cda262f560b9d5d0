"""`negwb report`: what was measured, models beside each other, with everything that a figure needs to be defended."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Annotated

import typer

from workbench.errors import NothingToDo, UsageError

if TYPE_CHECKING:
    from benchmarks.comparison import Report
    from workbench.workspace.layout import Workspace

_EPILOG = """\b
Examples:
  negwb report
  negwb report --base run-001 --slices     differences from this model instead
  negwb report --json | jq '.rows[] | [.task, .model, .accuracy.estimate]'
  negwb report --screen                 down to the items: pictures, boxes, scores
"""


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command(epilog=_EPILOG)(report)


def report(
    context: typer.Context,
    base: Annotated[
        str | None,
        typer.Option(
            metavar="MODEL",
            help="Compare with this model: its name, or the beginning of its hash.",
            show_default="what the newest run was trained from, else the one that was measured first",
        ),
    ] = None,
    slices: Annotated[bool, typer.Option("--slices", help="Also by cue, position and length.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object, slices included.")] = False,
    screen: Annotated[bool, typer.Option("--screen", help="Open the screen instead of printing.")] = False,
) -> None:
    """Show models x tasks: right of n, Wilson interval, blind baselines, paired difference from the base.

    The difference has a bootstrap interval over pictures and an exact McNemar p. Strict comes before official;
    what others published stands apart.
    """
    from workbench.workspace.layout import find_workspace

    workspace = find_workspace(context.obj)
    if screen:
        raise typer.Exit(_open_screen(workspace, base))
    print_report(gather(workspace, base=base), slices=slices, as_json=as_json)


def _open_screen(workspace: Workspace, base: str | None) -> int:
    from workbench.console.terminal_check import at_a_terminal, doubt_about_characters

    if not at_a_terminal():
        raise UsageError("--screen needs a terminal", hint="plain text: negwb report, or negwb report --json")
    if doubt := doubt_about_characters("negwb report"):
        typer.echo(f"negwb: {doubt}", err=True)
    from workbench.tui.results.app import run_results  # textual costs half a second

    if base is not None:
        gather(workspace, base=base)  # a wrong name is answered here, not on a screen
    return run_results(workspace, start="report", base=base)


def gather(workspace: Workspace, *, base: str | None = None) -> Report:
    """The report over the workspace's results.

    Raises:
        NothingToDo: nothing was measured.
        UsageError: no model is called `base`.
    """
    from benchmarks.comparison import compare
    from benchmarks.errors import BenchError
    from workbench.workspace.models import base_hash
    from workbench.workspace.operations import RESULTS

    try:
        found = compare(workspace.root / RESULTS, base=base, usual=base_hash(workspace))
    except BenchError as error:
        raise UsageError(error.message, hint=error.hint) from error
    for problem in found.problems:
        typer.echo(f"negwb: passed over: {_safe_text(problem)}", err=True)
    if not found.rows:
        raise NothingToDo("nothing was measured yet", hint="measure something: negwb bench run TASK")
    return found


def print_report(found: Report, *, slices: bool = False, as_json: bool = False) -> None:
    """On stdout."""
    from workbench.console.tables import show
    from workbench.reports.benchmark_report import as_json as told_of
    from workbench.reports.benchmark_report import listings

    if as_json:
        typer.echo(json.dumps(told_of(found), allow_nan=False))
    else:
        show(listings(found, slices=slices))


def _safe_text(text: str) -> str:
    from curation_db.language.sanitize import display_text

    return display_text(text, limit=500)
