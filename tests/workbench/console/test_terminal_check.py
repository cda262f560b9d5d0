"""The app opens only if stdin, stdout and stderr are a terminal."""

from __future__ import annotations

import io
import json
import sys
from pathlib import Path

import pytest

from workbench.commands.decide import curate
from workbench.commands.workspace import demo
from workbench.console.terminal_check import at_a_terminal
from workbench.errors import UsageError

STREAMS = ("stdin", "stdout", "stderr")


class Stream(io.StringIO):
    """A stream that is a terminal or not."""

    def __init__(self, *, terminal: bool) -> None:
        super().__init__()
        self._terminal = terminal

    def isatty(self) -> bool:
        return self._terminal


def set_streams(monkeypatch: pytest.MonkeyPatch, **other: Stream | None) -> None:
    """Make all streams terminals except `other`; called in the test, since pytest replaces the streams before it."""
    for name in STREAMS:
        monkeypatch.setattr(sys, name, other.get(name, Stream(terminal=True)))


def test_three_terminals_are_interactive(monkeypatch: pytest.MonkeyPatch) -> None:
    set_streams(monkeypatch)
    assert at_a_terminal()


@pytest.mark.parametrize("other", [Stream(terminal=False), None], ids=["a file", "closed"])
@pytest.mark.parametrize("name", STREAMS)
def test_curate_is_refused_if_a_stream_is_no_terminal(
    monkeypatch: pytest.MonkeyPatch, name: str, other: Stream | None
) -> None:
    set_streams(monkeypatch, **{name: other})
    assert not at_a_terminal()
    with pytest.raises(UsageError, match="terminal"):
        curate.run_curate(None)  # type: ignore[arg-type]


@pytest.mark.parametrize("name", STREAMS)
def test_the_demo_runs_unattended_if_a_stream_is_no_terminal(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, name: str
) -> None:
    output = Stream(terminal=name != "stdout")
    set_streams(monkeypatch, **{name: Stream(terminal=False), "stdout": output})
    monkeypatch.setattr(demo, "_build", lambda *_: None)
    monkeypatch.setattr(demo, "_run_unattended", lambda *_, **__: {"by": "itself"})
    demo.demo(tmp_path)
    assert json.loads(output.getvalue())["by"] == "itself"
