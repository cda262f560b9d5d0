"""Where a picture may be that is not found under its name: the one file whose path ends as the name does."""

from __future__ import annotations

import os
import shlex
import unicodedata
from collections.abc import Iterable
from pathlib import Path
from typing import Final, NamedTuple

MOST_FILES: Final = 2_000_000
"""Files below the picture folders that are listed."""


class Tail(NamedTuple):
    """The file that a name may mean."""

    found: str
    """Its path below the picture folder."""
    prefix: str
    """What stands before the tail in the name; it may be empty."""
    folder: Path | None
    """The folder that would have to be a picture folder; None: the one in which it was found is."""

    @property
    def hint(self) -> str:
        """The options that make an import find it."""
        folder = [] if self.folder is None else ["--pictures", shlex.quote(str(self.folder))]
        prefix = ["--strip-prefix", shlex.quote(self.prefix)] if self.prefix else []
        return f"import again with {' '.join([*folder, *prefix])}"


class Tails:
    """The files below some folders by their last name; listed when the first name is asked for."""

    def __init__(self, folders: Iterable[Path]) -> None:
        self._folders = tuple(folders)
        self._files: dict[str, list[tuple[Path, tuple[str, ...]]]] | None = None

    def of(self, name: str) -> Tail | None:
        """The one file whose path ends with the longest tail of `name`; None: there is none, or several."""
        slashed = name.replace("\\", "/")
        matches = [(_shared(parts, slashed), folder, parts) for folder, parts in self._named(slashed)]
        longest = max((length for length, _, _ in matches), default=0)
        best = [each for each in matches if each[0] == longest]
        if not longest or len(best) > 1:
            return None
        _, folder, parts = best[0]
        prefix = name[: _start(parts[-longest:], slashed)]
        deeper = folder.joinpath(*parts[:-longest]) if longest < len(parts) else None
        return Tail("/".join(parts), prefix, deeper) if prefix or deeper else None

    def _named(self, slashed: str) -> list[tuple[Path, tuple[str, ...]]]:
        """The files whose last name `slashed` ends with."""
        if self._files is None:
            self._files = _listed(self._folders)
        last = _nfc(slashed.rsplit("/", 1)[-1])
        starts = [0, *(at + 1 for at, letter in enumerate(last) if not letter.isalnum() and letter not in "._-")]
        return [each for start in starts for each in self._files.get(last[start:], ())]


def _listed(folders: Iterable[Path]) -> dict[str, list[tuple[Path, tuple[str, ...]]]]:
    files: dict[str, list[tuple[Path, tuple[str, ...]]]] = {}
    count = 0
    for root in folders:
        for folder, _, names in os.walk(root):
            above = Path(folder).relative_to(root).parts
            for name in names:
                files.setdefault(_nfc(name), []).append((root, (*above, name)))
            count += len(names)
            if count > MOST_FILES:
                return {}  # a list that is not whole cannot say that there is only one
    return files


def _shared(parts: tuple[str, ...], slashed: str) -> int:
    """How many of the last parts of a path `slashed` ends with."""
    return next((n for n in range(len(parts), 0, -1) if _start(parts[-n:], slashed) is not None), 0)


def _start(parts: tuple[str, ...], slashed: str) -> int | None:
    """Where the tail `parts` begins in `slashed`, at the border of a word; None: it does not end so."""
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
