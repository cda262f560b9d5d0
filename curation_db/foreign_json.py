"""Parser for JSON from outside: from other programs, from people, or from an older negwb.

Every fault raises one exception with a message of one line, also where the standard library raises another one: nesting
beyond Python's recursion limit, a number of thousands of digits, bytes in an unknown encoding.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from typing import Any, Final

NESTED_TOO_DEEPLY: Final = "nested too deeply"
_LENIENT_DECODER: Final = json.JSONDecoder(strict=False)
"""Shared, because `json.loads` creates a new decoder for every call with options."""


class JsonError(ValueError):
    """The text is not valid JSON; the message is one line."""


def parse_json(
    content: str | bytes,
    *,
    strict: bool = True,
    parse_constant: Callable[[str], object] | None = None,
    parse_float: Callable[[str], object] | None = None,
) -> Any:
    """Return the value of the JSON text `content`.

    Args:
        content: the text, or its bytes in UTF-8, UTF-16 or UTF-32.
        strict: refuse raw control characters inside strings.
        parse_constant: converts NaN, Infinity and -Infinity; it may raise a ValueError.
        parse_float: converts a number with a fraction or an exponent.

    Raises:
        JsonError: the text is not valid JSON.
    """
    try:
        if parse_constant is parse_float is None:
            if strict:
                return json.loads(content)
            if isinstance(content, str):
                return _LENIENT_DECODER.decode(content)
        return json.loads(content, strict=strict, parse_constant=parse_constant, parse_float=parse_float)
    except (ValueError, RecursionError) as error:
        raise JsonError(error_line(error)) from None


def finite_number(value: object) -> float | None:
    """Return a JSON number as a finite float; None: it is another value, or too large."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    try:
        return float(value) if math.isfinite(value) else None
    except OverflowError:
        return None


def error_line(error: Exception) -> str:
    """Return an error of the standard library's JSON parser as one line."""
    if isinstance(error, RecursionError):
        return NESTED_TOO_DEEPLY
    if isinstance(error, UnicodeDecodeError):
        return f"invalid {error.encoding} at byte {error.start}"
    # after a semicolon Python explains how programmers can allow longer numbers
    return " ".join(str(error).partition(";")[0].split())
