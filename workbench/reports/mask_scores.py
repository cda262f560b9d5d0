"""Table of segmentation: mIoU and oIoU with their intervals, beside the blind baselines."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from benchmarks.analysis.comparison import Against, ComparisonRow, MaskDifference
from benchmarks.schema import IouScore, Result
from curation_db.language.sanitize import counted, display_text
from curation_db.stats.intervals import Interval
from workbench.console.number_format import NONE, percent, signed, signed_span, span
from workbench.console.tables import Listing


@dataclass(frozen=True, slots=True, kw_only=True)
class MaskScore:
    """The IoU scores of one model on one task."""

    task: str
    model: str
    protocol: str
    mean_iou: Interval
    overall_iou: Interval
    base: MaskDifference | None
    blind: Mapping[str, Sequence[float]]
    """mIoU and oIoU."""
    against: Against = "base"
    """What the model is called that the others are compared with."""

    @classmethod
    def of_row(cls, row: ComparisonRow) -> MaskScore | None:
        """Return the scores of a row of the report; None for other tasks."""
        if (found := row.segmentation) is None:
            return None
        return cls(
            task=row.task,
            model=row.model,
            protocol=row.protocol,
            mean_iou=found.mean_iou,
            overall_iou=found.overall_iou,
            base=found.base,
            blind=found.blind,
            against=row.against,
        )

    @classmethod
    def of_result(cls, result: Result) -> MaskScore | None:
        """Return the scores of a stored result; None for other tasks."""
        if (facts := result.get("segmentation")) is None:
            return None
        return cls(
            task=result["task"]["name"],
            model=result["model"]["name"],
            protocol=result["protocol"]["name"],
            mean_iou=_interval(facts["mean_iou"]),
            overall_iou=_interval(facts["overall_iou"]),
            base=None,
            blind=facts["blind"],
        )


def mask_listings(scores: Sequence[MaskScore | None]) -> list[Listing]:
    """Return one table per task: mIoU, oIoU, and their differences from the base if there are any."""
    groups: dict[str, list[MaskScore]] = {}
    for score in scores:
        if score is not None:
            groups.setdefault(score.task, []).append(score)
    return [_listing(task, group) for task, group in groups.items()]


def _listing(task: str, scores: Sequence[MaskScore]) -> Listing:
    compared = any(score.base for score in scores)
    against = "vs base" if scores[0].against == "base" else "vs ref"
    of_each = ("95 %", against, "95 %") if compared else ("95 %",)
    headers = ("rule", "model", "mIoU %", *of_each, "oIoU %", *of_each)
    cells: list[tuple[str, ...]] = []
    for rule in dict.fromkeys(score.protocol for score in scores):
        own = [score for score in scores if score.protocol == rule]
        cells += [_cells(score, compared=compared) for score in own]
        cells += [_blind_cells(rule, name, values, len(of_each)) for name, values in own[0].blind.items()]
    dispensable = [(9, "the interval of the oIoU's difference"), (7, "the interval of the oIoU")] if compared else []
    return Listing(f"{task}: IoU of the masks", headers, cells, left=2, dispensable=dispensable, grouped=True)


def _cells(score: MaskScore, *, compared: bool) -> tuple[str, ...]:
    parts: list[str] = []
    base = score.base
    for own, difference in (
        (score.mean_iou, base and base.mean_iou),
        (score.overall_iou, base and base.overall_iou),
    ):
        against = (signed(difference.estimate), signed_span(difference)) if difference else (NONE, "")
        parts += [percent(own.estimate), span(own), *(against if compared else ())]
    return (score.protocol, score.model, *parts)


def _blind_cells(rule: str, name: str, values: Sequence[float], between: int) -> tuple[str, ...]:
    gap = ("",) * between
    return (rule, f"blind: {name}", percent(values[0]), *gap, percent(values[1]), *gap)


def segmentation_notes(row: ComparisonRow) -> list[str]:
    """Return how the masks were predicted, and how many are empty."""
    if (found := row.segmentation) is None:
        return []
    notes = [segmenter_text(found.route, found.name, found.settings)]
    if found.empty:
        notes.append(f"{counted(found.empty, 'predicted mask')} of {row.n:,} without a pixel")
    return notes


def segmenter_lines(results: Sequence[Result]) -> list[str]:
    """Return how the masks of results were predicted, each once."""
    found = ((result["task"]["name"], result["segmentation"]) for result in results if "segmentation" in result)
    lines = (f"{task}: {segmenter_text(facts['route'], facts['name'], facts['settings'])}" for task, facts in found)
    return list(dict.fromkeys(lines))


def segmenter_text(route: str, name: str, settings: Mapping[str, Any]) -> str:
    """Return a line about the model behind the masks and its settings."""
    shown = display_text(name, limit=80)
    if route == "clipseg":
        return f"masks of CLIPSeg ({shown}), probability above {settings.get('threshold', '?')}"
    points = settings.get("points_per_side", "?")
    return f"proposals of {shown}, {points} points per side; the model ranks the masked parts of the image"


def _interval(score: IouScore) -> Interval:
    return Interval(score["value"], score["low"], score["high"])
