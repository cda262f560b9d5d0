"""The scatter of negated by affirmative accuracy on the whole screen: gain upwards, retention to the right."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, ClassVar

from textual.app import ComposeResult
from textual.content import Content
from textual.widgets import Static

from curation_db.language.sanitize import display_text
from workbench.reports.retention import RetentionPlot
from workbench.tui.rendering.retention import retention_chart
from workbench.tui.results.context import STYLES
from workbench.tui.screens.base.action_screen import ActionScreen
from workbench.tui.widgets.lines.header_bar import HeaderBar
from workbench.tui.widgets.lines.key_hints import pane_keys
from workbench.workspace.keymap import KeyScope

if TYPE_CHECKING:
    from workbench.tui.results.context import ResultsContext


class RetentionScreen(ActionScreen):
    """One plot at a time; up and down choose a model, left and right a task."""

    CSS_PATH = STYLES
    AUTO_FOCUS = None
    PANES: ClassVar = {
        "#retention": [
            pane_keys("model", "previous-model", "next-model"),
            pane_keys("task", "previous-task", "next-task"),
        ]
    }

    def __init__(self, context: ResultsContext, plots: Sequence[RetentionPlot], at: int, model: str) -> None:
        """Show the plot with the index `at`, with the model of the hash `model` highlighted."""
        super().__init__(context.actions, KeyScope.RETENTION)
        self._plots, self._at, self._model = plots, at, model

    def compose(self) -> ComposeResult:
        yield HeaderBar(id="top")
        yield Static(id="retention", classes="pane", markup=False)
        yield from self.compose_foot()

    def on_mount(self) -> None:
        """Wait for the layout, whose size the plot fills."""
        self.call_after_refresh(self._show)

    def on_resize(self) -> None:
        if self.is_whole:
            self.call_after_refresh(self._show)

    def action_step(self, by: int) -> None:
        """Highlight the next model, or the previous one."""
        self._model = self._hashes[self._stepped(by)]
        self._show()

    @property
    def _hashes(self) -> list[str]:
        return [point.negated.model_hash for point in self._plots[self._at].points]

    def _stepped(self, by: int) -> int:
        """Return the index of the model that is so many places after the highlighted one."""
        hashes = self._hashes
        place = hashes.index(self._model) + by if self._model in hashes else 0
        return max(0, min(place, len(hashes) - 1))

    def disabled_reason(self, action: str, parameters: tuple[object, ...]) -> str:
        match action, parameters:
            case "step", (int() as by,) if self._hashes[self._stepped(by)] == self._model:
                return "this is the last model" if by > 0 else "this is the first model"
            case "turn", (int() as by,) if not 0 <= self._at + by < len(self._plots):
                return "this is the last task" if by > 0 else "this is the first task"
        return ""

    def action_turn(self, by: int) -> None:
        """Show the next task, or the previous one."""
        self._at = max(0, min(self._at + by, len(self._plots) - 1))
        self._show()

    def action_back(self) -> None:
        if self.is_active:
            self.dismiss(None)

    def _show(self) -> None:
        if not self.is_whole:
            return
        plot, body = self._plots[self._at], self.query_one("#retention", Static)
        body.border_title = Content(display_text(plot.title, limit=70))
        body.update(retention_chart(plot, self._model, *body.content_size))
        right = f"{self._at + 1} of {len(self._plots)}" if len(self._plots) > 1 else ""
        self.query_one(HeaderBar).show("results", "report", "gain and retention", right=right)
        self.update_keys()
