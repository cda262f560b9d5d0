"""`negwb bench`: which benchmarks there are, their files, and how models do on them."""

from __future__ import annotations

import json
import shlex
from collections.abc import Sequence
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

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
    from benchmarks.data.fetch import Fetched
    from benchmarks.protocols import Protocol
    from benchmarks.results import StoredResult
    from workbench.workspace.layout import Workspace
    from workbench.workspace.models import Model


_EPILOG = """\b
Examples:
  negwb bench list
  negwb bench fetch negrefcocog
  negwb bench run negrefcocog --model base --model run-001
"""
_FETCH_EPILOG = """\b
Examples:
  negwb bench fetch negrefcocog                          into the workspace's benchmarks/negrefcocog
  negwb bench fetch negrefcocog --pictures ../coco/train2014

\b
Exit code 4: the network failed; what came is kept, and the same command goes on.
"""
_RUN_EPILOG = """\b
Examples:
  negwb bench run negrefcocog                            the base and the newest finished run
  negwb bench run negrefcocog --model ViT-B-32:openai --protocol official
  negwb bench run my-task.json --pictures photos/        a task of your own

\b
A file of your own is a list of {image, phrase, ref_bbox, bbox_list}, or {images, captions: [{image, text}]}.
As benchmarks/NAME.json in the workspace, its pictures named from there, it is a TASK called NAME.
"""

bench = typer.Typer(
    name="bench",
    no_args_is_help=True,
    rich_markup_mode=None,
    epilog=_EPILOG,
    help="List, fetch and run benchmarks. Their files lie in the workspace's benchmarks/, what they say in results/.",
)


class ProtocolChoice(StrEnum):
    """By which protocols to judge."""

    OFFICIAL = "official"
    STRICT = "strict"
    BOTH = "both"


class DownloadError(NegwbError):
    """A server did not give what was asked for; what came is kept."""

    exit_code = ExitCode.NETWORK


def register(app: typer.Typer) -> None:
    """Add the commands."""
    app.add_typer(bench)


