"""Progress on stderr: a bar in a terminal, silence in a pipe (stdout stays for data)."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager

Step = Callable[[str, int, int], None]
"""Told of a step's name, how much of it is done, and of how much."""


@contextmanager
def step_bars() -> Iterator[Step]:
    """One bar per named step, in the order in which the steps are first told of."""
    if not sys.stderr.isatty():
        yield lambda name, done, total: None
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
