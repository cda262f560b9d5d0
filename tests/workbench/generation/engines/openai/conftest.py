"""A model server for the tests of a module."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict

import pytest
from support.model_server import Behaviour, Served, model_server


@pytest.fixture(scope="module")
def one_server() -> Iterator[Served]:
    with model_server() as running:
        yield running


@pytest.fixture
def server(one_server: Served) -> Served:
    one_server.behave(**asdict(Behaviour()))
    return one_server
