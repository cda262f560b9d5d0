"""`negwb bench fetch`: download the files of a benchmark, and say what a person has to get."""

from __future__ import annotations

import json
import shlex
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from workbench.errors import ExitCode, NegwbError
from workbench.workspace.operations import (
    BENCHMARKS,
    task_arguments,
    unknown_task,
)

if TYPE_CHECKING:
    from benchmarks.data.fetch import FetchResult
    from benchmarks.data.sources import BenchmarkSource

EPILOG = """\b
Examples:
  negwb bench fetch negrefcocog                          into benchmarks/negrefcocog of the workspace
  negwb bench fetch negrefcocog --pictures ../coco/train2014
  negwb bench fetch sugarcrepe --retry-failed            missing images again, those that were gone too
  negwb bench fetch valse-existence                      annotations; a table says which archive has the images

\b
Exit code 4: the network failed; downloaded files are kept, and the same command continues.
Exit code 5: what is missing cannot be downloaded; a table names it, its source, and the folder it belongs in.
"""


class DownloadError(NegwbError):
    """A download failed or is incomplete; downloaded files are kept."""

    exit_code = ExitCode.NETWORK


class NotDownloadable(NegwbError):
    """Files are missing that a person has to get: their source is a form, a drive or a large archive."""

    exit_code = ExitCode.NOTHING_TO_DO


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
