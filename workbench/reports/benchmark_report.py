"""Tables, JSON and screen cells of the report of `benchmarks.analysis.comparison`.

Strict results precede official ones. Every figure on denied phrases is shown with the figure on their affirmative twin
or with a text that says why there is none (`benchmarks.affirmative_twins`): training that flips the sign of the text
raises the first figure and lowers the second.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, NamedTuple

from benchmarks.affirmative_twins import (
    NO_TWIN,
    NOT_RUN,
    missing_twin_advice,
    missing_twin_label,
    needs_twin,
    twin_name,
)
from benchmarks.analysis.comparison import (
    Against,
    ComparisonRow,
    Report,
    Share,
    Slice,
    ambiguous_names,
    shown_name,
    tie_notes,
)
from benchmarks.analysis.statistics import FEW_DISCORDANT, PairedDifference
from benchmarks.protocols import PROTOCOLS
from benchmarks.results import StoredResult
from benchmarks.schema import PRECISION_METRIC, Score
from benchmarks.text_limit import cut_text
from benchmarks.training_overlap import alike_text, overlap_text
from benchmarks.verdicts import BROKEN, undecided, undecided_text, verdicts
from curation_db.stats.intervals import Interval
from curation_db.stats.misclassification import JudgeErrors
from workbench.console.number_format import NONE, count, p_value, percent, signed, signed_span, span
from workbench.console.tables import Listing
from workbench.reports.interval_bars import TITLE as BAR_TITLE
from workbench.reports.interval_bars import interval_bar
from workbench.reports.judged_scores import JudgedScore, corrected_share_of, error_note, judge_notes, judged_listings
from workbench.reports.mask_scores import (
    MaskScore,
    iou_cells,
    mask_listings,
    segmentation_notes,
    segmenter_lines,
    slice_mask_listing,
)
from workbench.reports.picture_scores import is_picture_metric, picture_listings, report_scores
from workbench.reports.published_figures import misses_json, published_listings

_HIDDEN_CUTS = frozenset({"cue_class"})
"""Slices that only --json shows: the cue itself is more specific."""
_AGAINST: dict[Against, tuple[str, str, str]] = {
    "base": ("vs base", "95 %", "p"),
    "reference": ("vs ref", "95 %", "p"),
}
_AFFIRMED = "affirm %"
_LOSS = "affirm loss"
"""Points of affirmative accuracy that a model has lost against the base."""
_BAR_CELLS = 16
"""With bars of this length, the table of a slice fits into 80 columns: model, share, interval, bar, difference."""
_UNDECIDED = "undecided"
"""Items with NaN, ties or equal scores; the column is left out where no model has any."""
DISAGREEMENT_MARK = "!"
"""After a p whose interval says the contrary."""


class FigureCells(NamedTuple):
    """Cells of a share and of its difference from the base; empty texts without a base to compare with."""

    right: str
    share: str
    interval: str
    difference: str
    difference_interval: str
    p: str

    @property
    def measured(self) -> tuple[str, str, str]:
        """The cells of the share, without the difference."""
        return self[:3]


def figure_cells(correct: float, n: int, accuracy: Interval, base: PairedDifference | None = None) -> FigureCells:
    """Return the cells of a share and of its paired difference `base`."""
    against = ("", "", "")
    if base is not None:
        doubt = DISAGREEMENT_MARK if base.interval_disagrees else ""
        against = signed(base.difference.estimate), signed_span(base.difference), p_value(base.p_corrected) + doubt
    return FigureCells(f"{count(correct)}/{n:,}", percent(accuracy.estimate), span(accuracy), *against)


@dataclass(frozen=True, slots=True)
class ReportLine:
    """Results of a model on a task: both protocols and the affirmative twin."""

    main: ComparisonRow
    """The strict result, or the official one if strict was not run."""
    official: ComparisonRow | None
    affirmed: ComparisonRow | None
    """Result of the same model on the affirmed phrases, for a task with denied phrases."""
    first: bool
    """Whether this is the first line of its task."""

    @property
    def key(self) -> str:
        """Key of model and dataset, equal for repeated runs."""
        return "\0".join(_line_key(self.main))

    @property
    def affirmed_figure(self) -> str:
        """Accuracy on the affirmed phrases, or why there is none."""
        return affirmed_figure(self.main, self.affirmed)

    @property
    def differs(self) -> bool:
        """Whether the two protocols score any item differently."""
        return self.official is not None and bool(self.main.differing)

    def cells(self) -> dict[str, str]:
        row = self.main
        figures = figure_cells(row.correct, row.n, row.accuracy, row.base)
        if self.official is not None:
            official = f"≠ {percent(self.official.accuracy.estimate)}" if self.differs else "same"
        else:
            official = "only official" if row.protocol == PROTOCOLS[1] else NONE
        return {
            "task": row.task,
            "model": row.model,
            "n": f"{row.n:,}",
            "right": f"⚠ {figures.share}" if any(each.code in BROKEN for each in row.verdicts) else figures.share,
            "interval": figures.interval,
            "affirmed": self.affirmed_figure if row.denied else "",
            "official": official,
            "blind": percent(max((each.accuracy.estimate for each in row.baselines), default=row.chance)),
            **base_cells(figures, row),
        }


def base_cells(figures: FigureCells, row: ComparisonRow) -> dict[str, str]:
    """Return the screen cells of the difference from the reference of `row`, or a mark for the reference itself."""
    mark = "base" if row.against == "base" else "ref"
    difference = figures.difference or (mark if row.is_reference else NONE)
    return {"base": difference, "base95": figures.difference_interval, "p": figures.p}


def report_lines(report: Report) -> list[ReportLine]:
    """Group the report's rows by model and task, in the order of the report."""
    grouped: dict[tuple[str, str, str, str], list[ComparisonRow]] = {}
    for row in report.rows:
        grouped.setdefault(_line_key(row), []).append(row)
    lines: list[ReportLine] = []
    for (task, version, dataset, _), rows in grouped.items():
        previous = lines[-1].main if lines else None
        first = previous is None or (previous.task, previous.version, previous.dataset_sha256) != (
            task,
            version,
            dataset,
        )
        lines.append(ReportLine(rows[0], rows[1] if len(rows) > 1 else None, report.twin_of(rows[0]), first))
    return lines


