"""Ends the work of a screen without effect once its widgets are being removed.

Textual removes the widgets of a screen one by one and cancels its workers after them. A worker that continues between
the two, such as one whose answer from a thread arrives then, looks for a widget that is gone.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Any

from textual.css.query import NoMatches
from textual.worker import Worker

if TYPE_CHECKING:
    from textual.screen import Screen

    class _Base(Screen[Any]):
        """What the mixin is used with."""

else:
    _Base = object


class RemovalGuard(_Base):
    """Mixin of screens; it stands before the class of Textual."""

    @property
    def is_whole(self) -> bool:
        """Whether all widgets are mounted.

        An app that is just ending opens a screen without any, and `display` is False while the widgets of a screen are
        removed one by one.
        """
        return bool(self.children) and self.display

    def run_worker(self, work: Any, *arguments: Any, **options: Any) -> Worker[Any]:
        """Run a coroutine, or a function that returns one; see Textual for the arguments."""
        worker: Worker[Any] = super().run_worker(partial(self._guarded, work), *arguments, **options)
        return worker

    def call_after_refresh(self, callback: Callable[..., Any], *arguments: Any, **options: Any) -> bool:
        """Call back once the screen is drawn; see Textual."""
        return super().call_after_refresh(partial(self._guarded, partial(callback, *arguments, **options)))

    async def _guarded(self, work: Any) -> Any:
        try:
            result = work() if callable(work) else work
            return await result if inspect.isawaitable(result) else result
        except NoMatches:
            if self.is_whole:
                raise
            return None
