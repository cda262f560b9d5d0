"""Audits the parts of a corpus in several processes, and continues where an earlier run was stopped.

The result of a part is on disk before the part counts as done, so a killed run loses only the parts in work. A process
ends by itself when the one that started it is gone.
"""

from __future__ import annotations

import multiprocessing
import signal
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any, Final, Protocol

from curation_db.corpus_audit.audit_part import audit_part
from curation_db.corpus_audit.part_result import AuditOptions, Merger, PartResult, StateFolder
from curation_db.corpus_audit.parts import Part, fetched
from curation_db.importing.rows import InputError

_REPORT_S: Final = 0.2


class Fetcher(Protocol):
    """Gets the files of addresses; it is sent to the processes."""

    def stamp(self, address: str) -> str:
        """Return a text that changes with the content.

        Raises:
            InputError: The address has no file.
        """
        ...

    def get(self, address: str, path: Path) -> None:
        """Write the file to `path`.

        Raises:
            InputError: The file cannot be fetched.
        """
        ...


@dataclass(frozen=True, slots=True)
class FileFault:
    """A file that could not be read as a whole."""

    file: str
    message: str
    hint: str


@dataclass(slots=True)
class CorpusResult:
    """The result of a corpus."""

    total: PartResult
    faults: list[FileFault] = field(default_factory=list)
    parts: int = 0
    resumed: int = 0
    """Parts whose result an earlier run had stored."""


@dataclass(frozen=True, slots=True)
class _Work:
    """What a process needs for any part."""

    options: AuditOptions
    state: Path | None
    fetcher: Fetcher | None

    def result(self, part: Part, report: Callable[[int], None]) -> tuple[PartResult, bool]:
        """Return the result of a part, and whether it was stored already.

        Raises:
            InputError: The file cannot be read as a whole.
        """
        if not part.is_remote:
            return self._local(part, part, report)
        if self.fetcher is None:
            raise InputError("addresses cannot be read here")
        stamped = replace(part, stamp=self.fetcher.stamp(part.path))
        if (known := self.stored(stamped)) is not None:
            return known, True
        with tempfile.TemporaryDirectory(prefix="negwb-audit-", dir=self._folder()) as folder:
            path = Path(folder) / part.file.replace("/", "_")
            self.fetcher.get(part.path, path)
            return self._local(fetched(part, path), stamped, report)

    def stored(self, part: Part) -> PartResult | None:
        return None if self.state is None else StateFolder(self.state, self.options).read(part)

    def _local(self, part: Part, identity: Part, report: Callable[[int], None]) -> tuple[PartResult, bool]:
        result = audit_part(part, self.options, report)
        if self.state is not None:
            StateFolder(self.state, self.options).write(identity, result)
        return result, False

    def _folder(self) -> Path | None:
        if self.state is not None:
            self.state.mkdir(parents=True, exist_ok=True)
        return self.state