def _line_key(row: ComparisonRow) -> tuple[str, str, str, str]:
    return row.task, row.version, row.dataset_sha256, row.model_hash


def affirmed_figure(row: ComparisonRow, twin: ComparisonRow | None) -> str:
    """Return the accuracy on the affirmative twin, in percent, or why there is none."""
    return percent(twin.accuracy.estimate) if twin else missing_twin_label(row.task)


def slice_cells(each: Slice | None, row: ComparisonRow) -> dict[str, str]:
    """Return the cells of the slices screen by column, without the slice's name; None: all items of `row`."""
    part = each or row
    figures = figure_cells(part.correct, part.n, part.accuracy, part.base)
    base = base_cells(figures, row)
    masks = row.segmentation if each is None else each.masks
    iou = {} if masks is None else dict(zip(("miou", "miou95"), iou_cells(masks, compared=False), strict=False))
    return {"n": f"{part.n:,}", "right": figures.share, "interval": figures.interval, **iou, **base}


def listings(report: Report, *, slices: bool = False) -> list[Listing]:
    """Return the tables of the report, optionally with a table per slice."""
    by_task = _by_task(report.rows)
    tables = [
        *(_task(rows, report) for rows in by_task),
        *judged_listings(_judged_scores(report), report.judge_errors),
        *picture_listings(report_scores(report.rows), report.judge_errors),
        *mask_listings([MaskScore.of_row(row) for row in report.rows]),
    ]
    if slices:
        tables += [listing for rows in by_task for listing in _slices(_first_protocol(rows), report)]
    return [
        listing
        for listing in [*tables, _left_out(report), _differing(report), _notes(report), *published_listings(report)]
        if listing.rows
    ]


def _judged_scores(report: Report) -> list[JudgedScore]:
    scores = (_judged_score(row) for row in report.rows)
    return [score for score in scores if score is not None]


