"""What the annotator did in this session, each act with the command that does the same."""

from __future__ import annotations

import shlex
from collections.abc import Callable, Collection
from dataclasses import dataclass
from datetime import datetime

from curation_db.enums import Cause, Kind, Reason
from workbench.annotation.candidate_ranges import written
from workbench.annotation.wording import BULK, DECISIONS, readable

NO_COMMAND = "no command does this"
_LONGEST_ARGUMENT = 100_000
"""Characters; Linux takes 128 KiB for one argument, so longer ones are read from stdin."""


def shell_quoted(word: str) -> str:
    """Return a word quoted for bash, zsh and ksh, without line ends and characters that a terminal interprets.

    A word with such characters is written as `$'…'`, their UTF-8 bytes in octal. NUL, which no argument can have, is
    left out.
    """
    word = word.replace("\0", "")
    if word.isprintable():
        return shlex.quote(word)
    return f"$'{''.join(map(_escaped, word))}'"


def _escaped(character: str) -> str:
    if character.isprintable():
        return f"\\{character}" if character in "\\'" else character
    return "".join(f"\\{byte:03o}" for byte in character.encode("utf-8", "replace"))


def _now() -> datetime:
    return datetime.now().astimezone()


@dataclass(frozen=True, slots=True)
class Act:
    at: datetime
    did: str
    """In a few words."""
    candidate_id: int | None = None
    arguments: tuple[str, ...] = ()
    """Of the command `negwb` that does the same; empty: there is none."""
    stdin: str = ""
    """What the command reads, without characters that are special in a shell."""

    @property
    def command(self) -> str:
        """The command, quoted for a shell; "" for none."""
        if not self.arguments:
            return ""
        return " ".join(map(shell_quoted, ("negwb", *self.arguments))) + (
            f" <<END\n{self.stdin}\nEND" if self.stdin else ""
        )


class ActLog:
    """The acts of a session, the oldest first."""

    def __init__(self, annotator: str, clock: Callable[[], datetime] = _now) -> None:
        self._annotator = annotator
        self._clock = clock
        self.acts: list[Act] = []

    def decided(
        self, candidate_id: int, kind: Kind, reason: Reason | None = None, *, text: str = "", concept: str | None = None
    ) -> None:
        """Add a decision, an edit, a note or a flag about a candidate."""
        arguments = ["decide", str(candidate_id), str(kind)]
        arguments += ["--reason", str(reason)] if reason is not None else []
        arguments += [f"--text={text}"] if text else []
        arguments += [f"--concept={concept}"] if concept is not None else []
        because = f": {readable(reason)}" if reason is not None else ""
        self._add(f"{DECISIONS[kind].label}{because}", candidate_id, arguments, "-" if text == "-" else "")

    def adjudicated(self, candidate_id: int, verdict: Kind, reason: Reason | None, cause: Cause | None) -> None:
        """Add an adjudication of a candidate."""
        arguments = ["adjudicate", str(candidate_id), str(verdict)]
        arguments += ["--reason", str(reason)] if reason is not None else []
        arguments += ["--cause", str(cause)] if cause is not None else []
        because = f": {readable(reason)}" if reason is not None else ""
        self._add(f"adjudicate: {DECISIONS[verdict].label}{because}", candidate_id, arguments)

    def decided_in_bulk(self, ids: Collection[int], kind: Kind, reason: Reason | None, whole: str) -> None:
        """Add a bulk decision about these candidates; `whole`: what they are, in a few words."""
        numbers, stdin = written(ids), ""
        if len(numbers) > _LONGEST_ARGUMENT:
            numbers, stdin = "-", numbers.replace(",", "\n")
        arguments = ["decide", numbers, BULK[kind].title, "--bulk", "--yes"]
        arguments += ["--reason", str(reason)] if reason is not None else []
        because = f": {readable(reason)}" if reason is not None else ""
        self._add(f"{BULK[kind].title}{because}, of {whole}", None, arguments, stdin)

    def moved(self, kind: Kind, *, back: bool) -> None:
        """Add an undo (`back`) or a redo of an act of this kind."""
        label = DECISIONS[kind].label if kind in DECISIONS else str(kind)
        self._add(f"{'undo' if back else 'redo'}: {label}", None, ["undo", *([] if back else ["--redo"])])

    def without_command(self, did: str, candidate_id: int | None = None) -> None:
        """Add an act that only a screen can do."""
        self.acts.append(Act(self._clock(), did, candidate_id))

    @property
    def script(self) -> str:
        """The commands of all acts as lines of a shell script; the other acts are comments."""
        return "".join(f"{act.command or f'# {act.did}: {NO_COMMAND}'}\n" for act in self.acts)

    def _add(self, did: str, candidate_id: int | None, arguments: list[str], stdin: str = "") -> None:
        self.acts.append(Act(self._clock(), did, candidate_id, (*arguments, "-a", self._annotator), stdin))
