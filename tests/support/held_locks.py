"""A command in its own process that waits inside a chosen function, so that a test can send signals there."""

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

def hold(function, reached, released):
    module, name = function.split(":")
    owner = importlib.import_module(module)
    *path, last = name.split(".")
    for each in path:
        owner = getattr(owner, each)
    real = getattr(owner, last)

    def held(*args, **kwargs):
        pathlib.Path(reached).touch()
        while not pathlib.Path(released).exists():
            time.sleep(0.01)
        return real(*args, **kwargs)

    setattr(owner, last, held)
"""
_START = "sys.argv[0] = 'negwb'\nfrom workbench.cli import main\nsys.exit(main())"


class Hold:
    """A function, written as module:function, in which the program waits until the test releases it."""

    def __init__(self, function: str, folder: Path) -> None:
        name = function.replace(":", ".")
        self._function = function
        self._reached, self._released = folder / f"{name}.reached", folder / f"{name}.released"

    @property
    def code(self) -> str:
        """Return the code that makes the program wait in the function."""
        return f"hold({self._function!r}, {str(self._reached)!r}, {str(self._released)!r})\n"

    @property
    def reached(self) -> bool:
        """Return whether the program has reached the function."""
        return self._reached.exists()

    def release(self) -> None:
        """Let the program continue."""
        self._released.touch()


def command(words: list[str], *holds: Hold) -> list[str]:
    """Return the command line that runs negwb with these arguments and holds."""
    return [sys.executable, "-c", _HOLD + "".join(hold.code for hold in holds) + _START, *words]


@contextmanager
def start(words: list[str], *holds: Hold, **options: Any) -> Iterator[subprocess.Popen[str]]:
    """Run `command` with its output piped; kill it when the block ends."""
    pipes = {"stdin": subprocess.DEVNULL, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    process = subprocess.Popen(command(words, *holds), **{**pipes, **options})
    with process:
        try:
            yield process
        finally:
            process.kill()


def wait_until(condition: Callable[[], bool], process: subprocess.Popen[str], *, seconds: float = 60) -> None:
    """Wait for a condition while the process runs.

    Raises:
        AssertionError: The process ended first, or the condition did not hold within `seconds`.
    """
    deadline = time.monotonic() + seconds
    while not condition():
        assert process.poll() is None, (
            f"the process ended with {process.returncode}: {process.stderr and process.stderr.read()}"
        )
        assert time.monotonic() < deadline, "the condition did not hold in time"
        time.sleep(0.01)
