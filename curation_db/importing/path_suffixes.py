"""Finds the file that a missing image name may mean: the only file whose path ends like the name."""

from __future__ import annotations

import os
import shlex
import unicodedata
from collections.abc import Iterable
from pathlib import Path
from typing import Final, NamedTuple

MOST_FILES: Final = 2_000_000
"""Most files below the image folders that are listed."""


class SuffixMatch(NamedTuple):
    """A file whose path ends like a name."""

    path: str
    """Path below the image folder."""
    prefix: str
    """The part of the name before the common suffix; it may be empty."""
    folder: Path | None
    """The folder to add as image folder; None: the file's image folder is right already."""

    @property
    def hint(self) -> str:
        """The options with which the import finds the file."""
        folder = [] if self.folder is None else ["--pictures", shlex.quote(str(self.folder))]
        prefix = ["--strip-prefix", shlex.quote(self.prefix)] if self.prefix else []
        return f"import again with {' '.join([*folder, *prefix])}"


class SuffixIndex:
    """Index of the files below some folders by base name; built by the first call of `find`."""

    def __init__(self, folders: Iterable[Path]) -> None:
        self._folders = tuple(folders)
        self._files: dict[str, list[tuple[Path, tuple[str, ...]]]] | None = None

    def find(self, name: str) -> SuffixMatch | None:
        """Return the file whose path shares the longest suffix with `name`; None: there is none, or several."""
        slashed = name.replace("\\", "/")
        matches = [(_shared_parts(parts, slashed), folder, parts) for folder, parts in self._named(slashed)]
        longest = max((length for length, _, _ in matches), default=0)
        best = [each for each in matches if each[0] == longest]
        if not longest or len(best) > 1:
            return None
        _, folder, parts = best[0]
        prefix = name[: _suffix_start(parts[-longest:], slashed)]
        deeper = folder.joinpath(*parts[:-longest]) if longest < len(parts) else None
        return SuffixMatch("/".join(parts), prefix, deeper) if prefix or deeper else None

    def _named(self, slashed: str) -> list[tuple[Path, tuple[str, ...]]]:
        """Return the files whose base name `slashed` ends with."""
        if self._files is None:
            self._files = _files_by_name(self._folders)
        last = _nfc(slashed.rsplit("/", 1)[-1])
        starts = [0, *(at + 1 for at, letter in enumerate(last) if not letter.isalnum() and letter not in "._-")]
        return [each for start in starts for each in self._files.get(last[start:], ())]


def _files_by_name(folders: Iterable[Path]) -> dict[str, list[tuple[Path, tuple[str, ...]]]]:
    files: dict[str, list[tuple[Path, tuple[str, ...]]]] = {}
    count = 0
    for root in folders:
        for folder, _, names in os.walk(root):
            above = Path(folder).relative_to(root).parts
            for name in names:
                files.setdefault(_nfc(name), []).append((root, (*above, name)))
            count += len(names)
            if count > MOST_FILES:
                return {}  # an incomplete list cannot prove that a match is the only one
    return files


def _shared_parts(parts: tuple[str, ...], slashed: str) -> int:
    """Return how many of the last parts of a path `slashed` ends with."""
    return next((n for n in range(len(parts), 0, -1) if _suffix_start(parts[-n:], slashed) is not None), 0)


def _suffix_start(parts: tuple[str, ...], slashed: str) -> int | None:
    """Return where the suffix `parts` begins in `slashed`, at a word boundary; None: it is not a suffix."""
    wanted = _nfc("/".join(parts))
    if slashed.isascii():
        start = len(slashed) - len(wanted)
        whole = start >= 0 and slashed.endswith(wanted)
    else:
        start = next((at for at in range(len(slashed)) if _nfc(slashed[at:]) == wanted), -1)
        whole = start >= 0
    return start if whole and (start == 0 or not slashed[start - 1].isalnum()) else None


def _nfc(name: str) -> str:
    return unicodedata.normalize("NFC", name)
