"""Table of judged benchmarks: the parts of a score that a judge's answers give."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from benchmarks.analysis.comparison import ComparisonRow
from benchmarks.schema import JudgeFacts, Score
from curation_db.language.sanitize import counted, display_text
from curation_db.stats.intervals import Interval
from curation_db.stats.misclassification import JudgeErrors, corrected_share
from workbench.console.number_format import NONE, percent, span
from workbench.console.tables import Listing


@dataclass(frozen=True, slots=True, kw_only=True)
class JudgedScore:
    """A score with the judge's answers behind it."""

    task: str
    model: str
    protocol: str
    judge: JudgeFacts
    both: Score
    """Share of first images with scene and negation right."""
    shares: Mapping[str, float]
    """Metrics by name, 0..1."""


def judge_label(judge: JudgeFacts) -> str:
    """Return the judge's name with its models, and what makes its answers doubtful."""
    models = ", ".join(dict.fromkeys(judge["models"]))
    doubts = {"simulated": judge["simulated"], "does not see images": judge["blind"]}
    known = [models if models != judge["name"] else "", *(text for text, holds in doubts.items() if holds)]
    details = "; ".join(filter(None, known))
    return display_text(judge["name"] + (f" ({details})" if details else ""), limit=120)


def judge_notes(judge: JudgeFacts) -> list[str]:
    """Return who answered, and how many answers are unclear if there are any."""
    unclear = f"{judge['unclear']:,} of {counted(judge['questions'], 'answer')} are unclear: they count as wrong"
    return [f"answered by {judge_label(judge)}", *([unclear] if judge["unclear"] else [])]


def judged_listings(scores: Sequence[JudgedScore], errors: Mapping[str, JudgeErrors]) -> list[Listing]:
    """Return one table per task and judge: scene, negation and both for the first image, Avg.5 and Top-5.

    Args:
        errors: Errors of the judges by `JudgeFacts.id`; the share of both is corrected for them.
    """
    groups: dict[tuple[str, str], list[JudgedScore]] = {}
    for score in scores:
        groups.setdefault((score.task, score.judge["id"]), []).append(score)
    first = ("scene %", "negation %", "both %", "of scene %", "corrected %", "95 % with judge's error")
    headers = ("rule", "model", *first, "Avg.5 %", "95 %", "Top-5 %")
    dispensable = [(9, "the interval of Avg.5"), (5, "negation, of the images with the right scene")]
    return [
        Listing(
            f"{task}: first image and first five, judge {group[0].judge['name']}",
            headers,
            [_cells(score, errors.get(judge)) for score in group],
            left=2,
            dispensable=dispensable,
            grouped=True,
        )
        for (task, judge), group in groups.items()
    ]


def error_note(task: str, errors: JudgeErrors | None) -> str:
    """Return how often people and the judge agree, or how to measure it."""
    if errors is None:
        return f"the judge's error is not measured; let people review a sample: negwb bench review {task}"
    counts = (
        f"people found {errors.right:,} reviewed images right and {errors.wrong:,} wrong; the judge agrees on "
        f"{errors.right_as_right:,} and {errors.wrong_as_wrong:,}"
    )
    return counts if errors.informative else f"{counts}: too little for a correction; review more answers"


def corrected_share_of(row: ComparisonRow, errors: Mapping[str, JudgeErrors]) -> Interval | None:
    """Return the main share of a row of a judged task, corrected for the judge's errors; None: see `corrected_both`."""
    if row.judge is None or (found := errors.get(row.judge["id"])) is None:
        return None
    return corrected_share(row.correct, row.n, found)


def corrected_both(score: JudgedScore, errors: JudgeErrors | None) -> Interval | None:
    """Return the share of first images with scene and negation right, corrected for the judge's errors.

    None: the errors are not measured, or the judge is no better than a coin.
    """
    both = score.both
    return None if errors is None else corrected_share(both["correct"], both["n"], errors)


def _cells(score: JudgedScore, errors: JudgeErrors | None) -> tuple[str, ...]:
    average, with_scene = (score.judge["shares"].get(name) for name in ("average_of_5", "negation_where_scene"))
    first = [percent(score.shares[f"{part}_at_1"]) for part in ("scene", "negation", "both")]
    of_five = (percent(average["value"]), span(_interval(average))) if average else (NONE, "")
    corrected = corrected_both(score, errors)
    return (
        score.protocol,
        score.model,
        *first,
        percent(with_scene["value"]) if with_scene else NONE,
        percent(corrected.estimate) if corrected else NONE,
        span(corrected) if corrected else "not measured" if errors is None else "too few labels",
        *of_five,
        percent(score.shares["both_in_5"]),
    )


def _interval(score: Score) -> Interval:
    return Interval(score["value"], score["low"], score["high"])
