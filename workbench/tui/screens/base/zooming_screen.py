"""Screens on which keys decide about a card also while its image fills the screen."""

from __future__ import annotations

from typing import TYPE_CHECKING

from textual.containers import Container
from textual.content import Content

from curation_db.enums import PictureShown
from workbench.tui.rendering.card_content import QUIET
from workbench.tui.screens.base.decision_screen import DecisionScreen
from workbench.tui.widgets.lines.action_line import ActionLine
from workbench.tui.widgets.lines.answer_lines import AnswerLines
from workbench.tui.widgets.lines.key_hints import KeyHints
from workbench.tui.widgets.picture import PicturePane
from workbench.workspace.keymap import ActionMap, KeyScope

if TYPE_CHECKING:
    from curation_db.lint.linter import LintSettings
    from workbench.tui.widgets.card.edit_dock import EditDock
    from workbench.tui.widgets.zoom_view import ZoomView


class ZoomingScreen(DecisionScreen):
    """Base class: the card is in `#main`, with its text in `#text-box`; `#done` and `#answers` are below."""

    actions: ActionMap
    _zoom: ZoomView | None = None
    """The view of the image on the whole screen, once it was opened."""

    @property
    def is_zoomed(self) -> bool:
        """Whether cards are shown as an image on the whole screen with the negated caption below it."""
        return self._zoom is not None and bool(self._zoom.display)

    @property
    def shown_pane(self) -> PicturePane:
        """The pane on which the annotator sees the image."""
        return self._zoom.pane if self._zoom is not None and self.is_zoomed else self.query_one("#picture", PicturePane)

    @property
    def has_zoomed_image(self) -> bool:
        """Whether the annotator sees the image on the whole screen, and not only a message about it."""
        return self.is_zoomed and self.shown_pane.shown_as is not PictureShown.NONE

    async def mount_zoom(self, protocol: str) -> None:
        """Mount the view once. `protocol`: image protocol, as `choose_protocol` returns it."""
        from workbench.tui.widgets.zoom_view import ZoomView  # only when opened

        if self._zoom is None:
            self._zoom = ZoomView(protocol, id="zoom")
            await self.mount(self._zoom, after="#main")  # so that the next key goes there

    def show_zoom(self, zooms: bool) -> None:
        """Show the image on the whole screen or the whole card; the caller paints the card there."""
        if self._zoom is not None:
            self._zoom.display = zooms
            self.query_one(ActionLine).set_idle(Content(""))
            self.on_zoom_view_line_changed()
        self.query_one("#main").display = not zooms

    def show_keys_of(self, scope: KeyScope, *, is_question: bool) -> None:
        """Show the keys of a scope; on a zoomed card all answers, since no strip may cover the image."""
        keys, answers = self.query_one(KeyHints), self.query_one(AnswerLines)
        lists_answers = self.is_zoomed and is_question
        answers.display = lists_answers
        keys.display = self.query_one(ActionLine).display = not lists_answers
        keys.show(scope)
        answers.show(scope)

    async def mount_edit_dock(self, checks: LintSettings) -> EditDock:
        """Return the fields below the text, or below the image on the whole screen; they are mounted once."""
        from workbench.tui.widgets.card.edit_dock import EditDock  # only when opened

        place = self._zoom if self._zoom is not None and self.is_zoomed else self.query_one("#text-box")
        for dock in place.query(EditDock):
            return dock
        is_inline = place is self._zoom
        dock = EditDock(checks, inline=is_inline)
        await place.mount(dock if is_inline else Container(dock, id="edit-layer"))  # a docked widget ignores margins
        return dock

    @property
    def _dock(self) -> EditDock | None:
        """The fields of an edit that are open."""
        from workbench.tui.widgets.card.edit_dock import EditDock  # only when opened

        return next((dock for dock in self.query(EditDock) if dock.is_open), None)

    def action_save_edit(self) -> None:
        if (dock := self._dock) is not None:
            dock.save()

    def action_cancel_edit(self) -> None:
        if (dock := self._dock) is not None:
            dock.action_cancel()

    def action_other_edit_field(self) -> None:
        """Move the cursor from the text to the concept, or back."""
        if (dock := self._dock) is not None:
            dock.focus_other()

    def action_undo_typing(self, back: bool) -> None:
        """Undo or redo typing in the text of an edit."""
        if (dock := self._dock) is not None:
            dock.undo_typing(back=back)

    def on_zoom_view_line_changed(self) -> None:
        """Show name and scale of the image, and the keys of the view that are not among the key hints."""
        from workbench.tui.widgets.zoom_view import zoom_keys

        if self._zoom is not None and self.is_zoomed:
            action_line, shown = self.query_one(ActionLine), self.query_one(KeyHints).shown_ids
            line, keys = self._zoom.line, zoom_keys(self.actions, without=shown)
            fits = action_line.fits(Content(f"{line} · {keys}"))
            action_line.set_idle(Content.styled(f"{line} · {keys}" if fits else line, QUIET))

    def action_step(self, by: int) -> None:
        if self._zoom is not None:
            self._zoom.step(by)

    def action_fit(self) -> None:
        if self._zoom is not None:
            self._zoom.fit()

    def action_actual(self) -> None:
        if self._zoom is not None:
            self._zoom.actual()

    def action_pan(self, right: int, down: int) -> None:
        if self._zoom is not None:
            self._zoom.pan(right, down)
