"""Work off the UI thread that never holds up the end: a daemon thread each, its result awaited.

`asyncio.to_thread` would do, but the loop waits for its threads when it closes, and a report may take seconds.
"""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections.abc import Callable
from typing import Any, TypeVar

T = TypeVar("T")


async def run_in_daemon_thread(work: Callable[[], T]) -> T:
    """What `work` returns or raises."""
    loop = asyncio.get_running_loop()
    future: asyncio.Future[T] = loop.create_future()

    def settle(setter: Callable[[Any], None], value: object) -> None:
        if not future.done():  # whoever waited may have left
            setter(value)

    def run() -> None:
        try:
            setter, value = future.set_result, work()
        except Exception as error:
            told: tuple[Callable[[Any], None], object] = (future.set_exception, error)
        else:
            told = (setter, value)
        with contextlib.suppress(RuntimeError):  # the loop has ended
            loop.call_soon_threadsafe(settle, *told)

    threading.Thread(target=run, name="lab", daemon=True).start()
    return await future
