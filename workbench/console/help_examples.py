"""Fits the examples of a command's help to the width of the terminal.

An example is a line with a command and, after two or more spaces, its explanation. A long explanation continues in its
column, or below the command where the column is narrow. A long command continues after a backslash, so that it can
still be copied. Other lines are wrapped as text.
"""

from __future__ import annotations

import re
import textwrap
from collections.abc import Iterator
from typing import Final

_VERBATIM: Final = "\b"
"""Line before a paragraph that click does not wrap."""
_EXAMPLE: Final = re.compile(r"(?P<command> +\S.*?)(?P<gap> {2,})(?P<explanation>\S.*)")
_NARROWEST: Final = 32
"""Columns that an explanation beside its command needs at least."""
_BELOW: Final = 6
"""Columns by which an explanation below its command is indented."""
_BEFORE_OPTION: Final = re.compile(r" (?=--?[a-z])")


def fit_examples(epilog: str, width: int) -> str:
    """Return the text after a command's options with no line of a verbatim paragraph longer than `width`."""
    lines: list[str] = []
    verbatim = False
    for line, is_long in _joined(epilog.splitlines(), width):
        verbatim = line == _VERBATIM or (verbatim and bool(line.strip()))
        lines += _fitted(line, width) if verbatim and is_long else line.split("\n")
    return "\n".join(lines)


def _joined(lines: list[str], width: int) -> Iterator[tuple[str, bool]]:
    """Yield each line, and whether it is too long; a line that continues a too long one is joined to it."""
    groups: list[list[str]] = []
    for line in lines:
        if groups and _continues(line, groups[-1][0]):
            groups[-1].append(line)
        else:
            groups.append([line])
    for group in groups:
        is_long = max(map(len, group)) > width
        yield (group[0] + "".join(f" {line.strip()}" for line in group[1:]) if is_long else "\n".join(group)), is_long


def _continues(line: str, first: str) -> bool:
    """Return whether `line` continues the text, or the explanation of the example, that begins with `first`."""
    if not line.strip() or _VERBATIM in (line, first) or not first.strip():
        return False
    if _indent(first) == 0:
        return _indent(line) == 0
    example = _EXAMPLE.fullmatch(first)
    return example is not None and _indent(line) == example.start("explanation")


def _fitted(line: str, width: int) -> Iterator[str]:
    example = _EXAMPLE.fullmatch(line)
    if example is None:
        yield from _command(line, width) if _indent(line) else _wrapped(line, width)
        return
    column = example.start("explanation")
    if width - column >= _NARROWEST:
        first, *rest = _wrapped(example["explanation"], width - column)
        yield f"{example['command']}{example['gap']}{first}"
        yield from (" " * column + each for each in rest)
        return
    yield from _command(example["command"], width)
    indent = _indent(line) + _BELOW
    yield from (" " * indent + each for each in _wrapped(example["explanation"], width - indent))


def _indent(line: str) -> int:
    return len(line) - len(line.lstrip())


def _wrapped(text: str, width: int) -> list[str]:
    return textwrap.wrap(text, width, break_on_hyphens=False, break_long_words=False)


def _command(line: str, width: int) -> Iterator[str]:
    """Break a command before its options, as a shell reads it."""
    indent = _indent(line)
    current, *options = _BEFORE_OPTION.split(line)
    for option in options:
        if len(current) + len(option) + 3 > width:
            yield f"{current} \\"
            current = " " * (indent + _BELOW) + option
        else:
            current = f"{current} {option}"
    yield current