def audit_corpus(
    parts: Sequence[Part],
    options: AuditOptions,
    *,
    processes: int = 1,
    state: Path | None = None,
    fetcher: Fetcher | None = None,
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> CorpusResult:
    """Return the result of the corpus: the same for any number of processes, and after any interruption.

    Args:
        state: Folder with the results of parts; None: they are not stored.
        progress: Called with the amount done and the total: bytes or, of addresses, files.

    Raises:
        InputError: Not one file could be read.
    """
    work = _Work(options, state, fetcher)
    merger = Merger(options.sizes)
    result = CorpusResult(merger.total, parts=len(parts))
    meter = _Meter(parts, progress)
    todo = []
    for index, part in enumerate(parts):
        known = None if part.is_remote else work.stored(part)
        if known is None:
            todo.append((index, part))
            continue
        result.resumed += 1
        merger.add(index, part, known)
        meter.finish(index)
    run = _in_this_process if processes == 1 or len(todo) < 2 else _in_processes
    for index, outcome in run(todo, work, processes, meter):
        if isinstance(outcome, InputError):
            result.faults.append(FileFault(parts[index].file, outcome.message, outcome.hint))
            merger.add(index, parts[index], None)
        else:
            merger.add(index, parts[index], outcome[0])
            result.resumed += outcome[1]
        meter.finish(index)
    result.faults.sort(key=lambda fault: fault.file)
    if parts and len(result.faults) == len(parts):
        first = result.faults[0]
        raise InputError(f"{first.file}: {first.message}", hint=first.hint)
    return result


_Outcome = tuple[PartResult, bool] | InputError
_Todo = Sequence[tuple[int, Part]]


class _Meter:
    """Adds up the progress of all parts."""

    def __init__(self, parts: Sequence[Part], progress: Callable[[int, int], None]) -> None:
        by_files = any(part.is_remote for part in parts)
        self._sizes = [1 if by_files else part.size for part in parts]
        self._by_files = by_files
        self._done: dict[int, int] = {}
        self._finished = 0
        self._progress = progress
        self._last = 0.0

    def note(self, index: int, done: int) -> None:
        """Record how much of a part is done."""
        if not self._by_files:
            self._done[index] = min(done, self._sizes[index])
            now = time.monotonic()
            if now - self._last >= _REPORT_S:
                self._last = now
                self._report()

    def finish(self, index: int) -> None:
        """Record that a part is done."""
        self._done.pop(index, None)
        self._finished += self._sizes[index]
        self._report()

    def _report(self) -> None:
        self._progress(self._finished + sum(self._done.values()), sum(self._sizes))


def _in_this_process(todo: _Todo, work: _Work, processes: int, meter: _Meter) -> Iterator[tuple[int, _Outcome]]:
    for index, part in todo:
        yield index, _outcome(work, part, lambda done, index=index: meter.note(index, done))  # type: ignore[misc]


def _outcome(work: _Work, part: Part, report: Callable[[int], None]) -> _Outcome:
    try:
        return work.result(part, report)
    except InputError as error:
        return error


def _in_processes(todo: _Todo, work: _Work, processes: int, meter: _Meter) -> Iterator[tuple[int, _Outcome]]:
    waiting = list(reversed(todo))
    with _workers(min(processes, len(todo)), work) as workers:
        busy: dict[Connection, int] = {}
        for connection in workers:
            _give(connection, waiting, busy)
        while busy:
            for ready in wait(list(busy)):
                assert isinstance(ready, Connection)
                index = busy[ready]
                try:
                    kind, content = ready.recv()
                except (EOFError, ConnectionResetError):
                    raise _ended(workers[ready], dict(todo)[index]) from None
                if kind == "progress":
                    meter.note(index, content)
                    continue
                del busy[ready]
                _give(ready, waiting, busy)
                yield index, _received(kind, content, work)


def _give(connection: Connection, waiting: list[tuple[int, Part]], busy: dict[Connection, int]) -> None:
    if waiting:
        index, part = waiting.pop()
        busy[connection] = index
        with suppress(BrokenPipeError):  # the process is gone, as the next read reports
            connection.send(part)


def _received(kind: str, content: Any, work: _Work) -> _Outcome:
    if kind == "fault":
        return InputError(content[0], hint=content[1])
    return PartResult.from_json(content[0], work.options.sizes), content[1]


def _ended(process: BaseProcess, part: Part) -> InputError:
    process.join(1)
    message = f"the process that read {part.file} ended with exit code {process.exitcode}"
    return InputError(message, hint="-9 is often a lack of memory: fewer --processes; what was done is kept")


@contextmanager
def _workers(number: int, work: _Work) -> Iterator[dict[Connection, BaseProcess]]:
    """Start processes, and end them at the end of the block, also after an interruption."""
    context = multiprocessing.get_context("spawn")
    workers: dict[Connection, BaseProcess] = {}
    try:
        for _ in range(number):
            ours, theirs = context.Pipe()
            process: BaseProcess = context.Process(target=_serve, args=(theirs, work), daemon=True)
            with _interrupts_blocked():
                process.start()
            theirs.close()  # so that a read raises when the process is gone
            workers[ours] = process
        yield workers
    finally:
        for connection, started in workers.items():
            connection.close()
            started.terminate()
        for started in workers.values():
            started.join()


@contextmanager
def _interrupts_blocked() -> Iterator[None]:
    """Block SIGINT in this thread, and in processes that it starts; one that arrives is delivered after the block.

    Otherwise Ctrl-C would end a process, with its traceback, before `_serve` can ignore the signal.
    """
    if not hasattr(signal, "pthread_sigmask"):
        yield
        return
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _serve(connection: Connection, work: _Work) -> None:
    """Audit the parts that arrive until the other end is closed."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches the whole group; the first process ends the others
    try:
        while True:
            part: Part = connection.recv()
            last = time.monotonic()

            def report(done: int) -> None:
                nonlocal last
                if time.monotonic() - last >= _REPORT_S:
                    last = time.monotonic()
                    connection.send(("progress", done))

            outcome = _outcome(work, part, report)
            if isinstance(outcome, InputError):
                connection.send(("fault", (outcome.message, outcome.hint)))
            else:
                connection.send(("done", (outcome[0].to_json(), outcome[1])))
    except (EOFError, BrokenPipeError, ConnectionResetError):
        return
