"""Writes single settings into negwb.toml. All other bytes of the file stay as they are."""

from __future__ import annotations

import codecs
from pathlib import Path

from curation_db.atomic_write import replace_file
from workbench.errors import UsageError
from workbench.workspace.settings.choices import PanelChoice
from workbench.workspace.settings.settings import check, parse
from workbench.workspace.settings.toml_edit import folder_line, value_line, with_folder, with_value
from workbench.workspace.settings.toml_file import read_toml_text

CHANGEABLE = ("theme", "images", "order")
"""Settings of [curate] that the app can change."""


def add_picture_folder(path: Path, source: str, folder: str) -> None:
    """Add an image folder of `source` to the settings file.

    Raises:
        UsageError: The file has an error, cannot be written, or would have to be rewritten for the folder; the hint is
            the line to add by hand. The file is unchanged.
    """
    text = read_toml_text(path)
    folders = parse(text, path).pictures.get(source, ())
    if folder in folders:
        return
    if not _is_unicode(source + folder):
        hint = "TOML is UTF-8: rename the folder, or use a link to it with another name"
        raise UsageError(f"{path} cannot name the folder {folder!r} of {source!r}", hint=hint)
    hint = f"write it by hand, in [pictures]: {folder_line(source, [*folders, folder])}"
    _replace(path, with_folder(text, source, folder), "another image folder", hint)


def change_setting(path: Path, name: str, value: str) -> None:
    """Write one of `CHANGEABLE` into the settings file.

    Raises:
        UsageError: The file has an error or cannot be written, the value is not allowed, or the file would have to be
            rewritten for it; the hint is the line to write by hand. The file is unchanged.
    """
    if name not in CHANGEABLE:
        raise UsageError(f"the app cannot change {name}", hint=f"write it into {path}")
    check(name, value, path)
    text = read_toml_text(path)
    parse(text, path)
    hint = f"write it by hand, in [curate]: {value_line(name, value)}"
    _replace(path, with_value(text, ("curate",), name, value), name, hint)


def save_panel(path: Path, annotator: str, choice: PanelChoice) -> None:
    """Store what an annotator has chosen for the panel below the image.

    Raises:
        UsageError: As for `change_setting`.
    """
    text = read_toml_text(path)
    parse(text, path)
    hint = f"write it by hand, in [curate.panels]: {value_line(annotator, choice.value)}"
    _replace(path, with_value(text, ("curate", "panels"), annotator, choice.value), "the choice of a panel", hint)


def save_view(path: Path, name: str, line: str) -> None:
    """Save a view of Browse under `name`; a view of that name is replaced.

    Raises:
        UsageError: As for `change_setting`.
    """
    hint = f"write it by hand, in [browse.views]: {value_line(name, line)}"
    text = read_toml_text(path)
    parse(text, path)
    _replace(path, with_value(text, ("browse", "views"), name, line), "a view", hint)


def _replace(path: Path, content: str | None, addition: str, hint: str) -> None:
    if content is None:
        raise UsageError(f"{path}: no safe place for {addition}", hint=hint)
    try:
        mark = codecs.BOM_UTF8 if path.read_bytes().startswith(codecs.BOM_UTF8) else b""
        replace_file(path, mark.decode() + content)
    except OSError as error:
        raise UsageError(f"cannot write {path}: {error.strerror or error}", hint=hint) from error


def _is_unicode(name: str) -> bool:
    """Return whether a name has no undecodable bytes, which a folder may have and a settings file may not."""
    return not any("\ud800" <= letter <= "\udfff" for letter in name)
