"""A JSON file's rows one after another, in bounded memory, on top of the standard library's C scanner.

The top level is an object or an array. Items of the arrays directly below an object, items of a top-level array and
the other members of the object come in runs. What is broken is told and passed over; what stands before a cut comes
whole. Speed is near `json.load`: Python runs a few bytecodes an item, the scanner does the rest.
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
"""Characters of the longest value that is read at all."""

_BLANK = re.compile(r"[ \t\n\r]*")
_COMMA = re.compile(r"[ \t\n\r]*,[ \t\n\r]*")
_NEXT = re.compile(r"[ \t\n\r]*([,\]}])")
_MARKS = re.compile(r'["\[\]{},]')
_STRING_END = re.compile(r'[^"\\]*(?:\\.[^"\\]*)*"', re.DOTALL)
# The scanner's complaint about a value that merely goes on beyond the buffer points at most so far from its end.
_EDGE = 16


@dataclass(frozen=True, slots=True)
class JsonRun:
    """Values that stand one after another in the file."""

    key: str | None
    """The member of the top-level object whose array they are items of; "" where the top level is an array;
    None: they are members of the top-level object themselves."""
    start: int
    """The position of the first one among its siblings."""
    values: list[Any]
    names: list[str]
    """The members' names where `key` is None, else empty."""
    done: int
    """About how many bytes of the file were read so far."""
    _text: str = field(default="", repr=False, compare=False)
    _places: list[int] = field(default_factory=list, repr=False, compare=False)
    _base: int = 0
    _source: TextBlocks | None = field(default=None, repr=False, compare=False)

    def where(self, index: int) -> str:
        """The place of a value in words: annotations[17]."""
        return f".{self.names[index]}" if self.key is None else f"{self.key}[{self.start + index}]"

    def offset(self, index: int) -> int | None:
        """The byte at which a value begins."""
        if self._source is None:
            return None
        return self._base + self._source.width(self._text[: self._places[index]])

    def value(self, index: int) -> object:
        """The value itself, for showing it."""
        return self.values[index]


@dataclass(frozen=True, slots=True)
class Fault:
    """Something that could not be read."""

    where: str
    offset: int
    message: str
    excerpt: str
    truncated: bool = False
    """The file stops here."""

    def as_reject(self) -> Reject:
        """The entry in the list of refused rows."""
        reason = RejectReason.TRUNCATED if self.truncated else RejectReason.MALFORMED
        return Reject(reason, self.message, self.where or "the file", self.offset, excerpt(self.excerpt))


_Item = Generator[JsonRun | Fault, None, tuple[str, str]]
"""What is told of an item, then its place and the mark behind it."""


