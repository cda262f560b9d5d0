"""Settings: all settings of negwb.toml with defaults, help and place, and the keys that apply.

Three settings can be changed here. They are written into negwb.toml; the rest of the file stays as it is.
"""

from __future__ import annotations

from functools import partial
from typing import ClassVar

from textual import getters, on
from textual.app import ComposeResult
from textual.containers import VerticalScroll
from textual.content import Content
from textual.widgets import Static

from curation_db.language.sanitize import display_text
from workbench.errors import UsageError
from workbench.tui.rendering.card_content import GOOD, MARK, QUIET, WARN
from workbench.tui.screens.base.navigation import MainView, NavigationContext
from workbench.tui.screens.base.side_screen import SideScreen
from workbench.tui.themes import THEMES, known
from workbench.tui.threads import run_in_daemon_thread
from workbench.tui.widgets.lines.header_bar import HeaderBar
from workbench.tui.widgets.lines.key_hints import pane_keys
from workbench.tui.widgets.lists.static_table import Column, StaticTable, titled
from workbench.workspace.keymap import Tab
from workbench.workspace.settings.catalog import Applies, Choice, ListedSetting, can_change, choices, read_setting_list
from workbench.workspace.settings.settings import AUTO_THEME
from workbench.workspace.settings.writer import change_setting

_FROM_NEXT = {"images": "applies from the next start", "order": "applies from the next start"}
_WIDE = 100


class SettingsScreen(SideScreen):
    """A table of settings above, the selected setting below."""

    VIEW = MainView.SETTINGS
    TAB = Tab.SETTINGS
    CSS_PATH = "settings.tcss"
    AUTO_FOCUS = "#table"
    PANES: ClassVar = {"#table": [pane_keys("change", "change")]}

    table = getters.query_one("#table", StaticTable)

    def __init__(self, navigation: NavigationContext) -> None:
        super().__init__(navigation)
        self.rows: list[ListedSetting] = []

    def compose(self) -> ComposeResult:
        yield HeaderBar(id="top")
        yield titled(StaticTable(id="table", classes="pane", empty="reading negwb.toml …", gap=1), "settings")
        with VerticalScroll(id="about", classes="pane", can_focus=False):
            yield Static(id="row", markup=False)
        yield from self.compose_foot()

    async def on_mount(self) -> None:
        if not self.is_whole:
            return
        self.query_one(HeaderBar).show("settings", right="negwb.toml")
        await self._read()
        self.table.choose(self.navigation.memory.get(MainView.SETTINGS))

    def on_resize(self) -> None:
        if self.is_whole:
            self._list()

    async def _read(self) -> None:
        path = self.navigation.workspace.settings
        try:
            self.navigation.settings, self.rows = await run_in_daemon_thread(
                partial(read_setting_list, path, self.actions)
            )
        except UsageError as error:  # the file may be in the middle of an edit
            self.query_one(HeaderBar).show("settings", right="⚠ negwb.toml is invalid")
            self.show_message(error.message, hint=error.hint, trouble=True)
            return
        self._list()
        self._about()

    def _list(self) -> None:
        wide = self.size.width >= _WIDE
        columns = [Column("setting", 28 if wide else 24), Column("now"), Column("default", 24 if wide else 14)]
        columns += [Column("set in", 18 if wide else 9)]
        columns += [Column("applies", 11)] if wide else []
        self.table.fill(columns, [row.name for row in self.rows], partial(self._cells, wide=wide))

    def _cells(self, at: int, *, wide: bool) -> list[Content]:
        row = self.rows[at]
        own = row.line is not None and row.value != row.default
        place = "default" if row.line is None else f"{'negwb.toml ' if wide else ''}line {row.line}"
        mark = Content.styled("  ✎", MARK) if can_change(row.name) else Content("")
        return [
            Content(display_text(row.name.removeprefix("" if wide else "curate."), limit=60)) + mark,
            Content.styled(display_text(row.value, limit=200), "bold" if own else ""),
            Content.styled(display_text(row.default, limit=80), QUIET),
            Content.styled(place, "" if own else QUIET),
            *([Content.styled(row.applies, GOOD if row.applies is Applies.AT_ONCE else QUIET)] if wide else []),
        ]

    @on(StaticTable.RowMoved)
    def _moved(self) -> None:
        self.navigation.memory[MainView.SETTINGS] = self.table.chosen
        self._about()

    def _about(self) -> None:
        row = self._row
        if row is None:
            return
        box = self.query_one("#about")
        box.border_title = Content(display_text(row.name, limit=60))
        now = f"now: {display_text(row.value, limit=400)} · a change applies: {row.applies}"
        lines = [Content(row.help), Content.styled(now, QUIET)]
        in_use = self._value_in_use(row)
        if in_use:
            lines.append(Content.assemble(("⚠ ", WARN), f"this session uses: {in_use}"))
        if row.line is not None and not can_change(row.name):
            lines.append(Content.styled(f"to change it: line {row.line} of negwb.toml, with any editor", QUIET))
        elif not can_change(row.name):
            lines.append(Content.styled("to change it, write it into negwb.toml, with any editor", QUIET))
        self.query_one("#row", Static).update(Content("\n").join(lines))
        self.update_keys()

    @property
    def _row(self) -> ListedSetting | None:
        return self.rows[self.table.cursor] if self.rows else None

    def _value_in_use(self, row: ListedSetting) -> str:
        """Return the value that this session uses, where it differs from the file."""
        session = self.navigation.session.settings
        now = {
            "curate.order": session.ordering,
            "curate.blind": str(session.blind).lower(),
            "curate.theme": self.app.theme,
        }
        in_use = row.value if row.value == AUTO_THEME else now.get(row.name, row.value)
        return display_text(in_use, limit=60) if in_use != row.value else ""

    def disabled_reason(self, action: str, parameters: tuple[object, ...]) -> str:
        if action != "change":
            return ""
        if self._row is None:
            return "negwb.toml is being read"
        return "" if can_change(self._row.name) else f"{self._row.name} is changed in negwb.toml, with any editor"

    # -- changing -----------------------------------------------------------------------------------------------

    @on(StaticTable.RowOpened)
    async def _opened(self) -> None:
        await self.run_action("change")

    def action_change(self) -> None:
        """Choose another value for the selected setting."""
        from workbench.tui.screens.modals.choose import ChooseModal  # only when opened

        row = self._row
        if row is None or not can_change(row.name):
            return
        name = row.name.removeprefix("curate.")
        # the preview changes the theme, so escape restores the theme in use, not the one in the file
        now, preview = (self.app.theme, self._preview) if name == "theme" else (row.value, None)
        values = self._themes() if name == "theme" else choices(name)
        modal = ChooseModal(name, values, now, preview=preview)
        self.app.push_screen(modal, partial(self._chosen, name))

    @staticmethod
    def _themes() -> list[Choice]:
        own = {theme.name for theme in THEMES}
        listed = [Choice(theme, "negwb theme" if theme in own else "Textual theme") for theme in known()]
        return [Choice(AUTO_THEME, "light or dark as the terminal, from the next start"), *listed]

    def _preview(self, theme: str) -> None:
        if theme != AUTO_THEME:
            self.app.theme = theme

    async def _chosen(self, name: str, value: str | None) -> None:
        if value is None:
            return
        try:
            await run_in_daemon_thread(partial(change_setting, self.navigation.workspace.settings, name, value))
        except UsageError as error:
            self.show_message(error.message, hint=error.hint, trouble=True)
            return
        self.show_message(f"{name} = {value} is written to negwb.toml", hint=_FROM_NEXT.get(name, ""))
        await self._read()