def _judged_score(row: ComparisonRow) -> JudgedScore | None:
    if row.judge is None or is_picture_metric(row.metric):
        return None
    share = row.accuracy
    return JudgedScore(
        task=row.task,
        model=row.model,
        protocol=row.protocol,
        judge=row.judge,
        both={"correct": row.correct, "n": row.n, "value": share.estimate, "low": share.low, "high": share.high},
        shares={row.metric: share.estimate, **{each.name: each.accuracy.estimate for each in row.others}},
    )


def _corrected_json(row: ComparisonRow, report: Report) -> dict[str, Any]:
    """Return the share corrected for the judge's errors; null if they are not measured. Empty without a judge."""
    corrected = corrected_share_of(row, report.judge_errors)
    return {} if row.judge is None else {"corrected": asdict(corrected) if corrected else None}


def as_json(report: Report) -> dict[str, Any]:
    """Return the report as JSON types; a row about denied phrases has its affirmative twin, or why there is none."""
    rows = [_row_json(row, report) for row in report.rows]
    return {**report.as_dict(), "rows": rows, "published_misses": misses_json(report)}


def _row_json(row: ComparisonRow, report: Report) -> dict[str, Any]:
    slices = [asdict(part) | {"base": difference_json(part.base)} for part in row.slices]
    twin = _twin_json(row, report) if row.denied else None
    return (
        asdict(row)
        | {"base": difference_json(row.base), "slices": slices, "affirmative": twin}
        | _corrected_json(row, report)
    )


def difference_json(base: PairedDifference | None) -> dict[str, Any] | None:
    """Return a difference with what follows from it: whether it is significant, and what could have been detected."""
    if base is None:
        return None
    derived = {name: getattr(base, name) for name in ("significant", "interval_disagrees", "detectable")}
    return asdict(base) | derived


def _twin_json(row: ComparisonRow, report: Report) -> dict[str, Any]:
    twin = report.twin_of(row)
    if twin is None:
        return {"task": twin_name(row.task), "state": missing_twin_label(row.task)}
    accuracy = asdict(twin.accuracy)
    measured = {"state": "measured", "correct": twin.correct, "n": twin.n, "accuracy": accuracy}
    return {"task": twin.task, **measured, "base": difference_json(twin.base)}


def _by_task(rows: Iterable[ComparisonRow]) -> list[list[ComparisonRow]]:
    groups: dict[tuple[str, str, str], list[ComparisonRow]] = {}
    for row in rows:
        groups.setdefault((row.task, row.version, row.dataset_sha256), []).append(row)
    return list(groups.values())


def _first_protocol(rows: Sequence[ComparisonRow]) -> list[ComparisonRow]:
    return [row for row in rows if row.protocol == rows[0].protocol]


def _task(rows: Sequence[ComparisonRow], report: Report) -> Listing:
    first = rows[0]
    others = [share.name for share in first.others]
    affirmed = [_AFFIRMED, _LOSS] if first.denied else []
    doubtful = [_UNDECIDED] if any(undecided_text(row.undecided) != "0" for row in rows) else []
    shown = [name.replace(PRECISION_METRIC, "P@") for name in others]
    headers = ("rule", "model", "right", "%", "95 %", *_AGAINST[first.against], *affirmed, *doubtful, *shown)
    cells: list[tuple[str, ...]] = []
    for rule in dict.fromkeys(row.protocol for row in rows):
        own = [row for row in rows if row.protocol == rule]
        cells += [_model_cells(row, report, others, undecided_column=bool(doubtful)) for row in own]
        cells += [_blind_cells(rule, share, len(headers)) for share in own[0].baselines]
    chance = "" if first.judge or first.segmentation else f", chance {percent(first.chance)} %"
    title = f"{first.task}: {first.metric.replace('_', ' ')}, n = {first.n:,}{chance}"
    title = f"{title}, data {first.dataset_sha256[:8]}"
    if len(report.versions_of(first.task)) > 1:
        title = f"{title}, version {first.version} of the task"
    return Listing(title, headers, cells, left=2, dispensable=_dispensable(headers, shown), grouped=True)


