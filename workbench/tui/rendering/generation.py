"""A generation run as text: the cells of the list, and the details of the selected run. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any, Final

from rich.cells import cell_len, set_cell_size
from textual.content import Content

from curation_db.enums import ItemStatus, Stage, StopReason
from curation_db.generation.runs import STAGE_COUNTS, GenerationRunRow, RunFailure, StageProgress
from curation_db.language.sanitize import counted, display_text
from workbench.jobs.generation_monitor import GenerationInputs, GenerationRow, GenerationSnapshot, RunStatus
from workbench.jobs.training.run_monitor import format_duration, time_ago
from workbench.tui.rendering.card_content import BAD, GOOD, QUIET, WARN, bar, plain
from workbench.tui.widgets.lists.static_table import Column

COLUMNS = {
    "run": Column("run", 4, right=True),
    "state": Column("state", 10),
    "pipeline": Column("by", 2),
    "items": Column("items", 7, right=True),
    "when": Column("when"),
}
_ALWAYS = ("run", "state", "items")
_STATES: dict[RunStatus, tuple[str, str]] = {
    RunStatus.STARTING: ("… starting", QUIET),
    RunStatus.RUNNING: ("▶ running", GOOD),
    RunStatus.STOPPED: ("‖ stopped", WARN),
    RunStatus.DONE: ("✓ done", ""),
    RunStatus.FAILED: ("✗ failed", BAD),
    RunStatus.LOST: ("⚠ lost", BAD),
    RunStatus.DIED: ("✗ no start", BAD),
}
_LABEL: Final = 10
_STAGES: Final = tuple(str(stage) for stage in Stage)
_HEADS: Final = {"remembered": "known"}
_MOST_REASONS: Final = 6
_MOST_ENGINES: Final = 8
_YIELD: Final = (("kept", "✓", GOOD), ("dropped", "○", ""), ("failed", "✗", BAD))
_RUNNING = (RunStatus.STARTING, RunStatus.RUNNING)


def columns_for(width: int) -> list[str]:
    """Return the columns of the list that fit into `width`."""
    return [name for name in COLUMNS if name in _ALWAYS or width >= 110]


def cells_of(entry: GenerationRow, columns: Sequence[str]) -> list[Content]:
    label, style = _STATES[entry.status]
    run = entry.run
    cells = {
        "run": Content(str(run.id) if run else "–"),
        "state": Content.styled(label, style),
        "pipeline": plain(entry.pipeline, limit=8),
        "items": Content(compact(run.progress.items_done) if run else "–"),
        "when": Content.styled(time_ago(seconds_of(run.started_at)) if run else "just now", QUIET),
    }
    return [cells[name] for name in columns]


def compact(number: int) -> str:
    """Return a count in at most seven cells."""
    for size, unit in ((1_000_000_000, "G"), (1_000_000, "M")):
        if number >= size:
            return f"{number / size:,.1f}{unit}"
    return f"{number:,}"


def detail(snapshot: GenerationSnapshot, width: int) -> Content:
    """Return the details of the selected run, in lines of `width` cells."""
    entry = snapshot.chosen
    if entry is None:
        return Content("")
    if entry.run is None:
        return _waiting(entry)
    progress, run = entry.run.progress, entry.run
    parts = [
        Content("\n").join([_head(entry, run), _pace(entry, progress, width)]),
        _outcomes(entry, progress, width),
        _stages(progress, width),
        _reasons(progress, width),
        _engines(run, width),
        _failures(snapshot.failures, width),
    ]
    return Content("\n\n").join(part for part in parts if part)


def _waiting(entry: GenerationRow) -> Content:
    if entry.status is RunStatus.DIED:
        return Content.assemble(
            ("✗ it could not start\n\n", f"bold {BAD}"),
            plain(entry.output, limit=600),
            ("\n\ns removes it from the list", QUIET),
        )
    return Content.assemble(("… opening its engines\n\n", "bold"), (f"process {entry.pid}", QUIET))


def _head(entry: GenerationRow, run: GenerationRunRow) -> Content:
    label, style = _STATES[entry.status]
    where = "" if run.here else f" on {display_text(run.host, limit=30)} ({run.pid})"
    lines = [
        Content.assemble((label, f"bold {style}"), (f"{where} · started {time_ago(seconds_of(run.started_at))}", QUIET))
    ]
    if cause := _because(entry, run):
        lines.append(cause)
    if scripts := simulated(run):
        lines.append(Content.assemble(("⚠ simulated: ", f"bold {WARN}"), f"{', '.join(scripts)} — scripts, not models"))
    if run.progress.note:
        lines.append(plain(run.progress.note, QUIET, limit=200))
    return Content("\n").join(lines)


def _because(entry: GenerationRow, run: GenerationRunRow) -> Content | None:
    if entry.status is RunStatus.LOST:
        return Content("it ended without a message; r resumes it and repeats no request")
    if entry.status is RunStatus.DONE and run.progress.items_total == 0:
        return Content("no items were left: all of them are done under these settings")
    if run.stop_reason is StopReason.REQUEST:
        return None  # the state already shows it
    message = display_text(run.message, limit=400)
    return Content(message) if message else None


def simulated(run: GenerationRunRow) -> list[str]:
    """Return the names of the run's scripted engines."""
    named = run.settings.get("simulated")
    return [display_text(str(each), limit=40) for each in named[:_MOST_ENGINES]] if isinstance(named, list) else []


