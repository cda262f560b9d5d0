"""What a server says when it does not answer, made fit for a person: one clean line without our secrets. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final
from urllib.parse import urlsplit, urlunsplit

from curation_db.foreign_json import JsonError, parse_json
from curation_db.language.sanitize import clean, display_text

_MAX_LENGTH: Final = 200
_MAX_CHARACTERS_READ: Final = 20_000
"""Characters of a body that are looked at."""
_MASK: Final = "[key]"
MIN_SECRET_LENGTH: Final = 8
"""Letters from which on a key is a secret; servers that want none are given "none", "EMPTY", "token"."""


def server_message(body: bytes, key: str) -> str:
    """The message in an error body: OpenAI's shape, FastAPI's, or whatever text it is."""
    text = body[:_MAX_CHARACTERS_READ].decode("utf-8", "replace")
    try:
        told: Any = parse_json(text)
    except JsonError:
        told = text
    return plain_line(_message(told) or text, key)


def plain_line(text: str, key: str) -> str:
    """One clean line, the key masked: also where control characters were hidden in it."""
    return display_text(mask_key(clean(mask_key(text, key)), key), limit=_MAX_LENGTH)


def mask_key(text: str, key: str, *, least: int = 1) -> str:
    """`text` without the key, if that has at least so many letters."""
    return text.replace(key, _MASK) if len(key) >= least and key in text else text


def plain_url(url: str) -> str:
    """An address without the name and password that may stand in it, and without its query."""
    parts = urlsplit(url)
    return display_text(
        urlunsplit((parts.scheme, parts.netloc.rpartition("@")[2], parts.path.rstrip("/"), "", "")), limit=_MAX_LENGTH
    )


def _message(told: Any) -> str:
    if isinstance(told, str):
        return told
    if isinstance(told, list):  # FastAPI: a list of what is wrong where
        return "; ".join(filter(None, (_message(part) for part in told[:3])))
    if not isinstance(told, Mapping):
        return ""
    named = [_message(told[name]) for name in ("error", "message", "detail", "msg", "code") if told.get(name)]
    return " ".join(dict.fromkeys(filter(None, named)))
