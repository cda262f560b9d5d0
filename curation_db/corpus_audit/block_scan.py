"""Finds the captions of a block of text that may have a cue, and counts the words of all, with numpy.

A block holds one caption on each line. Captions of printable ASCII are counted here; the few with other bytes, and the
very long ones, are returned for the general code. A caption without a word of `negation_cues.HINTS` has no cue, so only
those with such a word are returned as candidates. The runs of letters are looked up by their first three letters,
their last letter and their length, so that a few candidates too many are returned, and none too few.
"""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, Final, NamedTuple

from curation_db.importing.rows import TEXT_LIMIT
from curation_db.language.negation_cues import HINT_ENDING, HINTS

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    _Integers = NDArray[np.integer]

BLOCK: Final = 1 << 18
"""Bytes of a block that fit into the caches of a core."""
_KEPT: Final = 16 << 20
"""Bytes: more than all arrays of a block take together."""
_BLANK, _SIGN, _LETTER, _LINE_END, _OTHER = range(5)
_LONGEST: Final = 15
"""Runs of this length and longer share one entry of the table."""
_ENDING: Final = HINT_ENDING.encode()


class BlockScan(NamedTuple):
    """What is known about the captions of a block."""

    captions: int
    """Captions that are counted here; blank lines and `others` are not."""
    words: int
    word_squares: int
    """Sum of the squared number of words."""
    blank: int
    """Lines of blanks only, empty ones included."""
    candidates: list[tuple[int, int, int, int]]
    """(line, start, end, words) of counted captions that may have a cue."""
    others: list[tuple[int, int, int]]
    """(line, start, end) of the captions that are not counted here."""
    lines: int


def scan(block: bytes) -> BlockScan:
    """Return the counts and the candidates of a block of lines; every line ends with a newline."""
    import numpy as np  # noqa: PLC0415 -- 60 ms, and an audit of a few captions does without

    if not block:
        return BlockScan(0, 0, 0, 0, [], [], 0)
    _keep_freed_memory()
    data = np.frombuffer(block, np.uint8)
    kinds = np.frombuffer(block.translate(_kinds()), np.uint8)
    ends = np.flatnonzero(kinds == _LINE_END)
    starts = np.concatenate((np.zeros(1, ends.dtype), ends[:-1] + 1))
    words = _word_counts(kinds, ends)
    is_other = ends - starts > TEXT_LIMIT
    if block.isascii() and kinds.max() < _OTHER:
        other = np.flatnonzero(is_other)
    else:
        is_other[np.searchsorted(ends, np.flatnonzero(kinds == _OTHER))] = True
        other = np.flatnonzero(is_other)
    candidates = np.unique(np.searchsorted(ends, np.array(_hint_offsets(block, data, kinds), np.intp)))
    counted = words
    if len(other):
        candidates = candidates[~is_other[candidates]]
        counted = words[~is_other]
    captions = int(np.count_nonzero(counted))
    return BlockScan(
        captions=captions,
        words=int(counted.sum()),
        word_squares=int(np.dot(counted, counted)),
        blank=len(counted) - captions,
        candidates=[
            (int(line), int(starts[line]), int(ends[line]), int(words[line])) for line in candidates if words[line]
        ],
        others=[(int(line), int(starts[line]), int(ends[line])) for line in other],
        lines=len(ends),
    )


@cache
def _keep_freed_memory() -> None:
    """Let the process keep the memory of the arrays of a block for the next block.

    The allocator of glibc returns large arrays to the system at once, and a fifth of the time goes into new pages. It
    raises its two limits (M_MMAP_THRESHOLD, M_TRIM_THRESHOLD) to the size of a large array that was freed, and to twice
    that size. The array is never written, so it takes no memory itself; other allocators ignore it.
    """
    import numpy as np  # noqa: PLC0415

    np.empty(_KEPT, np.uint8)


