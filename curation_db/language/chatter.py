"""Find text of a language model that is not part of the caption: openings, labels, notes, corrections, mark-up.

Each pattern matches words that a caption of a photograph does not need; "wait", "note" and "I see" alone are not
enough. Examples from published sets: "(Please rephrase the given caption according to the guidelines)", "Wait, this
caption isn't possible according to the rules".
"""

from __future__ import annotations

import re
from functools import cache
from typing import Final

_KIND: Final = r"(?:captions?|sentences?|rewrites?|versions?|descriptions?|rewriting|rephrasing)"
_EDIT: Final = (
    r"(?:re-?written|updated|revised|modified|negated|rephrased|new|final|original|given|corrected|edited|resulting)"
)
_MODEL_VERBS: Final = (
    r"added|have (?:added|rewritten|updated|removed|modified|revised|changed|made)|cannot|can['’]?t|could ?n['’]t"
    r"|apologi[sz]e|['’]m sorry|am sorry|['’]m (?:unable|not able)|am (?:unable|not able)|removed|changed"
    r"|rewrote|replaced|made|modified|revised|hope|think|assumed?|do(?:n['’]t| not) (?:see|have|know|think)|will|['’]ll"
    r"|['’]ve|need|used|chose|tried"
)
_START: Final = r"(?:^|(?<=[.!?)\]…:])\s+|\n\s*)[\"“'*_#>\s-]*"
_PATTERNS: Final = (
    # openings
    rf"^\W*here(?:\s+(?:is|are)|['’]s)\b(?=[^.]{{0,60}}\b(?:{_KIND}|{_EDIT}|absence|answer|result|output)\b)",
    r"^\W*here(?:\s+(?:is|are)|['’]s)\b[^.]{0,60}:",
    r"^\W*(?:sure(?: thing)?|certainly|of course|absolutely|great|okay|ok|alright|no problem)\s*[,!.:]",
    # labels
    rf"{_START}(?:(?:the|my|your)\s+)?(?:{_EDIT}\s+){{0,2}}(?:image\s+)?{_KIND}(?:\s+(?:is|would be|reads))?\s*[*_]*:",
    rf"{_START}(?:answer|output|response|result|explanation|reasoning|rationale|original|{_EDIT}|example|p\.?s)\s*[*_]*:",
    rf"{_START}(?:note|notes|please note)\s*[*_]*(?::|that\b)",
    # the model about itself, and to its user
    r"\bas an? (?:AI|artificial|language|large language)\b|\blanguage model\b",
    rf"{_START}(?-i:I)\s?(?:{_MODEL_VERBS})\b",
    r"\b(?:let me know|feel free|hope (?:this|that) helps|your turn|happy to help)\b",
    r"\b(?:if you need anything else|you(?:['’]d| would) like)\b",
    r"\bplease (?:rephrase|provide|note|confirm|clarify|let me|share|rewrite|give|see|ignore|check)\b",
    rf"\b(?:the|this|that|your|my) (?:{_EDIT} )?(?:caption|sentence|rewrite)\b(?! contest)",
    r"\b(?:as )?per your (?:instructions?|request)|\baccording to (?:the|your) (?:rules?|guidelines?|instructions?)",
    r"\bin (?:this|the) (?:caption|sentence|rewrite)\b",
    r"\bthe (?:word|phrase|concept|object) [\"“'][^\"”']+[\"”'] (?:is|was|has|have) (?:been )?"
    r"(?:negated|added|removed|omitted|replaced|absent from the)\b",
    # notes in brackets
    r"[(\[]\s*(?:please|note\b|no change|rephras|rewritten|revised|updated|since |assuming|because|original|i\s"
    rf"|your turn|optional|or:|this |the absence|absence of|added|removed|implying|{_KIND}\b"
    rf"|negat|as requested|{_EDIT} )",
    # corrections
    rf"{_START}(?:wait|actually|oops|hmm+|correction|scratch that|sorry|apologies|my mistake)\s*(?:[,!:—-]|\.\.\.|…)",
    r"\blet me (?:try|re|correct|fix|think)",
    # words about the task, and suffixes of code models
    rf"\brephras\w*|\b(?:{_EDIT}|improved) (?:captions?|version|sentence|answer)\b(?! contest)|\bimage description\b",
    r"#\s*(?:noqa|pylint|note|explanation)|[.!?][\"”]\s*#",
    r"^[(\s]*[\"“](?:[^\"”\s]+\s+){4,}[^\"”]*[.!?][\"”]|^[^\"“”]*[a-z][.!?][\"”](?:\s|$)",
    # mark-up
    r"\*\*|`|^\s*#{1,6}\s|^\s*[-*•‣▪]\s+\S|^\s*\d{1,2}[.)]\s+[A-Z][a-z]* (?!FC\b)",
    r"(?:->|=>|→|⇒)",
    r"</?[a-z]+\s*/?>|<\|[^|]*\|>|\[/?INST\]|\{\{|\b(?:ASSISTANT|USER|Human|Assistant)\s*:",
    "[\U0001f300-\U0001faff☀-➿✅]",
    r"\S\s*\n\W*\w{2}",  # several lines
)
_WORD: Final = re.compile("[a-z]+")
_PLAIN: Final = re.compile(r"(?![-'\d])[a-zA-Z0-9 \t,;!?'’/&%-]*(?:\.[a-zA-Z0-9 \t,;!?'’/&%-]*)*", re.ASCII)
"""Letters, digits and ordinary punctuation on one line; contains no character that a pattern needs."""
_TRIGGER_WORDS: Final = (
    "caption captions sentence sentences rewrite rewrites version versions description descriptions rewriting"
    " rephrasing rewritten written updated revised modified negated new final original given corrected edited"
    " resulting here sure certainly course absolutely great okay ok alright problem answer output response result"
    " explanation reasoning rationale example ai artificial language model let feel hope your you happy"
    " help helps please per according word phrase concept object wait actually oops correction scratch sorry"
    " apologies mistake improved image"
)
_TRIGGERS: Final = frozenset(_TRIGGER_WORDS.split())
"""Every match of a pattern contains one of these words, a capital I, part of "rephrase", "note" or "hmm", or a
character that `_PLAIN` excludes."""
_QUOTES: Final = (('"', '"'), ("“", "”"), ("'", "'"), ("‘", "’"), ("«", "»"))
_EXCERPT_LENGTH: Final = 40


