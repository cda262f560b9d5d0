"""A training run as text: the cells of the list, the figures beside the curve, the log. Pure; data shows as text."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import PurePath

from textual.content import Content

from curation_db.foreign_json import finite_number
from curation_db.language.sanitize import display_text
from trainers.run_files import Criterion, TrainingStatus
from workbench.jobs.training.machine_load import MachineLoad
from workbench.jobs.training.run_comparison import RunGroup, differing, group_runs
from workbench.jobs.training.run_monitor import RunDetail, RunRow, format_duration, time_ago
from workbench.tui.rendering.card_content import BAD, GOOD, MARK, QUIET, WARN, bar, plain
from workbench.tui.widgets.curve import Series
from workbench.tui.widgets.lists.static_table import Column

COLUMNS = {
    "group": Column("", 12),
    "mark": Column("", 1),
    "run": Column("run"),
    "state": Column("state", 10),
    "bar": Column("", 8),
    "step": Column("step", 13, right=True),
    "loss": Column("loss", 7, right=True),
    "val": Column("best val", 8, right=True),
    "model": Column("model", 14),
    "export": Column("set", 10),
    "mean": Column("mean val", 8, right=True),
    "when": Column("last sign", 10, right=True),
}
_WIDE = 115
"""Least width of a screen for all columns."""
_ALWAYS = ("mark", "run", "state", "step", "loss", "val", "when")
_GROUPED = ("group", "mark", "run", "state", "step", "val", "mean")
"""Columns of a narrow screen while the runs are grouped."""
_STATES: dict[TrainingStatus | None, tuple[str, str]] = {
    TrainingStatus.NEW: ("· new", QUIET),
    TrainingStatus.RUNNING: ("▶ running", GOOD),
    TrainingStatus.STOPPED: ("‖ stopped", WARN),
    TrainingStatus.DONE: ("✓ done", ""),
    TrainingStatus.FAILED: ("✗ failed", BAD),
    None: ("⚠ damaged", BAD),
}


def columns_for(width: int, *, grouped: bool = False) -> list[str]:
    """Return the columns that fit into `width`."""
    narrow = _GROUPED if grouped else _ALWAYS
    hidden = ("bar", "export", "when") if grouped else ("group", "mean")
    return [name for name in COLUMNS if name in narrow or (width >= _WIDE and name not in hidden)]


@dataclass(frozen=True, slots=True)
class ListedRun:
    """A run in the list."""

    row: RunRow
    group: RunGroup | None = None
    """The group that begins with this run."""
    marked: bool = False
    starting: bool = False


def listed_runs(rows: Sequence[RunRow], setting: str | None) -> list[ListedRun]:
    """Return the runs in the order of the list: as they are, or by groups."""
    if setting is None:
        return [ListedRun(row) for row in rows]
    return [
        ListedRun(row, group if at == 0 else None)
        for group in group_runs(rows, setting)
        for at, row in enumerate(group.rows)
    ]


def cells_of(listed: ListedRun, columns: Sequence[str]) -> list[Content]:
    row, group = listed.row, listed.group
    label, style = ("… starting", QUIET) if listed.starting else _STATES[row.status]
    share = min(1.0, row.step / row.steps) if row.steps else None
    mean = group.mean_best if group else None
    cells = {
        "group": plain(short(group.value) or "unknown", "bold", limit=40) if group else Content(""),
        "mark": Content.styled("●" if listed.marked else "", MARK),
        "run": plain(row.name, limit=60),
        "state": Content.styled(label, style),
        "bar": Content.styled(bar(share, 8) if share is not None else "", QUIET),
        "step": Content(f"{row.step:,}/{row.steps:,}" if row.steps else "–"),
        "loss": Content(figure(row.loss)),
        "val": Content(_validation_figure(row.best[1], row.criterion) if row.best else figure(None)),
        "model": plain(short(row.model), limit=40),
        "export": plain(short(row.export), limit=40),
        "mean": Content.styled(_validation_figure(mean, row.criterion) if mean is not None else "", "bold"),
        "when": Content.styled(time_ago(row.touched), QUIET),
    }
    return [cells[name] for name in columns]


def short(path: str) -> str:
    """Return the last part of a path; for a run's `model` folder the name of the run."""
    parts = PurePath(path).parts
    if len(parts) > 1 and parts[-1] == "model":
        return parts[-2]
    return parts[-1] if parts else ""


