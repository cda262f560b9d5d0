"""The picture in a program of its own, outside the terminal. Knows no widget.

No shell comes between: a file's name is one argument, whatever is in it, and begins with the root. The program gets
no terminal, so it can neither write on the screen nor read its keys.
"""

from __future__ import annotations

import shlex
import shutil
import subprocess
import sys
from collections.abc import Callable, Mapping
from pathlib import Path


class NoViewer(Exception):
    """There is nothing to show a picture with."""

    def __init__(self, message: str) -> None:
        super().__init__(message)
        self.message = message


def viewer_command(
    setting: str,
    environ: Mapping[str, str],
    *,
    platform: str = sys.platform,
    find: Callable[[str], str | None] = shutil.which,
) -> list[str]:
    """The program and its first arguments: the person's own (`setting`), else what the system has.

    Raises:
        NoViewer: there is none; the message says why.
    """
    words = shlex.split(setting) or _of_the_system(environ, platform)
    if find(words[0]) is None:
        raise NoViewer(f"{words[0]} is not installed here")
    return words


def _of_the_system(environ: Mapping[str, str], platform: str) -> list[str]:
    remote = bool(environ.get("SSH_CONNECTION") or environ.get("SSH_TTY"))
    if platform == "darwin" and not remote:
        return ["open"]
    # Without a display xdg-open would start a browser for text, in this terminal.
    if not (environ.get("DISPLAY") or environ.get("WAYLAND_DISPLAY")):
        raise NoViewer("no display over SSH: open it where you sit" if remote else "there is no display here")
    return ["xdg-open"]


def launch(setting: str, environ: Mapping[str, str], path: Path | None) -> tuple[str, subprocess.Popen[bytes]]:
    """Start it on the picture and come back at once: its name, and what to wait for, or it stays a zombie.

    Raises:
        NoViewer: there is no picture or no program, or it cannot be started; the message says why.
    """
    if path is None or not path.is_file():
        raise NoViewer("the picture is missing")
    command = viewer_command(setting, environ)
    nowhere = subprocess.DEVNULL
    try:
        started = subprocess.Popen(
            [*command, str(path.absolute())], stdin=nowhere, stdout=nowhere, stderr=nowhere, start_new_session=True
        )
    except (OSError, ValueError) as error:
        raise NoViewer(f"{command[0]} does not start: {error}") from error
    return Path(command[0]).name, started
