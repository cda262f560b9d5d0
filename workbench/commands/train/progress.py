"""Progress of a training on stderr: a live view in a terminal, otherwise a line for each logged step."""

from __future__ import annotations

import math
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING

import typer

if TYPE_CHECKING:
    from rich.console import RenderableType

    from trainers.run_files import RunState
    from workbench.jobs.training.machine_load import MachineLoad
    from workbench.jobs.training.run_monitor import RunDetail

_LEVELS = "▁▂▃▄▅▆▇█"
_PER_SECOND = 4
"""Redraws of the live view: the time of a step and the machine load change between two logged steps."""
_LABEL, _SPARK, _BAR = 9, 24, 32
"""Widths of the live view in cells."""


class TrainingProgress:
    """Receives what `run_to_end` reports."""

    def on_started(self, folder: Path, pid: int) -> None:
        """Print how to stop the training if this command is killed: a killed command cannot print it."""
        from workbench.jobs.process import stop_command

        print_line(
            f"negwb: process {pid} trains {folder.name}; "
            "Ctrl-C, SIGTERM or a closed terminal saves its state and stops it"
        )
        print_line(
            f"if this command is killed with kill -9, the training continues; stop it with: {stop_command(pid)}",
            indent=7,
        )

    def on_state(self, state: RunState) -> None:
        """Show the state of the run, whose files have changed."""
        raise NotImplementedError


@contextmanager
def training_progress(folder: Path) -> Iterator[TrainingProgress]:
    """Show the live view in a terminal, else one line per logged step; the run's log is printed between them."""
    if sys.stderr is None or not sys.stderr.isatty():
        yield _PlainProgress(folder)
        return
    # deferred import: rich costs 50 ms, and a pipe does not need it
    from rich.console import Console
    from rich.live import Live

    live = Live(console=Console(stderr=True), refresh_per_second=_PER_SECOND)
    view = LiveProgress(folder, live.console.print)
    live.get_renderable = view.render  # type: ignore[method-assign]  # called at each redraw
    with live:
        yield view


class _PlainProgress(TrainingProgress):
    def __init__(self, folder: Path) -> None:
        self._tail, self._steps = _LogTail(folder), _StepFilter()

    def on_state(self, state: RunState) -> None:
        if self._steps.is_new(state):
            print_line(progress_line(state), indent=7)
        for line in self._tail.new_lines():
            _print_log_line(line)


class LiveProgress(TrainingProgress):
    """The figures of a run, redrawn in place below the lines of its log."""

    def __init__(self, folder: Path, print_above: Callable[..., None]) -> None:
        """`print_above`: prints a renderable above the live view."""
        self._folder, self._print_above = folder, print_above
        self._tail = _LogTail(folder)
        self._work: tuple[str, int, int] | None = None
        self._detail: RunDetail | None = None
        self._load: Callable[[], MachineLoad | None] = lambda: None

    def on_started(self, folder: Path, pid: int) -> None:
        from workbench.jobs.training.machine_load import LoadMeter

        super().on_started(folder, pid)
        self._load = LoadMeter(pid).read

    def on_state(self, state: RunState) -> None:
        from rich.text import Text

        from trainers.run_files import WARNING, read_work
        from workbench.jobs.training.run_monitor import read_detail

        for line in self._tail.new_lines():
            if work := read_work(line):
                self._work = work
            elif line.startswith(WARNING):
                self._print_above(Text(f"negwb: {_clean(line)}", style="yellow"))
            else:
                self._print_above(Text(_clean(line), style="dim"))
        self._detail = read_detail(self._folder)

    def render(self) -> RenderableType:
        """Return the present view."""
        from rich.console import Group
        from rich.progress_bar import ProgressBar
        from rich.table import Table
        from rich.text import Text

        done, total, label = self._position()
        head = Table.grid(padding=(0, 1))
        head.add_row(ProgressBar(total, min(done, total or 0), width=_BAR, pulse=total is None), Text(label))
        rows = figure_rows(self._detail) if self._detail is not None else []
        if (load := self._load()) is not None:
            rows = [*rows, ("machine", load.describe())]
        lines = [Text.assemble((f"{name:<{_LABEL}}", "dim"), _clean(value)) for name, value in rows]
        for line in lines:
            line.no_wrap, line.overflow = True, "ellipsis"
        return Group(head, *lines)

    def _position(self) -> tuple[int, int | None, str]:
        """Return the amount done, the total, and the text beside the bar: of the steps, or of the work before them."""
        from workbench.console.number_format import clock

        detail = self._detail
        if detail is None or not detail.row.steps or not detail.row.step:
            if self._work is None:
                return 0, None, "starting"
            name, done, of = self._work
            return done, of, f"{done:,} of {of:,}  {name}"
        row, left = detail.row, detail.seconds_left
        rest = f"  {clock(left)} left" if left else ""
        return row.step, row.steps, f"{row.step:,} of {row.steps:,}{rest}"