class _Cut(Exception):
    """The file ended inside a value, or is not JSON from here on."""

    def __init__(self, message: str, *, truncated: bool = True, fault: Fault | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.truncated = truncated
        self.fault = fault
        """Where the value began."""


def read_json(path: Path, *, block: int = BLOCK) -> Iterator[JsonRun | Fault]:
    """The runs of the JSON file at `path`, and what is wrong with it, in the order of the file."""
    with TextBlocks(path) as source:
        yield from _Reader(source, block).read()


class _Reader:
    """A window on the text that slides forward; `_at` is where we are in it."""

    def __init__(self, source: TextBlocks, block: int) -> None:
        self._source = source
        self._block = block
        self._text = ""
        self._at = 0
        self._base = source.start
        # strict=False: raw control characters inside strings are cleaned later, not fatal
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
                raise _Cut("neither an object nor an array", truncated=False)
            yield from self._rest()
        except _Cut as cut:
            fault = cut.fault or self._fault(where, self._at, cut.message)
            damage = self._source.damage
            yield replace(fault, message=damage or cut.message, truncated=cut.truncated or bool(damage))

    def _rest(self) -> Iterator[Fault]:
        try:
            self._peek()
        except _Cut:
            return
        damage = self._source.damage
        message = damage or "something follows the end of the JSON text"
        yield self._fault("", self._at, message, truncated=bool(damage))

    # -- the window

    def _more(self, size: int = 0) -> bool:
        """Slide the window to where we are and read on; False at the end of the file."""
        block = self._source.read(max(self._block, size))
        if not block:
            return False
        self._base += self._source.width(self._text[: self._at])
        self._text = self._text[self._at :] + block
        self._at = 0
        return True

    def _peek(self) -> str:
        """The next character that is no blank; we stand before it."""
        while True:
            self._at = self._blanks()
            if self._at < len(self._text):
                return self._text[self._at]
            if not self._more():
                raise _Cut("the file ends too early")

    def _blanks(self) -> int:
        found = _BLANK.match(self._text, self._at)
        return found.end() if found else self._at

    def _run(self, key: str | None, start: int, values: list[Any], places: list[int], names: list[str]) -> JsonRun:
        # good enough for a progress bar; the exact byte would cost a copy of the window for every run
        done = self._base + self._at
        return JsonRun(key, start, values, names, done, self._text, places, self._base, self._source)

    def _fault(self, where: str, at: int, message: str, *, truncated: bool = False) -> Fault:
        offset = self._base + self._source.width(self._text[:at])
        return Fault(where, offset, message, self._text[at : at + 200], truncated)

    # -- arrays and objects

    def _array(self, key: str) -> Iterator[JsonRun | Fault]:
        """The items of the array whose bracket we have just passed."""
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
                raise _Cut(f"{place} is followed by the wrong bracket", truncated=False)

    def _fast_items(self) -> tuple[list[Any], list[int]]:
        """Items that are whole in the window, with the comma that proves it."""
        values: list[Any] = []
        places: list[int] = []
        scan, comma, text = self._scan, _COMMA.match, self._text
        at = self._blanks()
        try:
            for _ in range(RUN):
                value, end = scan(text, at)
                found = comma(text, end)
                if found is None:
                    break
                values.append(value)
                places.append(at)
                at = found.end()
        except (ValueError, RecursionError):
            pass  # broken, or goes on beyond the window: `_slow_item` finds out
        self._at = at
        return values, places

    def _slow_item(self, key: str | None, index: int, name: str = "") -> _Item:
        """One item, reading on as far as it goes; returns its place and the mark behind it."""
        self._peek()
        place = f".{name}" if key is None else f"{key}[{index}]"
        try:
            value, end, mark = self._value()
        except _Cut as cut:
            fault = self._fault(place, self._at, cut.message)
            try:
                mark = self._skip(place)
            except _Cut:
                raise _Cut(f"cut off, or broken from here on ({cut.message})", fault=fault) from None
            yield fault
        else:
            yield self._run(key, index, [value], [self._at], [name] if key is None else [])
            self._at = end
        return place, mark

    def _members(self) -> Iterator[tuple[str, Iterator[JsonRun | Fault]]]:
        """The members of the top-level object whose brace we have just passed."""
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
            raise _Cut(f"{name} is followed by the wrong bracket", truncated=False)

    def _member(self, index: int, name: str, marks: list[str]) -> Iterator[JsonRun | Fault]:
        _, mark = yield from self._slow_item(None, index, name)
        marks.append(mark)

    def _name(self) -> str:
        """The name of a member; we stand behind its colon."""
        if self._peek() != '"':
            raise _Cut("a name in double quotes is expected", truncated=False)
        while _STRING_END.match(self._text, self._at + 1) is None:
            if not self._more(len(self._text)):
                raise _Cut("the file ends in a name")
        try:
            name, self._at = self._scan(self._text, self._at)
        except ValueError as error:
            raise _Cut(str(error), truncated=False) from None
        if self._peek() != ":":
            raise _Cut("a colon is expected", truncated=False)
        self._at += 1
        return str(name)

    def _mark(self) -> str:
        """The comma or bracket that must come next; we stand behind it."""
        mark = self._peek()
        if mark not in ",]}":
            raise _Cut("a comma or a closing bracket is expected", truncated=False)
        self._at += 1
        return mark

    # -- one value

    def _value(self) -> tuple[Any, int, str]:
        """The value that begins here, the place behind the mark that follows it, and that mark."""
        while True:
            message = "what follows is no JSON"
            try:
                value, end = self._scan(self._text, self._at)
                if found := _NEXT.match(self._text, end):
                    return value, found.end(), found[1]
                unfinished = len(self._text) - end < _EDGE or self._text[end:].isspace()
            except json.JSONDecodeError as error:
                message = error.msg
                unfinished = error.pos > len(self._text) - _EDGE or self._opens_a_string(error.pos)
            except (ValueError, RecursionError) as error:
                # a number of thousands of digits; brackets nested thousands deep
                raise _Cut(error_line(error), truncated=False) from None
            if not unfinished:
                raise _Cut(message, truncated=False)
            if len(self._text) - self._at > MAX_VALUE:
                raise _Cut("longer than we read", truncated=False)
            if not self._more(len(self._text) - self._at):
                raise _Cut(message)

    def _opens_a_string(self, at: int) -> bool:
        """Whether a string begins at `at` and does not end within the text read so far."""
        return self._text.startswith('"', at) and _STRING_END.match(self._text, at + 1) is None

    def _skip(self, place: str) -> str:
        """Pass over a broken value by its brackets and strings alone; returns the mark behind it."""
        depth = 0
        while True:
            found = _MARKS.search(self._text, self._at)
            if found is None:
                self._at = len(self._text)
                if not self._more():
                    raise _Cut(f"no end to {place}")
                continue
            mark = found[0]
            self._at = found.end()
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
            # keep a backslash at the very end with what it escapes
            tail = len(self._text) - len(self._text.rstrip("\\"))
            self._at = max(self._at, len(self._text) - tail % 2)
            if not self._more():
                raise _Cut(f"no end to a string in {place}")
