"""Names of annotators: rules for allowed names, and comparison of spellings. No database here.

Events contain the name of their actor. Actors other than people are `system` and policies (`policy@version`). An
annotator with such a name would make events look like theirs.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable
from typing import Final

from curation_db.enums import Role
from curation_db.errors import UnusableName
from curation_db.language.sanitize import clean, display_text

MAX_NAME_LENGTH: Final = 64
"""Characters."""
_RESERVED: Final = frozenset({Role.SYSTEM, Role.ADJUDICATOR, Role.POLICY})
_POLICY: Final = re.compile(r"policy@.*|.*@(v?[0-9][\w.+-]*|[0-9a-f]{7,})")
"""Matches a case-folded name of a policy, or any NAME@VERSION, but no e-mail address."""
_VISIBLE: Final = "LNPS"
"""First letters of the Unicode categories of visible characters."""


_HINT: Final = "use another name: --annotator NAME"


def checked_name(name: str) -> str:
    """Return `name` in its stored form: NFC, without blanks at its ends, inner blanks as single spaces.

    Raises:
        UnusableName: the name has no visible character or an unprintable one, is too long, or is reserved.
    """
    if clean(name) != unicodedata.normalize("NFC", name) or not clean(name).isprintable():
        raise UnusableName(f"{_quoted(name)} has characters that cannot be shown", hint=_HINT)
    stored = " ".join(clean(name).split())
    if not any(unicodedata.category(character)[0] in _VISIBLE for character in stored):
        raise UnusableName("an annotator needs a name", hint=_HINT)
    if len(stored) > MAX_NAME_LENGTH:
        message = f"{_quoted(stored)} has {len(stored)} characters; at most {MAX_NAME_LENGTH} are allowed"
        raise UnusableName(message, hint=_HINT)
    if name_key(stored) in _RESERVED or _POLICY.fullmatch(name_key(stored)):
        raise UnusableName(f"{_quoted(stored)} is reserved for actors other than people", hint=_HINT)
    return stored


def _quoted(name: str) -> str:
    return f"the name {display_text(name, limit=MAX_NAME_LENGTH)!r}"


def name_key(name: str) -> str:
    """Return the form of a name that is equal for all spellings of one person's name."""
    return unicodedata.normalize("NFC", unicodedata.normalize("NFC", name).casefold())


def spellings(name: str, known: Iterable[str]) -> list[str]:
    """Return the known names that mean the same person as `name`; the same spelling comes first."""
    same = [each for each in known if name_key(each) == name_key(name)]
    return sorted(same, key=lambda each: each != name)
