"""What could stand at the end of a view's line that is being typed. Pure."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence

from curation_db.search.query_language import CLOSED, QueryField, Sort, TermMeaning

_LAST = re.compile(r"(?:^|\s)-?(?:([a-z_]+):)?([^\s:]*)$", re.IGNORECASE)
_PLAIN = re.compile(r'[^\s,"=]+')
_MOST = 40


def completions(line: str, values: Callable[[QueryField], Sequence[str]]) -> list[str]:
    """The ends that the last term of `line` could have, whole words; `values`: what a record knows of a field."""
    last = _LAST.search(line)
    if last is None:
        return []
    name, begun = (last[1] or "").lower(), last[2]
    if not name:
        return [f"{each}:" for each in (*QueryField, "sort") if each.startswith(begun.lower())] if begun else []
    known = _known(name, values)
    if name == QueryField.JUDGE and "=" in begun:
        judge, _, said = begun.rpartition("=")
        return [f"{judge}={says}" for says in TermMeaning if says.startswith(said.lower())]
    done, comma, word = begun.rpartition(",")
    return [done + comma + each for each in known if each.lower().startswith(word.lower())][:_MOST]


def _known(name: str, values: Callable[[QueryField], Sequence[str]]) -> list[str]:
    if name == "sort":
        return [str(sort) for sort in Sort]
    if name not in list(QueryField):
        return []
    field = QueryField(name)
    known = CLOSED.get(field) or values(field)
    return [value if _PLAIN.fullmatch(value) else f'"{value}"' for value in known]


def completed(line: str, end: str) -> str:
    """`line` with its last term ended so."""
    last = _LAST.search(line)
    return line if last is None else line[: last.start(2)] + end
