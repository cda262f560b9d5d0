"""What the report says: models x tasks from a folder of results, each beside its baselines and the chosen base.

Torch-free, and no layout: screens and pages draw what is here. Of several runs of the same question the newest that
can be read counts; a damaged one is named and hides nothing.
A model is compared with the base item by item, on the same dataset under the same protocol, or not at all. `strict`
rows come before `official` ones and say where the two differ.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from benchmarks.affirmative_twins import denies, twin_name
from benchmarks.errors import BenchError
from benchmarks.protocols import PROTOCOLS
from benchmarks.published import PublishedRow, published_rows
from benchmarks.results import StoredResult, list_results
from benchmarks.schema import GuessShare, ItemRow, Result, Score
from benchmarks.statistics import Paired, paired
from benchmarks.task import ORDERS
from curation_db.stats.intervals import RESAMPLES, Interval, wilson


@dataclass(frozen=True, slots=True, kw_only=True)
class Share:
    """A named share: a baseline that sees no picture, or a further metric."""

    name: str
    correct: float
    """Of a blind guess the expected number, which may be a fraction."""
    n: int
    accuracy: Interval
    ties: int = 0
    """Items on which a blind guess cannot tell; n of them: it is worth chance here."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Slice:
    """Some of a row's items."""

    cut: str
    """cue, cue_class, position, length or a task's own."""
    value: str
    correct: int
    n: int
    accuracy: Interval
    base: Paired | None
    """Against the base on the same items."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ComparisonRow:
    """One model on one task under one protocol."""

    run: str
    """Name of the result; its items are drawn from there."""
    model: str
    model_hash: str
    arch: str
    activation: str
    precision: str
    task: str
    dataset_sha256: str
    pictures_folder: str
    """Where the pictures lay when it was run; empty where the file does not say."""
    protocol: str
    denied: bool
    """The task is about denied phrases: its figures never stand without `Report.twin_of`, or its absence told."""
    metric: str
    """Name of the headline."""
    correct: int
    n: int
    accuracy: Interval
    """Share of right answers with its 95 % Wilson interval."""
    others: tuple[Share, ...]
    """The task's further metrics: recall_at_5."""
    chance: float
    baselines: tuple[Share, ...]
    ties: int
    nan: int
    is_base: bool
    base: Paired | None
    """Against the base; None for the base itself and where that was not run on the same items."""
    slices: tuple[Slice, ...]
    differing: tuple[str, ...]
    """Ids of the items that are right under one protocol and wrong under the other."""
    notes: tuple[str, ...]
    """What to know before reading the figures, one line each."""


@dataclass(frozen=True, slots=True)
class Report:
    """Everything the report shows."""

    rows: tuple[ComparisonRow, ...]
    """By task, strict first, then the base, then the others as they were run."""
    published: tuple[PublishedRow, ...]
    """Of the tasks in `rows`."""
    base: str | None
    """Name of the base."""
    problems: tuple[str, ...]
    """Files that could not be read."""

    def twin_of(self, row: ComparisonRow) -> ComparisonRow | None:
        """The same model's row, by the same rule, on the affirmative twin of a task of denied phrases."""
        wanted = twin_name(row.task), row.protocol, row.model_hash
        return next((each for each in self.rows if (each.task, each.protocol, each.model_hash) == wanted), None)

    def as_dict(self) -> dict[str, Any]:
        """For --json; tuples become lists there. No NaN: what is not finite is refused where it is read."""
        return asdict(self)


_Key = tuple[str, str, str]
"""Task, dataset hash, protocol: what a comparison needs to be the same."""


@dataclass(frozen=True, slots=True)
class _Entry:
    stored: StoredResult
    items: list[ItemRow]

    @property
    def result(self) -> Result:
        return self.stored.result

    @property
    def model(self) -> str:
        return self.result["model"]["hash"]

    @property
    def key(self) -> _Key:
        task = self.result["task"]
        return task["name"], task["dataset_sha256"], self.result["protocol"]["name"]