@bench.command(name="list", epilog="Example:  negwb bench list --json")
def list_command(
    context: typer.Context,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """List the benchmarks, and whether their files are in the workspace."""
    from workbench.console.tables import Listing, show
    from workbench.workspace.layout import find_workspace

    rows = list_tasks(find_workspace(context.obj))
    if as_json:
        typer.echo(json.dumps({"tasks": rows}))
        return
    cells = [
        (row["name"], f"{row['items']:,}" if row["items"] else "", row["state"], row["summary"] or row["folder"])
        for row in rows
    ]
    show([Listing("Benchmarks", ("name", "items", "files", "what"), cells, left=4)])


def list_tasks(workspace: Workspace) -> list[dict[str, Any]]:
    """Each benchmark by name, as `--json` prints it: the known ones and the workspace's own."""
    from benchmarks.registry import entries

    known = {name: entry.summary for name, entry in entries().items()}
    own = {name: "" for name in own_tasks(workspace) if name not in known}
    return [_task_row(workspace, name, summary) for name, summary in (known | own).items()]


def _task_row(workspace: Workspace, name: str, summary: str) -> dict[str, Any]:
    from benchmarks.errors import BenchError

    home = workspace.root / BENCHMARKS / name
    row: dict[str, Any] = {"name": name, "summary": summary, "folder": str(home), "items": 0}
    try:
        task = find_task(workspace, name)
    except BenchError as error:
        there = home.is_dir() or not summary
        return {**row, "ready": False, "state": error.message if there else "not fetched", "missing_pictures": None}
    missing = len(task.missing_pictures())
    state = f"{missing:,} of {len(task.images):,} pictures missing" if missing else "ready"
    folder = str(task.pictures)
    # fmt: off
    return {**row, "folder": folder, "items": len(task.items), "ready": not missing, "state": state,
            "missing_pictures": missing}
    # fmt: on


@bench.command(epilog=_FETCH_EPILOG)
def fetch(
    context: typer.Context,
    name: Annotated[str, typer.Argument(metavar="NAME", help="Which benchmark; see: negwb bench list")],
    folder: Annotated[
        Path | None,
        typer.Option(metavar="FOLDER", help="Where to put it.", show_default="benchmarks/NAME in the workspace"),
    ] = None,
    pictures: Annotated[
        Path | None, typer.Option(metavar="FOLDER", help="Where its pictures are or go, as in a copy of COCO.")
    ] = None,
    mirror: Annotated[
        str | None,
        typer.Option(
            metavar="URL",
            envvar="NEGWB_MIRROR",
            help="Ask this server instead, for URL/NegRefCOCOg.json and URL/train2014/.",
        ),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object instead of the folder.")] = False,
) -> None:
    """Download a benchmark's annotation file and just the pictures it needs.

    What is there and sound is not fetched again; every file is checked. Stopped at any moment, it goes on.
    """
    from benchmarks.registry import entries
    from benchmarks.tasks import negrefcocog
    from workbench.workspace.layout import find_workspace

    workspace = find_workspace(context.obj)
    if name != negrefcocog.NAME:
        raise (
            UsageError(f"nothing to fetch for {name!r}", hint=f"fetched is: {negrefcocog.NAME}")
            if (name in entries())
            else unknown_task(name, [negrefcocog.NAME])
        )
    words = task_arguments(name, folder, pictures)
    again = " ".join([words, *(["--mirror", shlex.quote(mirror)] if mirror else [])])
    folder = folder or workspace.root / BENCHMARKS / name
    typer.echo(f"negwb: fetching {name} into {folder}", err=True)
    done = _fetch(folder, pictures, mirror)
    # fmt: off
    told = {"name": name, "folder": str(folder), "complete": done.complete, "pictures": done.pictures,
            "present": done.present, "fetched": done.fetched, "received_bytes": done.received_bytes,
            "failed": dict(done.failed), "unreachable": done.unreachable}
    # fmt: on
    if as_json:
        typer.echo(json.dumps(told))
    elif done.complete:
        typer.echo(str(folder))
    _report_fetch(done, words, again)


def _fetch(folder: Path, pictures: Path | None, mirror: str | None) -> Fetched:
    from benchmarks.data.fetch import Sources, fetch_negrefcocog
    from benchmarks.errors import BenchError
    from benchmarks.tasks import negrefcocog
    from workbench.console.progress_bars import step_bars

    sources = Sources()
    if mirror:
        base = mirror.rstrip("/")
        sources = Sources(
            annotations=(f"{base}/{negrefcocog.ANNOTATIONS}",), pictures=(f"{base}/{negrefcocog.PICTURES}/",)
        )
    try:
        with step_bars(lines=True) as tell:
            return fetch_negrefcocog(
                folder, sources, pictures=pictures, progress=lambda name, done, total: tell("pictures", done, total)
            )
    except BenchError as error:
        raise DownloadError(error.message, hint=error.hint) from error
    except OSError as error:
        raise NegwbError(f"cannot write {error.filename or folder}: {error.strerror or error}") from error


def _report_fetch(done: Fetched, words: str, again: str) -> None:
    here = f"{done.fetched:,} pictures fetched, {done.present:,} were there ({done.received_bytes / 1e6:,.1f} MB)"
    hint = f"what came is kept; go on with: negwb bench fetch {again}"
    if done.unreachable:
        missing = f"{len(done.failed):,} of {done.pictures:,} pictures are missing"
        raise DownloadError(f"{done.unreachable}; {missing}; {here}", hint=hint)
    if not done.complete:
        first, why = next(iter(done.failed.items()))
        raise DownloadError(
            f"{len(done.failed):,} of {done.pictures:,} pictures could not be had ({first}: {why}); {here}",
            hint=hint,
        )
    typer.echo(f"negwb: {here}", err=True)
    typer.echo(f"       next: negwb bench run {words}", err=True)


@bench.command(epilog=_RUN_EPILOG)
def run(
    context: typer.Context,
    tasks: Annotated[list[str], typer.Argument(metavar="TASK...", help="Names as in `negwb bench list`, or files.")],
    models: Annotated[
        list[str] | None,
        typer.Option(
            "--model",
            metavar="MODEL",
            help="base, a finished run, a folder, a .pth file, or NAME:PRETRAINED; may be given several times.",
            show_default="base, and the newest finished run",
        ),
    ] = None,
    protocol: Annotated[
        ProtocolChoice, typer.Option(help="Judge by the published rule, the strict one, or both.")
    ] = ProtocolChoice.BOTH,
    folder: Annotated[
        Path | None,
        typer.Option(metavar="FOLDER", help="The benchmark's files.", show_default="benchmarks/TASK in the workspace"),
    ] = None,
    pictures: Annotated[
        Path | None, typer.Option(metavar="FOLDER", help="Its pictures, if they lie elsewhere.")
    ] = None,
    allow_nan: Annotated[bool, typer.Option("--allow-nan", help="Strict: count scores of NaN wrong.")] = False,
    device: Annotated[str, typer.Option(help="Of torch: cpu, cuda.")] = "cpu",
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """Evaluate models on benchmarks; every result is added to results/, none is overwritten.

    Features are kept in cache/, so a further protocol, or a run with the same image tower, costs little.
    """
    from workbench.workspace.layout import find_workspace
    from workbench.workspace.models import find_model, require_torch

    workspace = find_workspace(context.obj)
    if folder is not None and len(tasks) > 1:
        raise UsageError("--folder is for one task")
    # all of this before torch is loaded: a wrong name or a missing picture is answered at once
    asked = [find_task(workspace, name, folder=folder, pictures=pictures) for name in dict.fromkeys(tasks)]
    for task in asked:
        task.check_pictures()
    chosen = [find_model(workspace, spec) for spec in dict.fromkeys(models or default_models(workspace))]
    require_torch()
    stored = run_benches(
        workspace, asked, chosen, rules=_rules(protocol, allow_nan), device=device, started=print_model
    )
    _print_results(workspace, stored, as_json=as_json)


def print_model(model: Model) -> None:
    """Say on stderr which model is evaluated next."""
    typer.echo(f"negwb: {model.label}: {model.spec}", err=True)


def default_models(workspace: Workspace) -> list[str]:
    """The base, and what came out last."""
    from workbench.workspace.models import BASE, finished_runs

    return [BASE, *(folder.name for folder in finished_runs(workspace)[-1:])]


def _rules(name: ProtocolChoice, allow_nan: bool) -> tuple[Protocol, ...]:
    from benchmarks.protocols import PROTOCOLS, protocol

    return tuple(protocol(each, allow_nan=allow_nan) for each in PROTOCOLS if name in (ProtocolChoice.BOTH, each))


def _print_results(workspace: Workspace, stored: Sequence[StoredResult], *, as_json: bool) -> None:
    from benchmarks.results import list_results
    from workbench.console.tables import show
    from workbench.reports.benchmark_report import result_json, results_listing, twin_advice

    known = list_results(workspace.root / RESULTS).results  # an affirmative twin may have been run earlier
    if as_json:
        typer.echo(json.dumps({"results": [result_json(one, known) for one in stored]}))
    else:
        show([results_listing(stored, known)])
        typer.echo("negwb: beside each other, with intervals and the base: negwb report", err=True)
    for line in twin_advice(stored, known):
        typer.echo(f"negwb: {_safe_text(line)}", err=True)


def _safe_text(text: str) -> str:
    from curation_db.language.sanitize import display_text

    return display_text(text, limit=500)
