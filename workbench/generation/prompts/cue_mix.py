"""Mixes: which word of denial and which place in the caption a rewrite is asked for. Pure.

What a model writes by itself is mostly "without" and "with no" at the end; a text tower that is trained on that has
learned two words. Asked for at random, by a hash of the item, cues and places come out even over many items.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from curation_db.enums import NegationType
from curation_db.language.nouns import concept_key
from curation_db.stats.targets import POSITIONS, PRESETS
from workbench.workspace.engine_settings import Mix

__all__ = ["CUES", "FREE", "POSITIONS", "CueTarget", "choose_cue_target", "cues_for", "seed_of"]

FREE: Final = "free"
"""In tables of phrases: nothing is asked for."""
CUES: Final = ("no", "not", "isn't", "without", "lacking", "nothing", "nobody", "no one", "never")
"""What can be asked for; "isn't" stands for all contractions."""
_BY_TYPE: Final[Mapping[NegationType, tuple[str, ...]]] = {
    NegationType.ABSENCE: ("no", "not", "without", "lacking", "isn't"),
    NegationType.ACTION: ("not", "isn't", "never", "without"),
    NegationType.ATTRIBUTE: ("not", "isn't"),
    NegationType.RELATION: ("not", "isn't"),
    NegationType.OTHER: ("not", "isn't", "without"),
}
_FOR_PEOPLE: Final = ("nobody", "no one")
_PEOPLE: Final = frozenset(("person", "people", "anyone", "anybody", "someone", "somebody", "human", "crowd"))
"""What "nobody" denies; "nobody" does not deny a woman."""
_BENCHMARK_FITS: Final[Mapping[NegationType, tuple[str, ...]]] = {
    NegationType.ABSENCE: ("no", "not", "without", "nothing"),
    NegationType.ACTION: ("not", "without"),
    NegationType.ATTRIBUTE: ("not",),
    NegationType.RELATION: ("not",),
    NegationType.OTHER: ("no", "not", "without"),
}


@dataclass(frozen=True, slots=True)
class CueTarget:
    """What a rewrite is asked for; empty: nothing."""

    mix: Mix
    cue: str = ""
    position: str = ""

    @property
    def extra(self) -> dict[str, str]:
        """As it is kept with the candidate."""
        return {"mix": str(self.mix), "asked_cue": self.cue, "asked_position": self.position}


def cues_for(negation_type: NegationType, concept: str | None) -> tuple[str, ...]:
    """The cues that can deny such a thing."""
    cues = _BY_TYPE[negation_type]
    if negation_type is NegationType.ABSENCE and concept and concept_key(concept) in _PEOPLE:
        return (*cues, *_FOR_PEOPLE)
    return cues


def choose_cue_target(mix: Mix, negation_type: NegationType, concept: str | None, *, item: str, seed: int) -> CueTarget:
    """What the rewrite of `item` is asked for: the same for the same item and seed, the mix over many items."""
    if mix is Mix.FREE:
        return CueTarget(mix)
    if mix is Mix.BALANCED:
        cues: Mapping[str, float] = dict.fromkeys(cues_for(negation_type, concept), 1.0)
        positions: Mapping[str, float] = dict.fromkeys(POSITIONS, 1.0)
    else:
        spread = PRESETS["negrefcocog"]
        cues = {cue: spread["cue"][cue] for cue in _BENCHMARK_FITS[negation_type]}
        positions = spread["position"]
    told = f"{seed}\n{item}\n{concept or ''}"
    return CueTarget(mix, _drawn(cues, f"{told}\ncue"), _drawn(positions, f"{told}\nposition"))


def seed_of(*told: object) -> int:
    """A seed of 31 bits, the same for the same words."""
    text = "\n".join(map(str, told))
    return int.from_bytes(hashlib.blake2b(text.encode("utf-8", "surrogatepass"), digest_size=4).digest(), "big") >> 1


def _drawn(weights: Mapping[str, float], told: str) -> str:
    at = seed_of("mix", told) / 2**31 * sum(weights.values())
    for name, weight in weights.items():
        at -= weight
        if at < 0:
            return name
    return list(weights)[-1]