def _dispensable(headers: Sequence[str], others: Sequence[str] = ()) -> list[tuple[int, str]]:
    """Return the columns to omit in a narrow terminal: other metrics, then the affirmative loss, p, the interval."""
    at = next(place for place, header in enumerate(headers) if header.startswith("vs "))
    loss = [(headers.index(_LOSS), "the affirmative loss")] if _LOSS in headers else []
    return [(headers.index(name), name) for name in others] + [
        *loss,
        (at + 2, "p"),
        (at + 1, "the interval of the difference"),
    ]


def _model_cells(
    row: ComparisonRow, report: Report, others: Sequence[str], *, undecided_column: bool
) -> tuple[str, ...]:
    name = row.model + (f" ({row.against})" if row.is_reference and row.model != row.against else "")
    cells = (row.protocol, name, *figure_cells(row.correct, row.n, row.accuracy, row.base))
    measured = {share.name: percent(share.accuracy.estimate) for share in row.others}
    doubt = (undecided_text(row.undecided),) if undecided_column else ()
    loss = (_affirmative_loss(report.twin_of(row)),) if row.denied else ()
    return (*cells, *_twin_cell(row, report), *loss, *doubt, *(measured.get(name, "") for name in others))


def _affirmative_loss(twin: ComparisonRow | None) -> str:
    """Return the base's accuracy on the affirmed phrases minus that of the model, in points; empty without both."""
    if twin is None or twin.base is None:
        return ""
    return percent(round(-twin.base.difference.estimate, 3) + 0.0)  # + 0.0: -0.0 would show its sign


def _twin_cell(row: ComparisonRow, report: Report) -> tuple[str, ...]:
    return (affirmed_figure(row, report.twin_of(row)),) if row.denied else ()


def _blind_cells(rule: str, share: Share, width: int) -> tuple[str, ...]:
    cells = (rule, f"blind: {share.name}", *figure_cells(share.correct, share.n, share.accuracy).measured)
    return cells + ("",) * (width - len(cells))


def visible_cuts(rows: Sequence[ComparisonRow]) -> list[str]:
    """Return the cuts that tables and charts show."""
    return list(dict.fromkeys(part.cut for row in rows for part in row.slices if part.cut not in _HIDDEN_CUTS))


def _slices(rows: Sequence[ComparisonRow], report: Report) -> list[Listing]:
    cuts = visible_cuts(rows)
    tables = [table for cut in cuts for table in (_cut(rows, cut, report), slice_mask_listing(rows, cut))]
    return [listing for listing in tables if len({row[0] for row in listing.rows}) > 1]


def _cut(rows: Sequence[ComparisonRow], cut: str, report: Report) -> Listing:
    """Return the table of a cut, such as the cue: a group of models per value."""
    values = dict.fromkeys(part.value for part in rows[0].slices if part.cut == cut)
    cells = [
        (value, row.model, *_slice_figures(part), *_twin_cell(row, report))
        for value in values
        for row in rows
        for part in row.slices
        if (part.cut, part.value) == (cut, value)
    ]
    affirmed = [f"{_AFFIRMED} (all)"] if rows[0].denied else []
    headers = (cut, "model", "right", "%", "95 %", BAR_TITLE, *_AGAINST[rows[0].against], *affirmed)
    dispensable = [*_dispensable(headers), (2, "right"), (5, "the bars")]
    title = f"{rows[0].task}, {rows[0].protocol}, by {cut}"
    return Listing(title, headers, cells, left=2, dispensable=dispensable, grouped=True)


def _slice_figures(part: Slice) -> tuple[str, ...]:
    """Return the cells of a slice, with its bar before the difference from the base."""
    figures = figure_cells(part.correct, part.n, part.accuracy, part.base)
    return (*figures.measured, interval_bar(part.accuracy, _BAR_CELLS), *figures[3:])


