"""Table of text-to-image tasks: Neg Score, question accuracy and both, with the judge's error."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from benchmarks.analysis.comparison import ComparisonRow
from benchmarks.analysis.statistics import PairedDifference
from benchmarks.results import StoredResult
from benchmarks.schema import PICTURE_METRICS, QUESTION_ACCURACY, JudgeFacts
from curation_db.stats.intervals import Interval
from curation_db.stats.misclassification import JudgeErrors, corrected_share
from workbench.console.number_format import NONE, p_value, percent, signed, signed_span, span
from workbench.console.tables import Listing

_TITLES: Mapping[str, str] = {
    "both": "both %",
    "neg_score": "Neg Score %",
    QUESTION_ACCURACY: "questions %",
    "subject": "subject %",
}
"""Metrics in the order of the columns."""
_DIFFERENCE: Final = ("Neg Score vs ref", "95 %", "p")


@dataclass(frozen=True, slots=True, kw_only=True)
class PictureScore:
    """Scores of one text encoder."""

    task: str
    model: str
    judge: JudgeFacts
    correct: int
    """Pictures with the subject and without the negated thing."""
    n: int
    """Pictures."""
    shares: Mapping[str, Interval]
    """By the name of the metric."""
    neg_score: PairedDifference | None = None
    """Difference of the Neg Score from that of the original text encoder; None: it is the original, or not compared."""


def is_picture_metric(metric: str) -> bool:
    """Return whether a main metric is that of a text-to-image task."""
    return metric in PICTURE_METRICS


def report_scores(rows: Iterable[ComparisonRow]) -> list[PictureScore]:
    """Return the scores of the text-to-image tasks in a report."""
    return [
        PictureScore(
            task=row.task,
            model=row.model,
            judge=row.judge,
            correct=row.correct,
            n=row.n,
            shares={row.metric: row.accuracy, **{each.name: each.accuracy for each in row.others}},
            neg_score=next((each.base for each in row.others if each.name == "neg_score"), None),
        )
        for row in rows
        if row.judge is not None and is_picture_metric(row.metric)
    ]


def stored_scores(stored: Iterable[StoredResult]) -> list[PictureScore]:
    """Return the scores of results of text-to-image tasks."""
    return [
        PictureScore(
            task=each.result["task"]["name"],
            model=each.result["model"]["name"],
            judge=each.result["judge"],
            correct=each.result["metrics"]["both"]["correct"],
            n=each.result["metrics"]["both"]["n"],
            shares={
                name: Interval(score["value"], score["low"], score["high"])
                for name, score in each.result["metrics"].items()
            },
        )
        for each in stored
        if "judge" in each.result and "both" in each.result["metrics"]
    ]


def picture_listings(scores: Sequence[PictureScore], errors: Mapping[str, JudgeErrors]) -> list[Listing]:
    """Return one table per task and judge.

    Args:
        errors: Errors of the judges by `JudgeFacts.id`; the share of both is corrected for them.
    """
    groups: dict[tuple[str, str], list[PictureScore]] = {}
    for score in scores:
        groups.setdefault((score.task, score.judge["id"]), []).append(score)
    spans = [cell for title in _TITLES.values() for cell in (title, "95 %")]
    compared = _DIFFERENCE if any(score.neg_score for score in scores) else ()
    headers = ("model", *spans, *compared, "both corrected %", "95 % with judge's error")
    dispensable = [
        (8, "the interval of the subject"),
        (6, "the interval of the questions"),
        (len(headers) - 1, "the interval with the judge's error"),
        (len(headers) - 2, "the corrected share"),
        (7, "the subject"),
    ]
    return [
        Listing(
            f"{task}: {group[0].n:,} pictures for each text encoder, judge {group[0].judge['name']}",
            headers,
            [_cells(score, errors.get(judge), compared=bool(compared)) for score in group],
            dispensable=dispensable,
        )
        for (task, judge), group in groups.items()
    ]


def _cells(score: PictureScore, errors: JudgeErrors | None, *, compared: bool) -> tuple[str, ...]:
    shares = (score.shares[name] for name in _TITLES)
    corrected = None if errors is None else corrected_share(score.correct, score.n, errors)
    base = score.neg_score
    difference = ("", "", "") if base is None else _difference(base)
    unknown = "not measured" if errors is None else "too few labels"
    return (
        score.model,
        *(cell for share in shares for cell in (percent(share.estimate), span(share))),
        *(difference if compared else ()),
        percent(corrected.estimate) if corrected else NONE,
        span(corrected) if corrected else unknown,
    )


def _difference(base: PairedDifference) -> tuple[str, str, str]:
    return signed(base.difference.estimate), signed_span(base.difference), p_value(base.p_value)
