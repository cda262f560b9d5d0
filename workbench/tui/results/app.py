"""The results screens (generation, training runs, report), as an app of their own (`run_results`) or above Curate (F4).

In both, a page replaces the previous one on the screen stack (`switch_screen`). Above Curate, the annotation session
and its leases stay as they are; training runs are separate processes.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any, ClassVar

from textual.app import SystemCommand
from textual.screen import Screen

from curation_db.errors import RecordError
from workbench.tui.base_app import APP_STYLES, BaseApp
from workbench.tui.results.context import STYLES, TAB_PAGES, Page, ResultsContext
from workbench.tui.screens.base.action_screen import ActionScreen
from workbench.tui.themes import DARK
from workbench.workspace.keymap import Action, KeyScope, Tab
from workbench.workspace.layout import Workspace

if TYPE_CHECKING:
    from curation_db.storage.store import Store

_NEWEST = 5
"""Number of newest generation runs that are checked for a running one."""


_COMMANDS = {Tab.GUIDELINES: "curate", Tab.SETTINGS: "curate"}
"""The command that opens a tab, where it has another name."""


def page_screen(context: ResultsContext, page: Page) -> Screen[None]:
    """Return a new screen of the page; its module is imported when the page is opened."""
    if page == "runs":
        from workbench.tui.results.runs import RunsScreen  # only when opened

        return RunsScreen(context)
    if page == "generate":
        from workbench.tui.results.generate import GenerateScreen  # only when opened

        return GenerateScreen(context)
    from workbench.tui.results.report import ReportScreen  # only when opened

    return ReportScreen(context)


def first_page(store: Store) -> Page:
    """Return the page to open first: generation if a run is active, else training runs."""
    from curation_db.generation.runs import list_runs  # only when opened

    try:
        with store.read() as connection:
            return "generate" if any(run.running for run in list_runs(connection, _NEWEST)) else "runs"
    except RecordError:
        return "runs"


class ResultsApp(BaseApp):
    """The results screens without an annotation session."""

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
        self.context = ResultsContext(workspace, self.exit, page_screen, protocol=protocol, base=base)
        self._start = start

    def on_mount(self) -> None:
        """Open the first page above the default screen, because the lowest screen cannot be replaced."""
        self.open_first(self.context.screen(self._start))

    @property
    def tab_actions(self) -> list[tuple[str, Action]]:
        actions = self.context.actions
        return [(actions.cap(tab), tab) for tab in actions.tabs(KeyScope.RUNS) if tab.tab in TAB_PAGES]

    @property
    def workspace(self) -> Workspace:
        return self.context.workspace

    def tab_refusal(self, tab: Tab) -> str | None:
        return None if tab in TAB_PAGES else f"{tab} is not open here: start it with negwb {_COMMANDS.get(tab, tab)}"

    def tab_screen(self, tab: Tab) -> Screen[None]:
        return self.context.screen(TAB_PAGES[tab])

    def get_system_commands(self, screen: Screen[Any]) -> Iterable[SystemCommand]:
        listed = screen.actions.at(screen.place) if isinstance(screen, ActionScreen) else []
        return self.commands_of(screen, self.context.actions, listed)


def run_results(workspace: Workspace, start: Page = "runs", *, base: str | None = None) -> int:
    """Show the results screens until the user leaves, and return the exit code.

    Args:
        workspace: The workspace; its [curate] settings name theme and image protocol.
        base: Model that the report compares with: a name, or the beginning of a hash.
    """
    from workbench.console.terminal_query import kept_modes
    from workbench.images.terminal_graphics import choose_protocol
    from workbench.tui.themes import check_theme, resolve_theme
    from workbench.workspace.settings.settings import read_settings

    curate = read_settings(workspace.settings).curate
    check_theme(curate.theme, workspace.settings)
    with kept_modes():
        theme, protocol = resolve_theme(curate.theme), choose_protocol(curate.images)
        return ResultsApp(workspace, start=start, theme=theme, protocol=protocol, base=base).run_to_end()
