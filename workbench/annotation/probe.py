"""The probe after an accept: two short questions about sentences that follow from the accepted caption. Pure.

The affirmed twin should be false of the image, the paraphrase true. The choice of the cards and the order of the
questions depend on the candidate and the annotator only, so they are the same in every session.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from curation_db.enums import PROBES, Kind
from curation_db.language.affirmation import affirmed
from curation_db.language.paraphrase import paraphrased

if TYPE_CHECKING:
    from curation_db.search.cards import Card
    from workbench.annotation.models import PreparedCard


@dataclass(frozen=True, slots=True)
class ProbeQuestion:
    kind: Kind
    """One of `PROBES`."""
    sentence: str


@dataclass(frozen=True, slots=True)
class Probe:
    """The questions about one accepted card, and which of them is asked now."""

    ready: PreparedCard
    questions: tuple[ProbeQuestion, ...]
    at: int = 0

    @property
    def question(self) -> ProbeQuestion:
        return self.questions[self.at]

    def following(self) -> Probe | None:
        """Return the probe at its next question; None: it has no further one."""
        return replace(self, at=self.at + 1) if self.at + 1 < len(self.questions) else None


def is_probed(card: Card, annotator: str, share: float) -> bool:
    """Return whether this annotator's accepts of the card are probed, at this share of all cards."""
    return _draw(card, annotator, "probe") < share


def probe_of(ready: PreparedCard, annotator: str, *, first: Kind | None = None) -> Probe | None:
    """Return the probe about a card; None: no sentence can be derived.

    Args:
        first: Kind of the question to begin with; None: the first one.
    """
    card = ready.card
    twin, paraphrase = affirmed(card.text, card.concept or ""), paraphrased(card.text, card.concept or "")
    if not card.concept or twin is None or paraphrase is None:
        return None
    sentences = {Kind.TWIN: twin, Kind.PARAPHRASE: paraphrase}
    kinds = PROBES if _draw(card, annotator, "order") < 0.5 else PROBES[::-1]
    questions = tuple(ProbeQuestion(kind, sentences[kind]) for kind in kinds)
    return Probe(ready, questions, 0 if first is None else kinds.index(first))


def _draw(card: Card, annotator: str, purpose: str) -> float:
    """Return a number from 0 to 1 that depends on the arguments only."""
    digest = hashlib.sha256("\0".join((purpose, str(card.candidate_id), card.text, annotator)).encode()).digest()
    return int.from_bytes(digest[:8], "big") / 2**64
