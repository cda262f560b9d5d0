"""SIGTERM and SIGHUP raise an exception in the main thread, as Ctrl-C does, so that every clean-up runs.

A signal that arrives during a clean-up is ignored, so that the clean-up is not cut short. A signal that was ignored
when the process started (`nohup`) stays ignored. Child processes start with the default action.
"""

from __future__ import annotations

import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from types import FrameType
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from asyncio import AbstractEventLoop

SIGNALS = (signal.SIGTERM, signal.SIGHUP)
_BASE = 128
"""The exit code after a signal is this plus the number of the signal, as in a shell."""

_BLOCKED_S = 0.3
"""Seconds without reaction to a signal after which the event loop counts as blocked. A wrapper that passes a signal on
a second time does it faster."""


class Terminated(KeyboardInterrupt):
    """SIGTERM or SIGHUP arrived. A subclass, so that code for Ctrl-C handles it, too."""


class _State:
    """State of this process; signals and their handlers are global, too."""

    received: signal.Signals | None = None
    shields = 0
    delayed = False


def received() -> signal.Signals | None:
    """Return the first SIGTERM or SIGHUP that this process received; None: none."""
    return _State.received


def exit_code() -> int:
    """Return the exit code of an interrupted command: 143 after SIGTERM, 129 after SIGHUP, 130 after Ctrl-C."""
    return _BASE + (_State.received or signal.SIGINT)


def is_exit_code(code: object) -> bool:
    """Return whether `code` is the exit code of an interrupted command."""
    return code in {_BASE + number for number in (signal.SIGINT, *SIGNALS)}


def hung_up() -> None:
    """Record that the terminal was closed, although no SIGHUP arrived."""
    _remember(signal.SIGHUP)


@contextmanager
def raised() -> Iterator[None]:
    """Raise `Terminated` for SIGTERM and SIGHUP within the block. Without effect outside the main thread."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    numbers = [number for number in SIGNALS if signal.getsignal(number) == signal.SIG_DFL]
    if numbers:
        _State.received = None
    try:
        for number in numbers:
            signal.signal(number, _raise)
        yield
    finally:
        for number in numbers:
            signal.signal(number, signal.SIG_DFL)


@contextmanager
def shielded() -> Iterator[None]:
    """Delay `Terminated` to the end of the block, for a clean-up."""
    _State.shields += 1
    try:
        yield
    finally:
        _State.shields -= 1
        if _State.delayed and not _State.shields:
            _State.delayed = False
            raise Terminated


def ignore() -> None:
    """Ignore SIGTERM and SIGHUP from now on, since the process is about to end."""
    for number in SIGNALS:
        signal.signal(number, signal.SIG_IGN)


@contextmanager
def heard_by(
    loop: AbstractEventLoop,
    hear: Callable[[signal.Signals], None],
    *,
    also: Sequence[signal.Signals] = (),
    clock: Callable[[], float] = time.monotonic,
) -> Iterator[None]:
    """Call `hear` in the event loop for SIGTERM, SIGHUP and the signals `also` within the block.

    If the loop is blocked, so that it has not handled a signal when a later one arrives, the later one raises
    `KeyboardInterrupt` or `Terminated` in the blocking code. After the block the signals have their former handlers.
    Without effect outside the main thread.
    """
    unheard = _Unheard(clock)
    with ExitStack() as stack:
        for number in (*also, *SIGNALS):
            before = signal.getsignal(number)
            if number in SIGNALS and before == signal.SIG_IGN:
                continue
            with suppress(ValueError, RuntimeError, NotImplementedError):  # not in the main thread
                loop.add_signal_handler(number, _note, number, hear, unheard)
                stack.callback(_restore, loop, number, before)
                signal.signal(number, unheard.on_arrival)  # the loop hears it through its wakeup descriptor
        yield


def _raise(number: int, frame: FrameType | None) -> None:
    if _is_cleaning_up():
        return
    _remember(signal.Signals(number))
    if _State.shields:
        _State.delayed = True
    else:
        raise Terminated


def _is_cleaning_up() -> bool:
    """Return whether the interrupted code is itself a clean-up after an interruption (`except` or `finally`)."""
    error = sys.exception()
    while error is not None and not isinstance(error, KeyboardInterrupt):
        error = error.__context__
    return error is not None


class _Unheard:
    """Time since when the event loop has not handled a signal that arrived."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._since: float | None = None

    def on_arrival(self, number: int, _frame: FrameType | None) -> None:
        """Handler of the signals, called by Python in the main thread, whatever the loop does."""
        now = self._clock()
        if self._since is None:
            self._since = now
        elif now - self._since >= _BLOCKED_S:
            _remember(signal.Signals(number))
            raise Terminated if number in SIGNALS else KeyboardInterrupt

    def clear(self) -> None:
        """The loop has handled a signal."""
        self._since = None


def _note(number: signal.Signals, hear: Callable[[signal.Signals], None], unheard: _Unheard) -> None:
    unheard.clear()
    _remember(number)
    hear(number)


def _remember(number: signal.Signals) -> None:
    if number in SIGNALS and _State.received is None:
        _State.received = number


def _restore(loop: AbstractEventLoop, number: signal.Signals, before: object) -> None:
    # Blocked meanwhile, since between the two calls the default action would end the process.
    blocked = signal.pthread_sigmask(signal.SIG_BLOCK, {number})
    try:
        loop.remove_signal_handler(number)
        signal.signal(number, before)  # type: ignore[arg-type]
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, blocked)