def compare(folder: Path, *, base: str | None = None, usual: str | None = None, resamples: int = RESAMPLES) -> Report:
    """The report over all results in `folder`.

    Args:
        folder: of result files; others are passed over and named in `problems`.
        base: name or beginning of the hash of the model to compare with.
        usual: hash of the one to compare with where no `base` is told and it was run; else it is the one run first.
        resamples: of the bootstrap.

    Raises:
        BenchError: no model is called `base`.
    """
    listing = list_results(folder)
    entries, problems = _newest_readable(listing.results)
    base_hash = _base_hash(entries, base, usual, listing.results)
    by_place = {(entry.model, entry.key): entry for entry in entries}
    rows = [_row(entry, by_place, base_hash, resamples) for entry in sorted(entries, key=_order(base_hash))]
    tasks = {row.task for row in rows}
    return Report(
        tuple(rows),
        tuple(row for row in published_rows() if row.task in tasks),
        next((row.model for row in rows if row.is_base), None),
        listing.problems + tuple(problems),
    )


def _newest_readable(results: Sequence[StoredResult]) -> tuple[list[_Entry], list[str]]:
    """Of each question (model, task, dataset, protocol) the last run whose items are sound; and what is wrong."""
    found: dict[tuple[str, _Key], _Entry] = {}
    problems = []
    for stored in reversed(results):  # newest first
        question = _Entry(stored, [])
        if (question.model, question.key) in found:
            continue
        try:
            found[question.model, question.key] = _Entry(stored, stored.items())
        except BenchError as error:
            problems.append(error.message)
    return list(found.values()), problems


def _base_hash(
    entries: Sequence[_Entry], wanted: str | None, usual: str | None, results: Iterable[StoredResult]
) -> str | None:
    if wanted is None:
        known = {entry.model for entry in entries}
        if usual in known:
            return usual
        ran = (stored.result["model"]["hash"] for stored in results)  # oldest first: a rerun changes no order
        return next((model for model in ran if model in known), None)
    named = {entry.model for entry in entries if entry.result["model"]["name"] == wanted}
    found = named or {entry.model for entry in entries if wanted and entry.model.startswith(wanted)}
    if len(found) != 1:
        names = sorted({entry.result["model"]["name"] for entry in entries})
        problem = "means several models" if found else "is none of the models"
        raise BenchError(f"the base {wanted!r} {problem}", hint="measured: " + (", ".join(names) or "nothing yet"))
    return found.pop()


def _order(base_hash: str | None) -> Callable[[_Entry], tuple[Any, ...]]:
    def key(entry: _Entry) -> tuple[Any, ...]:
        task, dataset, protocol = entry.key
        rank = PROTOCOLS.index(protocol) if protocol in PROTOCOLS else len(PROTOCOLS)
        return task, dataset, rank, entry.model != base_hash, entry.result["created"]

    return key


def _row(
    entry: _Entry, by_place: dict[tuple[str, _Key], _Entry], base_hash: str | None, resamples: int
) -> ComparisonRow:
    result, is_base = entry.result, entry.model == base_hash
    base = None if is_base or base_hash is None else by_place.get((base_hash, entry.key))
    model, (metric, *further) = result["model"], result["metrics"]
    headline = result["metrics"][metric]
    return ComparisonRow(
        run=result["run"],
        model=model["name"],
        model_hash=model["hash"],
        arch=model["arch"],
        activation=model["activation"],
        precision=model["precision"],
        task=result["task"]["name"],
        dataset_sha256=result["task"]["dataset_sha256"],
        pictures_folder=result["task"].get("pictures_folder", ""),
        protocol=result["protocol"]["name"],
        denied=denies(result["task"]["name"], (row["cue"] for row in entry.items)),
        metric=metric,
        correct=headline["correct"],
        n=headline["n"],
        accuracy=_interval(headline),
        others=tuple(_share(name, result["metrics"][name]) for name in further),
        chance=result["task"]["chance"],
        baselines=tuple(_share(name, score) for name, score in result["baselines"].items()),
        ties=result["ties"],
        nan=result["nan"],
        is_base=is_base,
        base=_paired(entry.items, base.items, resamples) if base else None,
        slices=_slices(entry.items, base.items if base else None, resamples),
        differing=_differing(entry, by_place),
        notes=_notes(entry, base),
    )


