"""The watchdog names the engine that blocks the event loop, and its line of code."""

from __future__ import annotations

import threading
from types import ModuleType
from typing import Any

import pytest

from workbench.generation.engines.watchdog import LoopWatchdog, PluginCode

BLOCKING = "def hold(event):\n    event.wait(60)\n"


def module(name: str) -> Any:
    """A module of a plug-in whose function `hold` blocks until an event."""
    created = ModuleType(name)
    exec(compile(BLOCKING, f"/somewhere/{name}.py", "exec"), created.__dict__)
    return created


@pytest.mark.parametrize("name", ["parrot", "parrot.engine"])
async def test_an_engine_that_blocks_the_loop_is_named_once(name: str) -> None:
    lines: list[str] = []
    released = threading.Event()
    checks = 0

    class Code(PluginCode):
        def running_in(self, frame: Any) -> tuple[str, str] | None:
            nonlocal checks
            place = super().running_in(frame)
            checks += 1
            if checks == 4:  # the engine blocks for longer than one report
                released.set()
            return place

    with LoopWatchdog(Code({"parrot": "engine bird (parrot)"}), lines.append, limit_s=0.05):
        module(name).hold(released)
        assert released.is_set()
    assert len(lines) == 1
    assert lines[0].startswith(f"engine bird (parrot) blocks the event loop, in {name}.py line 2: ")


async def test_code_that_is_no_engine_is_not_named() -> None:
    lines: list[str] = []
    checked = threading.Event()

    class Code(PluginCode):
        def running_in(self, frame: Any) -> tuple[str, str] | None:
            place = super().running_in(frame)
            checked.set()
            return place

    with LoopWatchdog(Code({"parrot": "engine bird (parrot)"}), lines.append, limit_s=0.05):
        module("other").hold(checked)
        assert checked.is_set()
    assert lines == []
