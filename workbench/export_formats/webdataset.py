"""Writer of the format webdataset: TAR shards with an image, a .txt and a .json file per pair.

The shards of a split are SPLIT/000000.tar and so on. USTAR, no times, no owners, members in the order of their names:
equal rows give equal bytes. One extension holds for the images of a set, since readers infer the columns from the first
samples; decoders go by the content of an image.
"""

from __future__ import annotations

import io
import json
import tarfile
from pathlib import Path

from curation_db.exporting.training_rows import TrainingRow
from workbench.export_formats.images import ImageFile
from workbench.export_formats.writers import FormatOptions

_EXTENSIONS = {frozenset({".png"}): "png", frozenset({".webp"}): "webp"}
"""By the suffixes of all images; any others are "jpg"."""

_encode = json.JSONEncoder(allow_nan=False, sort_keys=True).encode


class WebDatasetWriter:
    def __init__(self, folder: Path, split: str, options: FormatOptions) -> None:
        self._folder, self._options = folder / split, options
        self._extension = _EXTENSIONS.get(options.suffixes, "jpg")
        self._rows = 0
        self._shard: tarfile.TarFile | None = None

    def add(self, row: TrainingRow, image: ImageFile) -> None:
        """Write the next row."""
        if self._rows % self._options.shard_rows == 0:
            self.close()
            self._folder.mkdir(exist_ok=True)
            path = self._folder / f"{self._rows // self._options.shard_rows:06}.tar"
            self._shard = tarfile.open(path, "w", format=tarfile.USTAR_FORMAT)  # noqa: SIM115
        members = {
            self._extension: image.data,
            "json": _encode(row.fields(hard_negatives=self._options.hard_negatives)).encode(),
            "txt": row.text.encode(errors="replace"),
        }
        for extension, content in sorted(members.items()):
            self._write(f"{self._rows:09}.{extension}", content)
        self._rows += 1

    def _write(self, name: str, content: bytes) -> None:
        assert self._shard is not None
        member = tarfile.TarInfo(name)  # its defaults are no time, no owner and 0o644
        member.size = len(content)
        self._shard.addfile(member, io.BytesIO(content))

    def finish(self) -> None:
        """Complete the last shard."""
        self.close()

    def close(self) -> None:
        if self._shard is not None:
            self._shard.close()
