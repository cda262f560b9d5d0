"""`negwb bench run`: evaluate models on benchmarks."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from benchmarks.corrections.kind import CorrectionKind
from workbench.commands.options import BlindJudgesOption, JudgeCostOption, JudgeRequestsOption, JudgesOption
from workbench.errors import UsageError
from workbench.workspace.operations import (
    RESULTS,
    find_task,
    run_benches,
)

if TYPE_CHECKING:
    from benchmarks.protocols import Protocol
    from benchmarks.results import StoredResult
    from benchmarks.task import Task
    from workbench.jobs.benchmarks.judge import BenchmarkJudge
    from workbench.workspace.layout import Workspace
    from workbench.workspace.models import Model


EPILOG = """\b
Examples:
  negwb bench run negrefcocog                            the base model and the newest finished run
  negwb bench run negrefcocog --model ViT-B-32:openai --protocol official
  negwb bench run my-task.json --pictures photos/        your own task
  negwb bench run photos/                                zero-shot: each sub-folder is a class
  negwb bench run simpleneg --pictures ../val2014 --judge llava     a judge answers for what was retrieved
  negwb bench run negrefcocog --model run-001 --no-corrections
  negwb bench run negrefcocog --model base --correct projection --correct steering

\b
The file of a task is a list of {image, phrase, ref_bbox, bbox_list}, {image, captions, right} or {images, texts},
{images, captions: [{image, text}]}, or a list of [text, question on the denied thing, question on the rest].
Saved as benchmarks/NAME.json in the workspace, with image paths relative to that folder, it is the task NAME.
A folder of classes has one sub-folder per class, and optionally classes.json:
{"classes": {sub-folder: name}, "templates": ["a photo of a {}."]}.
"""


class ProtocolChoice(StrEnum):
    OFFICIAL = "official"
    STRICT = "strict"
    BOTH = "both"


def run(
    context: typer.Context,
    tasks: Annotated[
        list[str], typer.Argument(metavar="TASK...", help="Names from `negwb bench list`, files, or folders.")
    ],
    models: Annotated[
        list[str] | None,
        typer.Option(
            "--model",
            metavar="MODEL",
            help="base, a finished run, a folder, a .pth file, or NAME:PRETRAINED; repeatable.",
            show_default="base and the newest finished run",
        ),
    ] = None,
    protocol: Annotated[
        ProtocolChoice, typer.Option(help="Scoring rule: the published one, the strict one, or both.")
    ] = ProtocolChoice.BOTH,
    folder: Annotated[
        Path | None,
        typer.Option(metavar="FOLDER", help="Benchmark files.", show_default="benchmarks/TASK in the workspace"),
    ] = None,
    pictures: Annotated[
        Path | None, typer.Option(metavar="FOLDER", help="Folder of its images, if not in the benchmark's folder.")
    ] = None,
    allow_nan: Annotated[bool, typer.Option("--allow-nan", help="Strict rule: count NaN scores as wrong.")] = False,
    correct: Annotated[
        list[CorrectionKind] | None,
        typer.Option(
            help="Also evaluate each model with this correction, which needs no training; repeatable. projection: "
            "remove the denied concept; steering: shift one layer along the negation; route: texts without a negation "
            "get the base's embedding.",
            show_default="where a run is evaluated: route of it, projection and steering of its base",
        ),
    ] = None,
    judges: JudgesOption = None,
    allow_blind: BlindJudgesOption = False,
    max_requests: JudgeRequestsOption = None,
    max_cost: JudgeCostOption = None,
    no_corrections: Annotated[
        bool, typer.Option("--no-corrections", help="Evaluate no correction beside a run.")
    ] = False,
    device: Annotated[str, typer.Option(help="Torch device: cpu, cuda.")] = "cpu",
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """Evaluate models on benchmarks; each result is a new file in results/.

    Features are cached in cache/, so another protocol or a run with the same image tower costs little. Answers of
    judges are stored in the record: a stopped run continues, and another model only asks what is new.
    """
    from workbench.workspace.layout import find_workspace
    from workbench.workspace.models import find_model, require_torch

    workspace = find_workspace(context.obj)
    if correct and no_corrections:
        raise UsageError("--correct and --no-corrections exclude each other")
    if folder is not None and len(tasks) > 1:
        raise UsageError("--folder needs exactly one task", hint="run the tasks one by one, or leave out --folder")
    # before torch is loaded: a wrong name or a missing image is reported at once
    selected = [find_task(workspace, name, folder=folder, pictures=pictures) for name in dict.fromkeys(tasks)]
    for task in selected:
        task.check_pictures()
    chosen = [find_model(workspace, spec) for spec in dict.fromkeys(models or default_models(workspace))]
    with _judge_of(
        workspace, selected, judges or (), allow_blind=allow_blind, max_requests=max_requests, max_cost=max_cost
    ) as judge:
        require_torch()
        stored = run_benches(
            workspace,
            selected,
            chosen,
            rules=protocols_of(protocol, allow_nan),
            device=device,
            corrections=_corrections(correct, no_corrections),
            judge=judge,
            started=print_model,
            warn=lambda line: typer.echo(f"negwb: warning: {_safe_text(line)}", err=True),
        )
    print_results(workspace, stored, as_json=as_json)


@contextmanager
def _judge_of(
    workspace: Workspace,
    tasks: Sequence[Task],
    judges: Sequence[str],
    *,
    allow_blind: bool,
    max_requests: int | None,
    max_cost: float | None,
) -> Iterator[BenchmarkJudge | None]:
    """Yield the judge, if one of the tasks needs it.

    Raises:
        UsageError: a judge is named but no task needs one, or none is named.
    """
    if not any(task.kind == "judged" for task in tasks):
        if judges:
            raise UsageError("none of these benchmarks is answered by a judge", hint="leave out --judge")
        yield None
        return
    from workbench.demo.engine_kinds import register_demo_engines
    from workbench.generation.budget import Budget
    from workbench.jobs.benchmarks.judge import open_judge

    register_demo_engines()
    budget = Budget(max_requests=max_requests, max_cost=max_cost)
    with open_judge(
        workspace,
        judges,
        allow_blind=allow_blind,
        budget=budget,
        notify=lambda line: typer.echo(f"negwb: {_safe_text(line)}", err=True),
    ) as judge:
        yield judge


def print_model(model: Model) -> None:
    """Print on stderr which model is evaluated next."""
    typer.echo(f"negwb: {model.label}: {model.spec}", err=True)


def default_models(workspace: Workspace) -> list[str]:
    """Return the base model and the newest finished run, if there is one."""
    from workbench.workspace.models import BASE, finished_runs

    return [BASE, *(folder.name for folder in finished_runs(workspace)[-1:])]


def _corrections(correct: list[CorrectionKind] | None, no_corrections: bool) -> list[CorrectionKind] | None:
    """Return the corrections of `run_benches`; None: its choice."""
    if not (correct or no_corrections):
        return None
    return list(dict.fromkeys(correct or ()))


def protocols_of(name: ProtocolChoice, allow_nan: bool) -> tuple[Protocol, ...]:
    """Return the protocols of an option."""
    from benchmarks.protocols import PROTOCOLS, Protocol

    return tuple(Protocol(each, allow_nan=allow_nan) for each in PROTOCOLS if name in (ProtocolChoice.BOTH, each))


def print_results(
    workspace: Workspace, stored: Sequence[StoredResult], *, as_json: bool, more: Mapping[str, object] | None = None
) -> None:
    """Print the results, and on stderr what makes them doubtful.

    Args:
        more: Further keys of the JSON object.
    """
    from benchmarks.results import list_results
    from workbench.console.tables import show
    from workbench.reports.benchmark_report import (
        alike_lines,
        cut_lines,
        judge_lines,
        mask_lines,
        overlap_lines,
        result_json,
        results_listing,
        stored_judged_listings,
        stored_mask_listings,
        twin_advice,
        verdict_lines,
    )
    from workbench.reports.trust.judge_errors import measured_errors

    known = list_results(workspace.root / RESULTS).results  # an earlier run may have measured an affirmative twin
    if as_json:
        typer.echo(json.dumps({"results": [result_json(one, known) for one in stored], **(more or {})}))
    else:
        judged = stored_judged_listings(stored, measured_errors(workspace, known))
        show([results_listing(stored, known), *judged, *stored_mask_listings(stored)])
        typer.echo("negwb: to compare models, with intervals: negwb report", err=True)
    for line in overlap_lines(stored):
        typer.echo(f"negwb: warning: {_safe_text(line)}; negwb report needs --allow-overlap to show it", err=True)
    for line in [*alike_lines(stored), *cut_lines(stored), *verdict_lines(stored, known)]:
        typer.echo(f"negwb: warning: {_safe_text(line)}", err=True)
    for line in [*judge_lines(stored), *mask_lines(stored), *twin_advice(stored, known)]:
        typer.echo(f"negwb: {_safe_text(line)}", err=True)


def _safe_text(text: str) -> str:
    from curation_db.language.sanitize import display_text

    return display_text(text, limit=500)
