"""The log of an unexpected error: a file with the trace, without values of variables, and one line that names it."""

from __future__ import annotations

import os
import platform
import sys
import tempfile
import traceback
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path

from curation_db.language.sanitize import display_text
from workbench import version
from workbench.errors import NegwbError
from workbench.workspace.layout import find_workspace

_FOLDER = "errors"
_OWNER_ONLY = 0o600


def write_error_log(error: BaseException, workspace: Path | None = None) -> Path | None:
    """Write the trace of `error` into a new file that only its owner can read, and return the path.

    The file is in the cache of the workspace (`workspace`, or the one that a command would use), else in the user's
    state folder, else in the system's folder for temporary files. None: no folder can be written.
    """
    now = datetime.now(UTC)
    name = f"{now:%Y%m%dT%H%M%S}-{os.getpid()}.log"
    content = "\n".join(
        [
            f"negwb {version()}, Python {platform.python_version()}, {platform.platform()}, {now.isoformat()}",
            f"command: {' '.join(sys.argv)}",
            "",
            *traceback.format_exception(error),
        ]
    )
    for folder in _folders(workspace):
        try:
            folder.mkdir(parents=True, exist_ok=True)
            handle = os.open(folder / name, os.O_WRONLY | os.O_CREAT | os.O_EXCL, _OWNER_ONLY)
            with os.fdopen(handle, "w", encoding="utf-8", errors="backslashreplace") as file:
                file.write(content)
        except OSError:
            continue
        return folder / name
    return None


def unexpected_line(error: BaseException, log: Path | None) -> str:
    """Return one line with the error and the path of its trace."""
    what = display_text(f"{type(error).__name__}: {error}", limit=200).removesuffix(": ")
    where = f"its trace is in {log}" if log is not None else "no log file could be written"
    return f"unexpected error, {what} ({where}); what was done before is kept"


def _folders(workspace: Path | None) -> list[Path]:
    folders = []
    with suppress(NegwbError):
        folders.append(find_workspace(workspace).cache / _FOLDER)
    state = os.environ.get("XDG_STATE_HOME")
    with suppress(RuntimeError):  # an account without a home folder
        folders.append((Path(state) if state else Path.home() / ".local" / "state") / "negwb" / _FOLDER)
    return [*folders, Path(tempfile.gettempdir())]
