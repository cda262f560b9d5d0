"""P(yes) from server responses: log-probabilities of the first token, typed decisions, samples or a bare answer. Pure.

The functions take parsed JSON of any shape and return None where the expected fields are missing. Valid fields that
mean neither yes nor no give a `Probability` with p = None.
"""

from __future__ import annotations

import hashlib
import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from workbench.generation.engines.yes_no_parsing import read_yes_no

TOP_LOGPROBS: Final = 20
"""Number of log-probabilities that a request asks for; vLLM's default limit (--max-logprobs)."""
LABELS: Final = ("yes", "no")
ANSWER_FIELD: Final = "answer"
"""Field of a JSON answer that is restricted to `LABELS`."""
_JSON_ANSWER: Final = re.compile(rf'\s*\{{\s*"{ANSWER_FIELD}"\s*:\s*"(\w*)"')
_SEEDS: Final = 2**31
_SPACE_MARKS: Final = "▁ĠĊ"
"""Characters that stand for blanks in raw tokens of SentencePiece and byte-level BPE."""


@dataclass(frozen=True, slots=True)
class Probability:
    """P(yes), and the share of the distribution that it rests on."""

    p: float | None
    """P(yes) / (P(yes) + P(no)), 0..1; None: the answer is neither yes nor no."""
    label_mass: float | None
    """P(yes) + P(no) within the whole distribution, 0..1; None: the method cannot measure it."""


def logistic(x: float) -> float:
    """Return 1 / (1 + exp(-x)) without an overflow: the probability of the log-odds `x`."""
    return 1 / (1 + math.exp(-x)) if x >= 0 else math.exp(x) / (1 + math.exp(x))


def from_tokens(tokens: Sequence[tuple[str, float]]) -> Probability:
    """Return p = Py / (Py + Pn) and label_mass = Py + Pn for the candidates of the first token.

    A token counts as yes or no where its text, stripped and in lower case, is a non-empty prefix of the word:
    tokenizers split words, so "Y" and " yes" lead to the same answer.

    Args:
        tokens: Pairs of token text and natural log-probability.
    """
    sums = {"yes": 0.0, "no": 0.0}
    for token, logprob in tokens:
        prefix = _word(token).lower()
        for word in sums:
            if prefix and word.startswith(prefix):
                sums[word] += min(1.0, math.exp(min(0.0, logprob)))
    mass = sums["yes"] + sums["no"]
    return Probability(sums["yes"] / mass, min(1.0, mass)) if mass > 0 else Probability(None, 0.0)


def first_tokens(choice: Any) -> list[tuple[str, float]] | None:
    """Return the candidates of the first token of `choices[0]` that is not blank; None: no usable log-probabilities.

    Shape: {"logprobs": {"content": [{"token", "logprob", "top_logprobs": [{"token", "logprob"}, ...]}, ...]}}.
    The generated token can be missing from top_logprobs; it is counted exactly once.
    """
    content = _nested(choice, "logprobs", "content")
    if not isinstance(content, list) or not content:
        return None
    entry = content[min(leading_blanks(choice), len(content) - 1)]
    generated, listed = _token(entry), _nested(entry, "top_logprobs")
    tokens = [_token(entry) for entry in listed] if isinstance(listed, list) else []
    if generated is None or any(token is None for token in tokens):
        return None
    candidates = [token for token in tokens if token is not None]
    return candidates if any(token[0] == generated[0] for token in candidates) else [*candidates, generated]


def leading_blanks(choice: Any) -> int:
    """Return the number of blank tokens, such as line ends, at the start of the log-probabilities of `choices[0]`."""
    content = _nested(choice, "logprobs", "content")
    blanks = 0
    for entry in content if isinstance(content, list) else ():
        token = _nested(entry, "token")
        if not isinstance(token, str) or _word(token):
            break
        blanks += 1
    return blanks


def from_logprobs(choice: Any) -> Probability | None:
    """Return P(yes) from `choices[0]` of a chat completion; None: the server sent no log-probabilities."""
    tokens = first_tokens(choice)
    return None if tokens is None else from_tokens(tokens)


def from_decision(payload: Any, name: str) -> Probability | None:
    """Return P(yes) from a /v1/systemone response to the "noul" question `name`; None: no valid decision.

    Shape: {"answers": {name: {"type": "noul", "noul": P(true)}}}; vLLM adds
    {"diagnostics": {name: {"label_mass": 0..1, ...}}}.
    """
    p = _unit_interval(_nested(payload, "answers", name, "noul"))
    return None if p is None else Probability(p, _unit_interval(_nested(payload, "diagnostics", name, "label_mass")))


def from_samples(texts: Sequence[str]) -> Probability:
    """Return the share of yes among the clear answers; label_mass is the share of clear answers."""
    clear = [answer for text in texts if (answer := read_yes_no(answer_text(text))) is not None]
    return Probability(sum(clear) / len(clear), len(clear) / len(texts)) if clear else Probability(None, 0.0)


def from_words(text: str) -> Probability:
    """Return p = 0, 1 or None (unclear) for one bare answer; its label mass is unknown."""
    answer = read_yes_no(answer_text(text))
    return Probability(None if answer is None else float(answer), None)


def answer_text(text: str) -> str:
    """Return the answer in the JSON object that a schema asked for, which may be cut off; another text as it is."""
    match = _JSON_ANSWER.match(text)
    return match[1] if match else text


def sample_seed(seed: int | None, number: int) -> int:
    """Return the seed of sample `number`: deterministic, so that a resumed run sends the same request."""
    text = f"{seed or 0}/{number}".encode()
    return int.from_bytes(hashlib.blake2b(text, digest_size=8).digest(), "big") % _SEEDS


def _word(token: str) -> str:
    """Return a token without the blanks around it."""
    return token.strip().strip(_SPACE_MARKS).strip()


def _nested(value: Any, *names: str) -> Any:
    for name in names:
        value = value.get(name) if isinstance(value, Mapping) else None
    return value


def _token(entry: Any) -> tuple[str, float] | None:
    token, logprob = _nested(entry, "token"), _nested(entry, "logprob")
    number = _number(logprob)
    return (token, number) if isinstance(token, str) and number is not None else None


def _number(value: Any) -> float | None:
    """Return a JSON number as a float; None for booleans, NaN (which Python's parser accepts) and everything else."""
    if isinstance(value, bool) or not isinstance(value, int | float) or math.isnan(value):
        return None
    return float(value)


def _unit_interval(value: Any) -> float | None:
    number = _number(value)
    return number if number is not None and 0.0 <= number <= 1.0 else None
