"""Reads a JSON file value by value in bounded memory, with the C scanner of the standard library.

The top level is an object or an array. Runs hold the items of the arrays directly below an object, the items of a
top-level array, and the other members of the object. A malformed value is reported and skipped; all values before a
truncation are read. The speed is close to `json.load`: Python runs a few bytecodes per item, the scanner the rest.
"""

from __future__ import annotations

import json
import re
from collections.abc import Generator, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Final

from curation_db.foreign_json import error_line
from curation_db.importing.encoding import TextBlocks
from curation_db.importing.rows import Reject, RejectReason, excerpt

BLOCK: Final = 4 << 20
"""Characters read at a time."""
RUN: Final = 10_000
"""Most values in a run."""
MAX_VALUE: Final = 64 << 20
"""Most characters of one value."""

_BLANK = re.compile(r"[ \t\n\r]*")
_COMMA = re.compile(r"[ \t\n\r]*,[ \t\n\r]*")
_NEXT = re.compile(r"[ \t\n\r]*([,\]}])")
_MARKS = re.compile(r'["\[\]{},]')
_STRING_END = re.compile(r'[^"\\]*(?:\\.[^"\\]*)*"', re.DOTALL)
_EDGE = 16
"""Largest distance from the buffer's end at which the scanner reports an error in a value that is only incomplete."""


@dataclass(frozen=True, slots=True)
class JsonRun:
    """Consecutive values of the file."""

    key: str | None
    """Name of the array in the top-level object that holds the values; "": the top level is the array; None: the values
    are members of the top-level object."""
    start: int
    """Index of the first value in its array or object."""
    values: list[Any]
    names: list[str]
    """The members' names if `key` is None, else empty."""
    done: int
    """Approximate number of bytes read so far."""
    _text: str = field(default="", repr=False, compare=False)
    _places: list[int] = field(default_factory=list, repr=False, compare=False)
    _base: int = 0
    _source: TextBlocks | None = field(default=None, repr=False, compare=False)

    def where(self, index: int) -> str:
        """Return the path of a value, for example annotations[17]."""
        return f".{self.names[index]}" if self.key is None else f"{self.key}[{self.start + index}]"

    def offset(self, index: int) -> int | None:
        """Return the byte at which a value begins."""
        if self._source is None:
            return None
        return self._base + self._source.width(self._text[: self._places[index]])

    def value(self, index: int) -> object:
        """Return the value."""
        return self.values[index]


@dataclass(frozen=True, slots=True)
class Fault:
    """A part of the file that could not be read."""

    where: str
    offset: int
    message: str
    excerpt: str
    truncated: bool = False
    """Whether the file ends here."""

    def as_reject(self) -> Reject:
        """Return the entry in the list of refused rows."""
        reason = RejectReason.TRUNCATED if self.truncated else RejectReason.MALFORMED
        return Reject(reason, self.message, self.where or "the file", self.offset, excerpt(self.excerpt))


_Item = Generator[JsonRun | Fault, None, tuple[str, str]]
"""Yields the events of an item; returns its path and the comma or bracket after it."""


