"""Another folder for [pictures] in the text of a negwb.toml, with every byte of the person's own left where it is.

A scanner finds where the statements and their values stand; text is only ever put in between. TOML's finer points
are not ours to know: what comes out is read by `tomllib`, and is given back only where it says what it should.
"""

from __future__ import annotations

import json
import re
import tomllib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

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
Edit = tuple[int, str]
"""A place in the text, and what is put there."""


@dataclass(frozen=True, slots=True)
class _Statement:
    """A table's header, or a key with its value."""

    table: tuple[str, ...]
    """The table it stands in; a header's own."""
    key: tuple[str, ...]
    """Empty: this is a header."""
    value: Sequence[Token]
    """Without blanks and comments; none: this is a header."""
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
    new = _apply(text, _edits(text, source, folder))
    try:
        return new if tomllib.loads(new) == wanted else None
    except tomllib.TOMLDecodeError:
        return None


def folder_line(source: str, folders: Sequence[str]) -> str:
    """The line of [pictures] that names the folders of `source`."""
    return f"{_key(source)} = [{', '.join(map(_string, folders))}]"


def _edits(text: str, source: str, folder: str) -> list[Edit]:
    """What is to be put where; none: there is no place for it."""
    statements = list(_statements(text))
    for statement in statements:
        if statement.value and statement.table + statement.key == (_TABLE, source):
            return _into_value(text, statement.value, folder)
    return _as_new_line(text, statements, folder_line(source, [folder]))


def _into_value(text: str, value: Sequence[Token], folder: str) -> list[Edit]:
    """Into a list behind its last folder; a folder that stands alone becomes a list."""
    if len(value) == 1:
        return [(value[0].start(), "["), (value[0].end(), f", {_string(folder)}]")]
    last, closing = value[-2], value[-1]
    line = _line_start(text, closing)
    if line > last.start() and not text[line : closing.start()].strip():
        return _on_its_own_line(text, value, folder)
    before = {"open": "", "comma": " "}.get(last.lastgroup or "", ", ")
    return [(last.end(), before + _string(folder))]


def _on_its_own_line(text: str, value: Sequence[Token], folder: str) -> list[Edit]:
    """Above the closing bracket, which has a line to itself; indented and ended as the folder before."""
    last, line = value[-2], _line_start(text, value[-1])
    before = next((token for token in reversed(value) if token.lastgroup == "string"), value[0])
    beside = _line_start(text, before)
    indent = _blanks(text, beside) if line > beside > value[0].start() else _blanks(text, line) + _INDENT
    missing = last.lastgroup == "string"
    new = f"{indent}{_string(folder)}{'' if missing else ','}{_newline(text)}"
    return [(last.end(), ","), (line, new)] if missing else [(line, new)]


def _as_new_line(text: str, statements: Sequence[_Statement], line: str) -> list[Edit]:
    """Behind the last line of [pictures] and what explains its header, or in a new one at the end of the file."""
    newline = _newline(text)
    home = next((each for each in reversed(statements) if (each.table + each.key)[:1] == (_TABLE,)), None)
    if home is None:
        line = f"{newline if text else ''}[{_TABLE}]{newline}{line}"
    elif not home.table:  # pictures.coco = ...: what is named so cannot have a header too
        line = f"{_TABLE}.{line}"
    end = len(text) if home is None else home.end if home.key else _past_comments(text, home.end)
    unended = end > 0 and not text.endswith("\n", 0, end)
    return [(end, f"{newline if unended else ''}{line}{newline}")]


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
            yield _Statement(table, (), (), end)
            continue
        equals = next(i for i, token in enumerate(tokens) if token.lastgroup == "equals")
        key = _path(text[tokens[0].start() : tokens[equals].end()] + " 0")
        yield _Statement(table, key, tokens[equals + 1 :], end)


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
    for place, new in sorted(edits, reverse=True):
        text = text[:place] + new + text[place:]
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