def figure(value: float | None, digits: int = 4) -> str:
    """Return a loss as text, or a dash."""
    return "–" if value is None else f"{value:.{digits}f}" if abs(value) < 1e4 else f"{value:.2g}"


def facts(detail: RunDetail, load: MachineLoad | None = None) -> Content:
    """Return the figures beside the curve."""
    machine = [("machine", part) for part in load.describe().split(", ")] if load else []
    machine = [(label if at == 0 else "", part) for at, (label, part) in enumerate(machine)]
    lines = [_fact(label, value) for label, value in (*_progress(detail), *machine, *_recipe(detail)) if value]
    if problem := _problem(detail):
        lines = [Content.assemble(("✗ ", f"bold {BAD}"), plain(problem, limit=300)), *lines]
    return Content("\n").join(lines)


def _fact(label: str, value: str) -> Content:
    return Content.assemble((f"{label:<10}", QUIET), plain(value, limit=200))


def _problem(detail: RunDetail) -> str:
    if detail.row.problem:
        return detail.row.problem
    if detail.row.status is not TrainingStatus.FAILED:
        return ""
    parts = (detail.result.get("message"), detail.result.get("hint"))
    return " — ".join(str(part) for part in parts if part) or "failed"


def _progress(detail: RunDetail) -> list[tuple[str, str]]:
    row, last = detail.row, detail.last
    epoch, speed, seconds, rate = (finite_number(last.get(key)) for key in ("epoch", "pairs_per_s", "seconds", "lr"))
    accuracy = detail.curve("val_recall_at_1")
    return [
        ("step", f"{row.step:,} of {row.steps:,}" if row.steps else "none logged"),
        ("epoch", f"{epoch + 1:.0f}" if epoch is not None else ""),
        ("loss", figure(row.loss)),
        _best(row),
        ("R@1", _percent(accuracy[-1][1]) if accuracy and row.criterion != "recall_at_1" else ""),
        *_guard(detail),
        ("lr", f"{rate:.2e}" if rate is not None else ""),
        ("scale", figure(finite_number(last.get("logit_scale")), 2) if "logit_scale" in last else ""),
        ("speed", f"{speed:,.0f} pairs/s" if speed is not None else ""),
        ("took", format_duration(seconds) if seconds is not None else ""),
        ("left", _left(detail)),
    ]


_BEST_LABELS: dict[Criterion, str] = {"loss": "best val", "masked_loss": "best mask", "recall_at_1": "best R@1"}
"""Label of the best validation, which shows the criterion: loss, masked loss or R@1."""


def _best(row: RunRow) -> tuple[str, str]:
    if row.best is None:
        return "", ""
    step, value = row.best
    return _BEST_LABELS[row.criterion], f"{_validation_figure(value, row.criterion)} at {step:,.0f}"


def _validation_figure(value: float, criterion: Criterion) -> str:
    return _percent(value) if criterion == "recall_at_1" else figure(value)


def _percent(share: float) -> str:
    return f"{100 * share:.1f}%" if 0 <= share <= 1 else figure(None)


def _guard(detail: RunDetail) -> list[tuple[str, str]]:
    """Return two lines: R@1 of images and of texts on affirmative captions, before the training and now."""
    if detail.guard is None:
        return []
    (base_text, base_image), (text, image) = detail.guard
    return [
        ("aff. R@1", f"image {_percent(base_text)} → {_percent(text)}"),
        ("", f"text {_percent(base_image)} → {_percent(image)}"),
    ]


def _left(detail: RunDetail) -> str:
    left = detail.seconds_left
    return f"about {format_duration(left)}" if left and detail.row.status is TrainingStatus.RUNNING else ""


def _recipe(detail: RunDetail) -> list[tuple[str, str]]:
    if detail.config is None:
        return []
    settings = detail.config.settings
    shown = {
        "lr": settings.lr,
        "batch": settings.batch,
        "seed": settings.seed,
        "replay": settings.replay_share,
        "anchor": settings.anchor_weight,
        "hard": settings.hard_pictures,
        "decay": settings.weight_decay,
    }
    words = [f"{name} {value:g}" for name, value in shown.items() if value or name == "seed"]
    lines = [", ".join(words[at : at + 2]) for at in range(0, len(words), 2)]  # three would not fit beside the curve
    return [
        ("model", short(detail.config.model)),
        *([("", "routed with the trained model")] if detail.config.routed else []),
        ("set", short(detail.config.export)),
        *(("" if at else "recipe", line) for at, line in enumerate(lines)),
    ]


