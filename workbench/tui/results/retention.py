"""The scatter of negated by affirmative accuracy on the whole screen: gain upwards, retention to the right."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from textual.app import ComposeResult
from textual.content import Content
from textual.widgets import Static

from curation_db.language.sanitize import display_text
from workbench.reports.retention import RetentionPlot
from workbench.tui.rendering.retention import retention_chart
from workbench.tui.results.context import STYLES
from workbench.tui.screens.base.action_screen import ActionScreen
from workbench.tui.widgets.header_bar import HeaderBar
from workbench.tui.widgets.key_hints import KeyHints
from workbench.workspace.keymap import KeyScope

if TYPE_CHECKING:
    from workbench.tui.results.context import ResultsContext


class RetentionScreen(ActionScreen):
    """One plot at a time; up and down choose a model, left and right a task."""

    CSS_PATH = STYLES
    AUTO_FOCUS = None

    def __init__(self, context: ResultsContext, plots: Sequence[RetentionPlot], at: int, model: str) -> None:
        """Show the plot with the index `at`, with the model of the hash `model` highlighted."""
        super().__init__(context.actions, KeyScope.RETENTION)
        self._plots, self._at, self._model = plots, at, model

    def compose(self) -> ComposeResult:
        yield HeaderBar(id="top")
        yield Static(id="retention", markup=False)
        yield KeyHints(self.actions, KeyScope.RETENTION, id="keys")

    def on_mount(self) -> None:
        """Wait for the layout, whose size the plot fills."""
        self.call_after_refresh(self._show)

    def on_resize(self) -> None:
        if self.is_mounted:
            self.call_after_refresh(self._show)

    def action_step(self, by: int) -> None:
        """Highlight the next model, or the previous one."""
        hashes = [point.negated.model_hash for point in self._plots[self._at].points]
        place = hashes.index(self._model) + by if self._model in hashes else 0
        self._model = hashes[max(0, min(place, len(hashes) - 1))]
        self._show()

    def action_turn(self, by: int) -> None:
        """Show the next task, or the previous one."""
        self._at = max(0, min(self._at + by, len(self._plots) - 1))
        self._show()

    def action_back(self) -> None:
        if self.is_active:
            self.dismiss(None)

    def _show(self) -> None:
        if not self.is_mounted or not self.is_whole:
            return
        plot, body = self._plots[self._at], self.query_one("#retention", Static)
        body.border_title = Content(display_text(plot.title, limit=70))
        body.update(retention_chart(plot, self._model, *body.content_size))
        right = f"{self._at + 1} of {len(self._plots)}" if len(self._plots) > 1 else ""
        self.query_one(HeaderBar).show("results", "report", "gain and retention", right=right)
