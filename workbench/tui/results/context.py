"""State that the results pages (generation, runs, report) share. Imports no screen, so each page can import it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Literal

from textual.screen import Screen

from workbench.jobs.training.run_monitor import RunMonitor
from workbench.reports.benchmark_images import located
from workbench.workspace.keymap import ActionMap, Tab, results_actions
from workbench.workspace.layout import Workspace

if TYPE_CHECKING:
    from benchmarks.analysis.comparison import ComparisonRow, Report

Page = Literal["generate", "runs", "report"]
TAB_PAGES: Mapping[Tab, Page] = MappingProxyType({Tab.GENERATE: "generate", Tab.RUNS: "runs", Tab.REPORT: "report"})
STYLES = Path(__file__).with_name("results.tcss")
"""CSS of the results pages."""


@dataclass
class ResultsContext:
    """The workspace, and the state that pages share."""

    workspace: Workspace
    leave: Callable[[], Any]
    make_screen: Callable[[ResultsContext, Page], Screen[None]]
    """Create the screen of a page. The app sets it, so that no page imports another one."""
    protocol: str = "halfcell"
    """Image protocol, as `choose_protocol` returns it."""
    actions: ActionMap = field(default_factory=results_actions)
    run: str | None = None
    """Name of the selected training run."""
    marked: list[str] = field(default_factory=list)
    """Names of the training runs that are marked for a comparison, in the order of marking."""
    group: str | None = None
    """Name of the setting by which the training runs are grouped."""
    generation: str | None = None
    """Key of the selected generation run."""
    row: str | None = None
    """Key of the selected row of the report."""
    base: str | None = None
    """Hash or name of the model that others are compared with; None: the model with the oldest result."""
    report: Report | None = None
    """The report that was read last."""

    def __post_init__(self) -> None:
        self.watch = RunMonitor(self.workspace.root / "runs")

    @property
    def results(self) -> Path:
        return self.workspace.root / "results"

    @property
    def base_name(self) -> str:
        """Name of the base model of the report; empty before it was read."""
        return (self.report.reference if self.report is not None else None) or ""

    def reference_of(self, row: ComparisonRow) -> ComparisonRow | None:
        """Return the row of the model that `row` is compared with, on the same items; None: it was not run on them."""
        rows = self.report.rows if self.report is not None else ()
        return next((each for each in rows if each.is_reference and _place(each) == _place(row)), None)

    def reference_name(self, row: ComparisonRow) -> str:
        """Return the name of the model that `row` is compared with: that of its task, or the base of the report."""
        reference = self.reference_of(row)
        return self.base_name if reference is None else reference.model

    def locate(self, row: ComparisonRow, image: str) -> Path | None:
        """The file of an image of the row's benchmark."""
        return located(self.workspace.root / "benchmarks", row.task, image, first=row.pictures_folder)

    def screen(self, page: Page) -> Screen[None]:
        return self.make_screen(self, page)


def _place(row: ComparisonRow) -> tuple[str, str, str, str]:
    """Return what results have in common that are compared."""
    return row.task, row.version, row.dataset_sha256, row.protocol
