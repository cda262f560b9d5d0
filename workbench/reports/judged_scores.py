"""Table of judged benchmarks: the parts of a score that a judge's answers give."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from benchmarks.schema import JudgeFacts, Score
from curation_db.language.sanitize import counted, display_text
from curation_db.stats.intervals import Interval
from workbench.console.number_format import NONE, percent, span
from workbench.console.tables import Listing


@dataclass(frozen=True, slots=True, kw_only=True)
class JudgedScore:
    """A score with the judge's answers behind it."""

    task: str
    model: str
    protocol: str
    judge: JudgeFacts
    shares: Mapping[str, float]
    """Metrics by name, 0..1."""


def judge_label(judge: JudgeFacts) -> str:
    """Return the judge's name with its models, and what makes its answers doubtful."""
    models = ", ".join(dict.fromkeys(judge["models"]))
    doubts = {"simulated by a script": judge["simulated"], "does not see images": judge["blind"]}
    known = [models if models != judge["name"] else "", *(text for text, holds in doubts.items() if holds)]
    details = "; ".join(filter(None, known))
    return display_text(judge["name"] + (f" ({details})" if details else ""), limit=120)


def judge_note(judge: JudgeFacts) -> str:
    """Return who answered how many questions, and how many answers are unclear."""
    asked = counted(judge["questions"], "question")
    return f"{asked} answered by {judge_label(judge)}; {judge['unclear']:,} unclear answers count as wrong"


def judged_listings(scores: Sequence[JudgedScore]) -> list[Listing]:
    """Return one table per task and judge: scene, negation and both for the first image, Avg.5 and Top-5."""
    groups: dict[tuple[str, str], list[JudgedScore]] = {}
    for score in scores:
        groups.setdefault((score.task, score.judge["id"]), []).append(score)
    headers = ("rule", "model", "scene %", "negation %", "both %", "of scene %", "Avg.5 %", "95 %", "Top-5 %")
    dispensable = [(7, "the interval of Avg.5"), (5, "negation, of the images with the right scene")]
    return [
        Listing(
            f"{task}: first image and first five, judge {group[0].judge['name']}",
            headers,
            [_cells(score) for score in group],
            left=2,
            dispensable=dispensable,
            grouped=True,
        )
        for (task, _), group in groups.items()
    ]


def _cells(score: JudgedScore) -> tuple[str, ...]:
    average, with_scene = (score.judge["shares"].get(name) for name in ("average_of_5", "negation_where_scene"))
    first = [percent(score.shares[f"{part}_at_1"]) for part in ("scene", "negation", "both")]
    of_five = (percent(average["value"]), span(_interval(average))) if average else (NONE, "")
    return (
        score.protocol,
        score.model,
        *first,
        percent(with_scene["value"]) if with_scene else NONE,
        *of_five,
        percent(score.shares["both_in_5"]),
    )


def _interval(score: Score) -> Interval:
    return Interval(score["value"], score["low"], score["high"])
