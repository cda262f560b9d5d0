"""Layer steering: shifts the hidden state of a negated text at one layer along the direction of negation.

After Sammani et al., CVPR-W 2026, arXiv 2603.20554, which shifts the state of the end token at every layer along the
weights of a linear probe, fitted to 4,000 pairs that a language model wrote. Here one layer is steered, along the mean
difference of the states of negated minus affirmed texts. The pairs are the negated texts of the items on which the
layer and the strength are chosen, each with its cue removed by a rule: no further data are needed.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from functools import partial
from typing import TYPE_CHECKING, Final

from benchmarks.corrections.corrected import Candidate, CorrectedEncoder, CorrectedTexts, IdentifiedModel
from benchmarks.corrections.kind import CorrectionKind
from benchmarks.errors import BenchError
from curation_db.language.negation_cues import CUES_VERSION, Cue, CueClass, find_cues, negates

if TYPE_CHECKING:
    import torch

    from trainers.models.clip_model import ClipModel

STRENGTHS: Final = (0.0, 0.1, 0.2, 0.4, 0.8, 1.6, 3.2)
"""Candidates of the strength: the length of the shift, relative to that of the hidden state."""
_LAYERS: Final = 4
"""Number of layers to choose from, at equal distances up to the last one."""
_CODE: Final = "1"
"""Raised if equal pairs, layer and strength give another embedding."""
_REMOVED: Final = frozenset({CueClass.DETERMINER, CueClass.CLAUSAL, CueClass.ADVERB})
"""Classes of cues without which a text affirms: "no hat", "not wearing a hat", "never sleeps"."""
_REPLACED: Final = {
    "without": "with",
    "lack": "with",
    "absent": "present",
    "nobody": "somebody",
    "nothing": "something",
    "none": "some",
    "nowhere": "somewhere",
}
"""Words that affirm, by the canonical word of the cue."""


def affirmed_counterpart(text: str) -> str | None:
    """Return the text with what it denies affirmed, as "a man with a hat" for "a man without a hat".

    None where a cue has no such replacement ("neither", "unmade") or the result still negates. It need not be
    grammatical ("a man with hat"): only the mean over many pairs is used.
    """
    affirmed, after = "", 0
    for cue in find_cues(text):
        replacement = _affirming_word(cue)
        if replacement is None:
            return None
        affirmed += text[after : cue.start] + replacement
        after = cue.end
    affirmed = " ".join((affirmed + text[after:]).split())
    return None if after == 0 or not affirmed or negates(affirmed) else affirmed


def _affirming_word(cue: Cue) -> str | None:
    if cue.cue_class in _REMOVED and cue.word in {"no", "not", "zero", "never"}:
        return ""
    return _REPLACED.get(cue.word)


def pairs_of(texts: Iterable[str]) -> list[tuple[str, str]]:
    """Return each negated text with its affirmed counterpart, where it has one."""
    counterparts = ((text, affirmed_counterpart(text)) for text in dict.fromkeys(texts) if negates(text))
    return [(negated, affirmed) for negated, affirmed in counterparts if affirmed is not None]


def negation_directions(model: ClipModel, pairs: Sequence[tuple[str, str]]) -> torch.Tensor:
    """Return for each layer the unit vector of the mean state of the negated minus the affirmed texts.  -> (L, W)"""
    import torch  # noqa: PLC0415 -- a second, which listing the tasks does not need

    from trainers.models.steering import end_states  # noqa: PLC0415 -- imports torch

    negated, affirmed = (end_states(model, [pair[side] for pair in pairs]) for side in (0, 1))
    return torch.nn.functional.normalize((negated - affirmed).mean(dim=1), dim=1)


def steer(
    base: IdentifiedModel,
    model: ClipModel,
    pairs: Sequence[tuple[str, str]],
    directions: torch.Tensor,
    *,
    layer: int,
    strength: float,
    chosen_on: str = "",
) -> CorrectedEncoder:
    """Return `model` with the state after one layer shifted for the texts that negate something.

    Args:
        base: `model` with its identity.
        pairs: The texts that the directions are from.
        directions: (L, W), as `negation_directions` returns.
        layer: From 1.
        strength: Length of the shift, relative to that of the state.
        chosen_on: The items on which layer and strength were chosen, in words.
    """
    from trainers.models.steering import SteeredTower  # noqa: PLC0415 -- imports torch

    texts = (text for pair in pairs for text in pair)
    parts = ("steering", _CODE, str(CUES_VERSION), str(layer), repr(strength), base.model_hash, *texts)
    model_hash = hashlib.sha256("\0".join(parts).encode("utf-8", "surrogatepass")).hexdigest()
    tower = SteeredTower(model.text_tower, layer, strength * directions[layer - 1])

    def encode(some: Sequence[str]) -> torch.Tensor:
        return tower.encode_all(model.tokenizer(list(some)))

    correction = {
        "kind": CorrectionKind.STEERING.value,
        "strength": strength,
        "largest": strength == STRENGTHS[-1],
        "layer": layer,
        "pairs": len(pairs),
        "chosen_on": chosen_on,
    }
    return CorrectedEncoder(base, CorrectedTexts(base, model_hash, encode), negates, correction, model_hash)


def layers_to_choose_from(count: int) -> list[int]:
    """Return at most `_LAYERS` of `count` layers, from 1, the last one among them."""
    return sorted({-(-count * part // _LAYERS) for part in range(1, _LAYERS + 1)})


def steerings(model: ClipModel, texts: Iterable[str], chosen_on: str) -> list[Candidate]:
    """Return the candidates to choose from, the smallest strength first, then the first layer.

    Args:
        texts: The negated ones give the direction of negation.

    Raises:
        BenchError: No text has an affirmed counterpart.
        TrainerError: The text tower has no layers that can be steered.
    """
    if not (pairs := pairs_of(texts)):
        raise BenchError("steering needs negated texts that can be affirmed by a rule, such as 'no hat'; none is here")
    directions = negation_directions(model, pairs)
    steered = partial(steer, model=model, pairs=pairs, directions=directions, chosen_on=chosen_on)
    return [
        partial(steered, layer=layer, strength=strength)
        for strength in STRENGTHS
        for layer in layers_to_choose_from(len(directions))[: None if strength else 1]
    ]
