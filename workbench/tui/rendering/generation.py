"""A generation in words: the cells of the list, and all that is known of the chosen one. Pure; data shows as text."""

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
from workbench.jobs.run_monitor import format_duration, time_ago
from workbench.tui.rendering.card_content import BAD, GOOD, QUIET, WARN, bar, plain
from workbench.tui.widgets.static_table import Column

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
    """Which columns of the list fit on a screen of this width."""
    return [name for name in COLUMNS if name in _ALWAYS or width >= 110]


def cells_of(entry: GenerationRow, columns: Sequence[str]) -> list[Content]:
    """A row of the list."""
    said, style = _STATES[entry.status]
    run = entry.run
    cells = {
        "run": Content(str(run.id) if run else "–"),
        "state": Content.styled(said, style),
        "pipeline": plain(entry.pipeline, limit=8),
        "items": Content(compact(run.progress.items_done) if run else "–"),
        "when": Content.styled(time_ago(seconds_of(run.started_at)) if run else "just now", QUIET),
    }
    return [cells[name] for name in columns]


def compact(number: int) -> str:
    """A count in seven cells at most."""
    for size, unit in ((1_000_000_000, "G"), (1_000_000, "M")):
        if number >= size:
            return f"{number / size:,.1f}{unit}"
    return f"{number:,}"


def detail(sight: GenerationSnapshot, width: int) -> Content:
    """Everything about the chosen run, in lines of `width` cells."""
    entry = sight.chosen
    if entry is None:
        return Content("")
    if entry.run is None:
        return _waiting(entry)
    told, run = entry.run.progress, entry.run
    parts = [
        Content("\n").join([_head(entry, run), _pace(entry, told, width)]),
        _yield(entry, told, width),
        _stages(told, width),
        _reasons(told, width),
        _engines(run, width),
        _failures(sight.failures, width),
    ]
    return Content("\n\n").join(part for part in parts if part)


def _waiting(entry: GenerationRow) -> Content:
    if entry.status is RunStatus.DIED:
        return Content.assemble(
            ("✗ it could not begin\n\n", f"bold {BAD}"),
            plain(entry.said, limit=600),
            ("\n\ns forgets it", QUIET),
        )
    return Content.assemble(("… it opens its engines\n\n", "bold"), (f"process {entry.pid}", QUIET))


def _head(entry: GenerationRow, run: GenerationRunRow) -> Content:
    said, style = _STATES[entry.status]
    where = "" if run.here else f" on {display_text(run.host, limit=30)} ({run.pid})"
    lines = [
        Content.assemble((said, f"bold {style}"), (f"{where} · began {time_ago(seconds_of(run.started_at))}", QUIET))
    ]
    if told := _because(entry, run):
        lines.append(told)
    if scripts := simulated(run):
        lines.append(Content.assemble(("⚠ simulated: ", f"bold {WARN}"), f"{', '.join(scripts)} — a script, no model"))
    if run.progress.note:
        lines.append(plain(run.progress.note, QUIET, limit=200))
    return Content("\n").join(lines)


def _because(entry: GenerationRow, run: GenerationRunRow) -> Content | None:
    if entry.status is RunStatus.LOST:
        return Content("it went without a word; r goes on, and asks nothing twice")
    if entry.status is RunStatus.DONE and run.progress.items_total == 0:
        return Content("nothing was left: all items went through under these settings")
    if run.stop_reason is StopReason.REQUEST:
        return None  # the state says so already
    message = display_text(run.message, limit=400)
    return Content(message) if message else None


def simulated(run: GenerationRunRow) -> list[str]:
    """The engines of the run that are scripts."""
    named = run.settings.get("simulated")
    return [display_text(str(each), limit=40) for each in named[:_MOST_ENGINES]] if isinstance(named, list) else []


def _pace(entry: GenerationRow, told: StageProgress, width: int) -> Content:
    """The bar, and how fast it goes."""
    total = told.items_total
    share = min(1.0, told.items_done / total) if total else None
    figures = f" {told.items_done:,} of {total:,} · {share:.0%}" if share is not None else f" {told.items_done:,} items"
    cells = max(8, min(48, width - cell_len(figures)))
    line = Content.assemble((bar(share, cells), GOOD if entry.status in _RUNNING else QUIET), figures)
    paid = [f"{told.tokens:,} tokens" if told.tokens else "", f"cost {told.cost:,.4g}" if told.cost else ""]
    words = [*(_speed(told) if entry.status in _RUNNING else [f"{told.requests:,} requests"]), *paid]
    return Content("\n").join([line, *_wrapped([Content(word) for word in words if word], width)])


def _speed(told: StageProgress) -> list[str]:
    return [
        f"{told.items_per_s:,.3g} items/s",
        f"{told.requests_per_s:,.3g} requests/s",
        f"{told.in_flight:,} in flight",
        f"{format_duration(told.eta_s)} left" if told.eta_s is not None and told.eta_s < 1e8 else "",
    ]


def _yield(entry: GenerationRow, told: StageProgress, width: int) -> Content | None:
    """What came of the items."""
    counts = {"kept": told.kept, "dropped": told.dropped, "failed": told.failed}
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
    if told.kept and entry.status not in _RUNNING:
        lines.append(Content.styled(f"{counted(told.kept, 'candidate')} for people to decide: negwb curate", QUIET))
    return Content("\n").join(lines)