def _pace(entry: GenerationRow, progress: StageProgress, width: int) -> Content:
    total = progress.items_total
    share = min(1.0, progress.items_done / total) if total else None
    figures = (
        f" {progress.items_done:,} of {total:,} · {share:.0%}"
        if share is not None
        else f" {progress.items_done:,} items"
    )
    cells = max(8, min(48, width - cell_len(figures)))
    line = Content.assemble((bar(share, cells), GOOD if entry.status in _RUNNING else QUIET), figures)
    paid = [
        f"{progress.tokens:,} tokens" if progress.tokens else "",
        f"cost {progress.cost:,.4g}" if progress.cost else "",
    ]
    words = [*(_speed(progress) if entry.status in _RUNNING else [f"{progress.requests:,} requests"]), *paid]
    return Content("\n").join([line, *_wrapped([Content(word) for word in words if word], width)])


def _speed(progress: StageProgress) -> list[str]:
    return [
        f"{progress.items_per_s:,.3g} items/s",
        f"{progress.requests_per_s:,.3g} requests/s",
        f"{progress.in_flight:,} in flight",
        f"{format_duration(progress.eta_s)} left" if progress.eta_s is not None and progress.eta_s < 1e8 else "",
    ]


def _outcomes(entry: GenerationRow, progress: StageProgress, width: int) -> Content | None:
    """Return a bar each for kept, dropped and failed items."""
    counts = {"kept": progress.items_kept, "dropped": progress.dropped, "failed": progress.failed}
    done = sum(counts.values())
    if not done:
        return None
    cells = max(4, min(30, width - _LABEL - 18))
    lines = [
        Content.assemble(
            (f"{glyph} ", style or QUIET),
            f"{name:<{_LABEL - 2}}",
            (bar(counts[name] / done, cells), style or QUIET),
            f" {counts[name]:>8,}",
            (f" {counts[name] / done:>6.1%}", QUIET),
        )
        for name, glyph, style in _YIELD
    ]
    if progress.items_kept and entry.status not in _RUNNING:
        lines.append(
            Content.styled(f"{counted(progress.items_kept, 'candidate')} to decide about: negwb curate", QUIET)
        )
    return Content("\n").join(lines)


