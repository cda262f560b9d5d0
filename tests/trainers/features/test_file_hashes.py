"""A file is read again when it can have changed, and only then; unreadable files are collected."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from trainers.errors import TrainerError
from trainers.features import file_hashes
from trainers.features.file_hashes import FileHashes

LONG_AGO_NS = (10**18, 10**18)


def sha(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


@pytest.fixture
def settled(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let hashes of new files be saved."""
    monkeypatch.setattr(file_hashes, "SETTLED_S", 0.0)


@pytest.fixture
def paths(tmp_path: Path) -> list[Path]:
    paths = [tmp_path / f"{number}.png" for number in range(5)]
    for path in paths:
        path.write_bytes(path.name.encode())
        os.utime(path, ns=LONG_AGO_NS)
    return paths


def read_count(cache: Path, paths: list[Path]) -> int:
    """Return how many files are read to hash these."""
    totals = [0]
    FileHashes(cache).of(paths, progress=lambda done, of: totals.append(of))
    return totals[-1]


@pytest.mark.usefixtures("settled")
def test_unchanged_files_are_read_once(tmp_path: Path, paths: list[Path]) -> None:
    assert [read_count(tmp_path / "cache", paths) for _ in range(2)] == [5, 0]
    assert FileHashes(tmp_path / "cache").of(paths) == [sha(path.name.encode()) for path in paths]


def write_in_place(path: Path) -> None:
    path.write_bytes(path.read_bytes()[::-1])


def replace_by_another(path: Path) -> None:
    other = path.with_suffix(".new")
    other.write_bytes(path.read_bytes()[::-1])
    shutil.copystat(path, other)
    other.replace(path)


@pytest.mark.usefixtures("settled")
@pytest.mark.parametrize("change", [write_in_place, replace_by_another])
def test_a_change_that_keeps_size_and_modification_time_is_seen(
    tmp_path: Path, paths: list[Path], change: Callable[[Path], None]
) -> None:
    FileHashes(tmp_path / "cache").of(paths)
    before = paths[1].stat()
    change(paths[1])
    os.utime(paths[1], ns=LONG_AGO_NS)
    assert (paths[1].stat().st_size, paths[1].stat().st_mtime_ns) == (before.st_size, before.st_mtime_ns)
    assert FileHashes(tmp_path / "cache").of(paths)[1] == sha(b"gnp.1")


def test_the_hash_of_a_file_that_has_just_changed_is_not_saved(tmp_path: Path, paths: list[Path]) -> None:
    """A second change within one tick of the clock would leave its times as they are."""
    assert [read_count(tmp_path / "cache", paths) for _ in range(2)] == [5, 5]


@pytest.mark.usefixtures("settled")
def test_a_file_that_changes_while_it_is_read_is_read_again(
    tmp_path: Path, paths: list[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    calls: list[int] = []

    def fstat(handle: int) -> os.stat_result:
        calls.append(handle)
        if len(calls) == 2:  # after the last byte was read
            paths[0].write_bytes(b"other")
        return os.stat(handle)

    monkeypatch.setattr("trainers.features.file_hashes.os.fstat", fstat)
    assert FileHashes(tmp_path / "cache").of(paths[:1]) == [sha(b"other")]


@pytest.mark.usefixtures("settled")
def test_all_files_that_cannot_be_read_are_collected(tmp_path: Path, paths: list[Path]) -> None:
    (tmp_path / "folder").mkdir()
    os.mkfifo(tmp_path / "pipe")
    gone = tmp_path / "gone.png"
    hashed = FileHashes(tmp_path / "cache").hash_all([gone, *paths, tmp_path / "folder", tmp_path / "pipe"])
    assert list(hashed.hashes) == paths
    assert [problem.message.removeprefix(f"{tmp_path}/") for problem in hashed.problems.values()] == [
        "gone.png: No such file or directory",
        "folder: not a file",
        "pipe: not a file",
    ]
    with pytest.raises(TrainerError, match="gone"):
        FileHashes(tmp_path / "cache").of([paths[0], gone])


@pytest.mark.usefixtures("settled")
@pytest.mark.parametrize("left", [b'["/images/p0', bytes(40), b"[1]\n", b'["a", 1, 2, "%s"]\n' % (b"0" * 64)])
def test_partial_and_older_lines_are_ignored(tmp_path: Path, paths: list[Path], left: bytes) -> None:
    read_count(tmp_path / "cache", paths[:2])
    with (tmp_path / "cache" / "features" / "bytes.jsonl").open("ab") as file:
        file.write(left)
    assert [read_count(tmp_path / "cache", paths) for _ in range(2)] == [3, 0]


HASHER = """
import os, sys
from pathlib import Path
from trainers.features import file_hashes
assert "torch" not in sys.modules
file_hashes.SETTLED_S, file_hashes._HASHED_AT_ONCE = 0, 10
def progress(done, of):
    if done == int(sys.argv[3]): os.kill(os.getpid(), 9)
hashes = file_hashes.FileHashes(Path(sys.argv[1])).of(sorted(Path(sys.argv[2]).iterdir()), progress=progress)
print(len(set(hashes)))
"""


def test_concurrent_and_killed_hashers_share_the_cache(tmp_path: Path) -> None:
    folder, cache = tmp_path / "files", tmp_path / "cache"
    folder.mkdir()
    for number in range(40):
        (folder / f"{number:02}").write_text(str(number))
    commands = [[sys.executable, "-c", HASHER, str(cache), str(folder), at] for at in ("20", "-1", "30")]
    processes = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for command in commands]
    outputs = [process.communicate()[0] for process in processes]
    assert outputs[1] == "40\n"
    assert all(process.returncode in (0, -9) for process in processes)
    lines = (cache / "features" / "bytes.jsonl").read_text().splitlines()
    assert sorted(json.loads(line)[-1] for line in lines) == sorted(sha(str(n).encode()) for n in range(40))
