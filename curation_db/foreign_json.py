"""JSON that other programs, people or an older negwb wrote, and that may be anything.

All such JSON goes through `parse_json`. Whatever is wrong with it is one error with one line of text, also where
`json` itself raises something else: nesting that is deeper than Python recurses, a number of thousands of digits,
bytes in no encoding.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any, Final

NESTED_TOO_DEEPLY: Final = "nested too deeply"
_LENIENT_DECODER: Final = json.JSONDecoder(strict=False)
"""Kept, since `json.loads` makes a new decoder for every call that is not the plainest."""


class JsonError(ValueError):
    """The text is no JSON that can be read; one line that says why."""


def parse_json(
    content: str | bytes,
    *,
    strict: bool = True,
    parse_constant: Callable[[str], object] | None = None,
    parse_float: Callable[[str], object] | None = None,
) -> Any:
    """The value that `content` spells.

    Args:
        content: the text, or its bytes in UTF-8, UTF-16 or UTF-32.
        strict: refuse raw control characters inside strings.
        parse_constant: makes a value of NaN, Infinity and -Infinity; it may raise a ValueError.
        parse_float: makes a value of a number with a fraction or an exponent.

    Raises:
        JsonError: it spells none.
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


def error_line(error: Exception) -> str:
    """One line about an error of the standard library's JSON reader."""
    if isinstance(error, RecursionError):
        return NESTED_TOO_DEEPLY
    if isinstance(error, UnicodeDecodeError):
        return f"bytes that are no {error.encoding} text, at byte {error.start}"
    # behind a semicolon Python tells programmers how to allow longer numbers
    return " ".join(str(error).partition(";")[0].split())
