"""Reads and replays scripted keyboard sessions: keys, expected texts on the screen, expected actions in the record.

A line is `keys | screen | record`. Keys are names (`enter`, `f4`) or single characters; text in quotes is typed. Texts
of the screen are separated by &; `!` marks a text that must be absent. Actions of the record are separated by ; and
are in order. Lines that begin with @ control the terminal: @start, @resize 90x30, @resize back, @exit.
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

TIMEOUT_SECONDS = 40.0
IGNORED_KEY_TEXT = "key ignored"
REPEAT_SECONDS = 0.6
RETRY_SECONDS = 5.0
"""Seconds after which the first key of a start is pressed again: the app drops one from before its first screen."""
# fmt: off
KEYS = {
    "space": " ", "enter": "\r", "escape": "\x1b", "backspace": "\x7f", "tab": "\t", "bar": "|",
    "up": "\x1b[A", "down": "\x1b[B", "right": "\x1b[C", "left": "\x1b[D", "home": "\x1b[H", "end": "\x1b[F",
    "pagedown": "\x1b[6~", "f1": "\x1bOP", "f2": "\x1bOQ", "f4": "\x1bOS",
    "ctrl+p": "\x10", "ctrl+s": "\x13", "ctrl+y": "\x19",
}
# fmt: on
_ACTIONS_SQL = """
    SELECT e.kind, e.reason, e.note, c.concept FROM event e JOIN candidate c ON c.id = e.candidate_id
    WHERE e.uid = e.act ORDER BY e.seq
"""


@dataclass(frozen=True, slots=True)
class Step:
    """A line of a script."""

    line: int
    keys: str
    texts: tuple[str, ...]
    actions: tuple[str, ...]


def read_session(path: Path) -> list[Step]:
    """Read the steps in order; # begins a comment."""
    steps = []
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
        if line.strip() and not line.startswith("#"):
            keys, screen, record = (part.strip() for part in f"{line}||".split("|")[:3])
            steps.append(Step(number, keys, _split(screen, "&"), _split(record, ";")))
    return steps


def _split(text: str, separator: str) -> tuple[str, ...]:
    return tuple(part.strip() for part in text.split(separator) if part.strip())


def as_bytes(keys: str) -> str:
    """Return the characters that a keyboard sends for the keys."""
    words = shlex.split(keys, posix=False)
    return "".join(word[1:-1] if word[0] == '"' else KEYS.get(word, word) for word in words)


def actions(database: Path) -> list[str]:
    """Return all actions in the notation of a script: kind, concept, reason, note."""
    connection = sqlite3.connect(database)
    try:
        rows = connection.execute(_ACTIONS_SQL).fetchall()
    finally:
        connection.close()
    return [" ".join(filter(None, (kind, concept, reason, note))) for kind, reason, note, concept in rows]


class Replay:
    """Replays a session in a pseudo-terminal, as fast as the app responds."""

    def __init__(self, command: list[str | Path], database: Path, size: tuple[int, int], **environment: str) -> None:
        self._command = command
        self._database = database
        self._size = size
        self._environment = environment
        self._terminal: Terminal | None = None
        self._screen = ScreenReader(*size)
        self._read = 0
        self._keys = ""
        """Keys to press again if the app reports that they came too early: a busy machine paints late."""
        self._pressed_at = 0.0
        self._starting = False
        """Whether no key has had an effect since the start."""
        self._done: list[str] = []
        """The actions of the steps so far."""

    def __enter__(self) -> Replay:
        return self

    def __exit__(self, *_: object) -> None:
        if self._terminal is not None:
            self._terminal.__exit__()

    def play(self, steps: list[Step]) -> list[str]:
        """Replay the steps; return the actions of the script.

        Raises:
            AssertionError: the screen or the record does not match a step in time; the message has both.
        """
        for step in steps:
            self._begin(step)
            self._done += step.actions
            self._await(step)
            self._starting = self._starting and step.keys.startswith("@")
        return self._done

    def _begin(self, step: Step) -> None:
        name, _, argument = step.keys.partition(" ")
        if name == "@start":
            self._starting, self._keys = True, ""
            self._screen, self._read = ScreenReader(*self._size), 0
            self._terminal = Terminal(self._command, columns=self._size[0], rows=self._size[1], **self._environment)
            return
        assert self._terminal is not None
        if name == "@resize":
            size = self._size if argument == "back" else tuple(map(int, argument.split("x")))
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
        deadline = time.monotonic() + TIMEOUT_SECONDS
        while not self._matches(step):
            ended = self._terminal is None or self._terminal.process.poll() is not None
            if time.monotonic() > deadline or (ended and step.texts):
                raise AssertionError(
                    f"line {step.line}: {step.keys}\nexpected {step.texts} and {self._done[-6:]}\n"
                    f"the record ends with {actions(self._database)[-6:]}\n{self._screen.text}"
                )
            time.sleep(0.005)

    def _matches(self, step: Step) -> bool:
        if self._terminal is not None:
            new = bytes(self._terminal.output[self._read :])
            self._read += len(new)
            self._screen.feed(new)
            if IGNORED_KEY_TEXT in self._screen.text and time.monotonic() - self._pressed_at > REPEAT_SECONDS:
                self._press_again()
            if self._starting and self._keys and self._is_ignored(step):
                self._press_again()
        shown = re.sub(r"\s+", " ", self._screen.text)
        all_shown = all(self._shows(shown, text) for text in step.texts)
        return all_shown and actions(self._database) == self._done

    def _is_ignored(self, step: Step) -> bool:
        """Return whether the key had enough time and none of the step's actions is in the record."""
        waited = time.monotonic() - self._pressed_at > RETRY_SECONDS
        return waited and bool(step.actions) and actions(self._database) == self._done[: -len(step.actions)]

    def _press_again(self) -> None:
        assert self._terminal is not None
        self._terminal.press(self._keys)
        self._pressed_at = time.monotonic()

    def _shows(self, shown: str, text: str) -> bool:
        is_expected = not text.startswith("!")
        is_shown = re.search(rf"(?<!\w){re.escape(text.lstrip('!'))}(?!\w)", shown) is not None
        return is_shown is is_expected
