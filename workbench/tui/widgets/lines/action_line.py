"""The line above the key hints: what the last action did, for a few seconds, then the line of the screen, if any."""

from __future__ import annotations

from textual.content import Content
from textual.timer import Timer
from textual.widget import Widget

SECONDS = 2.0
"""How long the line is shown."""


class ActionLine(Widget):
    """One line of fixed height, so that a message neither covers the card nor moves it."""

    DEFAULT_CSS = "ActionLine { height: 1; padding: 0 1; }"

    _content = Content("")
    _idle = Content("")
    _timer: Timer | None = None

    @property
    def text(self) -> str:
        """The line that is shown; "" for none."""
        return self._content.plain

    def fits(self, content: Content) -> bool:
        """Return whether the line has room for all of `content`."""
        return content.cell_length <= self.content_size.width

    def show(self, content: Content, seconds: float = SECONDS) -> None:
        """Show `content` until `seconds` have passed or another one is shown."""
        self.clear()
        self._content = content
        self._timer = self.set_timer(seconds, self.clear)

    def set_idle(self, content: Content) -> None:
        """Set what is shown while there is no message."""
        if content.plain != self._idle.plain:
            self._idle = content
            self.refresh()

    def clear(self) -> None:
        if self._timer is not None:
            self._timer.stop()
            self._timer = None
        self._content = Content("")
        self.refresh()

    def render(self) -> Content:
        return (self._content or self._idle).truncate(self.content_size.width, ellipsis=True)
