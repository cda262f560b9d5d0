"""Cue mixes: which negation cue and which position in the caption a rewrite is requested with. Pure.

Unprompted, models mostly write "without" and "with no" at the end of the caption, and a text tower trained on that
learns two words. A pseudo-random choice by a hash of the item spreads cues and positions evenly over many items.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from curation_db.enums import NegationType
from curation_db.language.nouns import concept_key
from curation_db.stats.targets import POSITIONS, PRESETS
from workbench.workspace.settings.engines import Mix

__all__ = ["CUES", "FREE", "POSITIONS", "CueTarget", "choose_cue_target", "cues_for", "seed_of"]

FREE: Final = "free"
"""Key of the phrase tables for: no cue or position requested."""
CUES: Final = ("no", "not", "isn't", "without", "lacking", "nothing", "nobody", "no one", "never")
"""Cues that can be requested; "isn't" stands for all contractions."""
_BY_TYPE: Final[Mapping[NegationType, tuple[str, ...]]] = {
    NegationType.ABSENCE: ("no", "not", "without", "lacking", "isn't"),
    NegationType.ACTION: ("not", "isn't", "never", "without"),
    NegationType.ATTRIBUTE: ("not", "isn't"),
    NegationType.RELATION: ("not", "isn't"),
    NegationType.OTHER: ("not", "isn't", "without"),
}
_FOR_PEOPLE: Final = ("nobody", "no one")
_PEOPLE: Final = frozenset(("person", "people", "anyone", "anybody", "someone", "somebody", "human", "crowd"))
"""Concepts that "nobody" negates; it does not negate "woman"."""
_BENCHMARK_FITS: Final[Mapping[NegationType, tuple[str, ...]]] = {
    NegationType.ABSENCE: ("no", "not", "without", "nothing"),
    NegationType.ACTION: ("not", "without"),
    NegationType.ATTRIBUTE: ("not",),
    NegationType.RELATION: ("not",),
    NegationType.OTHER: ("no", "not", "without"),
}


@dataclass(frozen=True, slots=True)
class CueTarget:
    """Requested cue and position; an empty string: not requested."""

    mix: Mix
    cue: str = ""
    position: str = ""

    @property
    def extra(self) -> dict[str, str]:
        """Fields stored with the candidate."""
        return {"mix": str(self.mix), "asked_cue": self.cue, "asked_position": self.position}


def cues_for(negation_type: NegationType, concept: str | None) -> tuple[str, ...]:
    """Return the cues that can negate a concept of this type."""
    cues = _BY_TYPE[negation_type]
    if negation_type is NegationType.ABSENCE and concept and concept_key(concept) in _PEOPLE:
        return (*cues, *_FOR_PEOPLE)
    return cues


def choose_cue_target(mix: Mix, negation_type: NegationType, concept: str | None, *, item: str, seed: int) -> CueTarget:
    """Choose cue and position for `item`: deterministic per item and seed, distributed as the mix over many items."""
    if mix is Mix.FREE:
        return CueTarget(mix)
    if mix is Mix.BALANCED:
        cues: Mapping[str, float] = dict.fromkeys(cues_for(negation_type, concept), 1.0)
        positions: Mapping[str, float] = dict.fromkeys(POSITIONS, 1.0)
    else:
        spread = PRESETS["negrefcocog"]
        cues = {cue: spread["cue"][cue] for cue in _BENCHMARK_FITS[negation_type]}
        positions = spread["position"]
    text = f"{seed}\n{item}\n{concept or ''}"
    return CueTarget(mix, _draw(cues, f"{text}\ncue"), _draw(positions, f"{text}\nposition"))


def seed_of(*parts: object) -> int:
    """Return a 31-bit seed, deterministic in `parts`."""
    text = "\n".join(map(str, parts))
    return int.from_bytes(hashlib.blake2b(text.encode("utf-8", "surrogatepass"), digest_size=4).digest(), "big") >> 1


def _draw(weights: Mapping[str, float], text: str) -> str:
    at = seed_of("mix", text) / 2**31 * sum(weights.values())
    for name, weight in weights.items():
        at -= weight
        if at < 0:
            return name
    return list(weights)[-1]
