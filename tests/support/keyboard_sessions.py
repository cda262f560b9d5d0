"""Sessions at the keyboard, written down: keys, what the screen then shows, what the record then holds.

A line is `keys | screen | record`. Keys have names (`enter`, `f4`) or stand for themselves; words in quotes are typed.
Of the screen there are words, with & between; `!` before those that must have gone. Of the record there are acts, with
; between, in order. Lines that begin with @ are about the terminal: @start, @resize 90x30, @resize back, @exit.
"""

from __future__ import annotations

import re
import shlex
import sqlite3
import time
from dataclasses import dataclass
from pathlib import Path

from support.screen import ScreenReader
from support.terminal import Terminal

PATIENCE = 40.0
MISSED = "that key did nothing"
PAUSE = 0.6
UNHEARD = 5.0
"""Seconds after which the first key of a start is pressed again: the app drops one from before its first screen."""
# fmt: off
KEYS = {
    "space": " ", "enter": "\r", "escape": "\x1b", "backspace": "\x7f", "tab": "\t", "bar": "|",
    "up": "\x1b[A", "down": "\x1b[B", "right": "\x1b[C", "left": "\x1b[D", "home": "\x1b[H", "end": "\x1b[F",
    "pagedown": "\x1b[6~", "f1": "\x1bOP", "f2": "\x1bOQ", "f4": "\x1bOS",
    "ctrl+p": "\x10", "ctrl+s": "\x13", "ctrl+y": "\x19",
}
# fmt: on
_ACTS = """
    SELECT e.kind, e.reason, e.note, c.concept FROM event e JOIN candidate c ON c.id = e.candidate_id
    WHERE e.uid = e.act ORDER BY e.seq
"""


@dataclass(frozen=True, slots=True)
class Step:
    """A line of the script."""

    line: int
    keys: str
    words: tuple[str, ...]
    acts: tuple[str, ...]


def read_session(path: Path) -> list[Step]:
    """The steps, in order; # begins a remark."""
    steps = []
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
        if line.strip() and not line.startswith("#"):
            keys, screen, record = (part.strip() for part in f"{line}||".split("|")[:3])
            steps.append(Step(number, keys, _listed(screen, "&"), _listed(record, ";")))
    return steps


def _listed(told: str, between: str) -> tuple[str, ...]:
    return tuple(part.strip() for part in told.split(between) if part.strip())


def as_bytes(keys: str) -> str:
    """What a keyboard sends for them."""
    words = shlex.split(keys, posix=False)
    return "".join(word[1:-1] if word[0] == '"' else KEYS.get(word, word) for word in words)


def acts(database: Path) -> list[str]:
    """Everything that was done, as a script says it: kind, the concept it was about, reason or note."""
    connection = sqlite3.connect(database)
    try:
        rows = connection.execute(_ACTS).fetchall()
    finally:
        connection.close()
    return [" ".join(filter(None, (kind, concept, reason, note))) for kind, reason, note, concept in rows]


class Replay:
    """Plays a session in a pseudo-terminal, as fast as the app follows."""

    def __init__(self, command: list[str | Path], database: Path, size: tuple[int, int], **environment: str) -> None:
        self._command = command
        self._database = database
        self._size = size
        self._environment = environment
        self._terminal: Terminal | None = None
        self._screen = ScreenReader(*size)
        self._read = 0
        self._keys = ""
        """Pressed again where the app says that they came too early: a busy machine paints late."""
        self._pressed_at = 0.0
        self._starting = False
        """No key has had an effect since the start."""
        self._done: list[str] = []
        """The acts that the steps so far have told."""

    def __enter__(self) -> Replay:
        return self

    def __exit__(self, *_: object) -> None:
        if self._terminal is not None:
            self._terminal.__exit__()

    def play(self, steps: list[Step]) -> list[str]:
        """Play all; returns the acts that the script tells.

        Raises:
            AssertionError: the screen or the record did not come to what a step says; the message has both.
        """
        for step in steps:
            self._begin(step)
            self._done += step.acts
            self._await(step)
            self._starting = self._starting and step.keys.startswith("@")
        return self._done

    def _begin(self, step: Step) -> None:
        name, _, told = step.keys.partition(" ")
        if name == "@start":
            self._starting, self._keys = True, ""
            self._screen, self._read = ScreenReader(*self._size), 0
            self._terminal = Terminal(self._command, columns=self._size[0], rows=self._size[1], **self._environment)
            return
        assert self._terminal is not None
        if name == "@resize":
            size = self._size if told == "back" else tuple(map(int, told.split("x")))
            self._screen.resize(*size)
            self._terminal.resize(*size)
        elif name == "@exit":
            assert self._terminal.end() == 0
            self._terminal.__exit__()
            self._terminal = None
        else:
            self._keys = as_bytes(step.keys)
            self._press_again()

    def _await(self, step: Step) -> None:
        deadline = time.monotonic() + PATIENCE
        while not self._is_as_told(step):
            ended = self._terminal is None or self._terminal.process.poll() is not None
            if time.monotonic() > deadline or (ended and step.words):
                raise AssertionError(
                    f"line {step.line}: {step.keys}\nwanted {step.words} and {self._done[-6:]}\n"
                    f"the record ends with {acts(self._database)[-6:]}\n{self._screen.text}"
                )
            time.sleep(0.005)

    def _is_as_told(self, step: Step) -> bool:
        if self._terminal is not None:
            new = bytes(self._terminal.output[self._read :])
            self._read += len(new)
            self._screen.feed(new)
            if MISSED in self._screen.text and time.monotonic() - self._pressed_at > PAUSE:
                self._press_again()
            if self._starting and self._keys and self._is_unheard(step):
                self._press_again()
        seen = re.sub(r"\s+", " ", self._screen.text)
        there = all(self._shows(seen, words) for words in step.words)
        return there and acts(self._database) == self._done

    def _is_unheard(self, step: Step) -> bool:
        """Whether the key has had ample time, and nothing of what it does is in the record."""
        waited = time.monotonic() - self._pressed_at > UNHEARD
        return waited and bool(step.acts) and acts(self._database) == self._done[: -len(step.acts)]

    def _press_again(self) -> None:
        assert self._terminal is not None
        self._terminal.press(self._keys)
        self._pressed_at = time.monotonic()

    def _shows(self, seen: str, words: str) -> bool:
        wanted = not words.startswith("!")
        found = re.search(rf"(?<!\w){re.escape(words.lstrip('!'))}(?!\w)", seen) is not None
        return found is wanted
