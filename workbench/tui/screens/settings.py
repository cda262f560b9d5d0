"""Settings: all of negwb.toml with its defaults, what each is for, where it is set; and the keys as they are now.

Three of them can be chosen here. They are written into negwb.toml, in which nothing else changes.
"""

from __future__ import annotations

from functools import partial

from textual import getters, on
from textual.app import ComposeResult
from textual.containers import VerticalScroll
from textual.content import Content
from textual.widgets import Static

from curation_db.language.sanitize import display_text
from workbench.errors import UsageError
from workbench.tui.rendering.card_content import MARK, QUIET, WARN
from workbench.tui.screens.base.navigation import MainView, NavigationContext
from workbench.tui.screens.base.side_screen import SideScreen
from workbench.tui.themes import known
from workbench.tui.threads import run_in_daemon_thread
from workbench.tui.widgets.header_bar import HeaderBar
from workbench.tui.widgets.key_hints import KeyHints
from workbench.tui.widgets.static_table import Column, StaticTable
from workbench.workspace.settings import OWN_THEMES
from workbench.workspace.settings_catalog import Choice, ListedSetting, can_change, choices, read_listed
from workbench.workspace.settings_writer import change_setting

_FROM_NEXT = {"images": "from the next start on", "order": "from the next start on"}
_WIDE = 100


class SettingsScreen(SideScreen):
    """A table above, what is to be known about its row below."""

    ROOM = MainView.SETTINGS
    CSS_PATH = "settings.tcss"
    AUTO_FOCUS = "#table"

    sheet = getters.query_one("#table", StaticTable)

    def __init__(self, rooms: NavigationContext) -> None:
        super().__init__(rooms)
        self.rows: list[ListedSetting] = []

    def compose(self) -> ComposeResult:
        """Where one is, the table, the row in full, the keys."""
        yield HeaderBar(id="top")
        yield StaticTable(id="table", empty="reading negwb.toml …", gap=1)
        with VerticalScroll(id="about", can_focus=False):
            yield Static(id="row", markup=False)
        yield KeyHints(self.actions, self.place, id="keys")

    async def on_mount(self) -> None:
        """Read and show."""
        if not self.is_whole:
            return
        self.query_one(HeaderBar).tell("settings", right="negwb.toml")
        await self._read()
        self.sheet.choose(self.rooms.memory.get(MainView.SETTINGS))

    def on_resize(self) -> None:
        """Other columns fit."""
        if self.is_whole:
            self._list()

    async def _read(self) -> None:
        path = self.rooms.workspace.settings
        try:
            self.rooms.settings, self.rows = await run_in_daemon_thread(partial(read_listed, path, self.actions))
        except UsageError as error:  # somebody edits it at this moment, perhaps
            self.query_one(HeaderBar).tell("settings", right="⚠ negwb.toml is off")
            self.tell(error.message, hint=error.hint, trouble=True)
            return
        self._list()
        self._about()

    def _list(self) -> None:
        wide = self.size.width >= _WIDE
        columns = [Column("setting", 28 if wide else 24), Column("now"), Column("default", 24 if wide else 14)]
        columns += [Column("set in", 18 if wide else 9)]
        self.sheet.fill(columns, [row.name for row in self.rows], partial(self._cells, wide=wide))

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
        ]

    @on(StaticTable.RowMoved)
    def _moved(self) -> None:
        self.rooms.memory[MainView.SETTINGS] = self.sheet.chosen
        self._about()

    def _about(self) -> None:
        row = self._row
        if row is None:
            return
        box = self.query_one("#about")
        box.border_title = Content(display_text(row.name, limit=60))
        lines = [Content(row.says), Content.styled(f"now: {display_text(row.value, limit=400)}", QUIET)]
        sitting = self._sitting(row)
        if sitting:
            lines.append(Content.assemble(("⚠ ", WARN), f"until you leave this sitting goes by: {sitting}"))
        if can_change(row.name):
            lines.append(Content.styled("enter: choose another; it is written into negwb.toml", MARK))
        elif row.line is not None:
            lines.append(Content.styled(f"to change it: line {row.line} of negwb.toml, with any editor", QUIET))
        else:
            lines.append(Content.styled("to change it, write it into negwb.toml, with any editor", QUIET))
        self.query_one("#row", Static).update(Content("\n").join(lines))

    @property
    def _row(self) -> ListedSetting | None:
        return self.rows[self.sheet.cursor] if self.rows else None

    def _sitting(self, row: ListedSetting) -> str:
        """What this sitting goes by, where it is something else than the file says now."""
        session = self.rooms.session.settings
        now = {
            "curate.order": session.ordering,
            "curate.blind": str(session.blind).lower(),
            "curate.theme": self.app.theme,
        }
        told = now.get(row.name, row.value)
        return display_text(told, limit=60) if told != row.value else ""

    # -- changing -----------------------------------------------------------------------------------------------

    @on(StaticTable.RowOpened)
    def _opened(self) -> None:
        self.action_change()

    def action_change(self) -> None:
        """Choose another value for the row with the cursor."""
        from workbench.tui.screens.modals.choose import ChooseModal  # only when opened

        row = self._row
        if row is None:
            return
        if not can_change(row.name):
            self.tell(f"{row.name} is changed in negwb.toml, with any editor")
            return
        name = row.name.removeprefix("curate.")
        # a theme is tried on, so what escape brings back is the one that shows, whatever the file says
        now, preview = (self.app.theme, self._preview) if name == "theme" else (row.value, None)
        values = self._themes() if name == "theme" else choices(name)
        modal = ChooseModal(name, values, now, preview=preview)
        self.app.push_screen(modal, partial(self._chosen, name))

    @staticmethod
    def _themes() -> list[Choice]:
        return [Choice(theme, "of negwb" if theme in OWN_THEMES else "of Textual") for theme in known()]

    def _preview(self, theme: str) -> None:
        self.app.theme = theme

    async def _chosen(self, name: str, value: str | None) -> None:
        if value is None:
            return
        try:
            await run_in_daemon_thread(partial(change_setting, self.rooms.workspace.settings, name, value))
        except UsageError as error:
            self.tell(error.message, hint=error.hint, trouble=True)
            return
        self.tell(f"{name} = {value} is in negwb.toml", hint=_FROM_NEXT.get(name, ""))
        await self._read()
