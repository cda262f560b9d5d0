"""Addresses of model servers without their secrets. Pure.

Some services expect the key in the address: as a parameter, or as a part of the path. Such an address is never shown
or stored as it is.
"""

from __future__ import annotations

import re
from typing import Final
from urllib.parse import SplitResult, parse_qsl, unquote, urlsplit, urlunsplit

from curation_db.language.sanitize import display_text

MASK: Final = "[key]"
MIN_SECRET_LENGTH: Final = 8
"""Shortest text that counts as a secret; servers without authentication get "none", "EMPTY" or "token"."""
_MAX_LENGTH: Final = 200
_KEY_PREFIX: Final = re.compile(r"(?:sk|pk|rk|hf|gsk|xai)[-_]", re.I)
_NAME_PART: Final = re.compile(r"(?:[a-z]{1,19}|[A-Z]?[a-z]{1,18}|[A-Z]{1,19})\d{0,2}|v?\d{1,4}[A-Za-z]{0,2}|")
"""A part of a name: a word, a word with a short number, or a short number, as in gpt-4o-2024-08-06."""
_VERSION: Final = re.compile(r"version$", re.I)


def split_url(url: str) -> SplitResult:
    """Return the parts of an address; all are empty if it is invalid."""
    try:
        return urlsplit(url)
    except ValueError:  # brackets without an IPv6 address
        return urlsplit("")


def plain_url(url: str) -> str:
    """Return an address for display and for the record: without user name, password, query, and keys in its path."""
    parts = split_url(url)
    path = "/".join(MASK if looks_like_key(part) else part for part in parts.path.rstrip("/").split("/"))
    return display_text(urlunsplit((parts.scheme, parts.netloc.rpartition("@")[2], path, "", "")), limit=_MAX_LENGTH)


def secrets_of(url: str) -> list[str]:
    """Return the parts of an address that may be keys."""
    parts = split_url(url)
    values = [value for name, value in parse_qsl(parts.query) if is_secret_parameter(name, value)]
    return [part for part in parts.path.split("/") if looks_like_key(part)] + values


def is_secret_parameter(name: str, value: str) -> bool:
    """Whether the value of a query parameter may be a key: all are but versions and short values."""
    return len(value) >= MIN_SECRET_LENGTH and not _VERSION.search(name)


def looks_like_key(part: str) -> bool:
    """Whether a part of a path is no name: random letters and digits, or with the prefix of a key."""
    text = unquote(part)
    if len(text) < MIN_SECRET_LENGTH:
        return False
    words = re.split(r"[-_.:~+@ ]", text)
    return bool(_KEY_PREFIX.match(text)) or not all(_NAME_PART.fullmatch(word) for word in words)
