"""Every function that opens a record opens the named file, whatever characters its path contains."""

from __future__ import annotations

import os
import re
import sqlite3
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest
from support.older_schema import OLDER, install
from support.record import Record

import curation_db
from curation_db.enums import Kind
from curation_db.integrity import checks
from curation_db.integrity.checks import Level
from curation_db.storage import database_file, sqlite
from curation_db.storage.backup import back_up, list_backups
from curation_db.storage.migrations import HEAD
from curation_db.storage.migrations.upgrade import upgrade
from curation_db.storage.restore import restore
from curation_db.storage.sqlite import Mode
from curation_db.storage.store import Store, create_store, open_read_only, open_store

# fmt: off
ODD = [
    "100%", "a%20b", "a%41b", "%2e%2e", "a%00b", "%", "%%", "a?b", "a?mode=memory", "a#b", "a&b=c", "a b", " a", "a ",
    "a'b", 'a"b', "a;b", "a:b", ":memory:", "file:a", "a\\b", "a\nb", "a\tb", "a|b", "a*b", "[a]", "{a}", "$HOME", "~",
    "-a", "a.", "...", "é", "e\u0301", "日本語", "🙂", "a+b", "a,b", "a=b", "a@b", "a<b>", "(a)", "%(here)s", "a!b",
    "a^b`c",
]
# fmt: on
WORST = [
    "100%",
    "a%20b",
    "a%41b",
    "%(here)s",
    "a?mode=memory",
    "a#b",
    "a&b=c",
    "a 'b\";",
    "a.",
    ":memory:",
    "é",
    "a\nb",
]
NOT_UTF8 = os.fsdecode(b"a\xffb")
DECOYS = ["100", "a b", "aAb", "a", "b", "memory", "é", ".db"]
"""File names that some of the names above became when they were part of a URL."""


@contextmanager
def by_engine(path: Path, mode: Mode, *, lean: bool = False) -> Iterator[list[tuple[object, ...]]]:
    with Store(path, mode, lean=lean) as store, store.read() as connection:
        yield [tuple(row) for row in connection.exec_driver_sql("PRAGMA database_list")]


@contextmanager
def by_writer(path: Path) -> Iterator[list[tuple[object, ...]]]:
    with Store(path) as store, store.write() as connection:
        yield [tuple(row) for row in connection.exec_driver_sql("PRAGMA database_list")]


@contextmanager
def by_bare(path: Path, mode: Mode) -> Iterator[list[tuple[object, ...]]]:
    with sqlite.raw_connection(path, mode) as connection:
        yield connection.execute("PRAGMA database_list").fetchall()


@contextmanager
def by_source(path: Path) -> Iterator[list[tuple[object, ...]]]:
    with database_file.read_connection(path) as connection:
        yield connection.execute("PRAGMA database_list").fetchall()


@contextmanager
def by_attach(path: Path) -> Iterator[list[tuple[object, ...]]]:
    """Attach the file as `restore` attaches the copy of the backup."""
    with sqlite.raw_connection(path.with_name("other.db"), Mode.CREATE) as connection:
        connection.execute("ATTACH ? AS kept", (sqlite.file_uri(path, Mode.FROZEN),))
        yield [row for row in connection.execute("PRAGMA database_list") if row[1] == "kept"]


@contextmanager
def alone(path: Path) -> Iterator[list[tuple[object, ...]]]:
    with database_file.exclusive_connection(path) as connection:
        yield connection.execute("PRAGMA database_list").fetchall()


OPENERS: dict[str, Callable[[Path], object]] = {
    "write": by_writer,
    **{f"engine {mode.name}": lambda path, mode=mode: by_engine(path, mode) for mode in Mode},
    "lean": lambda path: by_engine(path, Mode.WRITE, lean=True),
    **{f"bare {mode.name}": lambda path, mode=mode: by_bare(path, mode) for mode in Mode},
    "source": by_source,
    "attach": by_attach,
    "alone": alone,
}


@pytest.fixture
def place(tmp_path: Path) -> Path:
    """A folder with the files that an unescaped URL would open instead."""
    for name in DECOYS:
        (tmp_path / name).mkdir()
        for file in ("curation.db", name):
            (tmp_path / name / file).write_bytes(b"decoy")
    return tmp_path


def files_below(folder: Path) -> dict[str, int]:
    return {str(path.relative_to(folder)): path.stat().st_ino for path in folder.rglob("*") if path.is_file()}


@pytest.fixture(params=["folder", "file", "relative"])
def laid(request: pytest.FixtureRequest, place: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], Path]:
    """Path of a record with this name in a part of it."""

    def _laid(name: str) -> Path:
        if request.param == "file":
            folder = place / "home"
            folder.mkdir(exist_ok=True)
            return folder / name
        folder = place / name
        folder.mkdir(exist_ok=True)
        if request.param == "folder":
            return folder / "curation.db"
        monkeypatch.chdir(folder.parent)
        return Path(name) / "curation.db"

    return _laid


