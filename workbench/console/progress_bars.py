"""Progress on stderr: a bar in a terminal; in a pipe silence, or a plain line now and then (stdout is for data)."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

Step = Callable[[str, int, int], None]
"""Told of a step's name, how much of it is done, and of how much."""

_EVERY_S = 10.0
"""Between two lines in a pipe."""


@contextmanager
def step_bars(*, lines: bool = False) -> Iterator[Step]:
    """One bar per named step, in the order in which the steps are first told of.

    `lines`: in a pipe say how far it is every ten seconds, for what may take minutes.
    """
    if sys.stderr is None or not sys.stderr.isatty():  # None: closed, as by 2>&-
        yield _lines() if lines and sys.stderr is not None else lambda name, done, total: None
        return
    # deferred: rich costs 50 ms that a pipe never needs
    from rich.console import Console  # noqa: PLC0415
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn  # noqa: PLC0415

    columns = (
        TextColumn("{task.description:<32}", markup=False),
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=Console(stderr=True)) as bars:
        tasks = {}

        def tell(name: str, done: int, total: int) -> None:
            if name not in tasks:
                tasks[name] = bars.add_task(name, total=total)
            bars.update(tasks[name], completed=done, total=total)

        yield tell


def _lines() -> Step:
    """Says a step's state if the last line is long enough ago; what is over sooner says nothing."""
    from curation_db.language.sanitize import display_text  # noqa: PLC0415

    last = time.monotonic()

    def tell(name: str, done: int, total: int) -> None:
        nonlocal last
        now = time.monotonic()
        if now - last >= _EVERY_S:
            last = now
            sys.stderr.write(f"negwb: {display_text(name, limit=120)}: {done:,} of {total:,}\n")
            sys.stderr.flush()

    return tell
