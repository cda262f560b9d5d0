"""Retention beside gain: the affirmative accuracy of each model beside its negated accuracy, for a scatter. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

from benchmarks.analysis.comparison import ComparisonRow, Report
from workbench.reports.benchmark_report import ReportLine, report_lines


class RetentionPoint(NamedTuple):
    """A model: how much of the negated phrases it gains, and how much of the affirmative ones it retains."""

    negated: ComparisonRow
    affirmed: ComparisonRow


@dataclass(frozen=True, slots=True)
class RetentionPlot:
    """The models of a task with denied phrases that were also run on its affirmative twin."""

    negated_task: str
    affirmed_task: str
    protocol: str
    points: tuple[RetentionPoint, ...]

    @property
    def title(self) -> str:
        return f"{self.negated_task} beside {self.affirmed_task}, {self.protocol}"


def retention_plots(report: Report) -> list[RetentionPlot]:
    """Return a plot for each task with denied phrases whose affirmative twin was run, in the order of the report.

    Strict results are plotted, and official ones where strict was not run.
    """
    groups: dict[tuple[str, str, str, str], list[RetentionPoint]] = {}
    for line in report_lines(report):
        if line.main.denied and line.affirmed is not None:
            place = line.main.task, line.main.version, line.main.dataset_sha256, line.main.protocol
            groups.setdefault(place, []).append(RetentionPoint(line.main, line.affirmed))
    return [
        RetentionPlot(task, points[0].affirmed.task, protocol, tuple(points))
        for (task, _, _, protocol), points in groups.items()
    ]


def plot_of(plots: list[RetentionPlot], line: ReportLine) -> RetentionPlot | None:
    """Return the plot with the result of `line`, as the negated or as the affirmative part; None if there is none."""
    run = line.main.run
    return next((plot for plot in plots if any(run in (p.negated.run, p.affirmed.run) for p in plot.points)), None)
