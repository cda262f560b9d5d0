"""The lab: generation, trainings and report, as an app of its own (`run_lab`) or as screens over curate (its key f4).

In both, a page replaces the other on the screen stack (`switch_screen`) and what they share is here. Over curate the
desk and its lease simply stay as they are below; trainings are processes of their own and never notice.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any, ClassVar

from textual.app import SystemCommand
from textual.screen import Screen

from curation_db.errors import RecordError
from workbench.tui.base_app import APP_STYLES, BaseApp
from workbench.tui.results.context import STYLES, Page, ResultsContext
from workbench.tui.screens.base.action_screen import ActionScreen
from workbench.tui.themes import DARK
from workbench.workspace.layout import Workspace

if TYPE_CHECKING:
    from curation_db.storage.store import Store

_NEWEST = 5
"""Generations that are looked at for one at work."""


def page_screen(context: ResultsContext, page: Page) -> Screen[None]:
    """A new screen of the page; its module is imported when the page is opened."""
    if page == "runs":
        from workbench.tui.results.runs import RunsScreen  # only when opened

        return RunsScreen(context)
    if page == "generate":
        from workbench.tui.results.generate import GenerateScreen  # only when opened

        return GenerateScreen(context)
    from workbench.tui.results.report import ReportScreen  # only when opened

    return ReportScreen(context)


def first_page(store: Store) -> Page:
    """What is worth a look first: a generation that is at work, else the trainings."""
    from curation_db.generation.runs import list_runs  # only when opened

    try:
        with store.read() as connection:
            return "generate" if any(run.running for run in list_runs(connection, _NEWEST)) else "runs"
    except RecordError:
        return "runs"


class ResultsApp(BaseApp):
    """The lab without a desk."""

    CSS_PATH: ClassVar = [APP_STYLES, STYLES]

    def __init__(
        self,
        workspace: Workspace,
        *,
        start: Page = "runs",
        theme: str = DARK.name,
        protocol: str = "halfcell",
        base: str | None = None,
    ) -> None:
        super().__init__(theme=theme)
        self.lab = ResultsContext(workspace, self.exit, page_screen, protocol=protocol, base=base)
        self._start = start

    def on_mount(self) -> None:
        """The page to begin with; above the default screen, because the lowest one cannot be replaced."""
        self.open_first(self.lab.screen(self._start))

    def get_system_commands(self, screen: Screen[Any]) -> Iterable[SystemCommand]:
        """What applies on this screen, and the themes."""
        listed = screen.actions.at(screen.place) if isinstance(screen, ActionScreen) else []
        return self.commands_of(screen, self.lab.actions, listed)


def run_results(
    workspace: Workspace, start: Page = "runs", *, images: str | None = None, base: str | None = None
) -> int:
    """Show the lab until the person leaves; returns the exit code. Theme and pictures are as in [curate].

    `base` is the model that the report compares with, by name or the beginning of its hash.
    """
    from workbench.images.terminal_graphics import choose_protocol
    from workbench.tui.themes import check_theme
    from workbench.workspace.settings import read_settings

    told = read_settings(workspace.settings).curate
    check_theme(told.theme, workspace.settings)
    app = ResultsApp(
        workspace, start=start, theme=told.theme, protocol=choose_protocol(images or told.images), base=base
    )
    return app.run_to_end()
