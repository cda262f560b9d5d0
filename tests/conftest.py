"""Fixtures for every floor."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

# Workers share the cores; what is computed by two threads each would wait for the others' threads.
os.environ.setdefault("OMP_NUM_THREADS", "1")


@pytest.fixture(autouse=True)
def _signals_stay_as_they_were() -> Iterator[None]:
    """A command that ends in this process ignores further signals; what later tests start would inherit that."""
    numbers = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
    before = [signal.getsignal(number) for number in numbers]
    yield
    for number, handler in zip(numbers, before, strict=True):
        if signal.getsignal(number) is not handler:
            signal.signal(number, handler)


@pytest.fixture
def old_names(monkeypatch: pytest.MonkeyPatch) -> None:
    """Names go into the record as they did before names were checked."""
    monkeypatch.setattr("curation_db.events.annotators.checked_name", lambda name: name)


LONG_TIMEOUT = 1800
"""Seconds; the longest test takes two minutes on an idle machine, and kills, servers and downloads vary."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Give the long tests more time than `timeout` in pyproject.toml, unless a test has a timeout of its own."""
    for item in items:
        if item.get_closest_marker("long") and not item.get_closest_marker("timeout"):
            item.add_marker(pytest.mark.timeout(LONG_TIMEOUT))


def pytest_addoption(parser: pytest.Parser) -> None:
    """How hard the long tests try."""
    parser.addoption("--kills", type=int, default=50, help="how often the long tests kill a deciding process")


@pytest.fixture
def kills(request: pytest.FixtureRequest) -> int:
    """How often a process is killed."""
    return int(request.config.getoption("--kills"))


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """Real files that other people made, beside the checkout (or where NEGWB_SHARED_DATA says)."""
    beside = Path(__file__).resolve().parents[2] / "shared" / "data"
    folder = Path(os.environ.get("NEGWB_SHARED_DATA", beside))
    if not folder.is_dir():
        pytest.skip(f"no real data at {folder}: put the data folder there or set NEGWB_SHARED_DATA")
    return folder
