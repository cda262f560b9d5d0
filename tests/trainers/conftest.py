"""Fixtures: a tiny model, and a corpus of drawn images with an export."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from support.clip_models import draw_pictures, freeze, make_tiny, pairs_of

from trainers.models.clip_model import ClipModel
from trainers.models.saving import save_model


@pytest.fixture
def tiny() -> ClipModel:
    """A tiny model."""
    return make_tiny()


@pytest.fixture(scope="session")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with pictures/, an export/ of two pairs per image, and the tiny model in model/."""
    root = tmp_path_factory.mktemp("corpus")
    freeze(root / "export", pairs_of(draw_pictures(root / "pictures", 24), each=2))
    save_model(make_tiny(), root / "model")
    return root


@pytest.fixture
def own_threads() -> Iterator[None]:
    """Whatever a test does to torch's threads ends with it."""
    before = torch.get_num_threads()
    yield
    torch.set_num_threads(before)
