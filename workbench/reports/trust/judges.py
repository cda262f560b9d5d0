"""Calibration of the judges as JSON, as tables, and as the points of a plot."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from workbench.console.tables import Listing

if TYPE_CHECKING:
    from curation_db.trust.calibration import Bin, Reliability
    from curation_db.trust.judge_calibration import JudgeReport

_BAR = 20


def judge_json(report: JudgeReport) -> dict[str, Any]:
    """Return all figures; undefined ones are null."""
    return {
        **report.judge._asdict(),
        "label": str(report.claim),
        "labels": report.raw.n,
        "answers": {
            "right_right": report.answers.right_right,
            "right_wrong": report.answers.right_wrong,
            "wrong_right": report.answers.wrong_right,
            "wrong_wrong": report.answers.wrong_wrong,
        },
        "raw": _reliability_json(report.raw),
        "calibration": {"slope": report.scale.slope, "intercept": report.scale.intercept},
        "tested": _reliability_json(report.tested),
        "calibrated": _reliability_json(report.calibrated),
    }


def _reliability_json(figures: Reliability) -> dict[str, Any]:
    return {
        "n": figures.n,
        "base_rate": _number(figures.base_rate),
        "brier": _number(figures.brier),
        "log_loss": _number(figures.log_loss),
        "ece": _number(figures.ece),
        "discrimination": _number(figures.discrimination),
        "bins": [
            {
                "low": each.low,
                "high": each.high,
                "n": each.n,
                "predicted": each.predicted,
                "observed": each.observed.estimate,
                "observed_95": [each.observed.low, each.observed.high],
            }
            for each in figures.bins
        ],
    }


def _number(value: float) -> float | None:
    return None if math.isnan(value) else value


def listings(reports: Sequence[JudgeReport]) -> list[Listing]:
    """Return a table of all judges, and one of the bins of each."""
    overview = Listing(
        "judges against audit labels",
        ("judge", "prompt", "question", "labels", "right", "Brier", "ECE", "discrimination", "ECE calibrated"),
        [
            (
                f"{report.judge.judge} ({report.judge.model})",
                report.judge.prompt_version,
                str(report.judge.question),
                f"{report.raw.n:,}",
                _share(report.raw.base_rate),
                _digits(report.raw.brier),
                _digits(report.raw.ece),
                _digits(report.raw.discrimination),
                _digits(report.calibrated.ece),
            )
            for report in reports
        ],
        left=3,
        dispensable=((4, "right"), (5, "Brier"), (1, "prompt")),
    )
    return [overview, *(_bins(report) for report in reports)]


def _bins(report: JudgeReport) -> Listing:
    return Listing(
        f"{report.judge.judge}: P({report.claim}) and the share that people find {report.claim}",
        ("P", "labels", "mean P", "share", "95 %", "|: mean P, #: share"),
        [
            (
                f"{each.low:.1f}-{each.high:.1f}",
                f"{each.n:,}",
                f"{each.predicted:.2f}",
                _share(each.observed.estimate),
                f"{each.observed.low * 100:.0f}-{each.observed.high * 100:.0f}",
                reliability_bar(each),
            )
            for each in report.raw.bins
        ],
        dispensable=((2, "mean P"),),
    )


def reliability_bar(each: Bin, width: int = _BAR) -> str:
    """Return a bar of the observed share (#) with the predicted one (|): equal lengths are calibrated."""
    length = round(each.observed.estimate * width)
    cells = ["#"] * length + ["."] * (width - length)
    cells[min(width - 1, int(each.predicted * width))] = "|"
    return "".join(cells)


def _share(value: float) -> str:
    return "-" if math.isnan(value) else f"{value:.0%}"


def _digits(value: float) -> str:
    return "-" if math.isnan(value) else f"{value:.3f}"
