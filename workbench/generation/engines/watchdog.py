"""What plug-in engines do outside the calls of negwb: they block the event loop, or raise in tasks and threads of their
own. Each becomes one line that names the engine."""

from __future__ import annotations

import asyncio
import sys
import threading
import traceback
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import FrameType, TracebackType
from typing import Any, Final

from curation_db.language.sanitize import display_text
from workbench.error_log import unexpected_line, write_error_log
from workbench.generation.engines.guard import raised_text

_LIMIT_S: Final = 5.0
"""Seconds without an iteration of the event loop after which it counts as blocked."""
_TICKS: Final = 10
"""Checks within `_LIMIT_S`. A stopped process or machine skips them, so that its pause does not count."""


@dataclass(frozen=True, slots=True)
class PluginCode:
    """Finds the plug-in engine that a stack belongs to."""

    packages: Mapping[str, str]
    """Top-level package to the label of its engine."""

    def running_in(self, frame: FrameType | None) -> tuple[str, str] | None:
        """Return the label of the engine that runs in the stack of `frame`, and the place in its code."""
        while frame is not None:
            if (label := self._label(frame)) is not None:
                return label, f"{Path(frame.f_code.co_filename).name} line {frame.f_lineno}"
            frame = frame.f_back
        return None

    def raised_in(self, trace: TracebackType | None) -> str | None:
        """Return the label of the engine whose code is in the trace."""
        labels = (self._label(frame) for frame, _ in traceback.walk_tb(trace))
        return next((label for label in labels if label is not None), None)

    def _label(self, frame: FrameType) -> str | None:
        return self.packages.get(str(frame.f_globals.get("__name__", "")).partition(".")[0])


class LoopWatchdog:
    """Reports an engine that blocks the event loop; started within the loop, as a context manager."""

    def __init__(self, code: PluginCode, notify: Callable[[str], None], *, limit_s: float = _LIMIT_S) -> None:
        self._code, self._notify, self._limit_s = code, notify, limit_s
        self._beats = 0
        self._ended = threading.Event()
        self._reported: set[str] = set()
        self._timer: asyncio.TimerHandle | None = None

    def __enter__(self) -> LoopWatchdog:
        self._loop, self._loop_thread = asyncio.get_running_loop(), threading.get_ident()
        self._beat()
        threading.Thread(target=self._watch, name="loop-watchdog", daemon=True).start()
        return self

    def __exit__(self, *_error: object) -> None:
        self._ended.set()
        if self._timer is not None:
            self._timer.cancel()

    def _beat(self) -> None:
        self._beats += 1
        self._timer = self._loop.call_later(self._limit_s / _TICKS, self._beat)

    def _watch(self) -> None:
        last, missed = self._beats, 0
        while not self._ended.wait(self._limit_s / _TICKS):
            missed = missed + 1 if self._beats == last else 0
            last = self._beats
            if missed >= _TICKS:
                self._report()

    def _report(self) -> None:
        running = self._code.running_in(sys._current_frames().get(self._loop_thread))
        if running is None or running[0] in self._reported:
            return
        label, place = running
        self._reported.add(label)
        self._notify(
            f"{label} blocks the event loop, in {place}: no other request proceeds; its author must use await or "
            "asyncio.to_thread there. Ctrl-C twice ends the run"
        )


@contextmanager
def stray_errors_as_lines(code: PluginCode, notify: Callable[[str], None], workspace: Path) -> Iterator[None]:
    """Print one line instead of a trace for an exception that no caller gets: of a task, a thread or a destructor.

    The trace of the first of each type is written to a log file. For the running event loop and the whole process.
    """
    reported: set[tuple[str | None, type[BaseException]]] = set()

    def report(error: BaseException) -> None:
        label = code.raised_in(error.__traceback__)
        if (label, type(error)) in reported:
            return
        reported.add((label, type(error)))
        log = write_error_log(error, workspace)
        if label is None:
            notify(unexpected_line(error, log))
        else:
            notify(f"{label}: a task or thread of it {raised_text(error)} (its trace is in {log or 'no log file'})")

    def on_loop_error(_loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        error = context.get("exception")
        if error is not None:
            report(error)
        else:
            notify(f"the event loop reports: {display_text(str(context.get('message', '')), limit=200)}")

    def on_thread_error(args: threading.ExceptHookArgs) -> None:
        if args.exc_value is not None and not isinstance(args.exc_value, SystemExit):
            report(args.exc_value)

    def on_unraisable(args: Any) -> None:
        if args.exc_value is not None:
            report(args.exc_value)

    loop, hooks = asyncio.get_running_loop(), (threading.excepthook, sys.unraisablehook)
    handler = loop.get_exception_handler()
    loop.set_exception_handler(on_loop_error)
    threading.excepthook, sys.unraisablehook = on_thread_error, on_unraisable
    try:
        yield
    finally:
        loop.set_exception_handler(handler)
        threading.excepthook, sys.unraisablehook = hooks
