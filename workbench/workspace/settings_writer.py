"""Writing into negwb.toml: what the app itself sets there; every other byte that the person wrote stays as it is."""

from __future__ import annotations

from pathlib import Path

from curation_db.atomic_write import replace_file
from workbench.errors import UsageError
from workbench.workspace.settings import check, parse, read_text
from workbench.workspace.toml_edit import folder_line, value_line, with_folder, with_value

CHANGEABLE = ("theme", "images", "order")
"""Settings of [curate] that the app itself changes."""


def add_picture_folder(path: Path, source: str, folder: str) -> None:
    """Add a picture folder of `source` to the settings file; every byte that the person wrote stays as it is.

    Raises:
        UsageError: the file is off, cannot be written, or has no place where the folder can be put in without
            changing what is there; the hint is the line to add by hand. The file is as it was.
    """
    text = read_text(path)
    known = parse(text, path).pictures.get(source, ())
    if folder in known:
        return
    if not _is_unicode(source + folder):
        hint = "TOML is UTF-8: rename it, or give a link to it that has another name"
        raise UsageError(f"{path} cannot name the folder {folder!r} of {source!r}", hint=hint)
    hint = f"write it there by hand, in [pictures]: {folder_line(source, [*known, folder])}"
    changed = with_folder(text, source, folder)
    if changed is None:
        raise UsageError(f"{path}: no safe place for one more picture folder", hint=hint)
    _replace(path, changed, hint)


def change_setting(path: Path, name: str, value: str) -> None:
    """Write one of `CHANGEABLE` into the settings file; everything else that stands there stays as it is.

    Raises:
        UsageError: the file is off or cannot be written, the value is none, or it has no place where it can be put
            without rewriting what is there; the hint is the line to write by hand. The file is as it was.
    """
    if name not in CHANGEABLE:
        raise UsageError(f"{name} is not changed here", hint=f"write it into {path}")
    check(name, value, path)
    text = read_text(path)
    parse(text, path)
    hint = f"write it there by hand, in [curate]: {value_line(name, value)}"
    changed = with_value(text, ("curate",), name, value)
    if changed is None:
        raise UsageError(f"{path}: no safe place for {name}", hint=hint)
    _replace(path, changed, hint)


def save_view(path: Path, name: str, line: str) -> None:
    """Save a view of the browse room under `name`, in place of the one of that name; all else stays as it is.

    Raises:
        UsageError: as for `add_picture_folder`.
    """
    hint = f"write it there by hand, in [browse.views]: {value_line(name, line)}"
    text = read_text(path)
    parse(text, path)
    changed = with_value(text, ("browse", "views"), name, line)
    if changed is None:
        raise UsageError(f"{path}: no safe place for a view", hint=hint)
    _replace(path, changed, hint)


def _replace(path: Path, content: str, hint: str) -> None:
    try:
        replace_file(path, content)
    except OSError as error:
        raise UsageError(f"cannot write {path}: {error.strerror or error}", hint=hint) from error


def _is_unicode(name: str) -> bool:
    """Whether it has no bytes in it that are no text: a folder may, a settings file may not."""
    return not any("\ud800" <= letter <= "\udfff" for letter in name)