def _left_out(report: Report) -> Listing:
    """Return the models that have no rows for a task, because they were trained on its images."""
    cells = [(each.task, each.model, overlap_text(each.overlap, each.images)) for each in report.left_out]
    title = "Left out: trained on images of the benchmark (--allow-overlap shows them)"
    return Listing(title, ("task", "model", "overlap"), cells, left=3, grouped=True)


def _differing(report: Report) -> Listing:
    """Return the strict and official results that differ in any item."""
    rules = {(*_line_key(row), row.protocol): row for row in report.rows}
    cells = []
    for row in report.rows:
        other = rules.get((*_line_key(row), PROTOCOLS[1]))
        if row.protocol == PROTOCOLS[0] and row.differing and other:
            share = (percent(row.accuracy.estimate), percent(other.accuracy.estimate), f"{len(row.differing):,}")
            cells.append((row.task, row.model, *share, *_twin_cell_or_empty(row, report), f"{row.ties:,}"))
    headers = ("task", "model", "strict %", "official %", "items", _AFFIRMED, "ties")
    return Listing("Where strict and official differ, and on how many items", headers, cells, left=2, grouped=True)


def _twin_cell_or_empty(row: ComparisonRow, report: Report) -> tuple[str]:
    """Return the cell of the affirmative twin; empty for a task without denied phrases."""
    return ((_twin_cell(row, report) or ("",))[0],)


def _notes(report: Report) -> Listing:
    """Return the notes on the results, each once with the models that it concerns."""
    concerned: dict[tuple[str, str], list[ComparisonRow]] = {}
    for row in report.rows:
        for note in (*row.notes, *_further_notes(row, report)):
            concerned.setdefault((row.task, note), []).append(row)
    cells = [(task, _model_names(rows, report), note) for (task, note), rows in concerned.items()]
    if report.reference_note:
        cells.append(("all tasks", "all", report.reference_note))
    return Listing("Notes", ("task", "model", "note"), cells, left=3, grouped=True)


DISAGREES = (
    f"p with {DISAGREEMENT_MARK}: the interval and McNemar's test disagree on whether the difference is zero; "
    "the test decides"
)


def power_note(base: PairedDifference) -> str:
    """Return which difference the items would show, for a difference that is not significant."""
    if not base.gained + base.lost:
        return f"both models answer all {base.items:,} items alike"
    points = percent(base.detectable)
    discordant = percent((base.gained + base.lost) / base.items)
    return (
        f"{base.items:,} items, {discordant} % of them discordant, show differences from {points} points (80 % power)"
    )


def _further_notes(row: ComparisonRow, report: Report) -> list[str]:
    notes = [tie_notes(row), *segmentation_notes(row)]
    if row.judge is not None:
        notes += [*judge_notes(row.judge), error_note(row.task, report.judge_errors.get(row.judge["id"]))]
    if row.base is not None and row.base.p_holm is not None:
        notes.append("p is McNemar's, corrected for all comparisons of the report under one rule (Holm)")
    if row.base is not None:
        notes += difference_notes(row.base)
    if len(versions := report.versions_of(row.task)) > 1:
        notes.append(f"run under versions {', '.join(versions)} of the task, which are not compared with each other")
    if row.denied and report.twin_of(row) is None:
        notes.append(missing_twin_advice(row.task))
    return [note for note in notes if note]


def difference_notes(base: PairedDifference) -> list[str]:
    """Return what makes a difference doubtful: its power, a contrary interval, few discordant items."""
    return [
        *([] if base.significant else [power_note(base)]),
        *([DISAGREES] if base.interval_disagrees else []),
        *([f"fewer than {FEW_DISCORDANT} items differ: the interval also covers Newcombe's"] * base.has_few_discordant),
    ]


def _model_names(rows: Sequence[ComparisonRow], report: Report) -> str:
    """Return the models of `rows`; a model with only some of its protocols is followed by their names."""
    task_rows = [row for row in report.rows if row.task == rows[0].task]
    if len(rows) == len(task_rows):
        return "all"
    protocols: dict[str, list[str]] = {}
    for row in rows:
        protocols.setdefault(row.model, []).append(row.protocol)
    return ", ".join(
        model if len(rules) == sum(row.model == model for row in task_rows) else f"{model} ({', '.join(rules)})"
        for model, rules in protocols.items()
    )


