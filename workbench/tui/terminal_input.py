"""Splits terminal input into keys, pastes and complete sequences. Pure; the caller passes the time."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import dataclass
from enum import Enum, StrEnum
from typing import Final

ESC: Final = "\x1b"
_BEL, _CAN, _SUB = "\x07", "\x18", "\x1a"
_STRING_INTRODUCERS: Final = {"\x90": "P", "\x98": "X", "\x9d": "]", "\x9e": "^", "\x9f": "_"}
"""The 8-bit introducers and the letters that stand for them behind an escape."""
_STRING_LETTERS: Final = frozenset(_STRING_INTRODUCERS.values())
_C1_SS3, _C1_CSI, _C1_ST = "\x8f", "\x9b", "\x9c"
_OSC_LETTER: Final = "]"
"""BEL ends this string, as xterm does; in the others it is data."""
_LINUX_CONSOLE: Final = f"{ESC}[["
"""F1 to F5 of the Linux console: one more character follows."""
_X10_MOUSE: Final = f"{ESC}[M"
_X10_LENGTH: Final = 6
_PASTE_START, _PASTE_END = f"{ESC}[200~", f"{ESC}[201~"
_LONGEST_SEQUENCE: Final = 64
_LONGEST_PASTE: Final = 1_000_000

INTRODUCER_SECONDS: Final = 0.5
"""After ESC and an introducer (as in alt+]): when nothing follows for so long, it was a key."""
SEQUENCE_SECONDS: Final = 2.0
"""A control sequence or a string whose next character does not come in this time is given up."""
STRING_SECONDS: Final = 10.0
"""A string is given up after this time in any case; otherwise a lost terminator would swallow keys for ever."""
PASTE_SECONDS: Final = 10.0
"""A paste whose next character does not come in this time is taken to be complete."""


class TokenKind(StrEnum):
    CHARACTER = "character"
    """One ordinary character."""
    ESCAPE = "escape"
    """The escape key."""
    ALT = "alt"
    """A character that was typed with alt."""
    SEQUENCE = "sequence"
    """A complete control sequence, in its 7-bit form."""
    PASTE = "paste"
    """Text that was pasted."""


@dataclass(frozen=True, slots=True)
class InputToken:
    kind: TokenKind
    text: str = ""


class _State(Enum):
    GROUND = "ground"
    ESCAPE = "escape"
    CSI = "csi"
    SS3 = "ss3"
    STRING = "string"
    STRING_ESCAPE = "string escape"
    PASTE = "paste"


class InputSplitter:
    """Takes characters as they are read and returns tokens once they are complete."""

    def __init__(self, key_sequences: Collection[str], *, escape_seconds: float) -> None:
        """Start at the beginning of the input.

        Args:
            key_sequences: Sequences of keys. Some of them (`ESC [ 3 $`) are complete where ECMA-48 expects more.
            escape_seconds: An escape character with nothing after it for this long is the escape key.
        """
        self._key_sequences = key_sequences
        self._escape_seconds = escape_seconds
        self._state = _State.GROUND
        self._sequence = ""
        """The sequence so far; of a string only the introducer and its first character."""
        self._pasted: list[str] = []
        self._started = self._last = 0.0

    def feed(self, characters: str, now: float) -> list[InputToken]:
        """Return the tokens that these characters complete."""
        tokens: list[InputToken] = []
        for character in characters:
            tokens += self._take(character, now)
        if characters:
            self._last = now
        return tokens

    def expire(self, now: float) -> list[InputToken]:
        """Return the tokens that are complete because nothing followed in time. Call it at regular intervals."""
        quiet = now - self._last
        match self._state:
            case _State.ESCAPE if quiet >= self._escape_seconds:
                return [*self._end(InputToken(TokenKind.ESCAPE))]
            case _State.CSI | _State.SS3 | _State.STRING if self._is_bare_introducer:
                return list(self._abandon()) if quiet >= INTRODUCER_SECONDS else []
            case _State.CSI | _State.SS3 if quiet >= SEQUENCE_SECONDS:
                return list(self._abandon())
            case _State.STRING | _State.STRING_ESCAPE:
                if quiet >= SEQUENCE_SECONDS or now - self._started >= STRING_SECONDS:
                    return list(self._abandon())
            case _State.PASTE if quiet >= PASTE_SECONDS:
                return [*self._end(InputToken(TokenKind.PASTE, "".join(self._pasted)))]
        return []

    # -- one character ------------------------------------------------------------------------------------------

    def _take(self, character: str, now: float) -> Iterator[InputToken]:
        match self._state:
            case _State.GROUND:
                yield from self._begin(character, now)
            case _State.ESCAPE:
                yield from self._after_escape(character, now)
            case _State.CSI:
                yield from self._in_csi(character, now)
            case _State.SS3:
                yield from self._in_ss3(character, now)
            case _State.STRING:
                self._in_string(character)
            case _State.STRING_ESCAPE:
                yield from self._in_string_escape(character, now)
            case _State.PASTE:
                yield from self._in_paste(character)

    def _begin(self, character: str, now: float) -> Iterator[InputToken]:
        if character == ESC:
            self._enter(_State.ESCAPE, ESC, now)
        elif character in _STRING_INTRODUCERS:
            self._enter(_State.STRING, f"{ESC}{_STRING_INTRODUCERS[character]}+", now)  # cannot be a key with alt
        elif character == _C1_CSI:
            self._enter(_State.CSI, f"{ESC}[", now)
        elif character == _C1_SS3:
            self._enter(_State.SS3, f"{ESC}O", now)
        elif not "\x80" <= character <= "\x9f":
            yield InputToken(TokenKind.CHARACTER, character)

    def _after_escape(self, character: str, now: float) -> Iterator[InputToken]:
        if character == ESC:
            yield InputToken(TokenKind.ESCAPE)
        elif character == "[":
            self._enter(_State.CSI, f"{ESC}[", now)
        elif character == "O":
            self._enter(_State.SS3, f"{ESC}O", now)
        elif character in _STRING_LETTERS:
            self._enter(_State.STRING, ESC + character, now)
        elif "\x80" <= character <= "\x9f":
            yield from self._end(InputToken(TokenKind.ESCAPE))
            yield from self._begin(character, now)
        else:
            yield from self._end(InputToken(TokenKind.ALT, character))

    def _in_csi(self, character: str, now: float) -> Iterator[InputToken]:
        sequence = self._sequence + character
        if self._sequence.startswith(_X10_MOUSE):
            yield from self._grow(sequence, complete=len(sequence) >= _X10_LENGTH)
        elif self._sequence == _LINUX_CONSOLE or sequence in self._key_sequences:
            yield from self._grow(sequence, complete=True)
        elif " " <= character <= "?":
            yield from self._grow(sequence[:_LONGEST_SEQUENCE], complete=False)
        elif "@" <= character <= "~":
            yield from self._grow(sequence, complete=sequence not in (_X10_MOUSE, _LINUX_CONSOLE))
        else:
            yield from self._break_off(character, now)

    def _in_ss3(self, character: str, now: float) -> Iterator[InputToken]:
        sequence = self._sequence + character
        if "0" <= character <= ";":  # some terminals put the modifier number here
            yield from self._grow(sequence[:_LONGEST_SEQUENCE], complete=False)
        elif " " <= character <= "~":
            yield from self._grow(sequence, complete=True)
        else:
            yield from self._break_off(character, now)

    def _in_string(self, character: str) -> None:
        ends_osc = character == _BEL and self._sequence[1] == _OSC_LETTER
        if ends_osc or character in (_C1_ST, _CAN, _SUB):
            self._reset()
        elif character == ESC:
            self._state = _State.STRING_ESCAPE
        elif self._is_bare_introducer:
            self._sequence += character

    def _in_string_escape(self, character: str, now: float) -> Iterator[InputToken]:
        if character == "\\" or character in (_C1_ST, _CAN, _SUB):
            self._reset()
        elif character != ESC:  # any other sequence breaks a string off, as in a terminal
            self._enter(_State.ESCAPE, ESC, now)
            yield from self._after_escape(character, now)

    def _in_paste(self, character: str) -> Iterator[InputToken]:
        self._pasted.append(character)
        if character == "~" and "".join(self._pasted[-len(_PASTE_END) :]) == _PASTE_END:
            yield from self._end(InputToken(TokenKind.PASTE, "".join(self._pasted[: -len(_PASTE_END)])))
        elif len(self._pasted) > _LONGEST_PASTE:
            del self._pasted[-len(_PASTE_END) - 1]  # the end of the paste must still be recognised

    # -- the state ----------------------------------------------------------------------------------------------

    @property
    def _is_bare_introducer(self) -> bool:
        """Whether only an introducer was read that may have been a key with alt."""
        return self._state is not _State.STRING_ESCAPE and len(self._sequence) == 2

    def _enter(self, state: _State, sequence: str, now: float) -> None:
        self._state, self._sequence, self._started = state, sequence, now

    def _grow(self, sequence: str, *, complete: bool) -> Iterator[InputToken]:
        if not complete:
            self._sequence = sequence
        elif sequence == _PASTE_START:
            self._state = _State.PASTE
        else:
            yield from self._end(InputToken(TokenKind.SEQUENCE, sequence))

    def _break_off(self, character: str, now: float) -> Iterator[InputToken]:
        """Handle a character that no sequence may contain: it starts anew."""
        yield from self._abandon()
        if character not in (_CAN, _SUB):
            yield from self._begin(character, now)

    def _abandon(self) -> Iterator[InputToken]:
        """Drop an incomplete sequence; a bare introducer was a key with alt."""
        key = InputToken(TokenKind.ALT, self._sequence[1]) if self._is_bare_introducer else None
        self._reset()
        if key is not None:
            yield key

    def _end(self, token: InputToken) -> Iterator[InputToken]:
        self._reset()
        yield token

    def _reset(self) -> None:
        self._state, self._sequence, self._pasted = _State.GROUND, "", []
