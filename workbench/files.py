"""Files that are replaced as a whole."""

from __future__ import annotations

import os
import stat
import tempfile
from pathlib import Path


def replace_file(path: Path, content: str) -> None:
    """Write `content` to `path` so that a crash leaves the old file or the new one, never a half.

    A file that is there keeps its permissions, and a link goes on leading to it.
    """
    path = Path(os.path.realpath(path))
    handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(handle, "w", encoding="utf-8", newline="\n") as file:
            file.write(content)
            file.flush()
            if path.exists():
                os.chmod(temporary, stat.S_IMODE(path.stat().st_mode))
            os.fsync(file.fileno())
        Path(temporary).replace(path)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise
