"""Reads `published_rates.toml`: rates of negation that others published, with their source and their list of words."""

from __future__ import annotations

import tomllib
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Final

_FILE: Final = Path(__file__).with_name("published_rates.toml")


@dataclass(frozen=True, slots=True, kw_only=True)
class PublishedRate:
    """One published rate. Shares are from 0 to 1."""

    corpus: str
    caption_share: float | None
    word_share: float | None
    negated: int | None
    """Captions with negation, if the source states the number."""
    captions: int | None
    source: str
    """Title and reference."""
    counted: str
    """What the source counts as negation."""
    note: str


@cache
def published_rates() -> tuple[PublishedRate, ...]:
    """Return the published rates, in the order of the file."""
    content = tomllib.loads(_FILE.read_text(encoding="utf-8"))
    rates = []
    for row in content["rates"]:
        source = content["sources"][row["source"]]
        negated, captions = row.get("negated"), row.get("captions")
        share = negated / captions if negated and captions else row["share_of_captions"] / 100
        rates.append(
            PublishedRate(
                corpus=row["corpus"],
                caption_share=share,
                word_share=row["share_of_words"] / 100 if "share_of_words" in row else None,
                negated=negated,
                captions=captions,
                source=f"{source['title']}, {source['reference']}",
                counted=source["counted"],
                note=source["note"],
            )
        )
    return tuple(rates)
