"""The demo model's vocabulary: the byte-pair merges of CLIP that the words of the demo need.

Other words are tokenized as single bytes. Negation words are included although the base model never reads one.
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
"""Vocabulary file in the model's folder, read by `trainers.models.loading`."""
VOCABULARY_IMAGES = 3000
"""Images of the demo corpus to read: enough that no word is missing."""
_WORD = regex.compile(r"'s|'t|'re|'ve|'m|'ll|'d|[\p{L}]+|[\p{N}]|[^\s\p{L}\p{N}]+")


def world_texts() -> Iterator[str]:
    """Yield captions, negated captions and the held-out wordings."""
    for image in make_corpus(pictures=VOCABULARY_IMAGES):
        for caption in image.captions:
            yield caption.text
        for candidate in image.candidates:
            if candidate.proposal.flaw is None:
                yield candidate.proposal.text
    for image in make_corpus(pictures=10):
        yield from (write(DemoDraft(image.captions[0], "hat")) for write in HELD_OUT.values())


def words_of(texts: Iterable[str]) -> set[str]:
    """Return the pieces into which CLIP's tokenizer splits texts before merging."""
    return {word for text in texts for word in _WORD.findall(text.lower())}


def clip_merges() -> list[str]:
    """Return all merges of CLIP in rank order."""
    with gzip.open(default_bpe()) as file:
        return file.read().decode("utf-8").split("\n")[1 : 49152 - 256 - 2 + 1]


def needed_merges(words: Iterable[str], merges: list[str]) -> list[str]:
    """Return the merges used to tokenize `words`, in rank order; removing the others changes no tokenization."""
    ranks = {tuple(merge.split()): rank for rank, merge in enumerate(merges)}
    used: set[int] = set()
    for word in words:
        used.update(_merges_of(word, ranks))
    return [merges[rank] for rank in sorted(used)]


def _merges_of(word: str, ranks: dict[tuple[str, ...], int]) -> Iterator[int]:
    """Yield the ranks of the merges that byte-pair encoding applies to an ASCII word."""
    parts = [*word[:-1], f"{word[-1]}</w>"]
    while len(parts) > 1:
        rank, at = min((ranks.get(pair, len(ranks)), i) for i, pair in enumerate(itertools.pairwise(parts)))
        if rank == len(ranks):
            return
        yield rank
        parts[at : at + 2] = ["".join(parts[at : at + 2])]


def write_vocabulary(folder: Path) -> Path:
    """Write the vocabulary for open_clip's `SimpleTokenizer`: a header and the merges, without a final newline."""
    merges = needed_merges(sorted(words_of(world_texts())), clip_merges())
    path = folder / BPE_FILE
    # no time stamp: equal words give equal bytes
    path.write_bytes(gzip.compress("\n".join(["#version: negwb demo", *merges]).encode(), mtime=0))
    return path
