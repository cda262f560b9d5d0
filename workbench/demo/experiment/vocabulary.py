"""The demo model's vocabulary: CLIP's byte-pair merges, cut to those that the world's words need.

Anything else still has tokens (single bytes); the words that deny are in it although the base model never reads one.
"""

from __future__ import annotations

import gzip
import itertools
from collections.abc import Iterable, Iterator
from pathlib import Path

import regex
from open_clip.tokenizer import default_bpe  # type: ignore[import-untyped]

from workbench.demo.simulation.corpus import make_corpus
from workbench.demo.simulation.proposer import HELD_OUT, DemoDraft

BPE_FILE = "bpe.txt.gz"
"""In the model's folder: a vocabulary of its own, read by `trainers.clip_models`."""
VOCABULARY_IMAGES = 3000
"""Of the demo corpus: enough that no word of the world is missing."""
_WORD = regex.compile(r"'s|'t|'re|'ve|'m|'ll|'d|[\p{L}]+|[\p{N}]|[^\s\p{L}\p{N}]+")


def world_texts() -> Iterator[str]:
    """Captions, their negations, and the wordings that are kept for tests."""
    for picture in make_corpus(pictures=VOCABULARY_IMAGES):
        for caption in picture.captions:
            yield caption.text
        for candidate in picture.candidates:
            if candidate.proposal.flaw is None:
                yield candidate.proposal.text
    for picture in make_corpus(pictures=10):
        yield from (write(DemoDraft(picture.captions[0], "hat")) for write in HELD_OUT.values())


def words_of(texts: Iterable[str]) -> set[str]:
    """The pieces that CLIP's tokenizer splits before it merges."""
    return {word for text in texts for word in _WORD.findall(text.lower())}


def clip_merges() -> list[str]:
    """All merges of CLIP, in their rank."""
    with gzip.open(default_bpe()) as file:
        return file.read().decode("utf-8").split("\n")[1 : 49152 - 256 - 2 + 1]


def needed_merges(words: Iterable[str], merges: list[str]) -> list[str]:
    """The merges that happen when `words` are tokenized, in their rank; all others can go without a change."""
    ranks = {tuple(merge.split()): rank for rank, merge in enumerate(merges)}
    used: set[int] = set()
    for word in words:
        used.update(_merges_of(word, ranks))
    return [merges[rank] for rank in sorted(used)]


def _merges_of(word: str, ranks: dict[tuple[str, ...], int]) -> Iterator[int]:
    """The ranks of the merges of one ASCII word, as byte-pair encoding applies them."""
    parts = [*word[:-1], f"{word[-1]}</w>"]
    while len(parts) > 1:
        rank, at = min((ranks.get(pair, len(ranks)), i) for i, pair in enumerate(itertools.pairwise(parts)))
        if rank == len(ranks):
            return
        yield rank
        parts[at : at + 2] = ["".join(parts[at : at + 2])]


def write_vocabulary(folder: Path) -> Path:
    """The vocabulary as a file for open_clip's `SimpleTokenizer`: a header, the merges, no newline at the end."""
    merges = needed_merges(sorted(words_of(world_texts())), clip_merges())
    path = folder / BPE_FILE
    # No time stamp: the same words give the same bytes.
    path.write_bytes(gzip.compress("\n".join(["#version: negwb demo", *merges]).encode(), mtime=0))
    return path
