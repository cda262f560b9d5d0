"""Names of annotators: which ones are allowed, and which ones mean the same person. Pure.

Events hold the name of their actor, and the record also knows actors that are no people: `system`, and policies as
`policy@version`. A name that looks like one of these would make an event look like theirs.
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
"""Of a case-folded name: a policy, or any NAME@VERSION. An e-mail address is none of these."""
_VISIBLE: Final = "LNPS"
"""First letters of the Unicode categories of characters that can be seen."""


_HINT: Final = "take another name: --annotator NAME"


def checked_name(name: str) -> str:
    """`name` as the record keeps it: in NFC, without blanks at its ends, inner blanks as single spaces.

    Raises:
        UnusableName: it has no visible character, has one that cannot be shown, is too long, or is reserved.
    """
    if clean(name) != unicodedata.normalize("NFC", name) or not clean(name).isprintable():
        raise UnusableName(f"{_quoted(name)} has characters that cannot be shown", hint=_HINT)
    kept = " ".join(clean(name).split())
    if not any(unicodedata.category(character)[0] in _VISIBLE for character in kept):
        raise UnusableName("an annotator needs a name", hint=_HINT)
    if len(kept) > MAX_NAME_LENGTH:
        raise UnusableName(f"{_quoted(kept)} has {len(kept)} characters, of at most {MAX_NAME_LENGTH}", hint=_HINT)
    if name_key(kept) in _RESERVED or _POLICY.fullmatch(name_key(kept)):
        raise UnusableName(f"{_quoted(kept)} is reserved for actors that are no people", hint=_HINT)
    return kept


def _quoted(name: str) -> str:
    return f"the name {display_text(name, limit=MAX_NAME_LENGTH)!r}"


def name_key(name: str) -> str:
    """What two spellings of the name of one person have in common."""
    return unicodedata.normalize("NFC", unicodedata.normalize("NFC", name).casefold())


def spellings(name: str, known: Iterable[str]) -> list[str]:
    """Those of the known names that mean the same person as `name`; the same spelling comes first."""
    same = [each for each in known if name_key(each) == name_key(name)]
    return sorted(same, key=lambda each: each != name)
