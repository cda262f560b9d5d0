"""Tests that garbage is collected in idle time, and by Python again after the end of the app."""

from __future__ import annotations

import gc
import weakref

import pytest

from workbench.tui import gc_control
from workbench.tui.gc_control import QUIET_SECONDS, IdleGC, manual_gc


class Knot:
    """Something that only the collector can free."""

    def __init__(self) -> None:
        self.itself = self


def test_python_collects_again_afterwards_whatever_happened() -> None:
    with pytest.raises(ZeroDivisionError), manual_gc():
        assert not gc.isenabled()
        raise ZeroDivisionError
    assert gc.isenabled()
    assert gc.get_freeze_count() == 0


def test_where_python_collects_by_itself_nothing_is_done() -> None:
    assert not IdleGC(lambda: 1e9).tick()


def test_it_waits_for_quiet_unless_too_much_is_there(monkeypatch: pytest.MonkeyPatch) -> None:
    now = [0.0]
    collector = IdleGC(lambda: now[0])
    with manual_gc():
        seen = weakref.ref(Knot())
        knots = [Knot() for _ in range(gc_control._MIN_OBJECTS)]
        collector.activity()
        assert not collector.tick(), "a key has just come"
        monkeypatch.setattr(gc_control, "_MAX_OBJECTS", 10)
        assert collector.tick()
        assert seen() is None
        monkeypatch.undo()
        del knots
        stored = [Knot() for _ in range(2 * gc_control._MIN_OBJECTS)]
        now[0] += QUIET_SECONDS
        assert collector.tick()
        assert not collector.tick(), "nothing was made since"
        assert stored