class _Stop(Exception):
    """The file ends inside a value, or is not JSON from here on."""

    def __init__(self, message: str, *, truncated: bool = True, fault: Fault | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.truncated = truncated
        self.fault = fault
        """The value that could not be read; None: not inside a value."""


def read_json(path: Path, *, block: int = BLOCK) -> Iterator[JsonRun | Fault]:
    """Yield the runs and the faults of the JSON file at `path`, in the order of the file."""
    with TextBlocks(path) as source:
        yield from _JsonReader(source, block).read()


class _JsonReader:
    """Parser on a sliding window of the text; `_at` is the current position in the window."""

    def __init__(self, source: TextBlocks, block: int) -> None:
        self._source = source
        self._block = block
        self._text = ""
        self._at = 0
        self._base = source.start
        # strict=False: control characters inside strings are removed later
        self._scan = json.JSONDecoder(strict=False).raw_decode

    def read(self) -> Iterator[JsonRun | Fault]:
        where = ""
        try:
            opening = self._peek()
            self._at += 1
            if opening == "[":
                yield from self._array("")
            elif opening == "{":
                for name, events in self._members():
                    where = f".{name}"
                    yield from events
            else:
                raise _Stop("neither an object nor an array", truncated=False)
            yield from self._rest()
        except _Stop as stop:
            fault = stop.fault or self._fault(where, self._at, stop.message)
            damage = self._source.damage
            yield replace(fault, message=damage or stop.message, truncated=stop.truncated or bool(damage))

    def _rest(self) -> Iterator[Fault]:
        try:
            self._peek()
        except _Stop:
            return
        damage = self._source.damage
        message = damage or "unexpected text after the end of the JSON text"
        yield self._fault("", self._at, message, truncated=bool(damage))

    # -- the window

    def _more(self, size: int = 0) -> bool:
        """Move the window to the current position and read more; return False at the end of the file."""
        block = self._source.read(max(self._block, size))
        if not block:
            return False
        self._base += self._source.width(self._text[: self._at])
        self._text = self._text[self._at :] + block
        self._at = 0
        return True

    def _peek(self) -> str:
        """Move to the next character that is not a blank, and return it."""
        while True:
            self._at = self._blanks()
            if self._at < len(self._text):
                return self._text[self._at]
            if not self._more():
                raise _Stop("the file ends too early")

    def _blanks(self) -> int:
        match = _BLANK.match(self._text, self._at)
        return match.end() if match else self._at

    def _run(self, key: str | None, start: int, values: list[Any], places: list[int], names: list[str]) -> JsonRun:
        # approximate, for the progress bar: the exact byte would cost a copy of the window per run
        done = self._base + self._at
        return JsonRun(key, start, values, names, done, self._text, places, self._base, self._source)

    def _fault(self, where: str, at: int, message: str, *, truncated: bool = False) -> Fault:
        offset = self._base + self._source.width(self._text[:at])
        return Fault(where, offset, message, self._text[at : at + 200], truncated)

    # -- arrays and objects

    def _array(self, key: str) -> Iterator[JsonRun | Fault]:
        """Yield the items of an array; the position is after its opening bracket."""
        index = 0
        if self._peek() == "]":
            yield JsonRun(key, 0, [], [], self._base + self._at)
            self._at += 1
            return
        while True:
            values, places = self._fast_items()
            if values:
                yield self._run(key, index, values, places, [])
                index += len(values)
                if len(values) == RUN:
                    continue
            place, closed = yield from self._slow_item(key, index)
            index += 1
            if closed == "]":
                return
            if closed == "}":
                raise _Stop(f"{place} is followed by the wrong bracket", truncated=False)

    def _fast_items(self) -> tuple[list[Any], list[int]]:
        """Scan the items that are complete in the window; the comma after an item proves that."""
        values: list[Any] = []
        places: list[int] = []
        scan, comma, text = self._scan, _COMMA.match, self._text
        at = self._blanks()
        try:
            for _ in range(RUN):
                value, end = scan(text, at)
                match = comma(text, end)
                if match is None:
                    break
                values.append(value)
                places.append(at)
                at = match.end()
        except (ValueError, RecursionError):
            pass  # malformed, or not complete in the window: `_slow_item` decides
        self._at = at
        return values, places

    def _slow_item(self, key: str | None, index: int, name: str = "") -> _Item:
        """Scan one item, reading as much text as it needs; return its path and the comma or bracket after it."""
        self._peek()
        place = f".{name}" if key is None else f"{key}[{index}]"
        try:
            value, end, mark = self._value()
        except _Stop as stop:
            fault = self._fault(place, self._at, stop.message)
            try:
                mark = self._skip(place)
            except _Stop:
                raise _Stop(f"truncated, or malformed from here on ({stop.message})", fault=fault) from None
            yield fault
        else:
            yield self._run(key, index, [value], [self._at], [name] if key is None else [])
            self._at = end
        return place, mark

    def _members(self) -> Iterator[tuple[str, Iterator[JsonRun | Fault]]]:
        """Yield the members of the top-level object; the position is after its opening brace."""
        if self._peek() == "}":
            self._at += 1
            return
        mark, index = ",", 0
        while mark == ",":
            name = self._name()
            if self._peek() == "[":
                self._at += 1
                yield name, self._array(name)
                mark = self._mark()
            else:
                marks: list[str] = []
                yield name, self._member(index, name, marks)
                mark = marks[0]
            index += 1
        if mark != "}":
            raise _Stop(f"{name} is followed by the wrong bracket", truncated=False)

    def _member(self, index: int, name: str, marks: list[str]) -> Iterator[JsonRun | Fault]:
        _, mark = yield from self._slow_item(None, index, name)
        marks.append(mark)

    def _name(self) -> str:
        """Scan the name of a member and the colon after it."""
        if self._peek() != '"':
            raise _Stop("expected a name in double quotes", truncated=False)
        while _STRING_END.match(self._text, self._at + 1) is None:
            if not self._more(len(self._text)):
                raise _Stop("the file ends inside a name")
        try:
            name, self._at = self._scan(self._text, self._at)
        except ValueError as error:
            raise _Stop(str(error), truncated=False) from None
        if self._peek() != ":":
            raise _Stop("expected a colon", truncated=False)
        self._at += 1
        return str(name)

    def _mark(self) -> str:
        """Scan the comma or bracket that must follow, and return it."""
        mark = self._peek()
        if mark not in ",]}":
            raise _Stop("expected a comma or a closing bracket", truncated=False)
        self._at += 1
        return mark

    # -- one value

    def _value(self) -> tuple[Any, int, str]:
        """Return the value at the current position, the position after the next comma or bracket, and that mark."""
        while True:
            message = "unexpected text after the value"
            try:
                value, end = self._scan(self._text, self._at)
                if match := _NEXT.match(self._text, end):
                    return value, match.end(), match[1]
                unfinished = len(self._text) - end < _EDGE or self._text[end:].isspace()
            except json.JSONDecodeError as error:
                message = error.msg
                unfinished = error.pos > len(self._text) - _EDGE or self._opens_a_string(error.pos)
            except (ValueError, RecursionError) as error:
                # a number with thousands of digits, or brackets nested thousands deep
                raise _Stop(error_line(error), truncated=False) from None
            if not unfinished:
                raise _Stop(message, truncated=False)
            if len(self._text) - self._at > MAX_VALUE:
                raise _Stop(f"a value of more than {MAX_VALUE:,} characters", truncated=False)
            if not self._more(len(self._text) - self._at):
                raise _Stop(message)

    def _opens_a_string(self, at: int) -> bool:
        """Return whether a string begins at `at` and does not end in the text read so far."""
        return self._text.startswith('"', at) and _STRING_END.match(self._text, at + 1) is None

    def _skip(self, place: str) -> str:
        """Skip a malformed value by counting brackets and skipping strings; return the mark after it."""
        depth = 0
        while True:
            match = _MARKS.search(self._text, self._at)
            if match is None:
                self._at = len(self._text)
                if not self._more():
                    raise _Stop(f"no end to {place}")
                continue
            mark = match[0]
            self._at = match.end()
            if mark == '"':
                self._skip_string(place)
            elif mark in "[{":
                depth += 1
            elif depth == 0:
                return mark
            elif mark != ",":
                depth -= 1

    def _skip_string(self, place: str) -> None:
        while True:
            if end := _STRING_END.match(self._text, self._at):
                self._at = end.end()
                return
            # do not separate a backslash at the end from the character that it escapes
            tail = len(self._text) - len(self._text.rstrip("\\"))
            self._at = max(self._at, len(self._text) - tail % 2)
            if not self._more():
                raise _Stop(f"no end to a string in {place}")
