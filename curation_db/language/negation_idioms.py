"""Idioms that contain a negation word but negate nothing in an image, as one reviewable list of patterns.

Each line is a regular expression over lower-case words; a blank stands for one to three white-space characters. The
idioms are tried before every kind of cue, at the beginning of a word. A match is not a cue.
"""

from __future__ import annotations

from typing import Final

from curation_db.language import negation_lexicon as words

_FORBIDDEN: Final = "(?:left|right|u|turns?|" + "|".join(words.FORBIDDEN) + ")"
_TAGS: Final = "(?:is|are|was|were|do|does|did|can|could|wo|would|has|have)"
_NT: Final = r"\s?(?:n\s?['’]\s?t|nt)"

IDIOMS: Final = (
    # numbers, names and kinds of things
    r"no\s{0,3}\.?\s{0,3}\#?\s{0,3}\d+",  # no. 5
    r"no is \d+",
    r"no\. of\b",
    r"(?:dr|mr|mrs|ms)\.? no\b",
    rf"no-(?!one\b|{_FORBIDDEN}\b)[a-z]+(?:-[a-z]+)*",  # no-bake, no-frills, no-look; "no-parking" is a mention
    r"no[ -]man['’]?s[ -]land\b",
    r"nothing-but-\w+",
    r"all[ -]or[ -]nothing\b",
    r"absent-minded\w*",
    r"missing (?:link|in action|out|persons?|the (?:point|boat)|(?:the|his|her|their) (?:\w+ )?"
    r"(?:ball|pitch|shot|catch|mark|target|putt|serve|kick|return|trick|jump|throw|swing))\b",
    r"minus (?:sign|symbol|degrees)s?\b",
    r"(?:plus|or) (?:or )?minus\b",
    r"sans[ -]serif\b",
    r"(?:absolute|ground|sub|below|number) zero\b",
    # quantity and comparison
    r"no (?:doubt|matter|wonder|fewer|less|sooner|later|ordinary|stranger|different (?:from|than|to))\b",
    r"no more than\b",
    r"(?:not|no) (?:only|just|merely|simply|to mention|less than|unlike)\b",
    r"(?:nothing|none) (?:but|less than|more than|short of|other|the less)\b(?! than\b)",
    r"not (?:one but|once but)\b",
    r"second to none\b",
    r"none too\b",
    r"none the (?:wiser|worse)\b",
    r"no end\b(?= of\b)",
    r"not bad\b",
    # whether or not
    r"(?:or|if|why) not\b(?! \w+ing\b)",
    r"(?:or|and) no\b(?=\W{0,3}$)",  # yes or no
    r"last but not least\b",
    r"more often than not\b",
    r"waste not,? want not\b",
    # manner, time and place
    r"(?:in|at) no time\b",
    r"no time (?:at all|to (?:lose|waste|spare))\b",
    r"(?:the )?middle of nowhere\b",
    r"(?:out of|from) nowhere\b",
    r"without (?:an? |any |further )?(?:doubt|question|fail|ado|hesitation|incident|warning|a hitch|end|equal|exception"
    r"|delay|care|effort|trouble)\b",
    r"to no avail\b",
    r"never(?: mind\b| ceas\w+\b| gets? old\b|-\w+)",
    r"now or never\b",
    r"(?:never|not|n['’]t|without) (?:fail|fails|failed|failing) to\b",
    # inability that implies the action
    rf"(?:can\s?not|ca{_NT}|could not|could{_NT}) (?:help|wait|resist|get enough|go wrong|stop \w+ing|believe"
    r"|take (?:his|her|its|their) eyes|be (?:more|better|happier|prouder|cuter|nicer|beat|beaten))\b",
    r"(?:ca|could)n['’]t care less\b",
    r"no choice\b",
    r"no (?:big deal|worries|joke|secret|coincidence|way to|better (?:way|time|place))\b",
    r"no (?:pun intended|holds barred|strings attached(?! to\b)|such thing)\b",
    r"as (?:if|though) nothing\b",
    r"if nothing else\b",
    r"nothing (?:ventured|special|fancy|unusual|to do with)\b",
    r"go(?:es)? without saying\b",
    r"(?:not|without|n['’]t have) a care\b",
    rf"{_TAGS}{_NT} (?:it|he|she|they|that|this|you|we)\s?\?",  # isn't it?
)

IDIOMS_OF_ANY_WORD: Final = (
    r"\w+-me-nots?\b",
    r"(?P<twice>[a-z]+) or no (?P=twice)\b",
)
"""Idioms whose first word is not fixed."""
