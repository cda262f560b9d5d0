"""How a generation goes, on stderr: a bar in a terminal, now and then a line in a pipe."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Final

from curation_db.enums import GenerationState
from curation_db.generation.progress import StageProgress
from curation_db.language.sanitize import counted, display_text
from workbench.console.number_format import clock
from workbench.generation.runs.session import GenerationResult

_EVERY_S: Final = 10.0
OnProgress = Callable[[StageProgress], None]
PrintLine = Callable[[str], None]


@contextmanager
def progress_bar() -> Iterator[tuple[OnProgress, PrintLine]]:
    """Two functions: one told of how far it is, one that says a line between."""
    if sys.stderr is None or not sys.stderr.isatty():
        yield _lines(), print_line
        return
    # deferred: rich costs 50 ms that a pipe never needs
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, SpinnerColumn, TextColumn
    from rich.progress import Progress as Bars
    from rich.text import Text

    words = TextColumn("{task.description}", markup=False)
    with Bars(SpinnerColumn(), BarColumn(24), MofNCompleteColumn(), words, console=Console(stderr=True)) as bars:
        task = bars.add_task("opening the engines", total=None)

        def tell(told: StageProgress) -> None:
            bars.update(task, completed=told.items_done, total=told.items_total, description=progress_figures(told))

        def between(line: str) -> None:
            bars.console.print(Text(f"negwb: {display_text(line, limit=400)}"))

        yield tell, between


def print_line(line: str) -> None:
    """A line on stderr."""
    if sys.stderr is not None:
        sys.stderr.write(f"negwb: {display_text(line, limit=400)}\n")
        sys.stderr.flush()


def _lines() -> OnProgress:
    last = time.monotonic()

    def tell(told: StageProgress) -> None:
        nonlocal last
        if time.monotonic() - last >= _EVERY_S:
            last = time.monotonic()
            of = f" of {told.items_total:,}" if told.items_total is not None else ""
            print_line(f"{told.items_done:,}{of}  {progress_figures(told)}")

    return tell


def progress_figures(told: StageProgress) -> str:
    """Rate, yield, cost and what is left, in a line."""
    words = []
    if told.items_done:
        words.append(f"{told.kept / told.items_done:.0%} kept")
    if told.failed:
        words.append(f"{told.failed:,} failed")
    if told.requests_per_s:
        words.append(f"{told.requests_per_s:,.1f} requests/s")
    if told.in_flight:
        words.append(f"{told.in_flight:,} waiting")
    if told.cost:
        words.append(f"cost {told.cost:,.4g}")
    if told.eta_s is not None:
        words.append(f"{clock(told.eta_s)} left")
    return "  ".join(words)


def result_lines(ended: GenerationResult) -> list[str]:
    """What came out, a line each."""
    told = ended.progress
    if not (told.items_done or told.requests or ended.pending_images):
        return []
    kept = f"{counted(told.kept, 'candidate')} of {counted(told.items_done, 'item')}"
    lost = [f"{number:,} {word}" for number, word in ((told.dropped, "dropped"), (told.failed, "failed")) if number]
    asked = f"{counted(told.requests, 'request')}, {counted(told.remembered, 'answer')} remembered"
    lines = [f"{', '.join([kept, *lost])}; {asked}"]
    if told.cost:
        lines[0] += f", cost {told.cost:,.4g}"
    if told.reasons:
        most = sorted(told.reasons.items(), key=lambda each: (-each[1], each[0]))[:6]
        lines.append("why not: " + ", ".join(f"{reason} {number:,}" for reason, number in most))
    broken = [f"{stage} {counts['failed']:,}" for stage, counts in told.stages.items() if counts.get("failed")]
    if broken:
        lines.append("questions without an answer: " + ", ".join(broken))
    if told.failed:
        lines.append("see them: negwb generate failures; try them again: the same command with --retry")
    if ended.pending_images:
        lines.append(f"{counted(ended.pending_images, 'picture')} waiting for answers")
    if ended.simulated:
        lines.append(f"simulated: {', '.join(ended.simulated)} (scripts, no models)")
    if ended.state is GenerationState.DONE and told.kept:
        lines.append("next: negwb curate")
    return lines