def results_listing(stored: Sequence[StoredResult], known: Sequence[StoredResult]) -> Listing:
    """Return the table of `negwb bench run`.

    Args:
        known: All results of the workspace, among them the affirmative twins.
    """
    cells: list[tuple[str, ...]] = []
    ambiguous = ambiguous_names([*known, *stored])
    for stored_result in stored:
        result = stored_result.result
        metric, score = next(iter(result["metrics"].items()))
        model = shown_name(result["model"], ambiguous)
        name = result["task"]["name"], model, result["protocol"]["name"], metric.replace("_", " ")
        share = figure_cells(score["correct"], score["n"], interval_of(score)).measured
        cells.append((*name, *share, _stored_twin_cell(stored_result, known), _undecided_cell(stored_result)))
    headers: tuple[str, ...] = ("task", "model", "rule", "metric", "right", "%", "95 %", _AFFIRMED, _UNDECIDED)
    if not any(row[7] for row in cells):
        headers, cells = _without(headers, 7), [_without(row, 7) for row in cells]
    dispensable = [(3, "metric")]
    return Listing("Results", headers, cells, left=4, dispensable=dispensable, grouped=True)


def _undecided_cell(stored_result: StoredResult) -> str:
    return undecided_text(undecided(stored_result.items()))


def cut_lines(stored: Sequence[StoredResult]) -> list[str]:
    """Return a line for each model and task with texts that the model cuts at its token limit."""
    results = (one.result for one in stored)
    found = [(result, cut_text(result["texts"])) for result in results if "texts" in result]
    lines = [f"{result['model']['name']} on {result['task']['name']}: {text}" for result, text in found if text]
    return list(dict.fromkeys(lines))


def overlap_lines(stored: Sequence[StoredResult]) -> list[str]:
    """Return a line for each model and task whose images the model was trained on."""
    lines = []
    for result in (one.result for one in stored):
        if (overlap := result.get("overlap")) and overlap["images"]:
            seen = overlap_text(overlap, result["task"]["images"])
            lines.append(f"{result['model']['name']} on {result['task']['name']}: {seen}")
    return list(dict.fromkeys(lines))


def alike_lines(stored: Sequence[StoredResult]) -> list[str]:
    """Return a line for each model and task with images that look like images of the training."""
    found = [
        (result, alike_text(overlap, result["task"]["images"]))
        for result in (one.result for one in stored)
        if (overlap := result.get("overlap"))
    ]
    lines = [f"{result['model']['name']} on {result['task']['name']}: {text}" for result, text in found if text]
    return list(dict.fromkeys(lines))


def verdict_lines(stored: Sequence[StoredResult], known: Sequence[StoredResult]) -> list[str]:
    """Return a line for each verdict on the results of `negwb bench run`."""
    ambiguous = ambiguous_names([*known, *stored])
    lines = []
    for one in stored:
        model = shown_name(one.result["model"], ambiguous)
        place = f"{model} on {one.result['task']['name']} ({one.result['protocol']['name']})"
        lines += [f"{place}: {each.text}" for each in verdicts(one.result, one.items())]
    return lines


def stored_judged_listings(stored: Sequence[StoredResult], errors: Mapping[str, JudgeErrors]) -> list[Listing]:
    """Return the tables of the judged tasks among the results of `negwb bench run`."""
    scores = [
        JudgedScore(
            task=result["task"]["name"],
            model=result["model"]["name"],
            protocol=result["protocol"]["name"],
            judge=result["judge"],
            both=_headline(each),
            shares={name: score["value"] for name, score in result["metrics"].items()},
        )
        for each in stored
        for result in [each.result]
        if "judge" in result and result["task"]["kind"] == "judged"
    ]
    return judged_listings(scores, errors)


def stored_mask_listings(stored: Sequence[StoredResult]) -> list[Listing]:
    """Return the tables of IoU scores of the segmentation tasks among results."""
    return mask_listings([MaskScore.of_result(each.result) for each in stored])


