"""Edits a text in the annotator's own editor, while the app is suspended."""

from __future__ import annotations

import os
import shlex
import subprocess
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

from textual.app import SuspendNotSupported

from curation_db.language.sanitize import clean
from workbench.tui.widgets.card.edit_dock import one_line

if TYPE_CHECKING:
    from textual.app import App

_COMMENT = "# "
_MAX_BYTES = 1 << 20


class NoEditor(Exception):
    """The text was not edited."""

    def __init__(self, message: str, hint: str = "") -> None:
        super().__init__(message)
        self.message, self.hint = message, hint


def edit_in_editor(app: App[Any], text: str, caption: str | None) -> str:
    """Open `text` in $VISUAL or $EDITOR, wait until the editor ends, and return the new text as one line.

    The original caption stands below it as a comment; lines that begin with "# " are ignored.

    Raises:
        NoEditor: No editor is set or it fails, or the app has no terminal (in a browser, and on Windows).
    """
    command = shlex.split(os.environ.get("VISUAL") or os.environ.get("EDITOR") or "")
    if not command:
        raise NoEditor("no editor is set", hint="set VISUAL or EDITOR, or edit here with e")
    with tempfile.TemporaryDirectory(prefix="negwb-") as folder:
        file = Path(folder, "caption.txt")
        comment = f"\n\n{_COMMENT}original: {one_line(caption)}\n" if caption else "\n"
        file.write_text(clean(text) + comment, encoding="utf-8")
        try:
            with app.suspend():
                code = subprocess.call([*command, str(file)])
        except SuspendNotSupported:
            raise NoEditor("an editor needs a terminal of its own", hint="edit here with e") from None
        except OSError as error:
            raise NoEditor(f"{command[0]} does not start: {error.strerror}", hint="check VISUAL and EDITOR") from error
        if code != 0:
            raise NoEditor(f"{command[0]} ended with exit code {code}: the text is unchanged")
        with file.open("rb") as edited:
            lines = edited.read(_MAX_BYTES).decode("utf-8", "replace").splitlines()
    return one_line(" ".join(line for line in lines if not line.startswith(_COMMENT)))