def chatter_excerpt(text: str) -> str | None:
    """Return the start of the text in `text` that is not part of the caption (at most 40 characters), or None."""
    line = text.strip()
    if not _may_contain_chatter(line):
        return None
    match = _any_pattern().search(line)
    if match is not None:
        return " ".join(line[match.start() : match.start() + _EXCERPT_LENGTH].split())
    return _quoted_whole(line)


def _may_contain_chatter(line: str) -> bool:
    lower = line.lower()
    return (
        not _PLAIN.fullmatch(line)
        or "I" in line
        or "rephras" in lower
        or "note" in lower
        or "hmm" in lower
        or not _TRIGGERS.isdisjoint(_WORD.findall(lower))
    )


@cache
def _any_pattern() -> re.Pattern[str]:
    return re.compile("(?i)" + "|".join(f"(?:{pattern})" for pattern in _PATTERNS))


def _quoted_whole(line: str) -> str | None:
    """Return the start of a text that is in quotation marks as a whole, a habit of chat models, or None."""
    for left, right in _QUOTES:
        if len(line) > 2 and line.startswith(left):
            inside = line[1:].rstrip(" .")
            if inside.endswith(right) and left not in inside[:-1] and right not in inside[:-1] and " " in inside:
                return line[:_EXCERPT_LENGTH]
    return None
