"""Report of an import: the counts, and the file that lists refused rows.

The list is JSONL without wall-clock times; every text in it is safe to display. An existing list is never overwritten.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any

from curation_db.importing.rows import At, RefusedRow, Reject, RejectReason, reject
from curation_db.language.sanitize import counted, display_text

_NAMES_LIMIT = 200
"""Characters of one field's column list, after which further columns are left out."""
_MOST_UNUSED = 20


@dataclass(slots=True)
class WriteOutcome:
    """The result of writing one batch; counted when the transaction is committed."""

    counts: Counter[str] = field(default_factory=Counter)
    """Keys are field names of `ImportReport`."""
    rejects: list[Reject] = field(default_factory=list)
    refused: list[At] = field(default_factory=list)
    """Positions of the refused images."""

    def refuse(self, at: At, reason: RejectReason, message: str, *, hint: str = "") -> None:
        self.rejects.append(reject(at, RefusedRow(reason, message, hint=hint)))

    def refuse_image(self, at: At, why: RefusedRow) -> None:
        """Refuse the image in the row at `at`, whose id belongs to another image."""
        self.rejects.append(reject(at, why))
        self.refused.append(at)


@dataclass(slots=True)
class ImportReport:
    file: str
    format: str
    source: str
    columns: dict[str, str] = field(default_factory=dict)
    """Field to column, for tables whose columns had to be chosen."""
    unused: dict[str, str] = field(default_factory=dict)
    """Columns with a usual name that are not used, each with its field, which another column fills."""
    images: int = 0
    """New images. The next four fields count new rows too."""
    captions: int = 0
    candidates: int = 0
    objects: int = 0
    questions: int = 0
    questions_not_no: int = 0
    """Skipped questions whose majority answer is not "no"."""
    questions_unsettled: int = 0
    """Skipped questions whose answers are tied, or whose majority differs from the file's own answer."""
    unchanged: int = 0
    """Rows that were stored already."""
    completed: int = 0
    """Stored images to which a name or a size was added."""
    cleaned: int = 0
    """Texts from which control characters were removed, or whose Unicode form was changed."""
    missing_pictures: int = 0
    """Images whose file is in none of the configured folders."""
    unsought_pictures: int = 0
    """Images that were not searched for, because no folder is configured."""
    first_unsought: str = ""
    """File name of the first of them."""
    remote_pictures: int = 0
    """Images that the file names by a URL: the URL is stored, the image is not downloaded."""
    gold: int = 0
    """Candidates that are newly marked as gold."""
    gold_in_audit: int = 0
    """Candidates with a known answer that stay in the blind audit and are not marked as gold."""
    rejected: Counter[str] = field(default_factory=Counter)
    """Refused rows by reason."""
    warnings: Counter[str] = field(default_factory=Counter)
    """Stored rows with a problem, by reason."""
    hints: Counter[str] = field(default_factory=Counter)
    """Number of listed rows per hint."""

    @property
    def new(self) -> int:
        """Number of stored rows that are new."""
        return self.images + self.captions + self.candidates + self.objects + self.questions

    @property
    def flawless(self) -> bool:
        """Whether no row was refused and none has a problem."""
        return not self.rejected and not self.warnings

    @property
    def empty(self) -> bool:
        """Whether the file held no row."""
        skipped = self.questions_not_no + self.questions_unsettled
        return self.flawless and not self.new and not self.unchanged and not skipped

    def note_columns(self, chosen: Mapping[str, str], unused: Mapping[str, str]) -> None:
        """Add the columns of one row; in JSON they may differ from row to row."""
        for name, column in chosen.items():
            known = self.columns.setdefault(name, column)
            if column not in known.split(" or ") and len(known) < _NAMES_LIMIT:
                self.columns[name] = f"{known} or {column}"
        for column, name in unused.items():
            if len(self.unused) < _MOST_UNUSED:
                self.unused.setdefault(column, name)

    def count(self, row: Reject) -> None:
        """Count a listed row."""
        (self.warnings if row.warning else self.rejected)[str(row.reason)] += 1
        if row.hint:
            self.hints[row.hint] += 1

    def as_json(self) -> dict[str, Any]:
        """Return the object that `negwb import --json` prints."""
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
            "kept": dict(sorted(self.warnings.items())),
            "hints": dict(sorted(self.hints.items())),
        }

    def summary(self) -> str:
        """Return the report in one line."""
        new = [
            counted(count, noun)
            for noun in ("image", "caption", "candidate", "object", "question")
            if (count := getattr(self, f"{noun}s"))
        ]
        nothing = "the file holds no rows" if self.empty else "nothing new"
        parts = [f"{display_text(self.file, limit=200)} ({self.format}) as {self.source}: {', '.join(new) or nothing}"]
        for count, what in (
            (self.unchanged, f"{self.unchanged:,} already stored"),
            (self.questions_not_no, f"{self.questions_not_no:,} not answered with no"),
            (self.questions_unsettled, f"{self.questions_unsettled:,} without a majority answer"),
            (self.completed, f"{counted(self.completed, 'image')} completed"),
            (self.remote_pictures, f"{counted(self.remote_pictures, 'image')} by URL, not downloaded"),
            (self.cleaned, f"{counted(self.cleaned, 'text')} cleaned"),
            (self.gold, f"{self.gold:,} with a known answer"),
            (self.gold_in_audit, f"{self.gold_in_audit:,} in the audit: their known answer is not used"),
        ):
            if count:
                parts.append(what)
        for counts, what in ((self.rejected, "refused"), (self.warnings, "stored with a problem")):
            if counts:
                reasons = ", ".join(f"{count:,} {reason}" for reason, count in sorted(counts.items()))
                parts.append(f"{counts.total():,} {what} ({reasons})")
        return "; ".join(parts)


class RejectsFile:
    """The file of listed rows, `<stem>-<n>.jsonl`; created with the first row."""

    def __init__(self, folder: Path, stem: str, file: str) -> None:
        self._folder = folder
        self._stem = "".join(c if c.isalnum() or c in "-_." else "_" for c in stem)[:100] or "import"
        self._file = file
        self._out: IO[str] | None = None
        self.path: Path | None = None

    def __call__(self, row: Reject) -> None:
        """Add a row to the list."""
        if self._out is None:
            self._out = self._begin()
        line = {
            "file": display_text(row.file or self._file),
            "where": display_text(row.where, limit=200),
            "byte": row.offset,
            "reason": str(row.reason),
            "message": display_text(row.message, limit=500),
            "kept": row.warning,
            "row": row.excerpt,
        }
        if row.hint:
            line["hint"] = display_text(row.hint, limit=500)
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

    def __exit__(self, *_: object) -> None:
        if self._out is not None:
            self._out.close()
