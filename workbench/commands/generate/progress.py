"""Progress of a generation run on stderr: a bar in a terminal, a line every ten seconds in a pipe."""

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
from workbench.generation.runs.unclear_verdicts import verdicts_unclear

_EVERY_S: Final = 10.0
_NOTES_EVERY_S: Final = 1.0
"""Seconds between two notes of what the run waits for."""
OnProgress = Callable[[StageProgress], None]
PrintLine = Callable[[str], None]


@contextmanager
def progress_bar() -> Iterator[tuple[OnProgress, PrintLine]]:
    """Yield two functions: one shows the progress, one prints a line above the bar."""
    if sys.stderr is None or not sys.stderr.isatty():
        yield _lines(), print_line
        return
    # deferred import: rich costs 50 ms, and a pipe does not need it
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, SpinnerColumn, TextColumn
    from rich.progress import Progress as Bars
    from rich.text import Text

    text = TextColumn("{task.description}", markup=False)
    with Bars(SpinnerColumn(), BarColumn(24), MofNCompleteColumn(), text, console=Console(stderr=True)) as bars:
        task = bars.add_task("opening the engines", total=None)

        def show(progress: StageProgress) -> None:
            description = progress_figures(progress)
            bars.update(task, completed=progress.items_done, total=progress.items_total, description=description)

        def print_above(line: str) -> None:
            bars.console.print(Text(f"negwb: {display_text(line, limit=400)}"))

        yield show, print_above


def print_line(line: str) -> None:
    """Print a line on stderr."""
    if sys.stderr is not None:
        sys.stderr.write(f"negwb: {display_text(line, limit=400)}\n")
        sys.stderr.flush()


def _lines() -> OnProgress:
    last = time.monotonic()
    note = ""

    def show(progress: StageProgress) -> None:
        nonlocal last, note
        if progress.note and progress.note != note and time.monotonic() - last >= _NOTES_EVERY_S:
            last, note = time.monotonic(), progress.note
            print_line(note)
        elif time.monotonic() - last >= _EVERY_S:
            last = time.monotonic()
            of = f" of {progress.items_total:,}" if progress.items_total is not None else ""
            print_line(f"{progress.items_done:,}{of}  {progress_figures(progress)}")

    return show


def progress_figures(progress: StageProgress) -> str:
    """Return yield, failures, rate, cost and time left on one line; or what the run waits for."""
    if progress.note:
        return progress.note
    parts = []
    if progress.items_done:
        parts.append(f"{progress.items_kept / progress.items_done:.0%} kept")
    if progress.failed:
        parts.append(f"{progress.failed:,} failed")
    if progress.requests_per_s:
        parts.append(f"{progress.requests_per_s:,.1f} requests/s")
    if progress.in_flight:
        parts.append(f"{progress.in_flight:,} waiting")
    if progress.cost:
        parts.append(f"cost {progress.cost:,.4g}")
    if progress.eta_s is not None:
        parts.append(f"{clock(progress.eta_s)} left")
    return "  ".join(parts)


def result_lines(ended: GenerationResult) -> list[str]:
    """Return the lines that summarise a run."""
    progress = ended.progress
    if not (progress.items_done or progress.requests or ended.pending_images):
        return []
    parts = [f"{counted(progress.items_kept, 'candidate')} of {counted(progress.items_done, 'item')}"]
    parts += [
        f"{number:,} {label}"
        for number, label in ((progress.dropped, "dropped"), (progress.failed, "failed"))
        if number
    ]
    requests = f"{counted(progress.requests, 'request')}, {counted(progress.remembered, 'answer')} from the cache"
    lines = [f"{', '.join(parts)}; {requests}"]
    if progress.cost:
        lines[0] += f", cost {progress.cost:,.4g}"
    if progress.reasons:
        most = sorted(progress.reasons.items(), key=lambda each: (-each[1], each[0]))[:6]
        lines.append("reasons: " + ", ".join(f"{reason} {number:,}" for reason, number in most))
    failed = [f"{stage} {counts['failed']:,}" for stage, counts in progress.stages.items() if counts.get("failed")]
    if failed:
        lines.append("requests without an answer: " + ", ".join(failed))
    if ended.pending_images:
        lines.append(f"{counted(ended.pending_images, 'image')} waiting for answers")
    if ended.simulated:
        lines.append(f"simulated: {', '.join(ended.simulated)} (scripts, not models)")
    if (ended.error is not None or progress.failed) and (unclear := verdicts_unclear([progress])) is not None:
        lines.append(unclear.message)  # another error ends the command
    if ended.blind:
        lines.append(f"judges that do not see images: {', '.join(ended.blind)}; each of their verdicts says so")
    if ended.state is GenerationState.DONE and progress.items_kept:
        lines.append("next: negwb curate")
    return lines
