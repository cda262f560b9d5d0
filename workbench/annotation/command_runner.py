"""Runs a command of the annotator's own (`workbench.workspace.own_commands`) and waits for its end. Uses no widget."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from workbench.errors import UsageError
from workbench.workspace.own_commands import OwnCommand, shell_line

_MOST_BYTES = 65_536
"""Of the output; the rest is dropped."""


@dataclass(frozen=True, slots=True)
class CommandResult:
    code: int
    """Exit code; negative: the number of the signal that ended it."""
    output: str
    """What it wrote to stdout and stderr."""

    @property
    def last_line(self) -> str:
        """The last line of the output that is not empty."""
        return next((line.strip() for line in reversed(self.output.splitlines()) if line.strip()), "")


def run_command(command: OwnCommand, environment: Mapping[str, str], folder: Path) -> CommandResult:
    """Run the command in `folder` and wait for its end.

    It gets no terminal, so it can neither write on the screen nor read its keys.

    Raises:
        UsageError: It does not start, or its values are too long for the system.
    """
    try:
        process = subprocess.Popen(
            ["/bin/sh", "-c", shell_line(command.run)],
            cwd=folder,
            env={**os.environ, **environment},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    except OSError as error:
        raise UsageError(f"{command.name} does not start: {error.strerror or error}") from error
    with process:
        assert process.stdout is not None
        output = b""
        while piece := os.read(process.stdout.fileno(), _MOST_BYTES):
            output += piece[: _MOST_BYTES - len(output)]
    return CommandResult(process.returncode, output.decode("utf-8", "replace"))
