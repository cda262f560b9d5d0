"""Check a candidate by rules that do not read the image. Pure functions.

Each rule has an id, reports one line, and can be turned off. A finding warns the annotator; it never decides.
`curation_db.lint.rules` describes the rules; `tests/curation_db/lint/test_measured.py` measures their precision.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass
from typing import Final

from curation_db.language.chatter import chatter_excerpt
from curation_db.language.negation_cues import CueClass
from curation_db.language.object_mentions import affirms, category_matches, cues_of, mentions_in_any_form, negating_cue
from curation_db.lint.ambiguity import ambiguous_excerpt
from curation_db.lint.corpus_counts import (
    ConceptRanks,
    CorpusContext,
    CorpusRow,
    CorpusTextCounts,
    corpus_context,
    count_corpus,
    near_key,
    near_text,
    same_key,
)
from curation_db.lint.double_negation import double_negation_excerpt
from curation_db.lint.minimal_edit import extra_changes
from curation_db.lint.rules import ALL_RULES, IMAGE_EVIDENCE_RULES, LINT_VERSION, RULES, Rule, RuleInfo, Severity
from curation_db.lint.settings import DEFAULTS, LintSettings

__all__ = [
    "ALL_RULES",
    "DEFAULTS",
    "IMAGE_EVIDENCE_RULES",
    "LINT_VERSION",
    "RULES",
    "ConceptRanks",
    "CorpusContext",
    "CorpusRow",
    "CorpusTextCounts",
    "Finding",
    "LintSettings",
    "LintSubject",
    "Rule",
    "RuleInfo",
    "Severity",
    "corpus_context",
    "count_corpus",
    "findings_key",
    "findings_of",
    "lint",
    "near_key",
    "same_key",
]


@dataclass(frozen=True, slots=True)
class Finding:
    """The result of one rule on one candidate."""

    rule: Rule
    ok: bool
    message: str
    """One line; it can contain text of the data, so show it through `display_text`."""

    @property
    def severity(self) -> Severity:
        """The severity of the rule, which applies if `ok` is false."""
        return RULES[self.rule].severity


@dataclass(frozen=True, slots=True, kw_only=True)
class LintSubject:
    """The input of the rules: one candidate and the data of its image."""

    text: str
    """The candidate: the proposed negated caption."""
    concept: str | None
    """The phrase that `text` should negate."""
    tokens: int
    """CLIP tokens of `text`."""
    caption: str | None
    """The original caption that `text` rewrites."""
    siblings: tuple[str, ...] = ()
    """The other captions of the image."""
    objects: Mapping[str, int]
    """Annotated objects of the image: category and count."""


def lint(
    subject: LintSubject,
    rules: Collection[Rule] | None = None,
    context: CorpusContext | None = None,
    settings: LintSettings = DEFAULTS,
) -> tuple[Finding, ...]:
    """Run rules on a candidate.

    Args:
        rules: The rules to run; None: the rules that `settings` leave on.
        context: The other candidates; None: skip the rules that need them.
        settings: Thresholds, and the rules that are off.

    Returns:
        The findings in the order of `Rule`. The rules in `_ALWAYS_REPORTED` also report success (`ok`); the others
        report only failures.
    """
    enabled = settings.rules if rules is None else rules
    findings = []
    for rule in Rule:
        if rule not in enabled:
            continue
        if RULES[rule].needs_corpus:
            message = _CORPUS_CHECKS[rule](subject, context, settings) if context is not None else None
        else:
            message = _CHECKS[rule](subject, settings)
        if message is not None:
            findings.append(Finding(rule, False, message))
        elif rule in _ALWAYS_REPORTED:
            findings.append(Finding(rule, True, _ALWAYS_REPORTED[rule](subject, settings)))
    return tuple(findings)


def findings_key(findings: Iterable[Finding]) -> str:
    """Return the failed rules as one searchable string: ",no-cue,in-sibling,"; empty without failures.

    `LIKE '%,in-sibling,%'` finds a rule exactly, because each id stands between commas.
    """
    failed = {finding.rule for finding in findings if not finding.ok}
    return f",{','.join(rule for rule in Rule if rule in failed)}," if failed else ""


def findings_of(key: str) -> tuple[Rule, ...]:
    """Return the rules of a string from `findings_key`; ids unknown to this version are skipped."""
    ids = set(key.split(","))
    return tuple(rule for rule in Rule if rule in ids)


def _no_cue(subject: LintSubject, _: LintSettings) -> str | None:
    cues = cues_of(subject.text)
    if not cues:
        return "no negation cue"
    if all(cue.cue_class is CueClass.MENTION for cue in cues):
        return "no negation cue outside of words quoted from the image"
    return None


def _too_long(subject: LintSubject, settings: LintSettings) -> str | None:
    count = settings.text_limit.count(subject.text, subject.tokens)
    return f"{count}/{settings.most_tokens} tokens: cut off" if count > settings.most_tokens else None


def _tokens(subject: LintSubject, settings: LintSettings) -> str:
    return f"{settings.text_limit.count(subject.text, subject.tokens)}/{settings.most_tokens} tokens"


def _unchanged(subject: LintSubject, _: LintSettings) -> str | None:
    same = subject.caption is not None and near_text(subject.caption) == near_text(subject.text)
    return "the caption is unchanged" if same else None


def _chatter(subject: LintSubject, _: LintSettings) -> str | None:
    excerpt = chatter_excerpt(subject.text)
    return None if excerpt is None else f"text that is not part of the caption: {excerpt}"


def _concept_lost(subject: LintSubject, _: LintSettings) -> str | None:
    if not subject.concept or mentions_in_any_form(subject.text, subject.concept):
        return None
    denied = negating_cue(subject.text, subject.concept)  # "without a tie" denies wearing a tie
    return "the concept is not in the text" if denied is None else None


def _minimal_edit(subject: LintSubject, _: LintSettings) -> str | None:
    return extra_changes(subject.caption, subject.text, subject.concept) if subject.caption else None


def _in_caption(subject: LintSubject, _: LintSettings) -> str | None:
    affirmed = subject.concept and subject.caption is not None and affirms(subject.caption, subject.concept)
    return "the original caption names the concept" if affirmed else None


def _in_sibling(subject: LintSubject, _: LintSettings) -> str | None:
    affirmed = subject.concept and any(affirms(sibling, subject.concept) for sibling in subject.siblings)
    return "a sibling caption names the concept" if affirmed else None


def _in_objects(subject: LintSubject, _: LintSettings) -> str | None:
    if not subject.concept:
        return None
    category = next((name for name in subject.objects if category_matches(name, subject.concept)), None)
    return None if category is None else f"annotated in the image: {subject.objects[category]} × {category}"


def _double_negation(subject: LintSubject, _: LintSettings) -> str | None:
    excerpt = double_negation_excerpt(subject.text)
    return None if excerpt is None else f"double negation: {excerpt}"


def _ambiguous_scope(subject: LintSubject, _: LintSettings) -> str | None:
    excerpt = ambiguous_excerpt(subject.text)
    return None if excerpt is None else f"two readings: {excerpt}"


def _duplicate(_: LintSubject, context: CorpusContext, __: LintSettings) -> str | None:
    return f"the same text {_times(context.same_here)} on this image" if context.same_here else None


def _near_duplicate(_: LintSubject, context: CorpusContext, settings: LintSettings) -> str | None:
    if context.near_here:
        return f"nearly the same text {_times(context.near_here)} on this image"
    if settings.across_pictures and context.near_elsewhere:
        return f"nearly the same text {_times(context.near_elsewhere)} on other images"
    return None


def _times(others: int) -> str:
    return "once more" if others == 1 else f"{others:,} times more"


def _over_frequent(subject: LintSubject, context: CorpusContext, settings: LintSettings) -> str | None:
    count, total = context.same_concept, context.candidates
    allowed = max(settings.frequent_count - 1, int(settings.frequent_share * total))
    if not subject.concept or context.rank_in_concept <= allowed:
        return None
    share = f"{count:,} of {total:,} candidates ({count / total:.1%})"
    return f"negated in {share}, {allowed:,} are enough: {subject.concept}"


_CHECKS: Final[Mapping[Rule, Callable[[LintSubject, LintSettings], str | None]]] = {
    Rule.NO_CUE: _no_cue,
    Rule.TOO_LONG: _too_long,
    Rule.UNCHANGED: _unchanged,
    Rule.CHATTER: _chatter,
    Rule.CONCEPT_LOST: _concept_lost,
    Rule.MINIMAL_EDIT: _minimal_edit,
    Rule.IN_CAPTION: _in_caption,
    Rule.IN_SIBLING: _in_sibling,
    Rule.IN_OBJECTS: _in_objects,
    Rule.DOUBLE_NEGATION: _double_negation,
    Rule.AMBIGUOUS_SCOPE: _ambiguous_scope,
}
_CORPUS_CHECKS: Final[Mapping[Rule, Callable[[LintSubject, CorpusContext, LintSettings], str | None]]] = {
    Rule.DUPLICATE: _duplicate,
    Rule.NEAR_DUPLICATE: _near_duplicate,
    Rule.OVER_FREQUENT: _over_frequent,
}
_ALWAYS_REPORTED: Final[Mapping[Rule, Callable[[LintSubject, LintSettings], str]]] = {
    Rule.NO_CUE: lambda subject, settings: "cue",
    Rule.TOO_LONG: _tokens,
}
