"""Tests that garbage is collected in idle time, and by Python again after the end of the app."""

from __future__ import annotations

import gc
import weakref
from collections.abc import Iterator

import pytest

from workbench.tui import gc_control
from workbench.tui.gc_control import QUIET_SECONDS, IdleGC, manual_gc


class Cycle:
    """A reference cycle, which only the collector frees."""

    def __init__(self) -> None:
        self.itself = self


@pytest.fixture(autouse=True)
def frozen_again() -> Iterator[None]:
    """Freeze again what the tests froze at their start: the end of the app frees all objects."""
    yield
    gc.freeze()


def test_automatic_collection_is_restored_after_an_error() -> None:
    with pytest.raises(ZeroDivisionError), manual_gc():
        assert not gc.isenabled()
        raise ZeroDivisionError
    assert gc.isenabled()
    assert gc.get_freeze_count() == 0


def test_nothing_is_done_if_automatic_collection_is_on() -> None:
    assert not IdleGC(lambda: 1e9).tick()


def test_collection_waits_for_an_idle_moment_unless_many_objects_exist(monkeypatch: pytest.MonkeyPatch) -> None:
    now = [0.0]
    collector = IdleGC(lambda: now[0])
    with manual_gc():
        seen = weakref.ref(Cycle())
        cycles = [Cycle() for _ in range(gc_control._MIN_OBJECTS)]
        collector.activity()
        assert not collector.tick(), "a key was pressed just now"
        monkeypatch.setattr(gc_control, "_MAX_OBJECTS", 10)
        assert collector.tick()
        assert seen() is None
        monkeypatch.undo()
        del cycles
        stored = [Cycle() for _ in range(2 * gc_control._MIN_OBJECTS)]
        now[0] += QUIET_SECONDS
        assert collector.tick()
        assert not collector.tick(), "no object was created since"
        assert stored
