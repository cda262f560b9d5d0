"""The rows that a training adds to metrics.jsonl, each step once."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from trainers.run_files import METRICS, parse_metrics


class MetricsTail:
    """Reads metrics.jsonl as it grows.

    A resumed training replaces the file without the steps after its checkpoint, and logs them again: the file is then
    read from its start, and steps that were returned before are left out.
    """

    def __init__(self, folder: Path, *, after: int) -> None:
        """
        Args:
            after: Newest step that was reported before; -1: none.
        """
        self._path, self._newest = folder / METRICS, after
        self._inode, self._position = -1, 0

    def new_rows(self) -> list[dict[str, Any]]:
        """Return the complete rows that were added since the last call, by increasing step."""
        try:
            with self._path.open("rb") as file:
                status = os.fstat(file.fileno())
                if status.st_ino != self._inode or status.st_size < self._position:
                    self._inode, self._position = status.st_ino, 0
                file.seek(self._position)
                data = file.read()
        except OSError:
            return []
        complete = data[: data.rfind(b"\n") + 1]
        self._position += len(complete)
        rows = []
        for row in parse_metrics(complete):
            step = row.get("step")
            if isinstance(step, int) and step > self._newest:
                self._newest = step
                rows.append(row)
        return rows
