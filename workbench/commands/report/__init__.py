"""`negwb report`: compare the results of all models, with intervals, baselines and tests."""

from __future__ import annotations

import dataclasses
import json
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from workbench.commands.report.compare import EPILOG, compare
from workbench.commands.report.publish import publish as write_publication
from workbench.commands.report.training import EPILOG as TRAINING_EPILOG
from workbench.commands.report.training import training
from workbench.errors import NothingToDo, UsageError

if TYPE_CHECKING:
    from benchmarks.analysis.comparison import ComparisonRow, Report
    from curation_db.stats.misclassification import JudgeErrors
    from workbench.reports.html.flipped_items import FlippedItems
    from workbench.tui.results.context import Page
    from workbench.workspace.layout import Workspace

_EPILOG = """\b
Examples:
  negwb report
  negwb report --base run-001 --slices     compare with this model instead
  negwb report --json | jq '.rows[] | [.task, .model, .accuracy.estimate]'
  negwb report --html report.html          one file with charts, for a browser
  negwb report --html r.html --flipped run-001    and the items that it gained and lost
  negwb report --csv > report.csv          one line per figure, slices included
  negwb report --publish pub --owner me    model cards, Every Eval Ever records
  negwb report compare base run-001        two models: difference, test, slices, flipped items
  negwb report training                    runs with their exports and decisions; arms of an ablation
  negwb report --screen                    browse down to the items: images, boxes, scores
  negwb report --runs                      training runs, live
"""

_MANY = 20
"""Comparing this many results takes less than a second."""


def register(app: typer.Typer) -> None:
    group = typer.Typer(name="report", rich_markup_mode=None)
    group.callback(invoke_without_command=True, epilog=_EPILOG)(report)
    group.command(epilog=EPILOG)(compare)
    group.command(epilog=TRAINING_EPILOG)(training)
    app.add_typer(group)


