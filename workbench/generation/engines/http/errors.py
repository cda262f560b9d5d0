"""Error messages of servers as one clean line without control characters and API keys. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from curation_db.foreign_json import JsonError, parse_json
from curation_db.language.sanitize import clean, display_text
from workbench.workspace.settings.server_address import MASK

_MAX_LENGTH: Final = 200
_MAX_CHARACTERS_READ: Final = 20_000
"""Characters of a body that are parsed."""


def server_message(body: bytes, key: str) -> str:
    """Return the message in an error body: OpenAI's fields, FastAPI's fields, or the text itself."""
    text = body[:_MAX_CHARACTERS_READ].decode("utf-8", "replace")
    try:
        content: Any = parse_json(text)
    except JsonError:
        content = text
    return plain_line(error_words(content) or text, key)


def plain_line(text: str, key: str) -> str:
    """Return `text` as one clean line with the key masked, also where control characters split the key."""
    return display_text(mask_key(clean(mask_key(text, key)), key), limit=_MAX_LENGTH)


def mask_key(text: str, key: str) -> str:
    """Replace the key in `text`."""
    return text.replace(key, MASK) if key and key in text else text


def error_words(content: Any) -> str:
    """Return the message in the parsed content of an error; empty if it has none."""
    if isinstance(content, str):
        return content
    if isinstance(content, list):  # FastAPI: a list of validation errors
        return "; ".join(filter(None, (error_words(part) for part in content[:3])))
    if not isinstance(content, Mapping):
        return ""
    names = ("error", "message", "detail", "msg", "code")
    messages = [error_words(content[name]) for name in names if content.get(name)]
    return " ".join(dict.fromkeys(filter(None, messages)))