def log_lines(detail: RunDetail, rows: int) -> Content:
    texts = [display_text(line, limit=300) for line in detail.log]
    shown = [line for line in texts if line][-rows:]
    return Content.styled("\n".join(shown) or "the log is empty", QUIET)


# -- comparison --------------------------------------------------------------------------------------------------------

_SERIES = (
    ("●", "primary"),
    ("■", "accent"),
    ("▲", "success"),
    ("◆", "error"),
    ("○", "secondary"),
    ("□", "warning"),
    ("△", "foreground"),
    ("◇", "primary"),
)
MOST_COMPARED = len(_SERIES)


def overlay(details: Sequence[RunDetail], field: str) -> list[Series]:
    """Return the curves of one field of the metrics, with a mark and a colour for each run."""
    return [
        Series(detail.row.name, detail.curve(field), colour, mark=mark)
        for detail, (mark, colour) in zip(details, _SERIES, strict=False)
    ]


_NAME, _MARGIN, _GAP = 17, 6, 2
"""Cells of the names, of everything left and right of the columns (cursor, sign, scroll bar), between columns."""


def comparison_columns(details: Sequence[RunDetail], width: int) -> list[Column]:
    """Return the columns of the table on a screen of `width` cells: a sign, the setting, and each run."""
    each = max(7, (width - _MARGIN - _NAME - _GAP * (len(details) + 1)) // max(1, len(details)))
    names = [
        f"{mark} {display_text(detail.row.name, limit=60)}" for detail, (mark, _) in zip(details, _SERIES, strict=False)
    ]
    return [Column("", 1), Column("", _NAME), *(Column(name, each) for name in names)]


@dataclass(frozen=True, slots=True)
class ComparedRow:
    """A row of the comparison: a result, or a setting."""

    name: str
    values: tuple[str, ...]
    differs: bool = False
    """Whether it is a setting with different values."""
    quiet: bool = False
    """Whether it is a setting with equal values."""


def comparison_rows(details: Sequence[RunDetail]) -> list[ComparedRow]:
    """Return the settings that differ, then the results of the runs, then the other settings."""
    settings = [detail.row.settings for detail in details]
    different = differing(settings)
    equal = [name for name in dict.fromkeys(name for each in settings for name in each) if name not in different]
    facts_by_run = [dict(_results(detail)) for detail in details]
    results = dict.fromkeys(name for each in facts_by_run for name in each)
    return [
        *(ComparedRow(name, _values(name, settings), differs=True) for name in different),
        *(ComparedRow(name, tuple(each.get(name, figure(None)) for each in facts_by_run)) for name in results),
        *(ComparedRow(name, _values(name, settings), quiet=True) for name in equal),
    ]


def comparison_cells(row: ComparedRow) -> list[Content]:
    style = QUIET if row.quiet else ""
    value_style = f"bold {MARK}" if row.differs else style
    return [
        Content.styled("≠" if row.differs else "", f"bold {MARK}"),
        plain(row.name, "bold" if row.differs else style, limit=40),
        *(plain(value, value_style, limit=60) for value in row.values),
    ]


def _results(detail: RunDetail) -> list[tuple[str, str]]:
    """Return the results of a run: state, steps, losses, accuracy, guard, time."""
    row, last = detail.row, {field: points[-1][1] for field, points in detail.curves.items()}
    seconds = finite_number(detail.last.get("seconds"))
    label, value = _best(row)
    return [
        ("state", _STATES[row.status][0]),
        ("step", f"{row.step:,}/{row.steps:,}" if row.steps else "–"),
        ("loss", figure(row.loss)),
        *([(label, value)] if label else []),
        *([("R@1", _percent(last["val_recall_at_1"]))] if "val_recall_at_1" in last else []),
        *((f"aff. {side}", _percent(end)) for side, end in zip(("image", "text"), _guard_now(detail), strict=False)),
        *([("took", format_duration(seconds))] if seconds is not None else []),
    ]


def _guard_now(detail: RunDetail) -> tuple[float, ...]:
    return detail.guard[1] if detail.guard is not None else ()


def _values(name: str, settings: Sequence[Mapping[str, str]]) -> tuple[str, ...]:
    """Return the value of each run; a path as its last part, unless these are equal where the paths are not."""
    whole = [each.get(name, "") for each in settings]
    if name not in ("model", "export"):
        return tuple(whole)
    parts = [short(value) for value in whole]
    return tuple(parts if len(set(parts)) == len(set(whole)) else whole)
