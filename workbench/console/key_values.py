"""Arguments NAME=VALUE of the command line."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from curation_db.foreign_json import JsonError, parse_json
from workbench.errors import UsageError


def pairs(words: Sequence[str]) -> dict[str, Any]:
    """Parse NAME=VALUE arguments; a value that is not JSON is a string.

    Raises:
        UsageError: An argument is not NAME=VALUE.
    """
    values: dict[str, Any] = {}
    for word in words:
        name, equals, value = word.partition("=")
        if not (name and equals):
            raise UsageError(f"--set {word}: expected NAME=VALUE")
        try:
            values[name] = parse_json(value)
        except JsonError:
            values[name] = value
    return values
