"""`negwb bench`: list benchmarks, download or make them, evaluate models on them."""

from __future__ import annotations

import json
import shlex
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from benchmarks.corrections.kind import CorrectionKind
from workbench.commands import bench_make
from workbench.errors import ExitCode, NegwbError, UsageError
from workbench.workspace.operations import (
    BENCHMARKS,
    RESULTS,
    find_task,
    own_tasks,
    run_benches,
    task_arguments,
    unknown_task,
)

if TYPE_CHECKING:
    from benchmarks.data.fetch import FetchResult
    from benchmarks.data.sources import BenchmarkSource
    from benchmarks.protocols import Protocol
    from benchmarks.results import StoredResult
    from benchmarks.task import Task
    from workbench.jobs.benchmark_judge import BenchmarkJudge
    from workbench.workspace.layout import Workspace
    from workbench.workspace.models import Model


_EPILOG = """\b
Examples:
  negwb bench list
  negwb bench fetch negrefcocog
  negwb bench run negrefcocog --model base --model run-001
  negwb bench review simpleneg --sample 200              people review a sample of a judge's answers
  negwb bench make quiz --dry-run
"""
_LIST_EPILOG = """\b
Examples:
  negwb bench list
  negwb bench list negrefcocog ccneg                     with what their scores do not show
  negwb bench list --json
"""
_FETCH_EPILOG = """\b
Examples:
  negwb bench fetch negrefcocog                          into benchmarks/negrefcocog of the workspace
  negwb bench fetch negrefcocog --pictures ../coco/train2014
  negwb bench fetch sugarcrepe --retry-failed            missing images again, those that were gone too
  negwb bench fetch valse-existence                      annotations; a table says which archive has the images

\b
Exit code 4: the network failed; downloaded files are kept, and the same command continues.
Exit code 5: what is missing cannot be downloaded; a table names it, its source, and the folder it belongs in.
"""
_RUN_EPILOG = """\b
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

_REVIEW_EPILOG = """\b
Examples:
  negwb bench run simpleneg --pictures ../val2014 --judge llava
  negwb bench review simpleneg --sample 200
  negwb curate --stream audit
  negwb report                                           the corrected score, with the judge's error in its interval

