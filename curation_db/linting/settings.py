"""The workspace's own say in the lint: which rules are off, and where the counted ones begin."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any, Final

from curation_db.bpe import CONTEXT_LENGTH
from curation_db.errors import RecordError
from curation_db.linting.rules import ALL, Rule


@dataclass(frozen=True, slots=True, kw_only=True)
class LintSettings:
    """The table [lint] of negwb.toml."""

    off: frozenset[Rule] = frozenset()
    """Rules that are not asked."""
    most_tokens: int = CONTEXT_LENGTH
    """Longer texts are "too-long"; at most CLIP's own 77."""
    frequent_share: float = 0.02
    """A concept denied in a larger share of the candidates is "over-frequent" …"""
    frequent_count: int = 50
    """… if that many candidates deny it: in a small set every concept has a large share."""
    across_pictures: bool = True
    """Whether "near-duplicate" also looks at other pictures."""

    @property
    def rules(self) -> frozenset[Rule]:
        """The rules that are on."""
        return ALL - self.off


DEFAULTS: Final = LintSettings()


def lint_settings(table: Mapping[str, Any]) -> LintSettings:
    """The settings that the table [lint] tells.

    Raises:
        RecordError: an unknown name or rule, or a value that cannot be meant.
    """
    known = [each.name for each in fields(LintSettings)]
    for name in table:
        if name not in known:
            raise RecordError(f"[lint] has no setting {name!r}", hint=f"known: {', '.join(known)}")
    told = dict(table)
    if "off" in told:
        told["off"] = _rules(told["off"])
    for name, least, most in (("most_tokens", 3, CONTEXT_LENGTH), ("frequent_count", 1, 10**9)):
        _number(told, name, int, least, most)
    _number(told, "frequent_share", float, 0.0, 1.0)
    if not isinstance(told.get("across_pictures", True), bool):
        raise RecordError(f"[lint] across_pictures = {told['across_pictures']!r}: true or false is expected")
    return LintSettings(**told)


def _rules(told: Any) -> frozenset[Rule]:
    if not isinstance(told, list) or not all(isinstance(name, str) for name in told):
        raise RecordError(f"[lint] off = {told!r}: a list of rules is expected", hint='as in: off = ["over-frequent"]')
    unknown = sorted(set(told) - {str(rule) for rule in Rule})
    if unknown:
        raise RecordError(f"[lint] off: there is no rule {unknown[0]!r}", hint=f"known: {', '.join(Rule)}")
    return frozenset(map(Rule, told))


def _number(told: Mapping[str, Any], name: str, kind: type, least: float, most: float) -> None:
    """Checks `told[name]`; a whole number will do where a fraction is asked for, and true is no number."""
    value = told.get(name, least)
    right_kind = isinstance(value, (int, kind)) and not isinstance(value, bool)
    if not right_kind or not least <= value <= most:
        expected = "a whole number" if kind is int else "a number"
        raise RecordError(f"[lint] {name} = {value!r}: {expected} from {least} to {most} is expected")
