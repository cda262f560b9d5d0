"""Tables of segmentation: mIoU and oIoU with their intervals, of all items beside the blind baselines, and by slice."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from benchmarks.analysis.comparison import Against, ComparisonRow, MaskDifference, SegmentationRow, SliceMasks
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
    headers = _iou_headers(scores[0].against, compared=compared)
    cells: list[tuple[str, ...]] = []
    for rule in dict.fromkeys(score.protocol for score in scores):
        own = [score for score in scores if score.protocol == rule]
        cells += [(rule, score.model, *iou_cells(score, compared=compared)) for score in own]
        cells += [_blind_cells(rule, name, values, len(headers) // 2 - 1) for name, values in own[0].blind.items()]
    title = f"{task}: IoU of the masks"
    return Listing(
        title, ("rule", "model", *headers), cells, left=2, dispensable=_dispensable(compared=compared), grouped=True
    )


def slice_mask_listing(rows: Sequence[ComparisonRow], cut: str) -> Listing:
    """Return the IoU scores of the models by the values of a cut, such as the cue; without rows for other tasks.

    Args:
        rows: The results on one task under one protocol, with their slices.
    """
    values = dict.fromkeys(part.value for part in rows[0].slices if part.cut == cut)
    found = [
        (value, row.model, part.n, part.masks)
        for value in values
        for row in rows
        for part in row.slices
        if (part.cut, part.value) == (cut, value) and part.masks is not None
    ]
    compared = any(masks.base for *_, masks in found)
    cells = [(value, model, f"{n:,}", *iou_cells(masks, compared=compared)) for value, model, n, masks in found]
    headers = (cut, "model", "n", *_iou_headers(rows[0].against, compared=compared))
    title = f"{rows[0].task}, {rows[0].protocol}, IoU of the masks by {cut}"
    dispensable = [(place + 1, name) for place, name in _dispensable(compared=compared)]
    return Listing(title, headers, cells, left=2, dispensable=dispensable, grouped=True)


def _iou_headers(against: Against, *, compared: bool) -> tuple[str, ...]:
    of_each = ("95 %", "vs base" if against == "base" else "vs ref", "95 %") if compared else ("95 %",)
    return ("mIoU %", *of_each, "oIoU %", *of_each)


def _dispensable(*, compared: bool) -> list[tuple[int, str]]:
    """Return the columns to omit in a narrow terminal, behind two columns of text."""
    return [(9, "the interval of the oIoU's difference"), (7, "the interval of the oIoU")] if compared else []


def iou_cells(scores: MaskScore | SegmentationRow | SliceMasks, *, compared: bool) -> tuple[str, ...]:
    """Return mIoU and oIoU, each with its interval and, if others are compared, its difference with its interval."""
    parts: list[str] = []
    base = scores.base
    for own, difference in (
        (scores.mean_iou, base and base.mean_iou),
        (scores.overall_iou, base and base.overall_iou),
    ):
        against = (signed(difference.estimate), signed_span(difference)) if difference else (NONE, "")
        parts += [percent(own.estimate), span(own), *(against if compared else ())]
    return tuple(parts)


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
