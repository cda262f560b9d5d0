"""Who sits at the other end: a screen opens only where all three streams are a terminal."""

from __future__ import annotations

import io
import json
import sys
from pathlib import Path

import pytest

from workbench.commands import curate, demo
from workbench.console.terminal_check import at_a_terminal
from workbench.errors import UsageError

STREAMS = ("stdin", "stdout", "stderr")


class Stream(io.StringIO):
    """A stream that is a terminal, or says that it is none."""

    def __init__(self, *, terminal: bool) -> None:
        super().__init__()
        self._terminal = terminal

    def isatty(self) -> bool:
        return self._terminal


def sit_down(monkeypatch: pytest.MonkeyPatch, **other: Stream | None) -> None:
    """Make all streams a terminal except for `other`; in the test itself, as pytest puts its own in before it."""
    for name in STREAMS:
        monkeypatch.setattr(sys, name, other.get(name, Stream(terminal=True)))


def test_three_terminals_are_a_person(monkeypatch: pytest.MonkeyPatch) -> None:
    sit_down(monkeypatch)
    assert at_a_terminal()


@pytest.mark.parametrize("other", [Stream(terminal=False), None], ids=["a file", "closed"])
@pytest.mark.parametrize("name", STREAMS)
def test_without_one_of_them_curate_refuses(monkeypatch: pytest.MonkeyPatch, name: str, other: Stream | None) -> None:
    sit_down(monkeypatch, **{name: other})
    assert not at_a_terminal()
    with pytest.raises(UsageError, match="terminal"):
        curate.run_curate(None)  # type: ignore[arg-type]


@pytest.mark.parametrize("name", STREAMS)
def test_without_one_of_them_the_demo_runs_by_itself(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, name: str
) -> None:
    said = Stream(terminal=name != "stdout")
    sit_down(monkeypatch, **{name: Stream(terminal=False), "stdout": said})
    monkeypatch.setattr(demo, "_build", lambda *_: None)
    monkeypatch.setattr(demo, "_run_unattended", lambda *_, **__: {"by": "itself"})
    demo.demo(tmp_path)
    assert json.loads(said.getvalue())["by"] == "itself"
