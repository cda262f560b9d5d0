"""Extraction of the caption from a model's answer: what chat models wrap around it is stripped. Pure.

Only wrappers are stripped: template tokens, a thinking block, a label or opening before the caption, mark-up and
quotation marks around it, and what follows a blank line. All else stays, so that the checks reject it: alternatives,
JSON, the original beside the edit, an added sentence.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Final

from curation_db.language.object_mentions import cues_of
from curation_db.language.sanitize import clean, normalised
from workbench.generation.engines.openai.responses.thoughts import answer_after_thought

READ: Final = 4_000
"""Characters of an answer that are parsed."""
_MOST_WRAPPERS: Final = 12
"""Nested wrappers that are stripped: "**Caption:** ..." has two."""
_TOKEN: Final = re.compile(
    r"(?i)<[|｜][^|｜<>\n]{0,40}[|｜]>|</?s>|<(?:bos|eos|pad|start_of_turn|end_of_turn)>|\[/?INST\]"
)
_ROLE: Final = re.compile(r"(?i)^(?:assistant|model)\s*(?:[:\n]\s*|$)")
_FENCE: Final = re.compile(r"(?s)^(?P<before>[^`]*)```(?:\w*\n)?(?P<inside>[^`]+)```(?P<after>[^`]*)$")
_TAGS: Final = re.compile(r"^(?:<[A-Za-z][\w-]{0,40}>\s*)+|(?:\s*</[A-Za-z][\w-]{0,40}>)+$")
_BLANK_LINE: Final = re.compile(r"\n\s*\n")
_LEADING_MARK: Final = re.compile(r"^(?:[^\w\s\"“‘'«「(\[{<`*_~]+|\*(?=\s)|1[.)](?=\s))\s*(?=\S)")
"""A bullet, arrow, heading, block quote or emoji, or the number of a list with one entry."""
_EMPHASIS: Final = re.compile(r"(?<!\w)(\*{1,3}|_{1,3}|`{1,2})(?=\S)([^*_`\n]*[^*_`\s])\1(?!\w)")
_QUOTES: Final = (('"', '"'), ("“", "”"), ("'", "'"), ("‘", "’"), ("«", "»"), ("「", "」"))
_INNER_APOSTROPHE: Final = re.compile(r"(?<=\w)['’](?=\w)")
_OPENING: Final = re.compile(
    r"(?i)^(?:sure(?: thing)?|certainly|of course|absolutely|ok(?:ay)?|alright|great|got it|no problem|understood|yes"
    r"|here you (?:go|are)|here it is)\s*[!,.:]+\s*(?=\S|$)"
)
_HERE: Final = re.compile(r"(?i)^here(?:['’]s|\s+(?:is|are))\b")
_COLON_LABEL: Final = re.compile(r"^(?P<label>[^:：\n]{1,80}?)\s*[:：]\s*(?=\S)")
_DASH_LABEL: Final = re.compile(
    r"(?i)^(?P<label>(?:[a-z]+ ){0,4}(?:captions?|versions?|sentence|rewrite|edit|answer|output|result))\s+[–—-]+\s+"
)
_OTHER_TEXT: Final = re.compile(
    r"(?i)\d|\b(?:options?|alternatives?|alternatively|or|original|input|before|source|notes?|explanation|reason\w*)\b"
)
"""A label with such a word does not introduce the edited caption, or not only one."""
_ANNOUNCING: Final = (
    r"(?:\b(?:here(?:['’]s)?|is|it|are|you|go|the|your|my|sure|ok(?:ay)?|so|edited|new|final|updated|revised|rewritten"
    r"|modified|negated|resulting|image|captions?|sentence|version|rewrite|edit|answer|output|result|description|title"
    r"|json|text|markdown)\b|\(1\)|\b1\b|[(\[](?:edited |new )?caption[)\]]|[^\w\s\"“”'‘’«»「」(){}\[\]<>`*_~])"
)
"""A word or sign that may stand before the edited caption and says nothing about the image."""
_ANNOUNCEMENT: Final = re.compile(rf"(?i)(?:{_ANNOUNCING}\s*){{1,12}}")
_CAPITALS: Final = re.compile(r"\b[A-Z][A-Z'’]+\b")


def extract_caption(answer: str, caption: str) -> str:
    """Return the edited caption in a model's answer to the request to edit `caption`, without wrappers."""
    text = clean(answer[:READ]).strip()
    if len(answer) > READ:
        return text
    bare = first_turn(text)
    for _ in range(_MOST_WRAPPERS):
        before = bare
        for strip in _STRIPPERS:
            bare = strip(bare, caption).strip()
        if bare == before:
            break
    return _in_case_of(bare, caption) if bare and "\n" not in bare else text


