"""Collects the captions of rows, and gives them to the collector in batches."""

from __future__ import annotations

from collections.abc import Callable
from types import TracebackType
from typing import Any, Final

from curation_db.corpus_audit.collector import Collector
from curation_db.corpus_audit.samples import Origin

_SIZE: Final = 4_096
_CHARACTERS: Final = 1 << 22

Place = Callable[[], str]
"""Returns the position of a row."""


class CaptionBatch:
    """Captions with their positions and images; the rest is added at the end of the `with` block."""

    def __init__(self, collector: Collector) -> None:
        self._collector = collector
        self._texts: list[str] = []
        self._places: list[int | Place] = []
        self._images: list[str | None] = []
        self._characters = 0

    def add(self, texts: list[Any], place: int | Place, image: str | None = None) -> None:
        """Add the captions of one row. `place`: its line, or a function that returns its position."""
        for text in texts:
            if text is None or text != text:  # noqa: PLR0124 -- NaN
                self._collector.counts.empty += 1
            elif text.__class__ is not str:
                self._collector.add_text(text, lambda: self._origin(place))
            else:
                self._texts.append(text)
                self._places.append(place)
                self._images.append(image)
                self._characters += len(text)
        if len(self._texts) >= _SIZE or self._characters > _CHARACTERS:
            self.flush()

    def flush(self) -> None:
        """Give the captions to the collector."""
        places, images = self._places, self._images
        self._collector.add_texts(self._texts, lambda at: self._origin(places[at]), lambda at: images[at])
        self._texts, self._places, self._images, self._characters = [], [], [], 0

    def _origin(self, place: int | Place) -> Origin:
        file = self._collector.file
        return Origin(file, place) if isinstance(place, int) else Origin(file, None, place())

    def __enter__(self) -> CaptionBatch:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if kind is None:
            self.flush()
