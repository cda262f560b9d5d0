"""A screen that looks again and again, in a thread, at what others change; not while something is above it."""

from __future__ import annotations

from abc import abstractmethod
from typing import Generic, TypeVar

from textual import work
from textual.timer import Timer

from workbench.tui.screens.base.action_screen import ActionScreen
from workbench.workspace.keymap import ActionMap, KeyScope

SightT = TypeVar("SightT")


class PollingScreen(ActionScreen, Generic[SightT]):
    """Call `look_every` once it is mounted."""

    def __init__(self, actions: ActionMap, place: KeyScope) -> None:
        super().__init__(actions, place)
        self.sight: SightT | None = None
        """What is shown."""
        self._timer: Timer | None = None
        self._looking = False
        self._look_again = False

    @abstractmethod
    async def see(self) -> SightT:
        """One look, away from this thread."""

    @abstractmethod
    async def show(self, sight: SightT) -> None:
        """Show what was seen; sets `sight`."""

    def look_every(self, seconds: float) -> None:
        """Look at once, then again and again."""
        self._timer = self.set_interval(seconds, self.look)
        self.look()

    def on_screen_suspend(self) -> None:
        """Something is above: nobody looks."""
        if self.is_mounted and self._timer is not None:
            self._timer.pause()

    def on_screen_resume(self) -> None:
        """And is gone again."""
        if self._timer is not None:
            self._timer.resume()
            self.look()

    def look(self) -> None:
        """One look at a time; what is asked meanwhile is looked at right after."""
        if self._looking:
            self._look_again = True
            return
        self._looking = True
        self._see()

    @work
    async def _see(self) -> None:
        try:
            sight = await self.see()
        finally:
            self._looking = False
        if not self.is_mounted or not self.is_running:
            return
        await self.show(sight)
        if self._look_again:
            self._look_again = False
            self.look()
