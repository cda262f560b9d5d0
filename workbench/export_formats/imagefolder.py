"""Writer of the format imagefolder: copies of the images and metadata.jsonl, as HF datasets opens them.

A split is a folder. Its images are images/00000000.jpg and so on, because names of several sources may be equal; each
image is copied once, and has a line for every pair.
"""

from __future__ import annotations

import json
from pathlib import Path

from curation_db.exporting.training_rows import TrainingRow
from workbench.export_formats.images import ImageFile
from workbench.export_formats.writers import FormatOptions

_encode = json.JSONEncoder(allow_nan=False).encode


class ImageFolderWriter:
    def __init__(self, folder: Path, split: str, options: FormatOptions) -> None:
        self._folder, self._hard_negatives = folder / split, options.hard_negatives
        (self._folder / "images").mkdir(parents=True)
        self._file = (self._folder / "metadata.jsonl").open("w", encoding="ascii", newline="\n")
        self._image: ImageFile | None = None
        self._images = 0
        self._name = ""

    def add(self, row: TrainingRow, image: ImageFile) -> None:
        """Write the next row."""
        if image is not self._image:
            self._name = f"images/{self._images:08}.{image.extension}"
            self._image = image
            self._images += 1
            (self._folder / self._name).write_bytes(image.data)
        fields = row.fields(hard_negatives=self._hard_negatives)
        # `file_name` is the path here; the name in the source has another key
        original = fields.pop("file_name")
        self._file.write(_encode({"file_name": self._name, **fields, "original_file": original}) + "\n")

    def finish(self) -> None:
        """Complete the file."""
        self.close()

    def close(self) -> None:
        self._file.close()
