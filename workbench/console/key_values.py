"""NAME=VALUE on the command line."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from curation_db.foreign_json import JsonError, parse_json
from workbench.errors import UsageError


def pairs(words: Sequence[str]) -> dict[str, Any]:
    """NAME=VALUE, each value as JSON reads it; what is no JSON is a word."""
    told: dict[str, Any] = {}
    for word in words:
        name, equals, value = word.partition("=")
        if not (name and equals):
            raise UsageError(f"--set {word}: NAME=VALUE is expected")
        try:
            told[name] = parse_json(value)
        except JsonError:
            told[name] = value
    return told
