"""What a server says when it does not answer, made fit for a person: one clean line without our secrets. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final
from urllib.parse import urlsplit, urlunsplit

from curation_db.foreign_json import JsonError, parse_json
from curation_db.language.sanitize import clean, display_text

_LONGEST: Final = 200
_READ: Final = 20_000
"""Characters of a body that are looked at."""
_MASK: Final = "[key]"
SECRET: Final = 8
"""Letters from which on a key is a secret; servers that want none are given "none", "EMPTY", "token"."""


def server_words(body: bytes, key: str) -> str:
    """The message in an error body: OpenAI's shape, FastAPI's, or whatever text it is."""
    text = body[:_READ].decode("utf-8", "replace")
    try:
        told: Any = parse_json(text)
    except JsonError:
        told = text
    return plain(_message(told) or text, key)


def plain(text: str, key: str) -> str:
    """One clean line, the key masked: also where control characters were hidden in it."""
    return display_text(masked(clean(masked(text, key)), key), limit=_LONGEST)


def masked(text: str, key: str, *, least: int = 1) -> str:
    """`text` without the key, if that has at least so many letters."""
    return text.replace(key, _MASK) if len(key) >= least and key in text else text


def plain_url(url: str) -> str:
    """An address without the name and password that may stand in it, and without its query."""
    parts = urlsplit(url)
    return display_text(
        urlunsplit((parts.scheme, parts.netloc.rpartition("@")[2], parts.path.rstrip("/"), "", "")), limit=_LONGEST
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
