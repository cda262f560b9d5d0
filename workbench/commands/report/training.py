"""`negwb report training`: runs side by side with their exports and the decisions behind them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from workbench.errors import NothingToDo, UsageError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from benchmarks.analysis.comparison import ComparisonRow, Report
    from workbench.reports.run_origin import Cut
    from workbench.reports.training_report import TrainedModel
    from workbench.workspace.layout import Workspace

EPILOG = """\b
Examples:
  negwb report training                                all runs; the arms of an ablation side by side
  negwb report training run-001 --decisions 20         the decisions that chose its pairs
  negwb report training run-001 --only reason=present --decisions 20
  negwb report training --json | jq '.runs[] | [.run, .counts.cue]'
"""


def training(
    context: typer.Context,
    runs: Annotated[
        list[str] | None,
        typer.Argument(metavar="[RUN]...", help="Finished runs.", show_default="all", hidden=False),
    ] = None,
    base: Annotated[
        str | None,
        typer.Option(
            metavar="MODEL",
            help="Model to compare with.",
            show_default="the arm of the accepted pairs, else as in negwb report",
        ),
    ] = None,
    decisions: Annotated[int, typer.Option(min=0, metavar="N", help="List the first N decisions of each run.")] = 0,
    only: Annotated[
        str | None,
        typer.Option(metavar="KIND=VALUE", help="List decisions with this cue, type, reason, decider or generator."),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """Show what each run was trained on: pairs, cues, reject reasons and deciders, beside the scores of its model.

    The rejected pairs that an export leaves out are read from the record, as of the event of the export.
    """
    from workbench.console.tables import show
    from workbench.reports.training_report import as_dict, decisions_listing, listings
    from workbench.workspace.layout import find_workspace

    cut = _cut(only)
    workspace = find_workspace(context.obj)
    models = _models(workspace, _folders(workspace, runs or ()), base)
    if as_json:
        typer.echo(json.dumps({"runs": [as_dict(each, cut, decisions) for each in models]}, allow_nan=False))
        return
    tables = listings(models)
    if decisions:
        tables += [decisions_listing(model.origin, cut, decisions) for model in models]
    show(tables)


def _cut(only: str | None) -> tuple[Cut, str] | None:
    from workbench.reports.run_origin import CUTS

    if only is None:
        return None
    kind, equals, value = only.partition("=")
    known = next((cut for cut in CUTS if cut == kind), None)
    if known is None or not equals:
        raise UsageError(f"--only {only!r} is not KIND=VALUE", hint=f"kinds: {', '.join(CUTS)}; --only cue=without")
    return known, value


def _folders(workspace: Workspace, names: Sequence[str]) -> list[Path]:
    from workbench.workspace.models import finished_runs

    finished = {folder.name: folder for folder in finished_runs(workspace)}
    if not finished:
        raise NothingToDo("no run is finished", hint="train one with: negwb train EXPORT")
    if unknown := [name for name in names if name not in finished]:
        raise UsageError(f"no finished run is called {unknown[0]!r}", hint=f"finished: {', '.join(finished)}")
    return [finished[name] for name in names] if names else list(finished.values())


def _models(workspace: Workspace, folders: Sequence[Path], base: str | None) -> list[TrainedModel]:
    from trainers.errors import TrainerError
    from workbench.console.progress_bars import step_bars
    from workbench.reports.run_origin import read_origins
    from workbench.reports.training_report import TrainedModel
    from workbench.workspace.trained_runs import runs_by_model

    try:
        with step_bars() as bars:
            origins = read_origins(workspace, folders, lambda done, total: bars("reading exports", done, total))
    except TrainerError as error:
        raise UsageError(error.message, hint=error.hint) from error
    hashes = {folder.name: digest for digest, folder in runs_by_model(workspace).items()}
    report = _report(workspace, folders, hashes, base)
    if report is None:
        return [TrainedModel(origin, ()) for origin in origins]
    return [
        TrainedModel(
            origin,
            _results_of(report, hashes.get(origin.run)),
            tuple(each for each in report.left_out if each.model_hash == hashes.get(origin.run)),
        )
        for origin in origins
    ]


def _report(workspace: Workspace, folders: Sequence[Path], hashes: dict[str, str], base: str | None) -> Report | None:
    """Compare the results of the workspace; None: there are none."""
    from workbench.commands.report import gather

    try:
        return gather(workspace, base=base or _accepted_arm(workspace, folders, hashes), slices=True)
    except NothingToDo:
        return None


def _results_of(report: Report, model: str | None) -> tuple[ComparisonRow, ...]:
    """Return one result of the model for each task, the strict one where it exists."""
    first: dict[tuple[str, str], ComparisonRow] = {}
    for row in report.rows:  # strict before official
        if row.model_hash == model:
            first.setdefault((row.task, row.dataset_sha256), row)
    return tuple(first.values())


def _accepted_arm(workspace: Workspace, folders: Sequence[Path], hashes: dict[str, str]) -> str | None:
    """Return the hash of the evaluated arm of the accepted pairs, if the runs are arms of one ablation."""
    from benchmarks.results import list_results
    from workbench.workspace.ablation_names import ACCEPTED, arm_of
    from workbench.workspace.operations import RESULTS

    arms = {folder.name: arm for folder in folders if (arm := arm_of(folder.name))}
    accepted = [name for name, arm in arms.items() if arm.arm == ACCEPTED]
    if len(accepted) != 1 or len({arm.export for arm in arms.values()}) != 1:
        return None
    digest = hashes.get(accepted[0])
    results = (stored.result for stored in list_results(workspace.root / RESULTS).results)
    known = {each["model"]["hash"] for each in results if not each.get("overlap", {}).get("images")}
    return digest if digest in known else None
