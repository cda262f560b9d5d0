"""Runs work in a daemon thread per call, so that no thread delays the end of the app.

`asyncio.to_thread` is not enough: the loop waits for its threads when it closes, and a report may take seconds.
"""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections.abc import Callable
from typing import Any, TypeVar

T = TypeVar("T")


async def run_in_daemon_thread(work: Callable[[], T]) -> T:
    """Run `work` in a daemon thread and return its result, or raise its exception."""
    loop = asyncio.get_running_loop()
    future: asyncio.Future[T] = loop.create_future()

    def settle(setter: Callable[[Any], None], value: object) -> None:
        if not future.done():  # the awaiting task may be cancelled
            setter(value)

    def run() -> None:
        try:
            setter, value = future.set_result, work()
        except Exception as error:
            outcome: tuple[Callable[[Any], None], object] = (future.set_exception, error)
        else:
            outcome = (setter, value)
        with contextlib.suppress(RuntimeError):  # the loop has ended
            loop.call_soon_threadsafe(settle, *outcome)

    threading.Thread(target=run, name="negwb-work", daemon=True).start()
    return await future
