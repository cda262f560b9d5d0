"""Commands of one's own: the tables [commands.NAME] of negwb.toml, each a key and a shell line about the shown card.

The values of the card reach the shell as environment variables, and a placeholder becomes the variable in quotes. So a
shell never parses the text of a caption, whatever it contains: the value is not part of the line.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from curation_db.validation import closest, setting

PLACEHOLDERS: Final[Mapping[str, str]] = {
    "id": "NEGWB_ID",
    "caption": "NEGWB_CAPTION",
    "negated": "NEGWB_NEGATED",
    "image": "NEGWB_IMAGE",
    "picture": "NEGWB_IMAGE",
}
"""Name of a placeholder to its environment variable."""
IMAGE: Final = "NEGWB_IMAGE"
_NAME: Final = re.compile(r"[a-z0-9][a-z0-9-]{0,31}")
_WORD: Final = re.compile(r"(?<!\$)\{([a-z]+)\}")


def _check_line(line: str) -> str:
    """Return the expected value if the line cannot be used; "" otherwise."""
    if not line.strip() or "\0" in line:
        return "a shell line"
    for word in _WORD.findall(line):
        if word not in PLACEHOLDERS and (near := closest(word, PLACEHOLDERS)):
            return f"a placeholder: {{{near}}} instead of {{{word}}}"
    try:
        shell_line(line)
    except ValueError as error:
        return str(error)
    return ""


@dataclass(frozen=True, slots=True, kw_only=True)
class OwnCommand:
    """A table [commands.NAME]."""

    name: str = field(default="", metadata={"key": False})
    key: str = field(metadata={"help": 'the key on a card, as in "ctrl+e" or "f6"; several with commas'})
    run: str = field(
        metadata={
            "help": "a shell line; {id}, {caption}, {negated} and {image} (or {picture}) are one word each",
            "check": _check_line,
        }
    )
    help: str = setting("", "what it does, for the help and the palette")

    @property
    def needs_image(self) -> bool:
        """Whether the line has the path of the image."""
        return any(PLACEHOLDERS.get(word) == IMAGE for word in _WORD.findall(self.run))


def is_name(name: str) -> bool:
    """Return whether a command can have this name."""
    return _NAME.fullmatch(name) is not None


def shell_line(line: str) -> str:
    """Return the line for the shell, with each placeholder as an environment variable.

    Raises:
        ValueError: A placeholder is in single quotes, in which a shell reads no variable.
    """
    parts, at, quotes = [], 0, [""]
    """`quotes` has the quotation mark of each nested command substitution; "" outside quotes."""
    while at < len(line):
        if (word := _WORD.match(line, at)) and word[1] in PLACEHOLDERS:
            if quotes[-1] == "'":
                raise ValueError(f"{word[0]} without the single quotes around it: its value is one word as it is")
            name = PLACEHOLDERS[word[1]]
            parts.append(f"${{{name}}}" if quotes[-1] == '"' else f'"${{{name}}}"')
            at = word.end()
            continue
        piece = line[at : at + 2] if line[at] == "\\" and quotes[-1] != "'" else line[at]
        _follow(line, at, quotes) if len(piece) == 1 else None
        parts.append(piece)
        at += len(piece)
    return "".join(parts)


def _follow(line: str, at: int, quotes: list[str]) -> None:
    """Update the quotation marks that are open after the character at `at`."""
    mark, inner = line[at], quotes[-1]
    if mark in "'\"" and inner in ("", mark):
        quotes[-1] = "" if inner else mark
    elif mark == "(" and inner != "'" and line[at - 1 : at] == "$":
        quotes.append("")
    elif mark == ")" and not inner and len(quotes) > 1:
        quotes.pop()


def environment_of(candidate_id: int, caption: str, negated: str, image: str) -> dict[str, str]:
    """Return the environment variables of a card."""
    values = {"id": str(candidate_id), "caption": caption, "negated": negated, "image": image}
    return {PLACEHOLDERS[name]: value.replace("\0", "") for name, value in values.items()}
