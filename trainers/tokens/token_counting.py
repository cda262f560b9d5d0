"""Counts tokens with the tokenizer of a model, read from its files: no torch, no network.

A tokenizer that cannot be read is replaced by CLIP's, and `problem` states the reason.
"""

from __future__ import annotations

import gzip
import string
import zlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any, Final

from curation_db.language.clip_tokenizer import count_tokens, count_tokens_of, repaired
from curation_db.language.sanitize import display_text

BPE_FILE: Final = "bpe.txt.gz"
"""Extension of negwb to local-dir folders: a byte-pair vocabulary for open_clip's `SimpleTokenizer`."""
TOKENIZER_FILE: Final = "tokenizer.json"
"""A tokenizer of the package `tokenizers`, as transformers saves it."""
CLIPS_MODE: Final = "clips"
"""Mode of open_clip's `HFTokenizer` that adds its own three special tokens."""
_CLIPS_TOKENS = 3
_MOST_BYTES = 1 << 27
"""Gemma's tokenizer, with 256,000 tokens, has 34 MB."""
_MERGES = 49_152 - 256 - 2
"""Merges that `SimpleTokenizer` reads at most."""
_WITHOUT_PUNCTUATION = str.maketrans("", "", string.punctuation)


class _UnreadableTokenizer(Exception):
    """The message is one line with the reason."""


@dataclass(frozen=True, slots=True)
class BpeFileCounter:
    """Counts with the byte-pair vocabulary in `path`; the file is read at the first count."""

    path: Path

    @property
    def name(self) -> str:
        return f"{BPE_FILE} of {_folder_name(self.path)}"

    def count(self, text: str) -> int:
        ranks = _read(_bpe_ranks, self.path)
        return count_tokens(text) if isinstance(ranks, str) else count_tokens_of(text, ranks)

    def problem(self) -> str:
        return _problem(_read(_bpe_ranks, self.path))


@dataclass(frozen=True, slots=True)
class TokenizerFileCounter:
    """Counts as open_clip's `HFTokenizer` does, with the file tokenizer.json, which is read at the first count."""

    path: Path
    clean: str = "whitespace"
    """A value of `_CLEAN`: what happens to a text before it is split."""
    mode: str = ""

    @property
    def name(self) -> str:
        return f"{TOKENIZER_FILE} of {_folder_name(self.path)}"

    def count(self, text: str) -> int:
        tokenizer = _read(_tokenizer, self.path)
        if isinstance(tokenizer, str):
            return count_tokens(text)
        special = self.mode != CLIPS_MODE
        cleaned = _CLEAN.get(self.clean, repaired)(text)
        return len(tokenizer.encode(cleaned, add_special_tokens=special).ids) + (0 if special else _CLIPS_TOKENS)

    def problem(self) -> str:
        return _problem(_read(_tokenizer, self.path))


def _canonical(text: str) -> str:
    """Return `text` as `canonicalize_text` of open_clip and big_vision: lower case, without punctuation."""
    return " ".join(repaired(text).replace("_", " ").translate(_WITHOUT_PUNCTUATION).lower().split())


_CLEAN: Final[Mapping[str, Callable[[str], str]]] = {
    "whitespace": repaired,
    "lower": lambda text: repaired(text).lower(),
    "canonicalize": _canonical,
}
"""`tokenizer_kwargs.clean` of open_clip."""


def _folder_name(path: Path) -> str:
    """Return the name of a model's folder; a snapshot of the hub has the name of its repository."""
    folder = path.parent
    if folder.parent.name == "snapshots":
        return folder.parent.parent.name.removeprefix("models--").replace("--", "/")
    return folder.name


def _problem(loaded: Any) -> str:
    return f"{loaded}: CLIP's tokenizer counts the tokens instead" if isinstance(loaded, str) else ""


def _read(load: Callable[[Path], Any], path: Path) -> Any:
    """Return what `load` reads from `path`, or the reason why it cannot be read; each version of a file once."""
    try:
        stat = path.stat()
    except OSError as error:
        return f"{path} cannot be read ({error.strerror or type(error).__name__})"
    return _read_once(load, path, stat.st_size, stat.st_mtime_ns)


@lru_cache(maxsize=8)
def _read_once(load: Callable[[Path], Any], path: Path, size: int, _: int) -> Any:
    if size > _MOST_BYTES:
        return f"{path} is too large for a tokenizer"
    try:
        return load(path)
    except _UnreadableTokenizer as error:
        return f"{path} cannot be read ({error})"


def _bpe_ranks(path: Path) -> Mapping[str, int]:
    try:
        with gzip.open(path) as file:
            content = file.read(_MOST_BYTES + 1)
        lines = content.decode("utf-8").split("\n")[1 : _MERGES + 1]
    except (OSError, EOFError, ValueError, zlib.error) as error:
        raise _UnreadableTokenizer(type(error).__name__) from error
    if not lines:
        raise _UnreadableTokenizer("it has no merges")
    return {" ".join(line.split()): rank for rank, line in enumerate(lines)}


def _tokenizer(path: Path) -> Any:
    try:
        from tokenizers import Tokenizer  # noqa: PLC0415 -- part of the extra train
    except ImportError as error:
        raise _UnreadableTokenizer("the package tokenizers is not installed") from error
    try:
        tokenizer = Tokenizer.from_file(str(path))
        tokenizer.no_truncation()
        tokenizer.no_padding()
    except Exception as error:  # `tokenizers` raises plain Exception on a damaged file
        raise _UnreadableTokenizer(display_text(str(error), limit=80)) from error
    return tokenizer
