"""What a reader has to know of a result before citing it, in a form that every published file repeats."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum

from benchmarks.affirmative_twins import missing_twin_advice
from benchmarks.analysis.comparison import ComparisonRow, Report
from benchmarks.protocols import PROTOCOLS
from benchmarks.schema import Result
from benchmarks.training_overlap import overlap_text
from benchmarks.verdicts import VerdictCode
from workbench.reports.benchmark_report import DISAGREES, power_note


class CautionKind(StrEnum):
    NAN = "nan"
    """Some items have a score that is NaN."""
    TIES = "ties"
    """Some items have a tie of the highest score."""
    COLLAPSED = "collapsed"
    """The scores do not depend on the text, or not on the image."""
    REVERSED = "reversed"
    """The scores are in the reversed order."""
    BLIND = "blind"
    """A baseline that does not see the image does as well."""
    UNDECIDED = "undecided"
    """The difference from the base model is not significant."""
    DISAGREEMENT = "disagreement"
    """Interval and test disagree on whether the difference is zero."""
    NO_TWIN = "no_twin"
    """The affirmative twin was not run, so that a flipped sign would look like success."""
    OVERLAP = "overlap"
    """The model was trained on images of the task."""
    JUDGE = "judge"
    """A script answered instead of a model, or the judge does not see images."""
    OFFICIAL_ONLY = "official_only"
    """The published rule alone was run, under which a constant model can be right everywhere."""


BLOCKING = frozenset({CautionKind.NAN, CautionKind.COLLAPSED, CautionKind.OVERLAP, CautionKind.JUDGE})
"""Results with one of these stay out of the fields that show a score without a remark: leaderboards, `model-index`."""


@dataclass(frozen=True, slots=True)
class Caution:
    kind: CautionKind
    text: str
    """One line."""

    @property
    def blocks(self) -> bool:
        return self.kind in BLOCKING


def cautions(row: ComparisonRow, report: Report, result: Result) -> tuple[Caution, ...]:
    """Return the cautions on one result.

    Args:
        row: Its row in `report`.
        result: The content of its file.
    """
    found = (*_cautions_of_result(result), *_cautions(row, report))
    return tuple(Caution(kind, text) for kind, text in found)


def _cautions_of_result(result: Result) -> Iterator[tuple[CautionKind, str]]:
    overlap = result.get("overlap")
    if overlap and overlap["images"]:
        yield CautionKind.OVERLAP, overlap_text(overlap, result["task"]["images"])
    judge = result.get("judge")
    if judge and judge["simulated"]:
        yield CautionKind.JUDGE, f"a script answers as the judge {judge['name']}, not a model"
    if judge and judge["blind"]:
        yield CautionKind.JUDGE, f"the judge {judge['name']} does not see images"


def _cautions(row: ComparisonRow, report: Report) -> Iterator[tuple[CautionKind, str]]:
    if row.nan:
        yield CautionKind.NAN, f"{row.nan:,} of {row.n:,} items have a score that is NaN"
    if row.ties:
        rule = "is wrong" if row.protocol == PROTOCOLS[0] else "is decided by the order of the file"
        yield CautionKind.TIES, f"{row.ties:,} of {row.n:,} items have a tie of the highest score, which {rule}"
    for verdict in row.verdicts:
        if verdict.code != VerdictCode.NAN:
            reverses = verdict.code in {VerdictCode.REVERSED, VerdictCode.BELOW_CHANCE}
            yield CautionKind.REVERSED if reverses else CautionKind.COLLAPSED, verdict.text
    if better := [blind.name for blind in row.baselines if blind.correct >= row.correct]:
        yield CautionKind.BLIND, f"a baseline that does not see the image does as well: {', '.join(better)}"
    if row.base is not None and not row.base.significant:
        yield CautionKind.UNDECIDED, f"no significant difference from {report.reference}: {power_note(row.base)}"
    if row.base is not None and row.base.interval_disagrees:
        yield CautionKind.DISAGREEMENT, DISAGREES
    if row.denied and report.twin_of(row) is None:
        yield CautionKind.NO_TWIN, missing_twin_advice(row.task)
    if row.protocol != PROTOCOLS[0] and not any(_same_items(row, other) for other in report.rows):
        yield CautionKind.OFFICIAL_ONLY, f"measured under the {row.protocol} rule only; {PROTOCOLS[0]} was not run"


def _same_items(row: ComparisonRow, other: ComparisonRow) -> bool:
    """Return whether `other` is the strict result of the same model on the same items."""
    place = other.task, other.dataset_sha256, other.model_hash, other.protocol
    return place == (row.task, row.dataset_sha256, row.model_hash, PROTOCOLS[0])
