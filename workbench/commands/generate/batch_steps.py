"""Implementation of `negwb generate batch`."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, TypeVar

import typer

from curation_db.language.sanitize import counted
from curation_db.storage.store import Store, open_store
from workbench.commands.generate.progress import print_line
from workbench.console.progress_bars import Step, step_bars
from workbench.console.tables import Listing, show
from workbench.errors import ExitCode, NegwbError, NothingToDo, UsageError
from workbench.generation.engines.openai.batches.batch_api import BatchStatus, NotOnServer
from workbench.generation.runs import batch_transfer
from workbench.generation.runs.batch_requests import RequestFile, read_request_file
from workbench.generation.runs.batch_submissions import Submission, SubmissionFolder
from workbench.generation.runs.batch_transfer import FetchedBatch, Servers
from workbench.workspace.layout import find_workspace
from workbench.workspace.settings.engines import EngineSettings
from workbench.workspace.settings.generation import inline_engine
from workbench.workspace.settings.settings import read_settings

T = TypeVar("T")


class _SomeUnanswered(NegwbError):
    """Some requests of the fetched batches have no answer."""


class _NoneAnswered(NegwbError):
    """No request of the fetched batches has an answer."""

    exit_code = ExitCode.NETWORK


def submit_files(
    named: Path | None,
    paths: Sequence[Path],
    *,
    engine: str,
    window: str,
    caps: Mapping[str, Any],
    quiet: bool,
    as_json: bool,
) -> None:
    """Submit request files.

    Raises:
        NegwbError: a file cannot be submitted, a cap is reached, or nothing is left to submit.
    """
    workspace = find_workspace(named)
    folder = SubmissionFolder(workspace.batches)
    engines = read_settings(workspace.settings).generate.engines
    servers = Servers(engines, override=_override(engine, engines))
    with open_store(workspace.database) as store, folder.locked():
        drafts = _drafts(folder, store, paths, servers, engine)
        allowed = batch_transfer.affordable(drafts, servers, **caps)
        new = [each for _, each in allowed if not each.batch_id]
        with _bars(quiet) as on_progress:
            for submission in asyncio.run(_submit(folder, servers, allowed, window, on_progress)):
                if as_json:
                    typer.echo(json.dumps(submission.to_dict()))
                state = "submitted" if submission.sha256 in {each.sha256 for each in new} else "already submitted"
                requests = counted(submission.requests, "request")
                print_line(f"{submission.name}: {state}, {requests}, batch {submission.batch_id}")
    if len(allowed) < len(drafts):
        raise batch_transfer.cap_error(len(drafts) - len(allowed))
    if not new:
        raise NothingToDo("all of these files are submitted", hint="next: negwb generate batch poll")
    print_line("next: negwb generate batch poll --wait, then: negwb generate batch fetch")


def _drafts(
    folder: SubmissionFolder, store: Store, paths: Sequence[Path], servers: Servers, engine: str
) -> list[tuple[RequestFile, Submission]]:
    """Read and check all files before the first one is submitted."""
    drafts: dict[str, tuple[RequestFile, Submission]] = {}
    name = engine and servers.settings(engine).name
    for path in paths:
        file = read_request_file(path)
        submission = batch_transfer.draft_submission(folder, store, file, servers, name)
        if submission is None:
            print_line(f"{path.name}: all requests are answered; not submitted")
        elif file.sha256 not in drafts:
            drafts[file.sha256] = file, submission
        else:
            print_line(f"{path.name}: the same content as {drafts[file.sha256][1].name}; not submitted")
    batch_transfer.check_overlap(folder, list(drafts.values()))
    return list(drafts.values())


async def _submit(
    folder: SubmissionFolder,
    servers: Servers,
    files: Sequence[tuple[RequestFile, Submission]],
    window: str,
    on_progress: Step,
) -> list[Submission]:
    async with servers:
        return [
            await batch_transfer.submit(
                folder, await servers.of(submission), file, submission, window=window, on_progress=on_progress
            )
            for file, submission in files
        ]


def poll_batches(
    named: Path | None, names: Sequence[str], *, wait: float | None, engine: str, quiet: bool, as_json: bool
) -> None:
    """Print the state of the batches; `wait` is the number of seconds between two polls until all have ended.

    Raises:
        NegwbError: a server cannot be reached, or no file was submitted.
    """
    _, chosen, servers, _ = _opened(named, names, engine)

    async def run(on_progress: Step) -> list[Submission]:
        async with servers:
            if wait is None:
                return [await batch_transfer.latest(servers, each) for each in chosen]
            return await batch_transfer.wait_until_ended(
                servers, chosen, every=wait, on_progress=on_progress, notify=print_line
            )

    with _bars(quiet or wait is None) as on_progress:
        current = asyncio.run(run(on_progress))
    if as_json:
        for each in current:
            typer.echo(json.dumps(each.to_dict()))
        return
    headers = ("file", "engine", "status", "completed", "failed", "total", "expires", "answers")
    show([Listing("Batches", headers, [_row(each) for each in current], left=3, dispensable=((1, "engine"),))])
    for each in current:
        if each.problem and not each.fetched:
            print_line(f"{each.name}: {each.problem}")
    if any(_unread(each) for each in current):
        print_line("next: negwb generate batch fetch")


def _row(each: Submission) -> tuple[str, ...]:
    status = str(each.status).replace("_", " ") if each.batch_id else "not submitted"
    expires = ""
    if each.expires_at is not None and not each.status.ended and each.expires_at < 2**34:  # until the year 2514
        expires = datetime.fromtimestamp(each.expires_at, UTC).strftime("%Y-%m-%d %H:%M UTC")
    total = each.total or each.requests
    answers = "stored" if each.fetched else ""
    return each.name, each.engine, status, f"{each.completed:,}", f"{each.failed:,}", f"{total:,}", expires, answers


def fetch_batches(
    named: Path | None,
    names: Sequence[str],
    *,
    engine: str,
    any_model: bool,
    incomplete: bool,
    quiet: bool,
    as_json: bool,
) -> None:
    """Store the answers of the ended batches.

    Raises:
        NegwbError: requests have no answer, a server cannot be reached, or no batch is to be read.
    """
    folder, chosen, servers, engines = _opened(named, names, engine)
    workspace = find_workspace(named)
    errors: list[NegwbError] = []

    async def run(store: Store, on_progress: Step) -> tuple[list[FetchedBatch], int]:
        fetched, running = [], 0
        async with servers:
            for each in chosen:
                if each.fetched or not each.batch_id:
                    continue
                try:
                    current, gone = each, False
                    try:
                        current = folder.save(await batch_transfer.latest(servers, each))
                    except NotOnServer:
                        if not incomplete:
                            raise
                        gone = True
                    if not (current.status.ended or gone):
                        running += 1
                        continue
                    # fmt: off
                    fetched.append(
                        await batch_transfer.fetch(
                            folder, await servers.of(current), store, current, engines,
                            any_model=any_model, incomplete=incomplete, on_progress=on_progress, notify=print_line,
                        )
                    )
                    # fmt: on
                except NegwbError as error:
                    errors.append(error)
                    print_line(f"{each.name}: {error.message}")
        return fetched, running

    with open_store(workspace.database) as store, folder.locked(), _bars(quiet) as on_progress:
        fetched, running = asyncio.run(run(store, on_progress))
    for each in fetched:
        if as_json:
            typer.echo(json.dumps(each.to_dict()))
        print_line(_fetched_line(each))
    if running:
        print_line(f"{counted(running, 'file')} still in process; wait with: negwb generate batch poll --wait")
    if errors:
        raise errors[0]
    _check_fetched(fetched, running)


def _fetched_line(each: FetchedBatch) -> str:
    report = each.report
    parts = [f"{each.answered:,} of {counted(each.submission.requests, 'request')} answered"]
    parts += [f"{report.failed:,} failed"] if report.failed else []
    parts += [f"{each.released:,} without a response"] if each.released else []
    parts += [f"{report.refused:,} lines refused"] if report.refused else []
    parts += [f"cost {report.cost:,.4g}"] if report.cost else []
    return f"{each.submission.name}: {', '.join(parts)}"


def _check_fetched(fetched: Sequence[FetchedBatch], running: int) -> None:
    if not fetched:
        hint = (
            "wait for it: negwb generate batch poll --wait" if running else "next: negwb generate --emit-requests FILE"
        )
        raise NothingToDo("no batch has ended" if running else "the answers of all batches are stored", hint=hint)
    if sum(each.report.other_model for each in fetched) and not all(each.submission.fetched for each in fetched):
        raise _SomeUnanswered(
            "some answers name another model and are not stored",
            hint="--any-model stores them; --incomplete gives them up, so that their requests are written again",
        )
    if missing := sum(each.missing for each in fetched if not each.submission.fetched):
        raise _SomeUnanswered(
            f"the server counts {counted(missing, 'answer')} that it did not send",
            hint="fetch again later; --incomplete gives them up, so that their requests are written again",
        )
    if not any(each.answered for each in fetched):
        raise _NoneAnswered("no request is answered", hint="see: negwb generate batch poll")
    if open_requests := sum(each.submission.requests - each.answered for each in fetched):
        raise _SomeUnanswered(
            f"{counted(open_requests, 'request')} without an answer",
            hint="write them again: negwb generate --emit-requests FILE",
        )
    if refused := sum(each.report.refused for each in fetched):
        raise _SomeUnanswered(
            f"{counted(refused, 'line')} of the server's files refused", hint="the lines are listed above"
        )
    print_line("next: negwb generate --emit-requests FILE, for the next requests")


def cancel_batches(named: Path | None, names: Sequence[str], *, engine: str) -> None:
    """Cancel batches.

    Raises:
        NegwbError: a server rejects it, or all of the batches have ended.
    """
    folder, chosen, servers, _ = _opened(named, names, engine)

    async def run() -> int:
        cancelled = 0
        async with servers:
            for each in chosen:
                current = folder.save(await batch_transfer.latest(servers, each))
                if not current.batch_id or current.status.ended:
                    continue
                if current.status is not BatchStatus.CANCELLING:
                    server = await servers.of(current)
                    current = folder.save(current.with_batch(await server.cancel(current.batch_id)))
                cancelled += 1
                print_line(f"{current.name}: {current.status}")
        return cancelled

    with folder.locked():
        if not asyncio.run(run()):
            raise NothingToDo("these batches have ended", hint="read their answers: negwb generate batch fetch")


def _opened(
    named: Path | None, names: Sequence[str], engine: str
) -> tuple[SubmissionFolder, list[Submission], Servers, Mapping[str, EngineSettings]]:
    """Return the submissions that `names` select, and what their commands need."""
    workspace = find_workspace(named)
    folder = SubmissionFolder(workspace.batches)
    submissions = folder.all()
    if not submissions:
        raise NothingToDo("no batch file was submitted", hint="submit one: negwb generate batch submit FILE")
    engines = read_settings(workspace.settings).generate.engines
    chosen = batch_transfer.selected(submissions, names)
    return folder, chosen, Servers(engines, override=_override(engine, engines)), engines


def _override(engine: str, engines: Mapping[str, EngineSettings]) -> EngineSettings | None:
    if not engine:
        return None
    settings = engines.get(engine) or inline_engine(engine, tuple(engines))
    if settings is None:
        raise UsageError(f"unknown engine {engine!r}", hint=f"known: {', '.join(engines) or 'none in negwb.toml'}")
    return settings


def _unread(each: Submission) -> bool:
    return each.status.ended and not each.fetched


@contextmanager
def _bars(quiet: bool) -> Iterator[Step]:
    if quiet:
        yield lambda name, done, total: None
        return
    with step_bars(lines=True) as on_progress:
        yield on_progress
