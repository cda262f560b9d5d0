"""A command in a process of its own that is held inside a function, so that a test can send it signals there."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

_HOLD = """
import importlib, pathlib, sys, time

def hold(place, there, go):
    module, name = place.split(":")
    owner = importlib.import_module(module)
    *path, last = name.split(".")
    for each in path:
        owner = getattr(owner, each)
    real = getattr(owner, last)

    def held(*told, **more):
        pathlib.Path(there).touch()
        while not pathlib.Path(go).exists():
            time.sleep(0.01)
        return real(*told, **more)

    setattr(owner, last, held)
"""
_START = "sys.argv[0] = 'negwb'\nfrom workbench.cli import main\nsys.exit(main())"


class Hold:
    """A place in the program, written as module:function, where it waits until the test lets it go on."""

    def __init__(self, place: str, folder: Path) -> None:
        name = place.replace(":", ".")
        self._place = place
        self._there, self._go = folder / f"{name}.there", folder / f"{name}.go"

    @property
    def code(self) -> str:
        """Makes the program wait there."""
        return f"hold({self._place!r}, {str(self._there)!r}, {str(self._go)!r})\n"

    @property
    def reached(self) -> bool:
        """Whether the program is there, or was."""
        return self._there.exists()

    def let_go(self) -> None:
        """Let the program go on."""
        self._go.touch()


def command(words: list[str], *holds: Hold) -> list[str]:
    """The command line with these words, held at these places."""
    return [sys.executable, "-c", _HOLD + "".join(hold.code for hold in holds) + _START, *words]


@contextmanager
def start(words: list[str], *holds: Hold, **more: Any) -> Iterator[subprocess.Popen[str]]:
    """Run `command` with its output piped; killed at the latest when the block ends."""
    told = {"stdin": subprocess.DEVNULL, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True, **more}
    process = subprocess.Popen(command(words, *holds), **told)
    with process:
        try:
            yield process
        finally:
            process.kill()


def wait_until(true: Callable[[], bool], process: subprocess.Popen[str], *, seconds: float = 60) -> None:
    """Wait for a condition while the process lives.

    Raises:
        AssertionError: the process ended first, or the condition never came true.
    """
    deadline = time.monotonic() + seconds
    while not true():
        assert process.poll() is None, f"it ended with {process.returncode}: {process.stderr and process.stderr.read()}"
        assert time.monotonic() < deadline, "it never happened"
        time.sleep(0.01)