@pytest.mark.parametrize("name", ODD, ids=ascii)
def test_every_opener_opens_the_same_file(laid: Callable[[str], Path], place: Path, name: str) -> None:
    path = laid(name)
    path.unlink(missing_ok=True)
    create_store(path).close()
    inode = path.stat().st_ino
    before = files_below(place)
    for opener, opened in OPENERS.items():
        with opened(path) as databases:  # type: ignore[attr-defined]
            ((_, _, file),) = databases
            assert os.stat(file).st_ino == inode, opener
    new_files = {each for each in files_below(place).items() if each not in before.items()}
    assert {Path(name).name for name, _ in new_files} <= {"other.db"}, "no file came up elsewhere"
    assert path.stat().st_ino == inode


@pytest.mark.parametrize("name", [*WORST, NOT_UTF8], ids=ascii)
def test_backup_restore_migration_and_checks_use_the_named_file(
    place: Path, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = place / name
    folder.mkdir(exist_ok=True)
    path = folder / "curation.db"
    path.unlink(missing_ok=True)
    decoys = {each: each.read_bytes() for each in place.rglob("*") if each.is_file()}

    install(monkeypatch)
    sqlite.initialise_file(path)
    upgrade(path, "", to=OLDER)
    with open_store(path) as store:
        record = Record(store)
        record.add(2)
        new_files = back_up(path).path
        record.open_session("ana").reviewer.decide(1, Kind.ACCEPT)
        with store.write() as connection:
            connection.exec_driver_sql("UPDATE work_session SET ended_at = 'now'")
    assert restore(path, new_files).loss.by_person == {"ana": 1}
    with open_read_only(path) as store, store.read() as connection:
        assert connection.exec_driver_sql("SELECT count(*) FROM candidate").scalar() == 2
        assert connection.exec_driver_sql("SELECT version_num FROM alembic_version").scalar() == HEAD
    levels = {each.name: each.level for each in checks.check_record(path)}
    assert Level.ERROR not in levels.values()
    assert {each.event for each in list_backups(folder / "backups")} == {0, 1}
    databases = {each.parent for each in place.rglob("*.db") if each.is_file() and each not in decoys}
    assert databases == {folder, folder / "backups"}
    for each, data in decoys.items():
        assert each.read_bytes() == data, each


def test_a_relative_path_means_the_folder_that_was_current_when_the_record_was_opened(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    here, there = tmp_path / "here", tmp_path / "there"
    for folder in (here, there):
        folder.mkdir()
        create_store(folder / "curation.db").close()
    monkeypatch.chdir(here)
    with Store(Path("curation.db")) as store:
        monkeypatch.chdir(there)
        with store.read() as connection:
            file = connection.exec_driver_sql("PRAGMA database_list").one()[2]
    assert Path(file).parent == here


@pytest.mark.parametrize("name", ["100%", "%(here)s", "a:b", "a b;c", "é%20"])
def test_the_migrations_run_wherever_negwb_is_installed(tmp_path: Path, name: str) -> None:
    """A % in the folder of the scripts is not interpolated."""
    (tmp_path / name).mkdir()
    (tmp_path / name / "curation_db").symlink_to(Path(curation_db.__file__).parent)
    code = """
import sys
from pathlib import Path
sys.path.insert(0, sys.argv[2])
import curation_db
from curation_db.storage import sqlite
from curation_db.storage.migrations.upgrade import upgrade
assert curation_db.__file__.startswith(sys.argv[2])
path = Path(sys.argv[1])
sqlite.initialise_file(path)
upgrade(path, "")"""
    done = subprocess.run(
        [sys.executable, "-c", code, str(tmp_path / "old.db"), str(tmp_path / name)],
        check=False,
        capture_output=True,
        text=True,
        cwd=tmp_path,
    )
    assert done.returncode == 0, done.stderr
    with closing(sqlite3.connect(tmp_path / "old.db")) as connection:
        assert connection.execute("SELECT version_num FROM alembic_version").fetchall() == [(HEAD,)]


_CACHES = {"signature_cache.py"}
"""Modules with a database of their own in the cache folder, which they may delete."""


def test_nothing_else_opens_a_database() -> None:
    """Only `sqlite.open_file` opens database files, so that all paths are treated alike."""
    root = Path(curation_db.__file__).parents[1]
    calls = re.compile(r"sqlite3\.connect\(|create_engine\(|file:\{|sqlite:///")
    files = [path for floor in ("curation_db", "workbench", "trainers") for path in (root / floor).rglob("*.py")]
    files = [path for path in files if path.name not in _CACHES]
    levels = [path.name for path in files for _ in calls.findall(path.read_text(encoding="utf-8"))]
    assert sorted(levels) == ["database_file.py", "sqlite.py", "sqlite.py", "sqlite.py"], "and what has no file"
