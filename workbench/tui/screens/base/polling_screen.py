"""A screen that reads changing data again and again in a thread, while nothing is above it."""

from __future__ import annotations

from abc import abstractmethod
from typing import Generic, TypeVar

from textual import work
from textual.timer import Timer

from workbench.tui.screens.base.action_screen import ActionScreen
from workbench.workspace.keymap import ActionMap, KeyScope

SnapshotT = TypeVar("SnapshotT")


class PollingScreen(ActionScreen, Generic[SnapshotT]):
    """Base class: call `poll_every` in `on_mount`."""

    def __init__(self, actions: ActionMap, place: KeyScope) -> None:
        super().__init__(actions, place)
        self.snapshot: SnapshotT | None = None
        """The snapshot that is shown; None before the first poll."""
        self._timer: Timer | None = None
        self._polling = False
        self._poll_again = False
        self._asked = False
        """Whether the user has asked for a poll that has not ended."""

    @abstractmethod
    async def poll(self) -> SnapshotT:
        """Read a snapshot without blocking the UI thread."""

    @abstractmethod
    async def show(self, snapshot: SnapshotT) -> None:
        """Show a snapshot and store it in `snapshot`."""

    def poll_every(self, seconds: float) -> None:
        """Poll now and then at this interval."""
        self._timer = self.set_interval(seconds, self.request_poll)
        self.request_poll()

    def on_screen_suspend(self) -> None:
        if self.is_whole and self._timer is not None:
            self._timer.pause()

    def on_screen_resume(self) -> None:
        if self._timer is not None:
            self._timer.resume()
            self.request_poll()

    def action_poll_now(self) -> None:
        """Poll now, and show when that is done."""
        self._asked = True
        self.request_poll()

    def request_poll(self) -> None:
        """Poll once; a request while a poll is running leads to one more poll after it."""
        if self._polling:
            self._poll_again = True
            return
        self._polling = True
        self._poll()

    @work
    async def _poll(self) -> None:
        try:
            snapshot = await self.poll()
        finally:
            self._polling = False
        if not self.is_whole or not self.is_running:
            return
        await self.show(snapshot)
        if self._asked and not self._poll_again:
            self._asked = False
            self.show_message("refreshed")
        if self._poll_again:
            self._poll_again = False
            self.request_poll()
