"""Folder of a frozen benchmark: whole or absent, equal bytes, and every changed byte is refused."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import stat
import subprocess
import time
from pathlib import Path
from typing import Any

import pytest
from support.clip_models import draw_pictures

from benchmarks.errors import BenchError
from benchmarks.frozen.folder import (
    FrozenBenchmark,
    check_name,
    frozen_images,
    frozen_names,
    load_frozen,
    read_frozen,
    write_frozen,
)

COUNT = 4


def row(number: int, truth: str) -> dict[str, Any]:
    return {
        "id": f"s/{number}",
        "image": f"images/{number}.png",
        "captions": ["a man with no hat", "a man with a hat"],
        "right": 0 if truth == "negated" else 1,
        "slices": {"truth": truth, "type": "absence"},
    }


def write(folder: Path, pictures: Path, **more: Any) -> FrozenBenchmark:
    paths = draw_pictures(pictures, COUNT)
    hashes = [hashlib.sha256(path.read_bytes()).hexdigest() for path in paths]
    images = {f"images/{n}.png": (path, digest) for n, (path, digest) in enumerate(zip(paths, hashes, strict=True))}
    images |= more.pop("images", {})
    manifest = {"images": {name: {"source": "s", "key": str(n)} for n, name in enumerate(images)}}
    rows = [row(n, "negated" if n % 2 else "affirmed") for n in range(COUNT)]
    return write_frozen(folder, rows, images, manifest, **more)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    write(tmp_path / "benchmarks" / "quiz", tmp_path / "pictures")
    return tmp_path / "benchmarks" / "quiz"


def check(folder: Path) -> None:
    """Read everything that is read before a model is evaluated."""
    load_frozen(folder).check_pictures()


def test_the_task_of_the_folder(folder: Path) -> None:
    task = load_frozen(folder)
    assert (task.name, task.kind, len(task.items)) == ("quiz", "captions", COUNT)
    assert task.items[0].slices["type"] == "absence"
    assert [(subset.name, subset.cut, subset.value) for subset in task.subsets] == [
        ("negated_true", "truth", "negated"),
        ("affirmed_true", "truth", "affirmed"),
    ]
    assert [item.text for item in task.items[:2]] == ["a man with a hat", "a man with no hat"]
    task.check_pictures()
    images = frozen_images(folder.parent)["quiz"]
    assert [(image.source, image.key) for image in images] == [("s", str(n)) for n in range(COUNT)]
    assert [image.sha256 for image in images] == [
        hashlib.sha256((folder / f"images/{n}.png").read_bytes()).hexdigest() for n in range(COUNT)
    ]


def test_equal_items_give_equal_bytes(folder: Path, tmp_path: Path) -> None:
    again = write(tmp_path / "elsewhere" / "other-name", tmp_path / "more pictures")
    assert again.sha256 == read_frozen(folder).sha256
    for path in (path for path in folder.rglob("*") if path.is_file()):
        assert (again.folder / path.relative_to(folder)).read_bytes() == path.read_bytes()
        assert not path.stat().st_mode & (stat.S_IWUSR | stat.S_IWGRP | stat.S_IWOTH)


@pytest.mark.skipif(shutil.which("sha256sum") is None, reason="no sha256sum")
def test_the_hashes_are_those_of_sha256sum(folder: Path) -> None:
    done = subprocess.run(
        ["sha256sum", "-c", "--strict", "benchmark.sha256"], cwd=folder, capture_output=True, check=True
    )
    assert done.stdout.count(b": OK") == COUNT + 2
    assert read_frozen(folder).sha256 == hashlib.sha256((folder / "benchmark.sha256").read_bytes()).hexdigest()


@pytest.mark.parametrize("name", ["items.json", "manifest.json", "images/2.png", "benchmark.sha256"])
def test_every_changed_byte_is_refused(folder: Path, name: str) -> None:
    path = folder / name
    path.chmod(0o600)
    content = path.read_bytes()
    for place in range(0, len(content), max(1, len(content) // 60)):
        for changed in (content[:place] + bytes([content[place] ^ 1]) + content[place + 1 :], content[:place]):
            path.write_bytes(changed)
            with pytest.raises(BenchError):
                check(folder)
    for changed in (content + b"\n", content.replace(b"\n", b"\r\n") + b" "):
        path.write_bytes(changed)
        with pytest.raises(BenchError):
            check(folder)
    path.write_bytes(content)
    check(folder)
    path.unlink()
    if name != "benchmark.sha256":
        assert frozen_names(folder.parent) == ["quiz"]
    with pytest.raises(BenchError):
        check(folder)


def test_an_image_that_the_hashes_do_not_list_is_refused(folder: Path) -> None:
    path = folder / "benchmark.sha256"
    path.chmod(0o600)
    path.write_text("".join(line for line in path.read_text().splitlines(keepends=True) if "images/1" not in line))
    with pytest.raises(BenchError, match="not as it was frozen"):
        check(folder)


def test_hashes_of_files_outside_the_folder_are_refused(folder: Path) -> None:
    path = folder / "benchmark.sha256"
    path.chmod(0o600)
    content = path.read_text()
    for name in ("../secret", "images/../../secret", "/etc/passwd", "images/a b"):
        path.write_text(f"{content}{'0' * 64}  {name}\n")
        with pytest.raises(BenchError, match="not as it was frozen"):
            read_frozen(folder)


def test_a_newer_format_is_named(folder: Path) -> None:
    manifest, hashes = folder / "manifest.json", folder / "benchmark.sha256"
    for path in (manifest, hashes):
        path.chmod(0o600)
    before = hashlib.sha256(manifest.read_bytes()).hexdigest()
    manifest.write_text(json.dumps({**json.loads(manifest.read_text()), "format": 2}))
    hashes.write_text(hashes.read_text().replace(before, hashlib.sha256(manifest.read_bytes()).hexdigest()))
    with pytest.raises(BenchError) as refused:
        read_frozen(folder)
    assert refused.value.hint == "update negwb"


def test_a_benchmark_is_never_overwritten(folder: Path, tmp_path: Path) -> None:
    before = (folder / "items.json").stat().st_mtime_ns
    with pytest.raises(BenchError, match="exists already"):
        write(folder, tmp_path / "pictures")
    assert (folder / "items.json").stat().st_mtime_ns == before


@pytest.mark.parametrize("fault", ["changed", "missing", "interrupt"])
def test_an_interrupted_benchmark_leaves_nothing(tmp_path: Path, fault: str) -> None:
    benchmarks = tmp_path / "benchmarks"
    images = {"images/9.png": (tmp_path / "pictures" / ("none.png" if fault == "missing" else "p000.png"), "0" * 64)}
    raised: type[BaseException] = {"changed": BenchError, "missing": OSError, "interrupt": KeyboardInterrupt}[fault]

    def stop(done: int, total: int) -> None:
        raise KeyboardInterrupt

    more: dict[str, Any] = {"progress": stop} if fault == "interrupt" else {"images": images}
    with pytest.raises(raised):
        write(benchmarks / "quiz", tmp_path / "pictures", **more)
    assert list(benchmarks.iterdir()) == []


def test_folders_of_killed_processes_are_removed_after_a_day(folder: Path, tmp_path: Path) -> None:
    for name, age in ((".old.1.partial", 90_000), (".young.1.partial", 100)):
        (folder.parent / name).mkdir()
        os.utime(folder.parent / name, (time.time() - age,) * 2)
    write(folder.parent / "again", tmp_path / "pictures")
    assert sorted(path.name for path in folder.parent.iterdir()) == [".young.1.partial", "again", "quiz"]
    assert frozen_names(folder.parent) == ["again", "quiz"]


@pytest.mark.parametrize("name", ["", ".quiz", "a/b", "../a", "a b", "x" * 101, "-a"])
def test_other_names_are_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(BenchError, match="not a valid name"):
        check_name(tmp_path, name)


def test_taken_names_are_refused(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "b.json").touch()
    for name in ("a", "b"):
        with pytest.raises(BenchError, match="exists already"):
            check_name(tmp_path, name)
    check_name(tmp_path, "c")
