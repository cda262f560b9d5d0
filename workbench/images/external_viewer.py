"""Opens an image in an external program. Uses no widget.

The program is started without a shell, and the absolute path of the file is one argument. It gets no terminal, so it
can neither write on the screen nor read its keys.
"""

from __future__ import annotations

import shlex
import shutil
import subprocess
import sys
from collections.abc import Callable, Mapping
from pathlib import Path


class NoViewer(Exception):
    """No program can show the image."""

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
    """Return the program and its first arguments: those of `setting`, else the default of the system.

    Raises:
        NoViewer: There is no program; the message gives the reason.
    """
    words = shlex.split(setting) or _system_viewer(environ, platform)
    if find(words[0]) is None:
        raise NoViewer(f"{words[0]} is not installed here")
    return words


def _system_viewer(environ: Mapping[str, str], platform: str) -> list[str]:
    remote = bool(environ.get("SSH_CONNECTION") or environ.get("SSH_TTY"))
    if platform == "darwin" and not remote:
        return ["open"]
    # Without a display xdg-open would start a browser for text, in this terminal.
    if not (environ.get("DISPLAY") or environ.get("WAYLAND_DISPLAY")):
        raise NoViewer("no display over SSH: open the image on your own machine" if remote else "there is no display")
    return ["xdg-open"]


def launch(setting: str, environ: Mapping[str, str], path: Path | None) -> tuple[str, subprocess.Popen[bytes]]:
    """Start the program on the image and return its name and its process, which the caller must wait for.

    Raises:
        NoViewer: The image or the program is missing, or the program does not start; the message gives the reason.
    """
    if path is None or not path.is_file():
        raise NoViewer("the image is missing")
    command = viewer_command(setting, environ)
    null = subprocess.DEVNULL
    try:
        process = subprocess.Popen(
            [*command, str(path.absolute())], stdin=null, stdout=null, stderr=null, start_new_session=True
        )
    except (OSError, ValueError) as error:
        raise NoViewer(f"{command[0]} does not start: {error}") from error
    return Path(command[0]).name, process
