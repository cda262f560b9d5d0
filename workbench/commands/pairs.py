"""NAME=VALUE on the command line."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from workbench.errors import UsageError


def pairs(words: Sequence[str]) -> dict[str, Any]:
    """NAME=VALUE, each value as JSON reads it; what is no JSON is a word."""
    told: dict[str, Any] = {}
    for word in words:
        name, equals, value = word.partition("=")
        if not (name and equals):
            raise UsageError(f"--set {word}: NAME=VALUE is expected")
        try:
            told[name] = json.loads(value)
        except ValueError:
            told[name] = value
    return told
