"""SIGTERM and SIGHUP end a command as Ctrl-C does: an exception in the main thread, so that every clean-up runs.

A signal that arrives during a clean-up is ignored, so that the clean-up is not cut short. A signal that was ignored
when the process started (`nohup`) stays ignored. Child processes start with the default action.
"""

from __future__ import annotations

import signal
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from types import FrameType
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from asyncio import AbstractEventLoop

SIGNALS = (signal.SIGTERM, signal.SIGHUP)
_BASE = 128
"""A shell reports a process that a signal ended as this plus the number of the signal."""


class Terminated(KeyboardInterrupt):
    """SIGTERM or SIGHUP arrived. Code that handles Ctrl-C handles this the same way."""


class _State:
    """What this process has received; signals and their handlers are global, too."""

    received: signal.Signals | None = None
    shields = 0
    delayed = False


def received() -> signal.Signals | None:
    """The first SIGTERM or SIGHUP that asked this process to end; None: neither did."""
    return _State.received


def exit_code() -> int:
    """The exit code of a command that was interrupted: 143 after SIGTERM, 129 after SIGHUP, 130 after Ctrl-C."""
    return _BASE + (_State.received or signal.SIGINT)


def is_exit_code(code: object) -> bool:
    """Whether a command that returned `code` was interrupted."""
    return code in {_BASE + number for number in (signal.SIGINT, *SIGNALS)}


def hung_up() -> None:
    """Note that the terminal is gone, although no SIGHUP arrived."""
    _remember(signal.SIGHUP)


@contextmanager
def raised() -> Iterator[None]:
    """Within the block SIGTERM and SIGHUP raise `Terminated` in the main thread; without effect in another thread."""
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
    """A clean-up that SIGTERM and SIGHUP do not cut short: `Terminated` is raised at the end of the block."""
    _State.shields += 1
    try:
        yield
    finally:
        _State.shields -= 1
        if _State.delayed and not _State.shields:
            _State.delayed = False
            raise Terminated


def ignore() -> None:
    """From now on ignore SIGTERM and SIGHUP: the command was interrupted, and its process ends by itself."""
    for number in SIGNALS:
        signal.signal(number, signal.SIG_IGN)


@contextmanager
def heard_by(
    loop: AbstractEventLoop, hear: Callable[[signal.Signals], None], *, also: Sequence[signal.Signals] = ()
) -> Iterator[None]:
    """Within the block the event loop calls `hear` for SIGTERM and SIGHUP, and for the signals `also`.

    Before and after the block they have the handlers that they had. Without effect outside the main thread.
    """
    with ExitStack() as stack:
        for number in (*also, *SIGNALS):
            before = signal.getsignal(number)
            if number in SIGNALS and before == signal.SIG_IGN:
                continue
            with suppress(ValueError, RuntimeError, NotImplementedError):  # not in the main thread
                loop.add_signal_handler(number, _note, number, hear)
                stack.callback(_restore, loop, number, before)
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
    """Whether the code that the signal stopped runs because of an interruption: inside `except` or `finally`."""
    error = sys.exception()
    while error is not None and not isinstance(error, KeyboardInterrupt):
        error = error.__context__
    return error is not None


def _note(number: signal.Signals, hear: Callable[[signal.Signals], None]) -> None:
    _remember(number)
    hear(number)


def _remember(number: signal.Signals) -> None:
    if number in SIGNALS and _State.received is None:
        _State.received = number


def _restore(loop: AbstractEventLoop, number: signal.Signals, before: object) -> None:
    # blocked meanwhile: between the two calls the default action would end the process
    blocked = signal.pthread_sigmask(signal.SIG_BLOCK, {number})
    try:
        loop.remove_signal_handler(number)
        signal.signal(number, before)  # type: ignore[arg-type]
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, blocked)