def first_turn(answer: str) -> str:
    """Return the text of the first turn between template tokens, without the name of its role and without a thought."""
    turns = (_ROLE.sub("", turn.strip(), count=1) for turn in _TOKEN.split(answer_after_thought(answer) or ""))
    return next((turn for turn in turns if turn), "")


def _without_fence(text: str, caption: str) -> str:
    match = _FENCE.match(text)
    if match is None or (match["before"].strip() and not _is_label(match["before"].strip(" :：*\n"), caption)):
        return text
    return match["inside"]


def _without_tags(text: str, _: str) -> str:
    return _TAGS.sub("", text)


def _first_paragraph(text: str, caption: str) -> str:
    """Return the first paragraph that is not a label or an opening."""
    paragraphs = _BLANK_LINE.split(text)
    if len(paragraphs) > 1 and _introduces(paragraphs[0], caption):
        del paragraphs[0]
    return paragraphs[0]


def _without_first_line(text: str, caption: str) -> str:
    first, line_end, rest = text.partition("\n")
    return rest if line_end and _introduces(first, caption) else text


def _introduces(line: str, caption: str) -> bool:
    """Return whether a line stands before the caption: "**Edited caption:**", "Sure!", "Here is the caption."."""
    bare = line.strip(" *_#`\n")
    if "\n" in bare:
        return False
    after_opening = _OPENING.sub("", bare, count=1)
    if not after_opening:
        return True
    if _ANNOUNCEMENT.fullmatch(after_opening):
        return True
    is_shaped = after_opening.endswith((":", "：")) or _HERE.match(after_opening) is not None
    return is_shaped and _is_label(after_opening, caption)


def _without_mark(text: str, caption: str) -> str:
    match = _LEADING_MARK.match(text)
    return text if match is None or caption.startswith(match[0]) else text[match.end() :]


def _without_emphasis(text: str, caption: str) -> str:
    return _EMPHASIS.sub(lambda match: match[0] if match[0] in caption else match[2], text)


def _without_quotes(text: str, caption: str) -> str:
    """Strip quotation marks around the text, which may contain those of the caption and apostrophes."""
    body = text.rstrip(".")
    for left, right in _QUOTES:
        inside = body[1:-1].strip()
        is_quoted = len(body) > 2 and body.startswith(left) and body.endswith(right)
        if is_quoted and _count(inside, left, right) == _count(caption, left, right):
            return inside if inside.endswith((".", "!", "?")) else inside + text[len(body) :]
    return text


def _count(text: str, left: str, right: str) -> int:
    bare = _INNER_APOSTROPHE.sub("", text)
    return bare.count(left) + (bare.count(right) if right != left else 0)


def _without_label(text: str, caption: str) -> str:
    text = _OPENING.sub("", text, count=1) or text
    match = _DASH_LABEL.match(text) or _COLON_LABEL.match(text)
    return text if match is None or not _is_label(match["label"], caption) else text[match.end() :]


def _without_announcement(text: str, caption: str) -> str:
    """Strip "Here is", "Caption -" or "(1)" directly before the first word of the caption."""
    first_word = next(iter(caption.split()), "")
    if not first_word or text.split(maxsplit=1)[:1] == [first_word]:
        return text
    match = re.match(rf"(?i)(?:{_ANNOUNCING}\s*){{1,12}}?(?={re.escape(first_word)}(?!\w))", text)
    return text if match is None else text[match.end() :]


def _is_label(text: str, caption: str) -> bool:
    """Return whether `text` only announces the edited caption: it has no cue and no content word of the caption."""
    if len(text) > 80 or _OTHER_TEXT.search(text) or cues_of(text):
        return False
    shared = set(normalised(text).split()) & set(normalised(caption).split())
    return all(len(word) <= 4 for word in shared)


_STRIPPERS: Final[tuple[Callable[[str, str], str], ...]] = (
    _without_fence,
    _without_tags,
    _first_paragraph,
    _without_first_line,
    _without_mark,
    _without_emphasis,
    _without_quotes,
    _without_label,
    _without_announcement,
)


def _in_case_of(text: str, caption: str) -> str:
    """Return `text` with the caption's capital at the start, and with shouted words ("NOT") in lower case."""
    if not caption.isupper():
        shouted = {match[0] for match in _CAPITALS.finditer(text)} - set(_CAPITALS.findall(caption))
        cue_words = {cue.text for cue in cues_of(text)} | {word.upper() for word in caption.split()}
        for word in shouted & cue_words:
            text = re.sub(rf"\b{word}\b", word.lower(), text)
    if caption[:1].isupper() and text[:1].islower() and not text[1:2].isupper():
        return text[:1].upper() + text[1:]
    if text[:1].lower() == caption[:1] and text.split(maxsplit=1)[0].lower() == caption.split(maxsplit=1)[0]:
        return caption[:1] + text[1:]
    return text
