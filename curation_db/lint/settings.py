"""Settings of the lint: rules that are off, and thresholds."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final

from curation_db.language.clip_tokenizer import CONTEXT_LENGTH
from curation_db.language.token_counter import CLIP_TOKENS, TextLimit, TokenCounter
from curation_db.lint.rules import ALL_RULES, Rule
from curation_db.validation import setting


@dataclass(frozen=True, slots=True, kw_only=True)
class LintSettings:
    """The table [lint] of negwb.toml, read by `curation_db.validation.validate`."""

    off: frozenset[Rule] = setting(
        frozenset(), "rules that are off; negwb lint --rules explains them", example='["over-frequent"]'
    )
    most_tokens: int = setting(
        CONTEXT_LENGTH,
        "longer texts are too-long; default: what [train] model reads, 77 for CLIP",
        example="77",
        at_least=3,
        at_most=CONTEXT_LENGTH,
    )
    frequent_share: float = setting(
        0.02,
        "a concept is over-frequent if a larger share of the candidates negates it ...",
        example="0.02",
        at_least=0,
        at_most=1,
    )
    frequent_count: int = setting(  # in a small data set every concept has a large share
        50,
        "... and at least this many candidates negate it",
        example="50",
        at_least=1,
        at_most=10**9,
    )
    across_pictures: bool = setting(True, "report near-duplicates on other images as well", example="true")

    counter: TokenCounter = field(default=CLIP_TOKENS, metadata={"key": False})
    """Counts the tokens of a text; it comes from [train] model."""

    @property
    def text_limit(self) -> TextLimit:
        """The longest text that is not too-long."""
        return TextLimit(self.most_tokens, self.counter)

    @property
    def rules(self) -> frozenset[Rule]:
        """The rules that are on."""
        return ALL_RULES - self.off


DEFAULTS: Final = LintSettings()