A larger sample contains a smaller one: run it again with a larger N.
"""

bench = typer.Typer(
    name="bench",
    no_args_is_help=True,
    rich_markup_mode=None,
    epilog=_EPILOG,
    help="List, fetch, make and run benchmarks. Files are in benchmarks/ of the workspace, results in results/.",
)


class ProtocolChoice(StrEnum):
    OFFICIAL = "official"
    STRICT = "strict"
    BOTH = "both"


class DownloadError(NegwbError):
    """A download failed or is incomplete; downloaded files are kept."""

    exit_code = ExitCode.NETWORK


class NotDownloadable(NegwbError):
    """Files are missing that a person has to get: their source is a form, a drive or a large archive."""

    exit_code = ExitCode.NOTHING_TO_DO


bench.command(epilog=bench_make.EPILOG)(bench_make.make)


def register(app: typer.Typer) -> None:
    app.add_typer(bench)


@bench.command(name="list", epilog=_LIST_EPILOG)
def list_command(
    context: typer.Context,
    names: Annotated[
        list[str] | None,
        typer.Argument(metavar="[TASK]...", help="Only these, with their caveats.", show_default="all"),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object, with the caveats of each.")] = False,
) -> None:
    """List the benchmarks and whether their files are in the workspace."""
    from workbench.console.tables import Listing, show
    from workbench.workspace.layout import find_workspace

    rows = list_tasks(find_workspace(context.obj), names)
    if as_json:
        typer.echo(json.dumps({"tasks": rows}))
        return
    cells = [
        (row["name"], f"{row['items']:,}" if row["items"] else "", row["state"], row["summary"] or row["folder"])
        for row in rows
    ]
    listings = [Listing("Benchmarks", ("name", "items", "files", "about"), cells, left=4)]
    caveats = [(row["name"], caveat) for row in rows for caveat in row["caveats"]] if names else []
    if caveats:
        listings.append(Listing("Caveats", ("name", "what a score does not show"), caveats, left=2))
    show(listings)


def list_tasks(workspace: Workspace, names: Sequence[str] | None = None) -> list[dict[str, Any]]:
    """Return the known benchmarks and the workspace's own ones, as `--json` prints them.

    Args:
        names: Only these, in this order; None: all.

    Raises:
        UsageError: There is no task of one of the names.
    """
    from benchmarks.registry import entries

    known = entries()
    every = [*known, *(name for name in own_tasks(workspace) if name not in known)]
    if unknown := [name for name in names or () if name not in every]:
        raise unknown_task(unknown[0], every)
    rows = []
    for name in dict.fromkeys(names or every):
        entry = known.get(name)
        summary, caveats = (entry.summary, entry.caveats) if entry else _own_facts(workspace, name)
        row = _task_row(workspace, name, entry.folder if entry else name, summary)
        rows.append({**row, "caveats": list(caveats)})
    return rows


def _own_facts(workspace: Workspace, name: str) -> tuple[str, tuple[str, ...]]:
    """Return what a frozen benchmark was made of, and its caveats; nothing for other tasks and damaged benchmarks."""
    from benchmarks.errors import BenchError
    from benchmarks.frozen.folder import is_frozen, read_frozen

    folder = workspace.root / BENCHMARKS / name
    if not is_frozen(folder):
        return "", ()
    try:
        frozen = read_frozen(folder)
    except BenchError:
        return "", ()
    return f"from the record at event {frozen.manifest.get('event_seq')}; sha256 {frozen.sha256[:12]}", frozen.caveats


def _task_row(workspace: Workspace, name: str, folder_name: str, summary: str) -> dict[str, Any]:
    from benchmarks.errors import BenchError

    folder = workspace.root / BENCHMARKS / folder_name
    row: dict[str, Any] = {"name": name, "summary": summary, "folder": str(folder), "items": 0}
    try:
        task = find_task(workspace, name)
    except BenchError as error:
        exists = folder.is_dir() or not summary
        return {**row, "ready": False, "state": error.message if exists else "not fetched", "missing_pictures": None}
    missing = len(task.missing_pictures())
    state = f"{missing:,} of {len(task.images):,} images missing" if missing else "ready"
    return {
        **row,
        "folder": str(task.pictures),
        "items": len(task.items),
        "ready": not missing,
        "state": state,
        "missing_pictures": missing,
    }


@bench.command(epilog=_FETCH_EPILOG)
def fetch(
    context: typer.Context,
    name: Annotated[str, typer.Argument(metavar="NAME", help="Name of the benchmark; see: negwb bench list")],
    folder: Annotated[
        Path | None,
        typer.Option(metavar="FOLDER", help="Folder to download to.", show_default="benchmarks/NAME in the workspace"),
    ] = None,
    pictures: Annotated[
        Path | None, typer.Option(metavar="FOLDER", help="Folder of its images, laid out as a copy of COCO.")
    ] = None,
    mirror: Annotated[
        str | None,
        typer.Option(
            metavar="URL",
            envvar="NEGWB_MIRROR",
            help="Download from this server instead, which has a copy of the benchmark's folder.",
        ),
    ] = None,
    retry_failed: Annotated[
        bool,
        typer.Option("--retry-failed", help="Request missing images again, those that were gone too; check no others."),
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object instead of the folder.")] = False,
) -> None:
    """Download a benchmark's annotation files and the images it needs.

    Every file is verified; valid files are not downloaded again. An interrupted download can be continued. A table
    names what cannot be downloaded, where a person gets it, and the folder it belongs in.
    """
    from benchmarks.data.sources import source_of
    from benchmarks.registry import entries
    from workbench.workspace.layout import find_workspace

    workspace = find_workspace(context.obj)
    entry = entries().get(name)
    if entry is None:
        raise unknown_task(name, list(entries()))
    arguments = task_arguments(name, folder, pictures)
    again = " ".join([arguments, *(["--mirror", shlex.quote(mirror)] if mirror else [])])
    folder = folder or workspace.root / BENCHMARKS / entry.folder
    source = source_of(name, entry.folder)
    if source is None:
        fetched = _without_source(name, folder, pictures)
    else:
        typer.echo(f"negwb: fetching {name} into {folder}", err=True)
        typer.echo(f"       licence: {'; '.join(_licences(source))}", err=True)
        fetched = _fetch(name, folder, source.on_mirror(mirror) if mirror else source, pictures, retry_failed)
    if as_json:
        report = {
            "name": name,
            "folder": str(folder),
            "complete": fetched.complete,
            "pictures": fetched.pictures,
            "present": fetched.present,
            "fetched": fetched.fetched,
            "received_bytes": fetched.received_bytes,
            "failed": dict(fetched.failed),
            "gone": sorted(fetched.gone),
            "by_hand": [{"what": step.what, "where": str(step.where), "from": step.source} for step in fetched.by_hand],
            "licences": [] if source is None else _licences(source),
            "unreachable": fetched.unreachable,
        }
        typer.echo(json.dumps(report))
    elif fetched.complete:
        typer.echo(str(folder))
    _report_fetch(name, fetched, arguments, again)


def _licences(source: BenchmarkSource) -> list[str]:
    """Return the licences of the annotations and the images, in words."""
    images = dict.fromkeys(each.licence for each in source.images if each.licence)
    return [f"annotations {source.licence}", *(f"images {licence}" for licence in images)]


def _without_source(name: str, folder: Path, pictures: Path | None) -> FetchResult:
    """Return what is missing of a benchmark whose files are all put there by hand."""
    from benchmarks.data.fetch import FetchResult, ManualStep
    from benchmarks.errors import BenchError
    from benchmarks.registry import load_task

    try:
        task = load_task(name, folder, pictures)
    except BenchError as error:
        steps = (ManualStep(error.message, folder, error.hint),)
        return FetchResult(pictures=0, present=0, fetched=0, received_bytes=0, failed={}, by_hand=steps)
    missing = task.missing_pictures()
    images = ManualStep(f"{len(missing):,} images", task.pictures, "the archive of its images")
    present = len(task.images) - len(missing)
    return FetchResult(
        pictures=len(task.images),
        present=present,
        fetched=0,
        received_bytes=0,
        failed={},
        by_hand=(images,) if missing else (),
    )


def _fetch(name: str, folder: Path, source: BenchmarkSource, pictures: Path | None, retry_failed: bool) -> FetchResult:
    from benchmarks.data.fetch import fetch_benchmark
    from benchmarks.errors import BenchError
    from workbench.console.progress_bars import step_bars

    try:
        with step_bars(lines=True) as report_step:
            return fetch_benchmark(
                name, folder, source, pictures=pictures, retry_failed=retry_failed, progress=report_step
            )
    except BenchError as error:
        raise DownloadError(error.message, hint=error.hint) from error
    except OSError as error:
        raise NegwbError(f"cannot write {error.filename or folder}: {error.strerror or error}") from error


def _report_fetch(name: str, result: FetchResult, arguments: str, again: str) -> None:
    """Print the counts of a download, and tables of what is missing.

    Raises:
        DownloadError: images are missing.
        NotDownloadable: only files are missing that a person has to get.
    """
    _print_missing(result)
    megabytes = result.received_bytes / 1e6
    counts = f"{result.fetched:,} images fetched, {result.present:,} already present ({megabytes:,.1f} MB)"
    hint = f"downloaded files are kept; continue with: negwb bench fetch {again}"
    missing = f"{len(result.failed):,} of {result.pictures:,} images are missing"
    if result.unreachable:
        raise DownloadError(f"{result.unreachable}; {missing}; {counts}", hint=hint)
    if result.failed:
        image, reason = next(iter(result.failed.items()))
        retried = " --retry-failed" if result.gone == result.failed.keys() else ""
        raise DownloadError(f"{missing} ({image}: {reason}); {counts}", hint=hint + retried)
    if result.by_hand:
        what = ", ".join(step.what for step in result.by_hand)
        first = result.by_hand[0]
        raise NotDownloadable(
            f"{name}: cannot be downloaded: {what}; {counts}", hint=f"put into {first.where}: {first.source}"
        )
    typer.echo(f"negwb: {counts}", err=True)
    typer.echo(f"       next: negwb bench run {arguments}", err=True)


_MOST_ROWS = 20
"""Missing images that a table names."""


def _print_missing(result: FetchResult) -> None:
    """Print on stderr which images are missing and why, and what a person has to get."""
    from workbench.console.tables import Listing, plain_text

    if result.by_hand:
        steps = [(step.what, str(step.where), step.source) for step in result.by_hand]
        typer.echo(plain_text(Listing("To be put there by hand", ("what", "folder", "from"), steps, left=3)), err=True)
    if result.failed and not result.unreachable:
        state = {name: "gone" if name in result.gone else "failed" for name in result.failed}
        rows = [(name, state[name], reason) for name, reason in list(result.failed.items())[:_MOST_ROWS]]
        if (more := len(result.failed) - len(rows)) > 0:
            rows.append((f"and {more:,} more", "", "all of them: --json"))
        typer.echo(plain_text(Listing("Missing images", ("image", "state", "reason"), rows, left=3)), err=True)


@bench.command(epilog=_RUN_EPILOG)
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
    judges: Annotated[
        list[str] | None,
        typer.Option(
            "--judge",
            metavar="ENGINE",
            help="Engine that answers the questions of a judged benchmark (simpleneg); repeatable.",
            show_default="judges in negwb.toml",
        ),
    ] = None,
    allow_blind: Annotated[
        bool, typer.Option("--allow-blind", help="Use judges that were proved not to see images.")
    ] = False,
    max_requests: Annotated[
        int | None, typer.Option(min=1, metavar="N", help="Stop after so many requests to judges.")
    ] = None,
    max_cost: Annotated[
        float | None, typer.Option(min=0, metavar="COST", help="Stop when the judges' answers have cost this much.")
    ] = None,
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
            rules=_rules(protocol, allow_nan),
            device=device,
            corrections=_corrections(correct, no_corrections),
            judge=judge,
            started=print_model,
            warn=lambda line: typer.echo(f"negwb: warning: {_safe_text(line)}", err=True),
        )
    _print_results(workspace, stored, as_json=as_json)


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
    from workbench.jobs.benchmark_judge import open_judge

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


@bench.command(epilog=_REVIEW_EPILOG)
def review(
    context: typer.Context,
    task: Annotated[str, typer.Argument(metavar="TASK", help="A benchmark with answers of a judge, as simpleneg.")],
    sample: Annotated[int, typer.Option(min=1, metavar="N", help="Size of the random sample.")] = 200,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """Add a random sample of what a judge answered to the record, to be reviewed in Curate without seeing the answers.

    Accept a text that is true of the image; reject it with "present" if the denied thing is there, with "rest false" if
    the scene is wrong. `negwb report` then corrects the score for the judge's errors, with an interval that includes
    them. These pairs never enter an export, unless it asks for them.
    """
    from curation_db.language.sanitize import counted
    from workbench.jobs.judge_review import add_review
    from workbench.workspace.layout import find_workspace

    added = add_review(find_workspace(context.obj), task, sample)
    if as_json:
        typer.echo(json.dumps({"task": task, "judged": added.pairs, "sample": added.sample, "new": added.new}))
    else:
        pairs = counted(added.sample, "pair")
        typer.echo(f"{pairs} of {added.pairs:,} judged ones are in the record, {added.new:,} of them new")
    typer.echo("negwb: next: negwb curate --stream audit", err=True)


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


def _rules(name: ProtocolChoice, allow_nan: bool) -> tuple[Protocol, ...]:
    from benchmarks.protocols import PROTOCOLS, Protocol

    return tuple(Protocol(each, allow_nan=allow_nan) for each in PROTOCOLS if name in (ProtocolChoice.BOTH, each))


def _print_results(workspace: Workspace, stored: Sequence[StoredResult], *, as_json: bool) -> None:
    from benchmarks.results import list_results
    from workbench.console.tables import show
    from workbench.reports.benchmark_report import (
        alike_lines,
        cut_lines,
        judge_lines,
        overlap_lines,
        result_json,
        results_listing,
        stored_judged_listings,
        twin_advice,
        verdict_lines,
    )
    from workbench.reports.judge_errors import measured_errors

    known = list_results(workspace.root / RESULTS).results  # an earlier run may have measured an affirmative twin
    if as_json:
        typer.echo(json.dumps({"results": [result_json(one, known) for one in stored]}))
    else:
        show([results_listing(stored, known), *stored_judged_listings(stored, measured_errors(workspace, known))])
        typer.echo("negwb: to compare models, with intervals: negwb report", err=True)
    for line in overlap_lines(stored):
        typer.echo(f"negwb: warning: {_safe_text(line)}; negwb report needs --allow-overlap to show it", err=True)
    for line in [*alike_lines(stored), *cut_lines(stored), *verdict_lines(stored, known)]:
        typer.echo(f"negwb: warning: {_safe_text(line)}", err=True)
    for line in [*judge_lines(stored), *twin_advice(stored, known)]:
        typer.echo(f"negwb: {_safe_text(line)}", err=True)


def _safe_text(text: str) -> str:
    from curation_db.language.sanitize import display_text

    return display_text(text, limit=500)
