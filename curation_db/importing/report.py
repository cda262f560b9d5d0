"""What an import did: the counts, and the list of what it refused.

The list is JSONL without wall-clock times; every text in it is safe to show. A list is never overwritten.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import IO, Any

from curation_db.importing.rows import At, RefusedRow, Reject, RejectReason, reject
from curation_db.language.sanitize import counted, display_text

_NAMES_LIMIT = 200
"""Characters from which on no further column of a field is told."""
_MOST_UNUSED = 20


@dataclass(slots=True)
class WriteOutcome:
    """The result of writing one batch; counted when the transaction is committed."""

    counts: Counter[str] = field(default_factory=Counter)
    """By the names of `ImportReport`'s fields."""
    rejects: list[Reject] = field(default_factory=list)
    refused: list[At] = field(default_factory=list)
    """Positions of the refused images."""

    def refuse(self, at: At, reason: RejectReason, message: str, *, hint: str = "") -> None:
        """Refuse the row at `at`."""
        self.rejects.append(reject(at, RefusedRow(reason, message, hint=hint)))

    def refuse_image(self, at: At, why: RefusedRow) -> None:
        """Refuse the image in the row at `at`, whose id is another image's."""
        self.rejects.append(reject(at, why))
        self.refused.append(at)


@dataclass(slots=True)
class ImportReport:
    """The counts of one import."""

    file: str
    format: str
    source: str
    columns: dict[str, str] = field(default_factory=dict)
    """What each column was taken for, where that was a choice."""
    unused: dict[str, str] = field(default_factory=dict)
    """Columns that are not used although their names tell what they are, each with the field that another one has."""
    images: int = 0
    """New pictures; so too the next four."""
    captions: int = 0
    candidates: int = 0
    objects: int = 0
    questions: int = 0
    questions_not_no: int = 0
    """Questions that most people did not answer with no: passed over."""
    questions_unsettled: int = 0
    """Questions whose answers are tied, or not what the file says of them: passed over."""
    unchanged: int = 0
    """Rows that the record had already."""
    completed: int = 0
    """Pictures of which the record now knows more: name, size."""
    cleaned: int = 0
    """Texts that lost control characters, or are stored in another Unicode form."""
    missing_pictures: int = 0
    """Pictures whose file was not found in the folders that are known."""
    unsought_pictures: int = 0
    """Pictures that were not looked for, because no folder is known."""
    first_unsought: str = ""
    """The file name of the first of them."""
    remote_pictures: int = 0
    """Pictures that the file names by a URL: kept as such, not fetched."""
    gold: int = 0
    """Candidates whose known answer is new to the record."""
    gold_in_audit: int = 0
    """Candidates with a known answer that are kept for the blind audit, and so stay what they were."""
    rejected: Counter[str] = field(default_factory=Counter)
    """Refused rows by reason."""
    kept: Counter[str] = field(default_factory=Counter)
    """Rows that went in although something about them is wrong, by reason."""
    hints: Counter[str] = field(default_factory=Counter)
    """What to do about listed rows, and for how many."""

    @property
    def new(self) -> int:
        """How many rows went in."""
        return self.images + self.captions + self.candidates + self.objects + self.questions

    @property
    def flawless(self) -> bool:
        """Nothing was refused and nothing is missing."""
        return not self.rejected and not self.kept

    @property
    def empty(self) -> bool:
        """There was not a row to read."""
        passed = self.questions_not_no + self.questions_unsettled
        return self.flawless and not self.new and not self.unchanged and not passed

    def note_columns(self, chosen: Mapping[str, str], unused: Mapping[str, str]) -> None:
        """Take note of what rows' columns were taken for; in JSON it may differ from row to row."""
        for name, column in chosen.items():
            known = self.columns.setdefault(name, column)
            if column not in known.split(" or ") and len(known) < _NAMES_LIMIT:
                self.columns[name] = f"{known} or {column}"
        for column, name in unused.items():
            if len(self.unused) < _MOST_UNUSED:
                self.unused.setdefault(column, name)

    def count(self, told: Reject) -> None:
        """Take note of a listed row."""
        (self.kept if told.kept else self.rejected)[str(told.reason)] += 1
        if told.hint:
            self.hints[told.hint] += 1

    def as_json(self) -> dict[str, Any]:
        """Everything, for scripts."""
        return {
            "file": self.file,
            "format": self.format,
            "source": self.source,
            "columns": self.columns,
            "unused_columns": self.unused,
            "images": self.images,
            "captions": self.captions,
            "candidates": self.candidates,
            "objects": self.objects,
            "questions": self.questions,
            "questions_not_no": self.questions_not_no,
            "questions_unsettled": self.questions_unsettled,
            "unchanged": self.unchanged,
            "completed": self.completed,
            "cleaned": self.cleaned,
            "gold": self.gold,
            "gold_in_audit": self.gold_in_audit,
            "missing_pictures": self.missing_pictures,
            "unsought_pictures": self.unsought_pictures,
            "remote_pictures": self.remote_pictures,
            "rejected": dict(sorted(self.rejected.items())),
            "kept": dict(sorted(self.kept.items())),
            "hints": dict(sorted(self.hints.items())),
        }

    def summary(self) -> str:
        """The import in one line."""
        new = [
            counted(count, noun)
            for noun in ("image", "caption", "candidate", "object", "question")
            if (count := getattr(self, f"{noun}s"))
        ]
        nothing = "there is nothing in it" if self.empty else "nothing new"
        said = [f"{display_text(self.file, limit=200)} ({self.format}) as {self.source}: {', '.join(new) or nothing}"]
        for count, what in (
            (self.unchanged, f"{self.unchanged:,} already there"),
            (self.questions_not_no, f"{self.questions_not_no:,} not answered with no"),
            (self.questions_unsettled, f"{self.questions_unsettled:,} without one answer"),
            (self.completed, f"{counted(self.completed, 'picture')} completed"),
            (self.remote_pictures, f"{counted(self.remote_pictures, 'picture')} by URL, not fetched"),
            (self.cleaned, f"{counted(self.cleaned, 'text')} cleaned"),
            (self.gold, f"{self.gold:,} with a known answer"),
            (self.gold_in_audit, f"{self.gold_in_audit:,} with an answer that stays aside: the audit has them"),
        ):
            if count:
                said.append(what)
        for counts, what in ((self.rejected, "refused"), (self.kept, "kept with a flaw")):
            if counts:
                reasons = ", ".join(f"{count:,} {reason}" for reason, count in sorted(counts.items()))
                said.append(f"{counts.total():,} {what} ({reasons})")
        return "; ".join(said)


