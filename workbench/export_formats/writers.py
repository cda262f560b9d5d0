"""The protocol of a format's writer."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from curation_db.exporting.training_rows import TrainingRow
from workbench.export_formats.images import ImageFile


@dataclass(frozen=True, slots=True)
class FormatOptions:
    """Options of a derived set that its writers need."""

    hard_negatives: bool = False
    balance: bool = False
    """Take the negative from so many rows that as many pairs have a true negated caption as a false one."""
    shard_rows: int = 10_000
    """The most rows of a shard, where the format has shards."""
    image_paths: bool = False
    """Write the paths of the images instead of their content, where the format has both."""
    suffixes: frozenset[str] = frozenset()
    """Suffixes of the file names of all images, in small letters."""


class FormatWriter(Protocol):
    """Writes the files of one split: `add` is called for every row, then `finish`; at last `close`, also on errors."""

    def add(self, row: TrainingRow, image: ImageFile) -> None:
        """Write the next row; the rows of an image are adjacent."""

    def finish(self) -> None:
        """Complete all files."""

    def close(self) -> None:
        """Close all files, whether they are complete or not; may be called twice."""


class MakeWriter(Protocol):
    def __call__(self, folder: Path, split: str, options: FormatOptions) -> FormatWriter:
        """Return the writer of the split `split`, which writes below `folder`."""
