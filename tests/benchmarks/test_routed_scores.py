"""A routed model has the scores of its parts exactly, and shares their cached features."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from support.benches import TinyModel, negrefcocog_folder, write_negrefcocog

from benchmarks.scoring import score
from benchmarks.task import Task
from benchmarks.tasks import negrefcocog


class Routed(TinyModel):
    """Routes texts with "no" to another text tower."""

    def __init__(self) -> None:
        super().__init__(1)
        self.base, self.tuned = BatchModel(1), BatchModel(1, text_seed=2)

    @property
    def model_hash(self) -> str:
        return "r" * 64

    def describe(self) -> dict[str, Any]:
        return {**super().describe(), "routed": {"base": "b", "tuned": "t"}}

    def routes(self, texts: Sequence[str]) -> list[bool]:
        return ["no" in text for text in texts]


class BatchModel(TinyModel):
    """The last bits of a feature depend on the other texts in its batch."""

    def encode_texts(self, texts: Sequence[str]) -> Any:
        return super().encode_texts(texts) * (1 + 1e-6 * (sum(map(len, texts)) % 97))


@pytest.fixture
def task(tmp_path: Path) -> Task:
    """A task of which a part of the texts negates something."""
    negrefcocog_folder(tmp_path / "data", write_negrefcocog(tmp_path / "all.json", 24))
    task = negrefcocog.load(tmp_path / "data")
    items = [replace(item, text=item.text.replace("no ", "a ")) if n % 3 else item for n, item in enumerate(task.items)]
    return replace(task, items=tuple(items))


@pytest.mark.parametrize("cached", [False, True])
def test_each_item_has_the_bits_of_its_part(task: Task, tmp_path: Path, cached: bool) -> None:
    cache = tmp_path / "cache" if cached else None
    base, tuned = (score(BatchModel(1, text_seed=seed), task, cache=cache, batch=8) for seed in (1, 2))
    model = Routed()
    found = score(model, task, cache=cache, batch=8)
    negated = np.array(model.routes([item.text for item in task.items]))
    assert 0 < negated.sum() < len(negated)
    for part, rows in ((base, ~negated), (tuned, negated)):
        differences = np.array(found.of_options)[rows] - np.array(part.of_options)[rows]
        assert np.abs(differences).max() <= (0 if cached or part is base else 1e-3)
    assert not np.allclose(np.array(base.of_options)[negated], np.array(found.of_options)[negated])
    assert found.identity.model_hash == model.model_hash
    if cached:
        assert (model.images, model.base.texts, model.tuned.texts) == (0, 0, 0), "all features are those of the parts"
