"""Writer of the format parquet: files that HF datasets opens with decoded images. Needs the extra `exports`.

The column `image` has the content of the image file, or with `image_paths` its absolute path.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from curation_db.exporting.training_rows import TrainingRow
from workbench.export_formats.images import ImageFile
from workbench.export_formats.writers import FormatOptions

_GROUP_BYTES = 32 << 20
"""A row group is written at this size: a reader holds a whole one in memory."""
_GROUP_ROWS = 1_000
_TYPES = {bool: "bool", str: "string"}


class ParquetWriter:
    def __init__(self, folder: Path, split: str, options: FormatOptions) -> None:
        import pyarrow  # noqa: PLC0415
        import pyarrow.parquet  # noqa: PLC0415

        self._arrow: Any = pyarrow
        self._folder, self._split, self._options = folder, split, options
        self._rows = 0
        self._file: Any = None
        self._group: list[dict[str, Any]] = []
        self._bytes = 0

    def add(self, row: TrainingRow, image: ImageFile) -> None:
        """Write the next row."""
        fields = row.fields(hard_negatives=self._options.hard_negatives)
        if self._rows % self._options.shard_rows == 0:
            self._open(fields)
        name = f"{self._rows:09}.{image.extension}"
        paths = self._options.image_paths
        content = {"bytes": None, "path": str(image.path)} if paths else {"bytes": image.data, "path": name}
        self._group.append({"image": content, **{key: _storable(value) for key, value in fields.items()}})
        self._bytes += 0 if paths else len(image.data)
        self._rows += 1
        if self._bytes >= _GROUP_BYTES or len(self._group) >= _GROUP_ROWS:
            self._write_group()

    def _open(self, fields: dict[str, str | bool]) -> None:
        self.finish()
        arrow = self._arrow
        kinds = {name: _TYPES[type(value)] for name, value in fields.items()}
        features = {"image": {"_type": "Image"}} | {
            name: {"dtype": kind, "_type": "Value"} for name, kind in kinds.items()
        }
        image = arrow.struct([("bytes", arrow.binary()), ("path", arrow.string())])
        columns = [("image", image), *((name, arrow.type_for_alias(kind)) for name, kind in kinds.items())]
        schema = arrow.schema(columns, metadata={"huggingface": json.dumps({"info": {"features": features}})})
        number = self._rows // self._options.shard_rows
        path = self._folder / f"{self._split}-{number:05}.parquet"
        self._file = arrow.parquet.ParquetWriter(path, schema, compression="snappy")

    def _write_group(self) -> None:
        self._file.write_table(self._arrow.Table.from_pylist(self._group, schema=self._file.schema))
        self._group, self._bytes = [], 0

    def finish(self) -> None:
        """Complete the last file."""
        if self._group:
            self._write_group()
        self.close()

    def close(self) -> None:
        if self._file is not None:
            self._file.close()


def _storable(value: str | bool) -> str | bool:
    """Return the value without lone surrogates, which UTF-8 cannot encode."""
    return value.encode(errors="replace").decode() if isinstance(value, str) else value