def report(
    context: typer.Context,
    base: Annotated[
        str | None,
        typer.Option(
            metavar="MODEL",
            help="Model to compare with: its name, or the first characters of its hash.",
            show_default="the base of the newest run, else the model evaluated first",
        ),
    ] = None,
    slices: Annotated[bool, typer.Option("--slices", help="Also print results by cue, position and length.")] = False,
    corrections: Annotated[
        bool,
        typer.Option(
            "--corrections/--no-corrections", help="Show the corrections without training that were evaluated."
        ),
    ] = True,
    allow_overlap: Annotated[
        bool,
        typer.Option("--allow-overlap", help="Also show models that were trained on images of the benchmark."),
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object, slices included.")] = False,
    plain: Annotated[bool, typer.Option("--plain", help="Print the tables as ASCII text without colour.")] = False,
    markdown: Annotated[bool, typer.Option("--md", help="Print the tables in Markdown.")] = False,
    as_csv: Annotated[bool, typer.Option("--csv", help="Print one CSV line per figure, slices included.")] = False,
    html: Annotated[
        Path | None,
        typer.Option("--html", metavar="FILE", help="Write one HTML file with tables and charts; - is stdout."),
    ] = None,
    flipped: Annotated[
        str | None,
        typer.Option(
            metavar="MODEL",
            help="With --html: also items that this model gained and lost against the base, with thumbnails.",
            show_default="the only model besides the base",
        ),
    ] = None,
    publish: Annotated[
        Path | None,
        typer.Option(
            "--publish",
            metavar="FOLDER",
            help="Write model cards, .eval_results and records of Every Eval Ever; nothing is uploaded.",
        ),
    ] = None,
    owner: Annotated[str | None, typer.Option(metavar="NAME", help="With --publish: your account on the hubs.")] = None,
    hub_dataset: Annotated[
        list[str] | None,
        typer.Option(
            metavar="TASK=OWNER/NAME:ID",
            help="With --publish: data set on the Hugging Face Hub that is registered as this benchmark. Repeatable.",
        ),
    ] = None,
    screen: Annotated[bool, typer.Option("--screen", help="Open the report screen instead of printing.")] = False,
    runs: Annotated[
        bool, typer.Option("--runs", help="Open the screen of training runs: live curves, start, stop, compare.")
    ] = False,
) -> None:
    """Show models x tasks: correct of n, Wilson interval, blind baselines, paired difference from the base.

    The difference has a bootstrap interval over images and an exact McNemar p. Strict comes before official; results
    published by others are in a table of their own.
    """
    from workbench.workspace.layout import find_workspace

    if context.invoked_subcommand is not None:
        given = (base, html, flipped, publish, owner, hub_dataset)
        if any(given) or any((slices, not corrections, allow_overlap, plain, markdown, as_csv, as_json, screen, runs)):
            command = context.invoked_subcommand
            raise UsageError(f"options of report do not apply to {command}", hint=f"negwb report {command} --help")
        return
    workspace = find_workspace(context.obj)
    if screen or runs:
        raise typer.Exit(_open_screen(workspace, "runs" if runs else "report", base))
    outputs = {
        "--json": as_json,
        "--plain": plain,
        "--md": markdown,
        "--csv": as_csv,
        "--html": html is not None,
        "--publish": publish is not None,
    }
    if len(chosen := [name for name, wanted in outputs.items() if wanted]) > 1:
        raise UsageError(f"{' and '.join(chosen)} exclude each other", hint="run the command once for each output")
    if flipped is not None and html is None:
        raise UsageError("--flipped is for --html", hint="in a terminal: negwb report --screen, then i and d")
    if publish is None and (owner is not None or hub_dataset):
        raise UsageError("--owner and --hub-dataset need --publish FOLDER", hint="negwb report --help")
    compared = gather(
        workspace,
        base=base,
        slices=slices or as_json or as_csv or html is not None,
        corrections=corrections,
        allow_overlap=allow_overlap,
    )
    if html is not None:
        _write_html(compared, html, _flipped(workspace, compared, flipped))
    elif publish is not None:
        write_publication(workspace, compared, publish, owner=owner, hub_datasets=hub_dataset or ())
    elif plain or markdown or as_csv:
        _print_text(compared, slices=slices, kind=chosen[0])
    else:
        print_report(compared, slices=slices, as_json=as_json)


def _flipped(workspace: Workspace, compared: Report, wanted: str | None) -> FlippedItems | None:
    """Return the flipped items of the model called `wanted`, by default of the only model that has a base."""
    from benchmarks.errors import BenchError
    from workbench.console.progress_bars import step_bars
    from workbench.reports.benchmark_images import located
    from workbench.reports.html.flipped_items import flipped_items, only_other_model
    from workbench.workspace.operations import RESULTS

    def locate(row: ComparisonRow, image: str) -> Path | None:
        return located(workspace.root / "benchmarks", row.task, image, first=row.pictures_folder)

    try:
        model = only_other_model(compared) if wanted is None else compared.model_called(wanted)
        if model is None:
            return None
        with step_bars() as bars:
            items = flipped_items(
                compared,
                model,
                workspace.root / RESULTS,
                locate,
                progress=lambda done, total: bars("reading flipped items", done, total),
            )
    except BenchError as error:
        raise UsageError(error.message, hint=error.hint) from error
    if items is None:
        raise UsageError(
            f"{_safe_text(str(wanted))} has no task in common with another base",
            hint="name a model that was run on the tasks of the base; --base names the base",
        )
    return items


def _write_html(compared: Report, path: Path, flipped: FlippedItems | None) -> None:
    """Write the page: a file at once, so that no reader sees a part of it; a pipe or standard output directly."""
    from curation_db.atomic_write import replace_file
    from workbench.reports.html.page import html_report

    page = html_report(compared, flipped)
    if to_output := _is_standard_output(path):
        typer.echo(page, nl=False)
    else:
        try:
            if path.exists() and not path.is_file():
                path.write_text(page, encoding="utf-8", newline="\n")
            else:
                replace_file(path, page)
        except OSError as error:
            raise UsageError(
                f"{path} cannot be written: {error.strerror}", hint="name a file in a folder you own"
            ) from error
    typer.echo(f"{_safe_text(str(path))}: {len(compared.rows):,} results", err=to_output)


def _is_standard_output(path: Path) -> bool:
    """Return whether `path` is - or the file, pipe or terminal to which standard output is connected."""
    try:
        return str(path) == "-" or os.path.samestat(os.stat(path), os.fstat(sys.stdout.fileno()))
    except (OSError, ValueError):  # no such file yet, or standard output is closed or no file
        return False


def _print_text(compared: Report, *, slices: bool, kind: str) -> None:
    from workbench.reports import report_formats
    from workbench.reports.benchmark_report import listings

    if kind == "--csv":
        typer.echo(report_formats.as_csv(compared), nl=False)
    elif kind == "--md":
        typer.echo(report_formats.as_markdown(listings(compared, slices=slices)), nl=False)
    else:
        typer.echo(report_formats.as_ascii(listings(compared, slices=slices)), nl=False)


def _open_screen(workspace: Workspace, page: Page, base: str | None) -> int:
    from workbench.console.terminal_check import at_a_terminal, doubt_about_characters

    if not at_a_terminal():
        raise UsageError("the screen needs a terminal", hint="plain text: negwb report, or negwb report --json")
    if doubt := doubt_about_characters("negwb report"):
        typer.echo(f"negwb: {doubt}", err=True)
    from workbench.tui.results.app import run_results  # textual costs half a second

    if base is not None:
        gather(workspace, base=base)  # a wrong name is reported before the screen opens
    return run_results(workspace, start=page, base=base)


def gather(
    workspace: Workspace,
    *,
    base: str | None = None,
    slices: bool = False,
    corrections: bool = True,
    allow_overlap: bool = False,
) -> Report:
    """Compare the workspace's results, with a progress bar on stderr.

    Args:
        slices: Whether the rows have their slices.
        corrections: Whether models with a correction have rows.
        allow_overlap: Whether models have rows for tasks with images that they were trained on.

    Raises:
        NothingToDo: there are no results.
        UsageError: no model is called `base`.
    """
    from benchmarks.analysis.comparison import compare as compare_all
    from benchmarks.errors import BenchError
    from workbench.console.progress_bars import step_bars
    from workbench.workspace.models import base_hash, run_bases
    from workbench.workspace.operations import RESULTS, measured_name

    if base is not None:
        base = measured_name(workspace, base)
    try:
        with step_bars() as bars:
            report = compare_all(
                workspace.root / RESULTS,
                base=base,
                default_base=base_hash(workspace),
                run_bases=run_bases(workspace),
                slices=slices,
                corrections=corrections,
                allow_overlap=allow_overlap,
                cache=workspace.cache,
                progress=lambda done, total: bars("comparing results", done, total) if total > _MANY else None,
            )
    except BenchError as error:
        raise UsageError(error.message, hint=error.hint) from error
    if any(row.judge for row in report.rows):
        report = dataclasses.replace(report, judge_errors=_judge_errors(workspace))
    for problem in report.problems:
        typer.echo(f"negwb: skipped: {_safe_text(problem)}", err=True)
    if not report.rows and not report.left_out:
        raise NothingToDo("there are no results yet", hint="evaluate a model: negwb bench run TASK")
    return report


def _judge_errors(workspace: Workspace) -> dict[str, JudgeErrors]:
    from benchmarks.results import list_results
    from workbench.reports.trust.judge_errors import measured_errors
    from workbench.workspace.operations import RESULTS

    return measured_errors(workspace, list_results(workspace.root / RESULTS).results)


def print_report(report: Report, *, slices: bool = False, as_json: bool = False) -> None:
    from workbench.console.tables import show
    from workbench.reports.benchmark_report import as_json as report_json
    from workbench.reports.benchmark_report import listings

    if as_json:
        typer.echo(json.dumps(report_json(report), allow_nan=False))
    else:
        show(listings(report, slices=slices))


def _safe_text(text: str) -> str:
    from curation_db.language.sanitize import display_text

    return display_text(text, limit=500)
