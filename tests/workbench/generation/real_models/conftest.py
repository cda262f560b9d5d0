"""Fixtures: tiny models on disk and images, created once."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from support.model_requests import draw_colours


@pytest.fixture(scope="session")
def llama(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a model that writes."""
    from support.tiny_models import make_llama

    return make_llama(tmp_path_factory.mktemp("models") / "llama")


@pytest.fixture(scope="session")
def llava(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a model that looks."""
    from support.tiny_models import make_llava

    return make_llava(tmp_path_factory.mktemp("models") / "llava")


@pytest.fixture(scope="session")
def colours(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Pictures of one colour each."""
    return draw_colours(tmp_path_factory.mktemp("pictures"))


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of `transformers serve`; it answers for whatever model folder a request names."""
    from support.real_server import transformers_server

    with transformers_server(tmp_path_factory.mktemp("server")) as url:
        yield url
