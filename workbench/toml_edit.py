"""A folder more for [pictures], or another value, in the text of a negwb.toml; every other byte stays where it is.

A scanner finds where the statements and their values stand; only a value that is to be another one is written over.
TOML's finer points are not ours to know: what comes out is read by `tomllib`, and is given back only where it says
what it should.
"""

from __future__ import annotations

import json
import re
import tomllib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

_TABLE = "pictures"
_INDENT = "    "
_TOKEN = re.compile(
    r'''
      (?P<string> """(?:\\.|[^\\])*?"{3,5} | \'{3}.*?\'{3,5} | "(?:\\.|[^"\\])*" | '[^']*' )
    | (?P<comment> \#[^\n]* ) | (?P<newline> \n ) | (?P<space> [^\S\n]+ )
    | (?P<open> [\[{] ) | (?P<close> [\]}] ) | (?P<comma> , ) | (?P<equals> = )
    | (?P<bare> [^\s"'\#\[\]{},=]+ )
    ''',
    re.VERBOSE | re.DOTALL,
)
_BLANK = frozenset({"comment", "newline", "space"})

Token = re.Match[str]
Edit = tuple[int, int, str]
"""From where to where in the text, and what stands there then."""


@dataclass(frozen=True, slots=True)
class _Statement:
    """A table's header, or a key with its value."""

    table: tuple[str, ...]
    """The table it stands in; a header's own."""
    key: tuple[str, ...]
    """Empty: this is a header."""
    value: Sequence[Token]
    """Without blanks and comments; none: this is a header."""
    start: int
    """Where it begins."""
    end: int
    """Where the next line begins."""


def with_folder(text: str, source: str, folder: str) -> str | None:
    """`text` with one more picture folder of `source`; None where that cannot be said without rewriting a part.

    Raises:
        ValueError: `text` is no TOML.
    """
    wanted = tomllib.loads(text)
    listed = wanted.setdefault(_TABLE, {}).get(source, [])
    wanted[_TABLE][source] = [*([listed] if isinstance(listed, str) else listed), folder]
    return _checked(_apply(text, _edits(text, source, folder)), wanted)


def with_value(text: str, table: tuple[str, ...], name: str, value: str) -> str | None:
    """`text` with another text for `name` of `table`; None where that cannot be said without rewriting a part.

    Raises:
        ValueError: `text` is no TOML.
    """
    wanted = tomllib.loads(text)
    home = wanted
    for each in table:
        home = home.setdefault(each, {})
        if not isinstance(home, dict):
            return None
    home[name] = value
    statements = list(_statements(text))
    for statement in statements:
        if statement.value and statement.table + statement.key == (*table, name):
            edits = [(statement.value[0].start(), statement.value[-1].end(), _string(value))]
            break
    else:
        edits = _as_new_line(text, statements, table, value_line(name, value))
    return _checked(_apply(text, edits), wanted)


def line_of(text: str, *path: str) -> int | None:
    """The number of the line in which this key, or the nearest table around it, is given a value; None: in none."""
    for end in range(len(path), 0, -1):
        for statement in _statements(text):
            if statement.value and statement.table + statement.key == path[:end]:
                return text.count("\n", 0, statement.start) + 1
    return None


def _checked(new: str, wanted: dict[str, Any]) -> str | None:
    """`new`, where it says what it should."""
    try:
        return new if tomllib.loads(new) == wanted else None
    except tomllib.TOMLDecodeError:
        return None


def value_line(name: str, value: str) -> str:
    """The line that gives `name` a text."""
    return f"{_key(name)} = {_string(value)}"


def folder_line(source: str, folders: Sequence[str]) -> str:
    """The line of [pictures] that names the folders of `source`."""
    return f"{_key(source)} = [{', '.join(map(_string, folders))}]"


def _edits(text: str, source: str, folder: str) -> list[Edit]:
    """What is to be put where; none: there is no place for it."""
    statements = list(_statements(text))
    for statement in statements:
        if statement.value and statement.table + statement.key == (_TABLE, source):
            return _into_value(text, statement.value, folder)
    return _as_new_line(text, statements, (_TABLE,), folder_line(source, [folder]))


def _into_value(text: str, value: Sequence[Token], folder: str) -> list[Edit]:
    """Into a list behind its last folder; a folder that stands alone becomes a list."""
    if len(value) == 1:
        return [_put(value[0].start(), "["), _put(value[0].end(), f", {_string(folder)}]")]
    last, closing = value[-2], value[-1]
    line = _line_start(text, closing)
    if line > last.start() and not text[line : closing.start()].strip():
        return _on_its_own_line(text, value, folder)
    before = {"open": "", "comma": " "}.get(last.lastgroup or "", ", ")
    return [_put(last.end(), before + _string(folder))]


