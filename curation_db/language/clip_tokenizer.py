"""CLIP tokenizer without torch; the token ids are those of open_clip's `SimpleTokenizer`.

The merges are in `data/clip_merges.txt.xz`: merges 1 to 48,894 of OpenAI CLIP's `bpe_simple_vocab_16e6.txt.gz` (MIT,
(c) 2021 OpenAI), one "left right" per line in order of rank, joined by newlines, compressed with lzma preset 9 extreme.
Invariant: no merged token occurs twice in that file, so a merged token identifies its merge, and a pair that arises
by a merge never has a lower rank than that merge. Merging by (rank, position) from a heap is therefore exact, and it
is not quadratic.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from functools import lru_cache
from heapq import heapify, heappop, heappush
from itertools import count
from pathlib import Path
from typing import Final, NamedTuple, Protocol

import curation_db

CONTEXT_LENGTH: Final = 77
"""Positions of CLIP's text tower, including the two special tokens."""
START_OF_TEXT: Final = 49_406
END_OF_TEXT: Final = 49_407

_MERGES: Final = Path(curation_db.__path__[0]) / "data" / "clip_merges.txt.xz"
_SPECIAL: Final = {"<start_of_text>": START_OF_TEXT, "<end_of_text>": END_OF_TEXT}
_WORD_END: Final = "</w>"
_CACHED_LENGTH: Final = 64  # longer strings rarely repeat, and would make the cache as large as the input
_PIECES: Final = r"<start_of_text>|<end_of_text>|'s|'t|'re|'ve|'m|'ll|'d|"
# Plain text does not need `regex`: there \p{L} is a-z (the text is already lower-case) and \p{N} is 0-9.
_PLAIN_WORD: Final = re.compile(_PIECES + r"[a-z]+|[0-9]|[^\sa-z0-9]+")
# In ASCII text, ftfy changes only entities, escape sequences and other control characters.
_NOT_PLAIN: Final = re.compile(r"[^\t\n\r -%'-~]")


class _Finder(Protocol):
    """The method that `re.Pattern` and `regex.Pattern` share."""

    def findall(self, text: str, /) -> list[str]: ...


def count_tokens(text: str) -> int:
    """Return how many of CLIP's 77 positions `text` needs, including start and end of text."""
    return 2 + sum(len(_ids_of(word)) for word in _words(text))


def encode(text: str) -> list[int]:
    """Return the token ids of `text` without start and end of text; nothing is cut.

    Raises:
        UnicodeEncodeError: The text contains a lone surrogate.
    """
    return [token for word in _words(text) for token in _ids_of(word)]


def tokens(text: str) -> list[int]:
    """Return the token ids of `text` with start and end of text; nothing is cut."""
    return [START_OF_TEXT, *encode(text), END_OF_TEXT]


def count_tokens_of(text: str, ranks: Mapping[str, int]) -> int:
    """Return the number of tokens of `text` for a tokenizer like CLIP's with other merges, with start and end of text.

    Args:
        ranks: "left right" to the rank of the merge; lower ranks are merged first.
    """
    alphabet = _alphabet()
    total = 2
    for word in _words(text):
        if word in _SPECIAL:
            total += 1
            continue
        symbols = [alphabet[byte] for byte in word.encode("utf-8")]
        symbols[-1] += _WORD_END
        total += len(_merged(symbols, ranks))
    return total


def _words(text: str) -> Iterator[str]:
    if _NOT_PLAIN.search(text) is None:
        return iter(_PLAIN_WORD.findall(text.lower()))
    return iter(_any_word().findall(repaired(text).lower()))


def repaired(text: str) -> str:
    """Return `text` with broken encodings and HTML entities repaired and white space joined, as open_clip does."""
    if _NOT_PLAIN.search(text) is None:
        return " ".join(text.split())
    import html  # noqa: PLC0415

    import ftfy  # noqa: PLC0415

    return " ".join(html.unescape(html.unescape(ftfy.fix_text(text))).split())


@lru_cache(maxsize=1)
def _any_word() -> _Finder:
    import regex  # noqa: PLC0415

    pattern: _Finder = regex.compile(_PIECES + r"[\p{L}]+|[\p{N}]|[^\s\p{L}\p{N}]+", regex.IGNORECASE)
    return pattern


def _ids_of(word: str) -> tuple[int, ...]:
    return _cached_ids(word) if len(word) <= _CACHED_LENGTH else _merged_ids(word)


@lru_cache(maxsize=32_768)
def _cached_ids(word: str) -> tuple[int, ...]:
    return _merged_ids(word)


def _merged_ids(word: str) -> tuple[int, ...]:
    """Return the token ids of `word`: its bytes, merged until no merge applies."""
    if word in _SPECIAL:
        return (_SPECIAL[word],)
    vocabulary = _vocabulary()
    symbols = [vocabulary.alphabet[byte] for byte in word.encode("utf-8")]
    symbols[-1] += _WORD_END
    return tuple(vocabulary.ids[symbol] for symbol in _merged(symbols, vocabulary.ranks))


def _merged(symbols: list[str], ranks: Mapping[str, int]) -> list[str]:
    """Merge the pair of `symbols` with the lowest rank, leftmost first, until no pair has a rank.

    The merged symbol stays at the index of its left part. The right part becomes "", and `following` skips it.
    """
    size = len(symbols)
    following = list(range(1, size + 1))
    before = list(range(-1, size - 1))
    heap = [(ranks[pair], at) for at in range(size - 1) if (pair := f"{symbols[at]} {symbols[at + 1]}") in ranks]
    heapify(heap)
    while heap:
        rank, at = heappop(heap)
        right = following[at]
        if right >= size or not symbols[at] or ranks.get(f"{symbols[at]} {symbols[right]}") != rank:
            continue  # an earlier merge has consumed one of the two
        symbols[at] += symbols[right]
        symbols[right] = ""
        following[at] = following[right]
        if following[at] < size:
            before[following[at]] = at
        for left in (before[at], at):
            if left >= 0 and following[left] < size:
                next_rank = ranks.get(f"{symbols[left]} {symbols[following[left]]}")
                if next_rank is not None:
                    heappush(heap, (next_rank, left))
    return [symbol for symbol in symbols if symbol]


class _Vocabulary(NamedTuple):
    alphabet: tuple[str, ...]
    """The character that stands for each of the 256 bytes in the merges."""
    ranks: dict[str, int]
    """"left right" to rank; lower ranks are merged first."""
    ids: dict[str, int]
    """Symbol to token id."""


@lru_cache(maxsize=1)
def _vocabulary() -> _Vocabulary:
    import lzma  # noqa: PLC0415

    packed = _MERGES.read_bytes()
    lines = lzma.decompress(packed).decode("utf-8")
    merges = lines.split("\n")
    alphabet = _alphabet()
    # Token ids start with the printable bytes, then the others: the order of CLIP's own alphabet.
    letters = sorted(alphabet, key=lambda letter: (ord(letter) >= 256, ord(letter)))
    symbols = letters + [letter + _WORD_END for letter in letters] + lines.replace(" ", "").split("\n")
    return _Vocabulary(alphabet, dict(zip(merges, count(), strict=False)), dict(zip(symbols, count(), strict=False)))


@lru_cache(maxsize=1)
def _alphabet() -> tuple[str, ...]:
    """Return one character per byte: printable Latin-1 stands for itself, the other bytes map to U+0100 and up."""
    spare = count(256)
    printable = {*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)}
    return tuple(chr(byte if byte in printable else next(spare)) for byte in range(256))
