"""The workspace that a bench keeps: copied while the code that wrote it is the same, and never half written."""

from __future__ import annotations

from pathlib import Path

import pytest

from benchmarks.speed.support import record_cache
from benchmarks.speed.support.big_record import Size
from benchmarks.speed.support.record_cache import copy_or_build

SIZE = Size(candidates=100, seeds=10, voted=0)


class Builds:
    """Writes workspaces with a number."""

    def __init__(self) -> None:
        self.count = 0

    def __call__(self, folder: Path) -> None:
        self.count += 1
        folder.mkdir()
        (folder / "curation.db").write_text(str(self.count))


def test_a_second_run_copies_the_workspace_of_the_first(tmp_path: Path) -> None:
    build, cache = Builds(), tmp_path / "cache"
    assert not copy_or_build(tmp_path / "one", SIZE, build, cache)
    (tmp_path / "one" / "curation.db").write_text("changed by the bench")
    assert copy_or_build(tmp_path / "two", SIZE, build, cache)
    assert (tmp_path / "two" / "curation.db").read_text() == "1"


def test_another_size_or_other_code_writes_a_new_one_in_its_place(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    build, cache = Builds(), tmp_path / "cache"
    copy_or_build(tmp_path / "one", SIZE, build, cache)
    assert not copy_or_build(tmp_path / "two", Size(candidates=200, seeds=10, voted=0), build, cache)
    assert len(list(cache.iterdir())) == 1
    code = tmp_path / "code.py"
    code.write_text("changed")
    monkeypatch.setattr(record_cache.big_record, "__file__", str(code))
    assert not copy_or_build(tmp_path / "three", Size(candidates=200, seeds=10, voted=0), build, cache)
    assert (tmp_path / "three" / "curation.db").read_text() == "3"


def test_an_interrupted_build_leaves_no_entry(tmp_path: Path) -> None:
    def interrupted(folder: Path) -> None:
        folder.mkdir()
        raise KeyboardInterrupt

    build, cache = Builds(), tmp_path / "cache"
    with pytest.raises(KeyboardInterrupt):
        copy_or_build(tmp_path / "one", SIZE, interrupted, cache)
    assert not copy_or_build(tmp_path / "one", SIZE, build, cache)