def _on_its_own_line(text: str, value: Sequence[Token], folder: str) -> list[Edit]:
    """Above the closing bracket, which has a line to itself; indented and ended as the folder before."""
    last, line = value[-2], _line_start(text, value[-1])
    before = next((token for token in reversed(value) if token.lastgroup == "string"), value[0])
    beside = _line_start(text, before)
    indent = _blanks(text, beside) if line > beside > value[0].start() else _blanks(text, line) + _INDENT
    missing = last.lastgroup == "string"
    new = f"{indent}{_string(folder)}{'' if missing else ','}{_newline(text)}"
    return [_put(last.end(), ","), _put(line, new)] if missing else [_put(line, new)]


def _as_new_line(text: str, statements: Sequence[_Statement], table: tuple[str, ...], line: str) -> list[Edit]:
    """Behind the last line of the table itself and what explains its header, or in a new one at the file's end."""
    newline, depth = _newline(text), len(table)
    own = [
        each for each in statements
        if each.table == table or (len(each.table) < depth and (each.table + each.key)[:depth] == table)
    ]  # fmt: skip
    home = own[-1] if own else None
    if home is None:
        line = f"{newline if text else ''}[{'.'.join(map(_key, table))}]{newline}{line}"
    elif home.table != table:  # pictures.coco = ...: what is named so cannot have a header too
        line = f"{'.'.join(map(_key, table[len(home.table) :]))}.{line}"
    end = len(text) if home is None else home.end if home.key else _past_comments(text, home.end)
    unended = end > 0 and not text.endswith("\n", 0, end)
    return [_put(end, f"{newline if unended else ''}{line}{newline}")]


def _put(place: int, new: str) -> Edit:
    """Between what stands before and behind `place`."""
    return place, place, new


def _past_comments(text: str, start: int) -> int:
    """Where the lines end that are a comment and nothing else."""
    end = start
    for line in text[start:].splitlines(keepends=True):
        if not line.lstrip().startswith("#"):
            break
        end += len(line)
    return end


def _statements(text: str) -> Iterator[_Statement]:
    """The statements of a valid file, in order."""
    table: tuple[str, ...] = ()
    for tokens, end in _lines(text):
        if tokens[0].lastgroup == "open":
            table = _path(text[tokens[0].start() : tokens[-1].end()])
            yield _Statement(table, (), (), tokens[0].start(), end)
            continue
        equals = next(i for i, token in enumerate(tokens) if token.lastgroup == "equals")
        key = _path(text[tokens[0].start() : tokens[equals].end()] + " 0")
        yield _Statement(table, key, tokens[equals + 1 :], tokens[0].start(), end)


def _lines(text: str) -> Iterator[tuple[list[Token], int]]:
    """The tokens of each statement, and where the line after it begins; a line break within brackets ends none."""
    depth, tokens = 0, list[Token]()
    for token in _TOKEN.finditer(text):
        depth += (token.lastgroup == "open") - (token.lastgroup == "close")
        if token.lastgroup not in _BLANK:
            tokens.append(token)
        elif token.lastgroup == "newline" and not depth and tokens:
            yield tokens, token.end()
            tokens = []
    if tokens:
        yield tokens, len(text)


def _path(statement: str) -> tuple[str, ...]:
    """The names that a header or a key leads through, whichever way they are quoted, dotted and spaced."""
    names, told = list[str](), tomllib.loads(statement)
    while isinstance(told, dict) and told:
        ((name, told),) = told.items()
        names.append(name)
    return tuple(names)


def _apply(text: str, edits: Sequence[Edit]) -> str:
    for start, end, new in sorted(edits, reverse=True):
        text = text[:start] + new + text[end:]
    return text


def _line_start(text: str, token: Token) -> int:
    return text.rfind("\n", 0, token.start()) + 1


def _blanks(text: str, start: int) -> str:
    """What the line that begins at `start` is indented by."""
    rest = text[start:]
    return rest[: len(rest) - len(rest.lstrip(" \t"))]


def _newline(text: str) -> str:
    return "\r\n" if "\r\n" in text else "\n"


def _key(name: str) -> str:
    return name if re.fullmatch("[A-Za-z0-9_-]+", name) else _string(name)


def _string(value: str) -> str:
    """A basic string: escaped as JSON escapes, and the one control character that JSON lets pass."""
    return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")
