"""P(yes) from what servers send: log-probabilities of the first token, typed decisions, sampled answers. Pure.

Every function takes parsed JSON of a server, which may be of any shape, and returns None where it does not hold what
it should; a shape that is right but says neither yes nor no is a `Probability` without p.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from workbench.generation.engines.yes_no_parsing import read_yes_no

TOP_LOGPROBS: Final = 20
"""What is asked for; vLLM's own limit (--max-logprobs)."""
_SEEDS: Final = 2**31
_SPACE_MARKS: Final = "▁ĠĊ"
"""How SentencePiece and byte-level BPE write blanks, where a server sends raw tokens."""


@dataclass(frozen=True, slots=True)
class Probability:
    """A probability of yes, and how far it is to be trusted."""

    p: float | None
    """P(yes) among yes and no, 0..1; None: neither was said."""
    label_mass: float | None
    """P(yes or no) among everything that could have been said; None: this method does not know."""


def from_tokens(tokens: Sequence[tuple[str, float]]) -> Probability:
    """p = Py / (Py + Pn) and label_mass = Py + Pn of a first token's candidates (token, natural log-probability).

    A token counts for yes or no where its text, without blanks and in lower case, is a non-empty beginning of the
    word: tokenizers split words, and "Y" or " yes" is on the way to the same answer.
    """
    sums = {"yes": 0.0, "no": 0.0}
    for token, logprob in tokens:
        begun = token.strip().strip(_SPACE_MARKS).strip().lower()
        for word in sums:
            if begun and word.startswith(begun):
                sums[word] += min(1.0, math.exp(min(0.0, logprob)))
    mass = sums["yes"] + sums["no"]
    return Probability(sums["yes"] / mass, min(1.0, mass)) if mass > 0 else Probability(None, 0.0)


def first_tokens(choice: Any) -> list[tuple[str, float]] | None:
    """The candidates of the first token of `choices[0]` in the chat shape; None: no (usable) log-probabilities.

    Shape: {"logprobs": {"content": [{"token", "logprob", "top_logprobs": [{"token", "logprob"}, ...]}, ...]}}.
    The token that was said is among the candidates or beside them; it is counted once.
    """
    content = _inside(choice, "logprobs", "content")
    if not isinstance(content, list) or not content:
        return None
    said, listed = _token(content[0]), _inside(content[0], "top_logprobs")
    tokens = [_token(entry) for entry in listed] if isinstance(listed, list) else []
    if said is None or any(token is None for token in tokens):
        return None
    told = [token for token in tokens if token is not None]
    return told if any(token[0] == said[0] for token in told) else [*told, said]


def from_logprobs(choice: Any) -> Probability | None:
    """The chance in a chat answer's `choices[0]`; None: the server sent no log-probabilities."""
    tokens = first_tokens(choice)
    return None if tokens is None else from_tokens(tokens)


def from_decision(payload: Any, name: str) -> Probability | None:
    """The chance in an answer of /v1/systemone to the "noul" question `name`.

    Shape: {"answers": {name: {"type": "noul", "noul": P(true)}}}, and from vLLM beside it
    {"diagnostics": {name: {"label_mass": 0..1, ...}}}.
    """
    p = _share(_inside(payload, "answers", name, "noul"))
    return None if p is None else Probability(p, _share(_inside(payload, "diagnostics", name, "label_mass")))


def from_samples(texts: Sequence[str]) -> Probability:
    """The share of yes among the answers that say yes or no; label_mass: the share that does."""
    read = [answer for text in texts if (answer := read_yes_no(text)) is not None]
    return Probability(sum(read) / len(read), len(read) / len(texts)) if read else Probability(None, 0.0)


def from_words(text: str) -> Probability:
    """One bare answer: certain, or unclear; how much of the probability stood behind it is not known."""
    read = read_yes_no(text)
    return Probability(None if read is None else float(read), None)


def sample_seed(seed: int | None, number: int) -> int:
    """The seed of sample `number`, the same every time: what is asked must not depend on when it is asked."""
    told = f"{seed or 0}/{number}".encode()
    return int.from_bytes(hashlib.blake2b(told, digest_size=8).digest(), "big") % _SEEDS


def _inside(value: Any, *names: str) -> Any:
    for name in names:
        value = value.get(name) if isinstance(value, Mapping) else None
    return value


def _token(entry: Any) -> tuple[str, float] | None:
    token, logprob = _inside(entry, "token"), _inside(entry, "logprob")
    number = _number(logprob)
    return (token, number) if isinstance(token, str) and number is not None else None


def _number(value: Any) -> float | None:
    """A float that is one: JSON's true is no number, and NaN, which Python's reader lets through, is none either."""
    if isinstance(value, bool) or not isinstance(value, int | float) or math.isnan(value):
        return None
    return float(value)


def _share(value: Any) -> float | None:
    number = _number(value)
    return number if number is not None and 0.0 <= number <= 1.0 else None