class RejectsFile:
    """The list of refused rows: `<stem>-<n>.jsonl`, begun with the first one."""

    def __init__(self, folder: Path, stem: str, file: str) -> None:
        self._folder = folder
        self._stem = "".join(c if c.isalnum() or c in "-_." else "_" for c in stem)[:100] or "import"
        self._file = file
        self._out: IO[str] | None = None
        self.path: Path | None = None

    def __call__(self, told: Reject) -> None:
        """Add a row to the list."""
        if self._out is None:
            self._out = self._begin()
        line = {
            "file": display_text(told.file or self._file),
            "where": display_text(told.where, limit=200),
            "byte": told.offset,
            "reason": str(told.reason),
            "message": display_text(told.message, limit=500),
            "kept": told.kept,
            "row": told.excerpt,
        }
        if told.hint:
            line["hint"] = display_text(told.hint, limit=500)
        self._out.write(json.dumps(line, ensure_ascii=False) + "\n")

    def _begin(self) -> IO[str]:
        self._folder.mkdir(parents=True, exist_ok=True)
        number = 1
        while True:
            self.path = self._folder / f"{self._stem}-{number}.jsonl"
            try:
                return self.path.open("x", encoding="utf-8", newline="\n")
            except FileExistsError:
                number += 1

    def __enter__(self) -> RejectsFile:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._out is not None:
            self._out.close()
