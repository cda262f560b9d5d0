"""Progress on stderr: bars in a terminal, optional lines in a pipe."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

Step = Callable[[str, int, int], None]
"""Called with the name of a step, the amount done and the total."""

_EVERY_S = 10.0
"""Between two lines in a pipe."""


@contextmanager
def step_bars(*, lines: bool = False) -> Iterator[Step]:
    """Show a bar for each step, in the order of the first calls.

    Args:
        lines: In a pipe, print a line every ten seconds, for steps that can take minutes.
    """
    if sys.stderr is None or not sys.stderr.isatty():  # None: closed, as by 2>&-
        yield _lines() if lines and sys.stderr is not None else lambda name, done, total: None
        return
    # imported here: rich takes 50 ms, and a pipe does not need it
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

        def update(name: str, done: int, total: int) -> None:
            if name not in tasks:
                tasks[name] = bars.add_task(name, total=total)
            bars.update(tasks[name], completed=done, total=total)

        yield update


def prefixed(step: Step, prefix: str) -> Step:
    """Return a function that calls `step` with `prefix` before the name."""
    return lambda name, done, total: step(prefix + name, done, total)


def _lines() -> Step:
    """Return a function that prints a line if the last one is ten seconds ago."""
    from curation_db.language.sanitize import display_text  # noqa: PLC0415

    last = time.monotonic()

    def print_line(name: str, done: int, total: int) -> None:
        nonlocal last
        now = time.monotonic()
        if now - last >= _EVERY_S:
            last = now
            sys.stderr.write(f"negwb: {display_text(name, limit=120)}: {done:,} of {total:,}\n")
            sys.stderr.flush()

    return print_line
