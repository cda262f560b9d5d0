"""The visible words of a web page that answers instead of a model server. Pure."""

from __future__ import annotations

import html
import re
from typing import Final

from curation_db.language.sanitize import display_text

_CHARACTERS_READ: Final = 20_000
_WORDS_LENGTH: Final = 60
_HIDDEN: Final = re.compile(r"<(script|style|head(?=[\s>]))\b.*?(?:</\1\s*>|$)|<!--.*?(?:-->|$)", re.I | re.S)
_TITLE: Final = re.compile(r"<title\b[^>]*>([^<]*)", re.I)
_TAG: Final = re.compile(r"<[^<>]*>?")


def first_words(page: str) -> str:
    """Return the title and the first words of a page, or of a plain text, on one line."""
    start = page[:_CHARACTERS_READ]
    title = _TITLE.search(start)
    visible = _TAG.sub(" ", _HIDDEN.sub(" ", start))
    words = html.unescape(f"{title[1] if title else ''} {visible}")
    return f"'{display_text(' '.join(words.split()), limit=_WORDS_LENGTH)}'"