def _paired(ours: Sequence[ItemRow], theirs: Sequence[ItemRow], resamples: int) -> Paired | None:
    """Over the items that both answered: all of them, unless somebody cut a file short."""
    other = {row["id"]: row["correct"] for row in theirs}
    both = [row for row in ours if row["id"] in other]
    if not both:
        return None
    right = [row["correct"] for row in both]
    return paired(right, [other[row["id"]] for row in both], [row["cluster"] for row in both], resamples=resamples)


def _slices(items: Sequence[ItemRow], base: Sequence[ItemRow] | None, resamples: int) -> tuple[Slice, ...]:
    groups: dict[tuple[str, str], list[ItemRow]] = {}
    for row in items:
        for cut, value in row["slices"].items():
            groups.setdefault((cut, str(value)), []).append(row)
    ordered = sorted(groups.items(), key=lambda group: (group[0][0], _rank(*group[0]), -len(group[1]), group[0][1]))
    return tuple(_slice(cut, value, rows, base, resamples) for (cut, value), rows in ordered)


def _rank(cut: str, value: str) -> int:
    """The place of a value in its cut's own order; what has none there comes after it."""
    order = ORDERS.get(cut, ())
    return order.index(value) if value in order else len(order)


def _slice(cut: str, value: str, rows: list[ItemRow], base: Sequence[ItemRow] | None, resamples: int) -> Slice:
    correct = sum(row["correct"] for row in rows)
    against = _paired(rows, base, resamples) if base is not None else None
    return Slice(cut=cut, value=value, correct=correct, n=len(rows), accuracy=wilson(correct, len(rows)), base=against)


def _differing(entry: _Entry, by_place: dict[tuple[str, _Key], _Entry]) -> tuple[str, ...]:
    """Ids on which the same model's answer is right under one protocol only."""
    task, dataset, protocol = entry.key
    others = [by_place.get((entry.model, (task, dataset, name))) for name in PROTOCOLS if name != protocol]
    right = {row["id"]: row["correct"] for row in entry.items}
    return tuple(
        row["id"]
        for other in others
        if other
        for row in other.items
        if right.get(row["id"]) not in {None, row["correct"]}
    )


def _notes(entry: _Entry, base: _Entry | None) -> tuple[str, ...]:
    result, notes = entry.result, []
    headline = next(iter(result["metrics"].values()))
    better = [
        f"{name} {score['correct']:,.9g}"
        for name, score in result["baselines"].items()
        if score["correct"] >= headline["correct"]
    ]
    if better:
        notes.append(f"a blind guess does as well: {', '.join(better)} of {headline['n']:,}")
    if result["nan"]:
        notes.append(f"{result['nan']} items have a score that is NaN")
    if base and base.result["task"]["pictures_sha256"] != result["task"]["pictures_sha256"]:
        notes.append("the base saw other pictures under the same names")
    return tuple(notes)


def tie_notes(row: ComparisonRow) -> str:
    """Which blind guesses of the row have nothing to go by on some items, in words; empty where all always do."""
    counts: dict[int, list[str]] = {}
    for guess in row.baselines:
        if guess.ties:
            counts.setdefault(guess.ties, []).append(guess.name)
    told = [f"{', '.join(names)} on {'all' if ties == row.n else ties} items" for ties, names in counts.items()]
    return f"a blind guess that cannot tell k boxes apart counts 1/k: {'; '.join(told)}" if told else ""


def _interval(score: Score | GuessShare) -> Interval:
    return Interval(score["value"], score["low"], score["high"])


def _share(name: str, score: Score | GuessShare) -> Share:
    ties = int(score.get("ties", 0))  # type: ignore[call-overload]  # a metric has none
    return Share(name=name, correct=score["correct"], n=score["n"], accuracy=_interval(score), ties=ties)