def _stages(told: StageProgress, width: int) -> Content | None:
    """What was asked in each stage; failures of theirs stand out."""
    if not told.stages:
        return None
    order = [name for name in _STAGES if name in told.stages]
    order += sorted(told.stages.keys() - set(order))
    cells = min(13, (width - _LABEL - 2) // len(STAGE_COUNTS))
    lines = [_row("stage", [(_HEADS.get(name, name), QUIET) for name in STAGE_COUNTS], cells, QUIET)]
    for name in order[: len(_STAGES) + 3]:
        counts = told.stages[name]
        told_of = [(f"{counts.get(count, 0):,}", _count_style(count, counts.get(count, 0))) for count in STAGE_COUNTS]
        lines.append(_row(name, told_of, cells))
    return Content("\n").join(lines)


def _count_style(name: str, count: int) -> str:
    if not count:
        return QUIET
    return f"bold {BAD}" if name == "failed" else ""


def _row(name: str, cells: Iterable[tuple[str, str]], width: int, style: str = "") -> Content:
    label = set_cell_size(display_text(name, limit=40), _LABEL + 2)
    return Content.assemble((label, style), *((f"{word:>{width}}", look) for word, look in cells))


def _reasons(told: StageProgress, width: int) -> Content | None:
    """Why nothing came of items, the commonest first."""
    most = sorted(
        ((count, name) for name, count in told.reasons.items() if count), key=lambda each: (-each[0], each[1])
    )
    if not most:
        return None
    words = [Content.assemble(plain(name, limit=30), (f" {count:,}", "bold")) for count, name in most[:_MOST_REASONS]]
    if rest := sum(count for count, _ in most[_MOST_REASONS:]):
        words.append(Content.styled(f"others {rest:,}", QUIET))
    return _labelled("why not", _wrapped(words, width - _LABEL))


def _engines(run: GenerationRunRow, width: int) -> Content | None:
    """Who answers, and how many questions each takes at a time."""
    recipe = _table(run.settings.get("recipe"))
    models, scripts = _table(recipe.get("models")), set(simulated(run))
    names = list(dict.fromkeys([*map(str, _table(run.settings.get("engines"))), *run.progress.capacity]))
    if not names:
        return None
    shown = {name: display_text(name, limit=20) for name in names[:_MOST_ENGINES]}
    cells = max(map(cell_len, shown.values()))
    lines = []
    for name, called in shown.items():
        told = [_does(recipe, name)]
        told += [f"{run.progress.capacity[name]:,} at a time"] if name in run.progress.capacity else []
        parts = [Content(word) for word in told if word]
        model = display_text(str(models.get(name, "")), limit=40)
        parts += [Content.styled("⚠ simulated", WARN)] if called in scripts else [Content(model)] if model else []
        line = Content.assemble(set_cell_size(called, cells), "  ", Content.styled(" · ", QUIET).join(parts))
        lines.append(line.truncate(width - _LABEL, ellipsis=True))
    return _labelled("engines", lines)


def _does(recipe: Mapping[str, Any], name: str) -> str:
    judges = recipe.get("judges")
    judging = {str(_table(judge).get("name")) for judge in judges} if isinstance(judges, list) else set()
    words = ["proposes"] if str(recipe.get("proposer")) == name else []
    return ", ".join([*words, "judges"] if name in judging else words)


def _failures(failed: Sequence[RunFailure], width: int) -> Content | None:
    """The newest items of which nothing came, two lines each."""
    if not failed:
        return None
    lines = [Content.styled("came to nothing, newest first", QUIET)]
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
    """`words` with dots between, on as few lines as hold them."""
    lines: list[Content] = []
    for word in words:
        if lines and lines[-1].cell_length + word.cell_length + 3 <= width:
            lines[-1] = Content.assemble(lines[-1], (" · ", QUIET), word)
        else:
            lines.append(word.truncate(width, ellipsis=True))
    return lines


def nothing_yet(supplies: GenerationInputs) -> Content:
    """What is there to generate from, what is missing, and what to do about it."""
    captions, questions = supplies.items.get("P1", 0), supplies.items.get("P2", 0)
    named = f"{display_text(supplies.proposer, limit=30)} proposes, {judges_line(supplies)}"
    who = display_text(supplies.problem, limit=200) or "name an engine in negwb.toml: [engines.NAME], [generate]"
    lines = [
        Content.styled("Nothing was generated yet.", "bold"),
        Content("Models propose negated captions here, other models judge them, and people decide: negwb curate."),
        Content(""),
        _step(captions > 0, f"{captions:,} captions, {questions:,} questions", "captions: negwb import coco FILE"),
        _step(bool(supplies.proposer), named, who),
        _step(None, "", "see what a server can do: negwb generate probe NAME"),
        _step(None, "", "n starts; so does: negwb generate --limit 100" if supplies.ready else "then n starts"),
    ]
    return Content("\n").join(lines)


def judges_line(supplies: GenerationInputs) -> str:
    """Who judges, in words."""
    named = [display_text(name, limit=30) for name in supplies.judges[:_MOST_ENGINES]]
    return f"{', '.join(named)} {'judges' if len(named) == 1 else 'judge'}" if named else "nobody judges"


def _step(there: bool | None, said: str, missing: str) -> Content:
    if there:
        return Content.assemble(("✓ ", GOOD), said)
    return Content.assemble(("· " if there is None else "✗ ", QUIET if there is None else WARN), missing)


def seconds_of(stamp: str) -> float:
    """A time as the record writes it, in seconds since the epoch; one that cannot be read is long ago."""
    try:
        return datetime.fromisoformat(stamp).timestamp()
    except (ValueError, OverflowError):
        return 0.0


def _table(told: object) -> Mapping[str, Any]:
    return told if isinstance(told, Mapping) else {}
