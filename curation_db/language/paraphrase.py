"""Paraphrase of a denial: another wording of the same negation, "a dog with no hat" for "a dog without a hat".

Only texts with one cue, and only wordings with a rule here, are rewritten; `paraphrased` returns None for all others
instead of a doubtful sentence. The result has one cue, and it negates the same concept.
"""

from __future__ import annotations

import re
from typing import Final

from curation_db.enums import NegationType
from curation_db.language.affirmation import HAVE, any_or_article, with_article
from curation_db.language.negation_cues import Cue, CueClass, find_cues
from curation_db.language.object_mentions import negating_cue

_ARTICLE: Final = re.compile(r"(?i)^\s*(?:(?:a|an|any)\s+)?(?=\w)")
_DEFINITE: Final = re.compile(r"(?i)^\s*(?:the|his|her|its|their|this|that|these|those)\b")
_THERE_BE: Final = re.compile(r"(?i)\bthere\s*(?:is|are|was|were|['’]s)\s*$")
_WITH: Final = re.compile(r"(?i)\bwith\s*$")
_HAS: Final = re.compile(r"(?i)\b(has|have|had)\s*$")
_DO_NOT: Final = {"has": "does not have", "have": "do not have", "had": "did not have"}
_WEARS: Final = re.compile(r"(?i)\b(?:wearing|holding|carrying|having|using|showing)\s*$")
_WEARING: Final = re.compile(r"(?i)^\s*((?:wearing|holding|carrying|having|using|showing)\s)")
_JOINS: Final = re.compile(r"(?i)(?:,|\bbut|\band)\s*$")
_DO: Final = re.compile(r"(?i)\b(does|do|did)(?:\s+not|n['’]t)\s+have\b")
_VERB: Final = re.compile(r"(?i)\b(is|are|was|were|does|do|did)\s*$")
_CONTRACTION: Final = re.compile(r"(?i)(is|are|was|were|does|do|did)n['’]t")


def paraphrased(text: str, concept: str) -> str | None:
    """Return `text` with its negation of `concept` in other words; None: no rule applies."""
    cues = find_cues(text)
    if len(cues) != 1 or cues[0].concept_span is None or cues[0].negation_type is NegationType.OTHER:
        return None
    changed = _reworded(text, cues[0])
    if changed is None:
        return None
    changed = " ".join(changed.split())
    if text[:1].isupper():
        changed = changed[:1].upper() + changed[1:]
    if len(find_cues(changed)) != 1 or negating_cue(changed, concept) is None:
        return None
    return changed


def _reworded(text: str, cue: Cue) -> str | None:
    before, word, after = text[: cue.start], cue.text.lower(), text[cue.end :]
    if word in {"without", "lacking"}:
        is_thing = cue.negation_type is NegationType.ABSENCE and not _DEFINITE.match(after)
        return f"{before}with no {_bare(after)}" if is_thing else None
    if cue.cue_class is CueClass.DETERMINER and word == "no":
        return _no_reworded(before, after, cue)
    return _not_reworded(text, before, after, cue) if cue.word == "not" else None


def _no_reworded(before: str, after: str, cue: Cue) -> str | None:
    if there := _THERE_BE.search(before):
        verb = before[: there.end()].rstrip()
        return f"{verb} not {any_or_article(after, cue)}"
    if match := _WITH.search(before):
        return f"{before[: match.start()]}without {with_article(after, cue)}"
    if match := _HAS.search(before):
        return f"{before[: match.start()]}{_DO_NOT[match[1].lower()]} {any_or_article(after, cue)}"
    if match := _WEARS.search(before):
        return f"{before[: match.start()]}not {match[0].strip()} {any_or_article(after, cue)}"
    return f"{before}without {with_article(after, cue)}" if _JOINS.search(before) else None


def _not_reworded(text: str, before: str, after: str, cue: Cue) -> str | None:
    if having := _DO.search(text):
        rest = text[having.end() :]
        if not _DEFINITE.match(rest):
            return f"{text[: having.start()]}{HAVE[having[1].lower()]} no {_bare(rest)}"
    wearing = _WEARING.match(after)
    if wearing and not _DEFINITE.match(after[wearing.end() :]):
        verb = _CONTRACTION.fullmatch(cue.text)
        return f"{before}{verb[1] + ' ' if verb else ''}{wearing[1]}no {_bare(after[wearing.end() :])}"
    if contraction := _CONTRACTION.fullmatch(cue.text):
        return f"{before}{contraction[1]} not {after.lstrip()}"
    if cue.text.lower() == "not" and (verb := _VERB.search(before)):
        return f"{before[: verb.end()].rstrip()}n't {after.lstrip()}"
    return None


def _bare(phrase: str) -> str:
    """Return `phrase` without its indefinite article."""
    return _ARTICLE.sub("", phrase, count=1)
