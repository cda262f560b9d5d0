"""Writer of the format csv: the tables that open_clip_train reads with its defaults.

Columns `filepath` and `title`, separated by tabs, and `negative` for hard negatives. The paths are absolute, because
open_clip opens them from its current folder. Fields with tabs, quotes or line ends are quoted.
"""

from __future__ import annotations

import csv
from pathlib import Path
from typing import Final

from curation_db.exporting.training_rows import TrainingRow
from workbench.export_formats.images import ImageFile
from workbench.export_formats.writers import FormatOptions

_MISSING: Final = frozenset(
    "#N/A|#N/A N/A|#NA|-1.#IND|-1.#QNAN|-NaN|-nan|1.#IND|1.#QNAN|<NA>|N/A|NA|NULL|NaN|None|n/a|nan|null".split("|")  # noqa: SIM905
)
"""Words that pandas reads as a missing value, quoted or not."""


class CsvWriter:
    def __init__(self, folder: Path, split: str, options: FormatOptions) -> None:
        self._file = (folder / f"{split}.csv").open("w", encoding="utf-8", errors="replace", newline="")
        self._table = csv.writer(self._file, delimiter="\t", lineterminator="\n")
        self._hard_negatives = options.hard_negatives
        self._table.writerow(["filepath", "title", *(["negative"] if options.hard_negatives else [])])

    def add(self, row: TrainingRow, image: ImageFile) -> None:
        """Write the next row."""
        negative = [cell(row.negative or "")] if self._hard_negatives else []
        self._table.writerow([str(image.path), cell(row.text), *negative])

    def finish(self) -> None:
        """Complete the file."""
        self.close()

    def close(self) -> None:
        self._file.close()


def cell(text: str) -> str:
    """Return the text as a cell that pandas reads as this text.

    A word for a missing value gets a space, which tokenizers ignore; a null character would end the cell.
    """
    text = text.replace("\0", " ")
    return f"{text} " if text in _MISSING else text