def mask_lines(stored: Sequence[StoredResult]) -> list[str]:
    """Return how the masks of the segmentation tasks among results were predicted, each once."""
    return segmenter_lines([each.result for each in stored])


def judge_lines(stored: Sequence[StoredResult]) -> list[str]:
    """Return who answered the questions of the judged tasks among the results, each once."""
    judged = [each.result for each in stored if "judge" in each.result]
    lines = [f"{result['task']['name']}: {note}" for result in judged for note in judge_notes(result["judge"])]
    return list(dict.fromkeys(lines))


def _without(cells: tuple[str, ...], column: int) -> tuple[str, ...]:
    return cells[:column] + cells[column + 1 :]


def _stored_twin_cell(stored_result: StoredResult, known: Sequence[StoredResult]) -> str:
    """Return the affirmative twin's accuracy or why there is none; empty for a task without denied phrases."""
    if not _denies(stored_result):
        return ""
    twin = twin_result(stored_result, known)
    return percent(_headline(twin)["value"]) if twin else missing_twin_label(stored_result.result["task"]["name"])


def _denies(stored_result: StoredResult) -> bool:
    task = stored_result.result["task"]
    return needs_twin(task["kind"], task["name"], (row["cue"] for row in stored_result.items()))


def _headline(stored_result: StoredResult) -> Score:
    return next(iter(stored_result.result["metrics"].values()))


def twin_result(stored_result: StoredResult, known: Sequence[StoredResult]) -> StoredResult | None:
    """Return the newest result of the same model and protocol on the affirmative twin; `known` is oldest first."""
    wanted = twin_name(stored_result.result["task"]["name"]), *_key(stored_result)[1:]
    return next((each for each in reversed(known) if _key(each) == wanted), None)


def _key(stored_result: StoredResult) -> tuple[str, str, str]:
    return (
        stored_result.result["task"]["name"],
        stored_result.result["protocol"]["name"],
        stored_result.result["model"]["hash"],
    )


def twin_advice(stored: Sequence[StoredResult], known: Sequence[StoredResult]) -> list[str]:
    """Return one line of advice per denied-phrase task that was evaluated without its affirmative twin."""
    alone = (
        stored_result.result["task"]["name"]
        for stored_result in stored
        if _stored_twin_cell(stored_result, known) in {NOT_RUN, NO_TWIN}
    )
    return [f"{task}: {missing_twin_advice(task)}" for task in dict.fromkeys(alone)]


def result_json(stored: StoredResult, known: Sequence[StoredResult]) -> dict[str, Any]:
    """Return the summary of a result that `negwb bench run --json` prints; its file has all of it."""
    result = stored.result
    return {
        "run": result["run"],
        "path": str(stored.path),
        "task": result["task"]["name"],
        "protocol": result["protocol"]["name"],
        "model": result["model"]["name"],
        "model_hash": result["model"]["hash"],
        **{key: result[key] for key in ("metrics", "baselines", "ties", "nan", "seconds")},
        "overlap": result.get("overlap"),
        "texts": result.get("texts"),
        "undecided": asdict(undecided(stored.items())),
        "verdicts": [asdict(each) for each in verdicts(result, stored.items())],
        **({"balanced": result["balanced"]} if "balanced" in result else {}),
        **({"templates": result["task"]["templates"]} if "templates" in result["task"] else {}),
        **({"judge": result["judge"]} if "judge" in result else {}),
        **({"segmentation": result["segmentation"]} if "segmentation" in result else {}),
        "affirmative": _stored_twin_json(stored, known) if _denies(stored) else None,
    }


def _stored_twin_json(stored: StoredResult, known: Sequence[StoredResult]) -> dict[str, Any]:
    task, twin = stored.result["task"]["name"], twin_result(stored, known)
    if twin is None:
        return {"task": twin_name(task), "state": missing_twin_label(task)}
    return {"task": twin_name(task), "state": "measured", "run": twin.result["run"], **_headline(twin)}


def interval_of(score: Score) -> Interval:
    return Interval(score["value"], score["low"], score["high"])
