"""Earlier queries of one annotator, for the up arrow in an input; kept in the cache folder of the workspace.

The newest query comes first, and no query occurs twice. Two sessions of the same annotator may write: each write reads
the file first. A history that cannot be read or written is empty or lost, never an error.
"""

from __future__ import annotations

import json
from pathlib import Path
from urllib.parse import quote

from curation_db.atomic_write import replace_file
from curation_db.foreign_json import parse_json
from curation_db.language.sanitize import display_text
from workbench.workspace.layout import Workspace

MAX_QUERIES = 100
_LONGEST = 500
"""Characters of a query; longer ones are left out."""
_LONGEST_NAME = 80


class QueryHistory:
    """The earlier queries of one screen."""

    def __init__(self, path: Path | None = None) -> None:
        """`path`: the file; None: the history ends with the session."""
        self._path = path
        self._queries: tuple[str, ...] = ()

    @classmethod
    def of(cls, workspace: Workspace | None, screen: str, annotator: str) -> QueryHistory:
        """Return the history of an annotator on a screen; without a workspace it ends with the session."""
        if workspace is None:
            return cls()
        name = quote(annotator, safe="")[:_LONGEST_NAME]
        return cls(workspace.cache / "queries" / f"{screen}-{name}.json")

    @property
    def queries(self) -> tuple[str, ...]:
        """The queries, the newest first; none before `load`."""
        return self._queries

    def load(self) -> tuple[str, ...]:
        """Read the file and return the queries."""
        if self._path is not None:
            self._queries = tuple(dict.fromkeys((*self._read(), *self._queries)))[:MAX_QUERIES]
        return self._queries

    def add(self, query: str) -> None:
        """Put a query to the front and write the file. Not for the thread of the screen."""
        line = display_text(query)
        if not _is_query(line):
            return
        self._queries = (line, *(each for each in self.load() if each != line))[:MAX_QUERIES]
        self._write(self._queries)

    def _read(self) -> tuple[str, ...]:
        assert self._path is not None
        try:
            found = parse_json(self._path.read_bytes())
        except (OSError, ValueError):
            return ()
        lines = [each for each in found if isinstance(each, str) and _is_query(each)] if isinstance(found, list) else []
        return tuple(dict.fromkeys(lines))[:MAX_QUERIES]

    def _write(self, queries: tuple[str, ...]) -> None:
        if self._path is None:
            return
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            replace_file(self._path, json.dumps(queries, ensure_ascii=False, indent=0) + "\n")
        except OSError:  # a full disk, or a workspace that cannot be written
            return


class HistoryCursor:
    """The position in a history while an input goes through it. The unfinished line of the user comes after the newest
    query. Pure."""

    def __init__(self) -> None:
        self._queries: tuple[str, ...] = ()
        self._at = -1
        """Index of the query that is shown; -1: the user's own line."""
        self._own = ""

    @property
    def is_at_own_line(self) -> bool:
        return self._at < 0

    def older(self, line: str, queries: tuple[str, ...]) -> str | None:
        """Return the query before the shown `line`; None: there is none."""
        if self._at < 0 or line != self._queries[self._at]:  # the user has typed
            self._queries, self._at, self._own = tuple(each for each in queries if each != line.strip()), -1, line
        if self._at + 1 >= len(self._queries):
            return None
        self._at += 1
        return self._queries[self._at]

    def newer(self, line: str) -> str | None:
        """Return the query after the shown `line`, at the end the user's own line; None: `line` is not of the
        history."""
        if self._at < 0 or line != self._queries[self._at]:
            self._at = -1
            return None
        self._at -= 1
        return self._own if self._at < 0 else self._queries[self._at]


def _is_query(line: str) -> bool:
    """Return whether the line can be shown and typed as it is."""
    return 0 < len(line) <= _LONGEST and display_text(line, limit=_LONGEST) == line