def _stages(progress: StageProgress, width: int) -> Content | None:
    """Return the requests of each stage; failures stand out."""
    if not progress.stages:
        return None
    order = [name for name in _STAGES if name in progress.stages]
    order += sorted(progress.stages.keys() - set(order))
    cells = min(13, (width - _LABEL - 2) // len(STAGE_COUNTS))
    lines = [_row("stage", [(_HEADS.get(name, name), QUIET) for name in STAGE_COUNTS], cells, QUIET)]
    for name in order[: len(_STAGES) + 3]:
        counts = progress.stages[name]
        shown = [(f"{counts.get(count, 0):,}", _count_style(count, counts.get(count, 0))) for count in STAGE_COUNTS]
        lines.append(_row(name, shown, cells))
    return Content("\n").join(lines)


def _count_style(name: str, count: int) -> str:
    if not count:
        return QUIET
    return f"bold {BAD}" if name == "failed" else ""


def _row(name: str, cells: Iterable[tuple[str, str]], width: int, style: str = "") -> Content:
    label = set_cell_size(display_text(name, limit=40), _LABEL + 2)
    return Content.assemble((label, style), *((f"{word:>{width}}", cell_style) for word, cell_style in cells))


def _reasons(progress: StageProgress, width: int) -> Content | None:
    """Return the reasons of dropped and failed items, most frequent first."""
    most = sorted(
        ((count, name) for name, count in progress.reasons.items() if count), key=lambda each: (-each[0], each[1])
    )
    if not most:
        return None
    words = [Content.assemble(plain(name, limit=30), (f" {count:,}", "bold")) for count, name in most[:_MOST_REASONS]]
    if rest := sum(count for count, _ in most[_MOST_REASONS:]):
        words.append(Content.styled(f"others {rest:,}", QUIET))
    return _labelled("why not", _wrapped(words, width - _LABEL))


def _engines(run: GenerationRunRow, width: int) -> Content | None:
    """Return each engine's role, model and number of concurrent requests."""
    recipe = _table(run.settings.get("recipe"))
    models, scripts = _table(recipe.get("models")), set(simulated(run))
    names = list(dict.fromkeys([*map(str, _table(run.settings.get("engines"))), *run.progress.capacity]))
    if not names:
        return None
    shown = {name: display_text(name, limit=20) for name in names[:_MOST_ENGINES]}
    cells = max(map(cell_len, shown.values()))
    lines = []
    for name, called in shown.items():
        details = [_role(recipe, name)]
        details += [f"{run.progress.capacity[name]:,} concurrent"] if name in run.progress.capacity else []
        parts = [Content(word) for word in details if word]
        model = display_text(str(models.get(name, "")), limit=40)
        parts += [Content.styled("⚠ simulated", WARN)] if called in scripts else [Content(model)] if model else []
        line = Content.assemble(set_cell_size(called, cells), "  ", Content.styled(" · ", QUIET).join(parts))
        lines.append(line.truncate(width - _LABEL, ellipsis=True))
    return _labelled("engines", lines)


def _role(recipe: Mapping[str, Any], name: str) -> str:
    judges = recipe.get("judges")
    judging = {str(_table(judge).get("name")) for judge in judges} if isinstance(judges, list) else set()
    words = ["proposes"] if str(recipe.get("proposer")) == name else []
    return ", ".join([*words, "judges"] if name in judging else words)


def _failures(failed: Sequence[RunFailure], width: int) -> Content | None:
    """Return the newest items without a candidate, two lines each."""
    if not failed:
        return None
    lines = [Content.styled("items without a candidate, newest first", QUIET)]
    for each in failed:
        glyph, style = ("✗ ", BAD) if each.status == ItemStatus.FAILED else ("○ ", QUIET)
        head = Content.assemble(
            (glyph, style),
            (display_text(each.reason or each.status, limit=40), "bold"),
            "  ",
            (display_text(each.file_name or each.picture, limit=60), QUIET),
            (f"  {display_text(each.detail, limit=200)}" if each.detail else "", ""),
        )
        lines.append(head.truncate(width, ellipsis=True))
        lines.append(Content.assemble("  ", plain(each.text, QUIET, limit=300)).truncate(width, ellipsis=True))
    return Content("\n").join(lines)


def _labelled(label: str, lines: Sequence[Content]) -> Content:
    heads = [label, *[""] * (len(lines) - 1)]
    return Content("\n").join(
        Content.assemble((f"{head:<{_LABEL}}", QUIET), line) for head, line in zip(heads, lines, strict=True)
    )


def _wrapped(words: Sequence[Content], width: int) -> list[Content]:
    """Join `words` with dots, on as few lines of `width` cells as possible."""
    lines: list[Content] = []
    for word in words:
        if lines and lines[-1].cell_length + word.cell_length + 3 <= width:
            lines[-1] = Content.assemble(lines[-1], (" · ", QUIET), word)
        else:
            lines.append(word.truncate(width, ellipsis=True))
    return lines


def nothing_yet(supplies: GenerationInputs) -> Content:
    """Return what there is to generate from, what is missing, and what to do about it."""
    captions, questions = supplies.items.get("P1", 0), supplies.items.get("P2", 0)
    named = f"{display_text(supplies.proposer, limit=30)} proposes, {judges_line(supplies)}"
    hint = display_text(supplies.problem, limit=200) or "name an engine in negwb.toml: [engines.NAME], [generate]"
    lines = [
        Content.styled("No generation yet.", "bold"),
        Content("Models propose negated captions, other models judge them, annotators decide: negwb curate."),
        Content(""),
        _step(captions > 0, f"{captions:,} captions, {questions:,} questions", "captions: negwb import coco FILE"),
        _step(bool(supplies.proposer), named, hint),
        _step(None, "", "test a server: negwb generate probe NAME"),
        _step(
            None, "", "n starts a run; so does: negwb generate --limit 100" if supplies.ready else "then n starts a run"
        ),
    ]
    return Content("\n").join(lines)


def judges_line(supplies: GenerationInputs) -> str:
    """Return which engines judge, in words."""
    named = [display_text(name, limit=30) for name in supplies.judges[:_MOST_ENGINES]]
    return f"{', '.join(named)} {'judges' if len(named) == 1 else 'judge'}" if named else "no judge"


def _step(there: bool | None, done: str, missing: str) -> Content:
    if there:
        return Content.assemble(("✓ ", GOOD), done)
    return Content.assemble(("· " if there is None else "✗ ", QUIET if there is None else WARN), missing)


def seconds_of(stamp: str) -> float:
    """Return a timestamp of the record in seconds since the epoch; 0.0 if it cannot be parsed."""
    try:
        return datetime.fromisoformat(stamp).timestamp()
    except (ValueError, OverflowError):
        return 0.0


def _table(value: object) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}
