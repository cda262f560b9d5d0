"""Base class of dialogs: a box in the middle, a title, a line of keys at its foot, escape to cancel."""

from __future__ import annotations

from typing import ClassVar, TypeVar

from textual.app import ComposeResult
from textual.containers import Vertical
from textual.content import Content
from textual.screen import ModalScreen
from textual.widget import Widget
from textual.widgets import Static

from workbench.tui.screens.base.removal_guard import RemovalGuard

T = TypeVar("T")


class Dialog(RemovalGuard, ModalScreen[T | None]):
    """Dismissed with None on cancel."""

    DEFAULT_CSS = """
    Dialog { align: center middle; background: $background 60%; }
    Dialog > #dialog {
        width: 76; max-width: 94%; height: auto; max-height: 90%; padding: 1 2;
        background: $surface; border: round $border; border-title-color: $text-accent; border-title-style: bold;
    }
    Dialog > #dialog.-wide { width: 96; }
    Dialog.-short > #dialog { padding: 0 2; max-height: 100%; }
    Dialog.-short .dialog-foot { margin-top: 0; }
    Dialog VerticalScroll, Dialog OptionList {
        scrollbar-size-vertical: 1; scrollbar-background: $surface; scrollbar-color: $border;
    }
    Dialog .dialog-label { color: $text-muted; }
    Dialog .dialog-foot { color: $text-muted; margin-top: 1; }
    Dialog Input, Dialog TextArea { background: $background; }
    """
    BINDINGS: ClassVar = [("escape", "cancel", "cancel"), ("ctrl+z", "app.suspend_process", "suspend")]
    VERTICAL_BREAKPOINTS: list[tuple[int, str]] | None = [(0, "-short"), (30, "-tall")]  # noqa: RUF012

    def __init__(self, title: str, *, wide: bool = False) -> None:
        super().__init__()
        self._title = title
        self._wide = wide

    def compose(self) -> ComposeResult:
        """Compose the box; `compose_body` fills it."""
        with Vertical(id="dialog", classes="-wide" if self._wide else "") as box:
            box.border_title = Content(self._title)
            yield from self.compose_body()

    def compose_body(self) -> ComposeResult:
        """Compose the content of the dialog."""
        raise NotImplementedError

    def foot(self, words: str) -> Static:
        """Return the line of keys at the foot."""
        return Static(words, markup=False, classes="dialog-foot")

    def leave(self, result: T | None) -> None:
        """Close with `result`; repeated key presses close only once."""
        if self.is_active:
            self.dismiss(result)

    def on_mount(self) -> None:
        """Focus the first input field at once, because the next key may already be queued."""
        self.app.clear_notifications()  # a notification about the previous key would cover the foot
        self.screen.set_focus(self.first_field())

    def first_field(self) -> Widget | None:
        """Return the field that has the focus at first."""
        return next(iter(self.query("TextArea, Input")), None)

    def action_cancel(self) -> None:
        self.leave(None)