def figure_rows(detail: RunDetail) -> list[tuple[str, str]]:
    """Return labels and figures of the newest step: loss, validation, accuracy, learning rate, speed, guard."""
    from trainers.run_files import VALIDATION_KEYS
    from workbench.jobs.training.run_monitor import format_duration

    last = {field: points[-1][1] for field, points in detail.curves.items()}
    rows = []
    if "loss" in last:
        rows.append(("loss", f"{last['loss']:.4f} {sparkline([value for _, value in detail.train], _SPARK)}"))
    key = VALIDATION_KEYS[detail.row.criterion]
    if key in last:
        best = ""
        if detail.row.best is not None:
            step, value = detail.row.best
            best = f", best {_validation(key, value)} at step {step:,.0f}"
        rows.append(("val", f"{_validation(key, last[key])}{best}"))
    if "val_recall_at_1" in last and key != "val_recall_at_1":
        rows.append(("accuracy", f"R@1 {last['val_recall_at_1']:.1%}"))
    if detail.guard is not None:
        (base_text, base_image), (text, image) = detail.guard
        sides = f"images {base_text:.1%} → {text:.1%}, texts {base_image:.1%} → {image:.1%}"
        rows.append(("guard", f"affirmative R@1: {sides}"))
    speed, seconds = (_number(detail.last.get(name)) for name in ("pairs_per_s", "seconds"))
    parts = [f"lr {last['lr']:.2e}"] if "lr" in last else []
    parts += [f"{speed:,.0f} pairs/s"] if speed is not None else []
    parts += [f"{format_duration(seconds)} so far"] if seconds is not None and seconds < 1e9 else []
    return [*rows, ("speed", " · ".join(parts))] if parts else rows


def _validation(key: str, value: float) -> str:
    return f"R@1 {value:.1%}" if key == "val_recall_at_1" else f"{value:.4f}"


def sparkline(values: Sequence[float], cells: int) -> str:
    """Draw at most `cells` means of equal sections of finite `values`, scaled from their minimum to their maximum."""
    if len(values) < 2:
        return ""
    cells = min(cells, len(values))
    edges = [round(at * len(values) / cells) for at in range(cells + 1)]
    means = [sum(values[start:end]) / (end - start) for start, end in pairwise(edges)]
    low, span = min(means), max(means) - min(means)
    if not math.isfinite(span):  # the sum of values of a damaged file can overflow
        return ""
    return "".join(_LEVELS[round((mean - low) / span * (len(_LEVELS) - 1)) if span else 0] for mean in means)


class _StepFilter:
    """Detects a new step; the step of a resumed run may go back to its checkpoint."""

    def __init__(self) -> None:
        self._step: int | None = None

    def is_new(self, state: RunState) -> bool:
        before, self._step = self._step, state.step
        return bool(state.steps) and state.step != before


class _LogTail:
    """Reads the lines added to log.txt, without the cause of a failure: that is reported at the end."""

    def __init__(self, folder: Path) -> None:
        from trainers.run_files import FAILURE, LOG

        self._path, self._failure = folder / LOG, FAILURE
        self._at = self._path.stat().st_size if self._path.is_file() else 0

    def new_lines(self) -> list[str]:
        """Return the complete lines added since the last call."""
        try:
            with self._path.open("rb") as file:
                file.seek(self._at)
                data = file.read()
        except OSError:
            return []
        complete = data[: data.rfind(b"\n") + 1]
        self._at += len(complete)
        lines = complete.decode("utf-8", "replace").splitlines()
        return [line for line in lines if not line.startswith(self._failure)]


def progress_line(state: RunState) -> str:
    """Return one line about the newest step."""
    return f"step {state.step:,} of {state.steps or 0:,}  {_figures(state)}"


def _figures(state: RunState) -> str:
    """Return loss, validation, speed and time left from the newest logged line."""
    from trainers.run_files import GUARD_IMAGE_TO_TEXT, GUARD_TEXT_TO_IMAGE
    from workbench.console.number_format import clock

    last = {name: number for name, value in state.last.items() if (number := _number(value)) is not None}
    figures = [f"loss {last['loss']:.4f}"] if "loss" in last else []
    if "val_loss" in last:
        figures.append(f"val {last['val_loss']:.4f}")
    if "val_recall_at_1" in last:
        figures.append(f"R@1 {last['val_recall_at_1']:.1%}")
    if GUARD_TEXT_TO_IMAGE in last and GUARD_IMAGE_TO_TEXT in last:
        figures.append(f"affirmative R@1 {last[GUARD_TEXT_TO_IMAGE]:.1%}/{last[GUARD_IMAGE_TO_TEXT]:.1%}")
    if "pairs_per_s" in last:
        figures.append(f"{last['pairs_per_s']:,.0f} pairs/s")
    if last.get("seconds") and state.step and state.steps:
        figures.append(f"{clock(last['seconds'] / state.step * (state.steps - state.step))} left")
    return "  ".join(figures)


def _number(value: object) -> float | None:
    """Return a number of a foreign file; None for anything else, NaN and values that cannot be measurements."""
    if not isinstance(value, (int, float)) or isinstance(value, bool):
        return None
    return value if abs(value) < 1e15 else None  # false for NaN


def _print_log_line(line: str) -> None:
    """Print a line of the run's log; warnings get the prefix "negwb:"."""
    from trainers.run_files import WARNING

    if line.startswith(WARNING):
        print_line(f"negwb: {line}")
    else:
        print_line(line, indent=7)


def print_line(line: str, *, indent: int = 0) -> None:
    """Print a line on stderr; control characters in it are removed."""
    typer.echo(" " * indent + _clean(line), err=True)


def _clean(line: str) -> str:
    from curation_db.language.sanitize import display_text

    return display_text(line, limit=500)
