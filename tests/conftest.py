"""Fixtures and options of all tests."""

from __future__ import annotations

import functools
import gc
import os
import shutil
import signal
import sys
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest
import typer.main
import typer.testing
from support.examples import register_profiles

# The workers share the cores: a second thread for one computation would only take time from another worker.
os.environ.setdefault("OMP_NUM_THREADS", "1")

# With Python's threshold of 700 objects, garbage collection takes a third of the time of tests with a screen.
gc.set_threshold(50_000, 10, 10)

# Tests start hundreds of processes; without stored bytecode each would compile the packages again (0.2 s).
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
sys.dont_write_bytecode = False

# Typer builds all commands from their signatures at each call, which takes ten times as long as most of the commands.
typer.main.get_command = typer.testing._get_command = functools.cache(typer.main.get_command)

_MEMORY_FOLDER = Path("/dev/shm")
_MEMORY_BYTES = 8 << 30


def _keep_temporary_files_in_memory() -> None:
    """Let pytest create its folders in memory, where there is room: each commit of a record waits 8 ms for a disk."""
    with suppress(OSError):
        if shutil.disk_usage(_MEMORY_FOLDER).free >= _MEMORY_BYTES and os.access(_MEMORY_FOLDER, os.W_OK):
            os.environ.setdefault("PYTEST_DEBUG_TEMPROOT", str(_MEMORY_FOLDER))


_keep_temporary_files_in_memory()

LONG_TIMEOUT = 1800
"""Seconds for a long test; the slowest takes two minutes on an idle machine, but kills, servers and downloads vary."""
register_profiles()
_ENDING_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


def pytest_configure() -> None:
    """Restore ignored signals: commands inherit them, and `nohup` and background jobs of a shell ignore some."""
    for number in _ENDING_SIGNALS:
        if signal.getsignal(number) is signal.SIG_IGN:
            signal.signal(number, signal.default_int_handler if number == signal.SIGINT else signal.SIG_DFL)


def pytest_collection_finish() -> None:
    """Leave modules and collected tests, nearly a million objects, out of all further garbage collection."""
    gc.collect()
    gc.freeze()


@pytest.hookimpl(trylast=True)
def pytest_sessionfinish() -> None:
    """Let Python free everything at the end; torch reports what is left as leaks."""
    gc.unfreeze()


@pytest.hookimpl(trylast=True)
def pytest_runtest_teardown(item: pytest.Item, nextitem: pytest.Item | None) -> None:
    """Free the models and apps of a file after its last test: they are in reference cycles."""
    if nextitem is None or nextitem.path != item.path:
        gc.collect()


def pytest_xdist_auto_num_workers() -> int:
    """Use one worker more than cores, up to four: a sixth of the time is waiting for terminals and servers."""
    return min(4, (os.cpu_count() or 1) + 1)


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the number of kills of the long tests."""
    parser.addoption("--kills", type=int, default=50, help="number of kills of a deciding process in the long tests")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Give long tests more time than `timeout` in pyproject.toml, unless a test has a timeout of its own."""
    for item in items:
        if item.get_closest_marker("long") and not item.get_closest_marker("timeout"):
            item.add_marker(pytest.mark.timeout(LONG_TIMEOUT))


def pytest_make_parametrize_id(val: object, argname: str) -> str | None:
    """Name bytes after their argument: compressed bytes contain the time, and all workers must see equal names."""
    return argname if isinstance(val, bytes) else None


@pytest.fixture(autouse=True)
def _restored_signal_handlers() -> Iterator[None]:
    """Restore the signal handlers: a command that ends in this process ignores further signals."""
    before = [signal.getsignal(number) for number in _ENDING_SIGNALS]
    yield
    for number, handler in zip(_ENDING_SIGNALS, before, strict=True):
        if signal.getsignal(number) is not handler:
            signal.signal(number, handler)


@pytest.fixture
def old_names(monkeypatch: pytest.MonkeyPatch) -> None:
    """Store annotator names unchecked, as earlier versions did."""
    monkeypatch.setattr("curation_db.events.annotators.checked_name", lambda name: name)


@pytest.fixture
def kills(request: pytest.FixtureRequest) -> int:
    """Number of kills of a process."""
    return int(request.config.getoption("--kills"))


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """Folder of real data sets: beside the checkout, or where NEGWB_SHARED_DATA points; skips where there is none."""
    beside = Path(__file__).resolve().parents[2] / "shared" / "data"
    folder = Path(os.environ.get("NEGWB_SHARED_DATA", beside))
    if not folder.is_dir():
        pytest.skip(f"no real data at {folder}: put the data folder there or set NEGWB_SHARED_DATA")
    return folder
