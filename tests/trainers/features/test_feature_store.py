"""Rows of features are saved once per id and key; what is damaged is computed again, and builders do not collide."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from importlib import metadata
from pathlib import Path

import numpy as np
import pytest

from trainers.features.feature_store import FeatureStore, Floats, feature_key

ROWS = {f"{number:064x}": np.arange(number, number + 4, dtype=np.float32) for number in range(6)}
IDS = list(ROWS)


def compute(missing: Sequence[str]) -> Iterator[tuple[Sequence[str], Floats]]:
    for each in missing:
        yield [each], np.stack([ROWS[each]])


def none(missing: Sequence[str]) -> Iterator[tuple[Sequence[str], Floats]]:
    assert not missing
    yield from ()


def test_a_flipped_bit_is_computed_again_and_nothing_else(tmp_path: Path) -> None:
    store = FeatureStore(tmp_path, {"key": 1})
    store.rows(IDS, compute)
    data = next(tmp_path.rglob("features.f32"))
    content = bytearray(data.read_bytes())
    content[2 * 16 + 3] ^= 1
    data.write_bytes(content)
    again: list[str] = []

    def noted(missing: Sequence[str]) -> Iterator[tuple[Sequence[str], Floats]]:
        again.extend(missing)
        return compute(missing)

    np.testing.assert_array_equal(FeatureStore(tmp_path, {"key": 1}).rows(IDS, noted), np.stack(list(ROWS.values())))
    assert again == [IDS[2]]
    np.testing.assert_array_equal(FeatureStore(tmp_path, {"key": 1}).rows(IDS[2:3], none)[0], ROWS[IDS[2]])


def test_a_lost_block_of_the_index_costs_only_its_rows_and_is_counted_once(tmp_path: Path) -> None:
    store = FeatureStore(tmp_path, {})
    store.rows(IDS, compute)
    index = next(tmp_path.rglob("rows.jsonl"))
    lines = index.read_bytes().splitlines(keepends=True)
    index.write_bytes(b"".join([*lines[:2], bytes(len(lines[2]) - 1), b"\n", *lines[3:]]))
    for damaged in (1, 0):
        again: list[str] = []
        store = FeatureStore(tmp_path, {})
        rows = store.rows(IDS, lambda missing, again=again: (again.extend(missing), compute(missing))[1])
        np.testing.assert_array_equal(rows, np.stack(list(ROWS.values())))
        assert (again, store.damaged) == ([IDS[2]] * damaged, damaged)


def test_inputs_that_cannot_be_computed_are_left_out(tmp_path: Path) -> None:
    for folder in (tmp_path, None):
        store = FeatureStore(folder, {})
        store.fill(IDS, lambda missing: compute(missing[1:]))
        np.testing.assert_array_equal(store.rows(IDS[1:], none), np.stack(list(ROWS.values())[1:]))


@pytest.mark.parametrize("package", ["torch", "torchvision", "open_clip_torch", "pillow", "numpy"])
def test_the_key_has_the_versions_of_all_packages(monkeypatch: pytest.MonkeyPatch, package: str) -> None:
    version, key = metadata.version, feature_key("image", "weights", {})
    monkeypatch.setattr(metadata, "version", lambda name: "0" if name == package else version(name))
    assert feature_key("image", "weights", {}) != key


@pytest.mark.parametrize("cached", [True, False])
def test_rows_that_are_not_finite_are_returned_but_never_saved(tmp_path: Path, cached: bool) -> None:
    def broken(missing: Sequence[str]) -> Iterator[tuple[Sequence[str], Floats]]:
        for batch, rows in compute(missing):
            yield batch, rows * (np.nan if batch[0] == IDS[1] else 1)

    folder = tmp_path if cached else None
    rows = FeatureStore(folder, {}).rows(IDS[:3], broken)
    assert np.isnan(rows).all(axis=1).tolist() == [False, True, False]
    np.testing.assert_array_equal(FeatureStore(folder, {}).rows(IDS, compute), np.stack(list(ROWS.values())))


def test_stores_of_other_keys_share_nothing(tmp_path: Path) -> None:
    FeatureStore(tmp_path, {"key": 1}).rows(IDS, compute)
    with pytest.raises(AssertionError):
        FeatureStore(tmp_path, {"key": 2}).rows(IDS, none)


BUILDER = """
import sys
import numpy as np
from pathlib import Path
from trainers.features.feature_store import FeatureStore
assert "torch" not in sys.modules
computed = 0
def compute(missing):
    global computed
    for each in missing:
        yield [each], np.full((1, 4), int(each, 16), dtype=np.float32)
        computed += 1
ids = [f"{number:064x}" for number in range(200)]
assert (FeatureStore(Path(sys.argv[1]), {}).rows(ids, compute)[:, 0] == np.arange(200)).all()
print(computed)
"""


WAITING = "FeatureStore(Path(sys.argv[1]), {}).rows(ids, compute, progress=lambda *_: Path(sys.argv[2]).touch())"
"""The builder reports that it waits for the lock."""


def wait_until(condition: Callable[[], object]) -> None:
    deadline = time.monotonic() + 30
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def test_builders_at_the_same_time_compute_each_row_once(tmp_path: Path) -> None:
    command = [sys.executable, "-c", BUILDER, str(tmp_path)]
    builders = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for _ in range(3)]
    outputs = [builder.communicate()[0] for builder in builders]
    assert [builder.returncode for builder in builders] == [0, 0, 0]
    assert sorted(map(int, outputs)) == [0, 0, 200]


def test_what_a_killed_builder_saved_is_used(tmp_path: Path) -> None:
    kill = BUILDER.replace("        computed += 1", "        if each == missing[50]: os.kill(os.getpid(), 9)")
    subprocess.run([sys.executable, "-c", f"import os{kill}", str(tmp_path)], check=False)
    resumed = subprocess.run([sys.executable, "-c", BUILDER, str(tmp_path)], stdout=subprocess.PIPE, check=True)
    assert int(resumed.stdout) == 200 - 51


def test_a_builder_goes_on_where_another_is_killed(tmp_path: Path) -> None:
    """Both run at the same time; the first is killed while it holds the lock and the second waits for it."""
    started = tmp_path / "started"
    kill = BUILDER.replace(
        "        computed += 1",
        "        if each == missing[50]:\n"
        "            while not os.path.exists(sys.argv[2]): time.sleep(0.01)\n"
        "            os.kill(os.getpid(), 9)",
    )
    killed = subprocess.Popen([sys.executable, "-c", f"import os, time{kill}", str(tmp_path), str(started)])
    wait_until(lambda: any(path.stat().st_size for path in tmp_path.rglob("rows.jsonl")))
    waiting = BUILDER.replace("FeatureStore(Path(sys.argv[1]), {}).rows(ids, compute)", WAITING)
    other = subprocess.run(
        [sys.executable, "-c", waiting, str(tmp_path), str(started)], stdout=subprocess.PIPE, check=True
    )
    assert killed.wait() == -9
    assert int(other.stdout) == 200 - 51