def _word_counts(kinds: NDArray[np.uint8], ends: NDArray[np.intp]) -> NDArray[np.int64]:
    """Return the number of words of each line."""
    import numpy as np  # noqa: PLC0415

    filled = (kinds == _LETTER) | (kinds == _SIGN) | (kinds == _OTHER)
    filled[1:] &= ~filled[:-1].copy()
    before = np.searchsorted(np.flatnonzero(filled), ends)
    return np.diff(before, prepend=0).astype(np.int64)


def _hint_offsets(block: bytes, data: NDArray[np.uint8], kinds: NDArray[np.uint8]) -> list[int]:
    """Return an offset in each caption that may have a cue; some captions have several."""
    import numpy as np  # noqa: PLC0415

    is_letter = kinds == _LETTER
    edges = np.flatnonzero(is_letter[1:] != is_letter[:-1]) + 1
    if is_letter[0]:
        edges = np.concatenate((np.zeros(1, edges.dtype), edges))
    starts, lengths = edges[0::2], np.minimum(edges[1::2] - edges[0::2], _LONGEST)
    # The last byte is a newline, so a run of one letter has a byte after it; a second one only if the run is longer.
    second, third = data[starts + 1] & 31, data[np.minimum(starts + 2, len(data) - 1)] & 31
    by_beginning, by_end = _tables()
    maybe = np.flatnonzero(by_beginning[_index(data[starts] & 31, second, third, lengths)])
    last = data[edges[1::2][maybe] - 1] & 31
    maybe = maybe[by_end[_index(data[starts[maybe]] & 31, last, 0, lengths[maybe])]]
    offsets = starts[maybe].tolist()
    offsets += starts[1:][_is_by_after_un(data, starts, lengths)].tolist()
    lower = block.lower()
    at = lower.find(_ENDING)
    while at >= 0:
        offsets.append(at)
        at = lower.find(_ENDING, at + len(_ENDING))
    return list(offsets)


def _is_by_after_un(data: NDArray[np.uint8], starts: NDArray[np.intp], lengths: NDArray[np.intp]) -> NDArray[np.bool_]:
    """Return for each run after the first whether it is "by" after a run that begins with "un"."""
    is_by = (lengths[1:] == 2) & (data[starts[1:]] & 31 == ord("b") & 31) & (data[starts[1:] + 1] & 31 == ord("y") & 31)
    before = starts[:-1]
    return is_by & (data[before] & 31 == ord("u") & 31) & (data[before + 1] & 31 == ord("n") & 31)  # type: ignore[no-any-return]


def _index(first: _Integers, second: _Integers, third: _Integers | int, length: _Integers) -> _Integers:
    """Return the index in a table: five bits for each letter, whatever its case, and four for the length."""
    return (((length << 5 | first) << 5) | second) << 5 | third


@cache
def _kinds() -> bytes:
    """Return the kind of each byte."""
    kinds = bytearray([_OTHER]) * 256
    kinds[0x21:0x7F] = bytes([_SIGN]) * (0x7F - 0x21)
    for letter in range(ord("a"), ord("z") + 1):
        kinds[letter] = kinds[letter - 32] = _LETTER
    kinds[ord(" ")] = kinds[ord("\t")] = _BLANK
    kinds[ord("\n")] = _LINE_END
    return bytes(kinds)


@cache
def _tables() -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """Return for each index whether a hint has this length and begins with these three letters, and whether one has
    this length and the first and the last of these letters. Short hints leave letters open.
    """
    import numpy as np  # noqa: PLC0415

    beginnings = np.zeros((_LONGEST + 1, 32, 32, 32), np.bool_)
    ends = np.zeros((_LONGEST + 1, 32, 32, 32), np.bool_)
    for hint in HINTS:
        length = min(len(hint), _LONGEST)
        letters = [ord(letter) & 31 for letter in hint]
        place: tuple[int | slice, ...] = (length, *letters[:3], *([slice(None)] * (3 - len(letters))))
        beginnings[place] = True
        ends[length, letters[0], letters[-1], 0] = True
    return beginnings.reshape(-1), ends.reshape(-1)
