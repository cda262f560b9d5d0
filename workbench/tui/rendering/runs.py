"""A training run as text: the cells of the list, the figures beside the curve, the log. Pure; data shows as text."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import PurePath

from textual.content import Content

from curation_db.foreign_json import finite_number
from curation_db.language.sanitize import display_text
from trainers.run_files import Criterion, TrainingStatus
from workbench.jobs.run_monitor import RunDetail, RunRow, format_duration, time_ago
from workbench.tui.rendering.card_content import BAD, GOOD, QUIET, WARN, bar, plain
from workbench.tui.widgets.static_table import Column

COLUMNS = {
    "run": Column("run"),
    "state": Column("state", 10),
    "bar": Column("", 8),
    "step": Column("step", 13, right=True),
    "loss": Column("loss", 7, right=True),
    "val": Column("best val", 8, right=True),
    "model": Column("model", 14),
    "export": Column("set", 10),
    "when": Column("last sign", 10, right=True),
}
_ALWAYS = ("run", "state", "step", "loss", "val", "when")
_STATES: dict[TrainingStatus | None, tuple[str, str]] = {
    TrainingStatus.NEW: ("· new", QUIET),
    TrainingStatus.RUNNING: ("▶ running", GOOD),
    TrainingStatus.STOPPED: ("‖ stopped", WARN),
    TrainingStatus.DONE: ("✓ done", ""),
    TrainingStatus.FAILED: ("✗ failed", BAD),
    None: ("⚠ damaged", BAD),
}


def columns_for(width: int) -> list[str]:
    """Return the columns that fit into `width`."""
    return [name for name in COLUMNS if name in _ALWAYS or width >= 110]


def cells_of(row: RunRow, columns: Sequence[str], *, starting: bool = False) -> list[Content]:
    label, style = ("… starting", QUIET) if starting else _STATES[row.status]
    share = min(1.0, row.step / row.steps) if row.steps else None
    cells = {
        "run": plain(row.name, limit=60),
        "state": Content.styled(label, style),
        "bar": Content.styled(bar(share, 8) if share is not None else "", QUIET),
        "step": Content(f"{row.step:,}/{row.steps:,}" if row.steps else "–"),
        "loss": Content(figure(row.loss)),
        "val": Content(_validation_figure(row.best[1], row.criterion) if row.best else figure(None)),
        "model": plain(short(row.model), limit=40),
        "export": plain(short(row.export), limit=40),
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


def facts(detail: RunDetail) -> Content:
    """Return the figures beside the curve."""
    lines = [_fact(label, value) for label, value in (*_progress(detail), *_recipe(detail)) if value]
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
    epoch, speed, seconds = (finite_number(last.get(key)) for key in ("epoch", "pairs_per_s", "seconds"))
    return [
        ("step", f"{row.step:,} of {row.steps:,}" if row.steps else "none logged"),
        ("epoch", f"{epoch + 1:.0f}" if epoch is not None else ""),
        ("loss", figure(row.loss)),
        _best(row),
        *_guard(detail),
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
