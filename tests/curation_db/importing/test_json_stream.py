"""Tests of the streaming JSON reader: equal to json.loads for any block size; a truncated file yields a prefix."""

from __future__ import annotations

import json
import tempfile
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.examples import examples

from curation_db.importing.json_stream import Fault, JsonRun, read_json

_scalars = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False)
    | st.text(max_size=20)
    | st.sampled_from(["\\", '"', "[", "]}", 'a"b,', "\\u00e9", "é", "\U0001f600", "\n"])
)
_values = st.recursive(
    _scalars,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=6), inner, max_size=4),
    max_leaves=12,
)
_tops = st.lists(_values, max_size=8) | st.dictionaries(st.text(max_size=8), _values, max_size=5)
_blocks = st.sampled_from([1, 2, 3, 7, 16, 64, 1 << 20])


def _events(data: bytes, block: int) -> list[JsonRun | Fault]:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "file.json"
        path.write_bytes(data)
        return list(read_json(path, block=block))


def _joined(events: list[JsonRun | Fault]) -> Any:
    """Join the runs to the value of the file."""
    members: dict[str, Any] = {}
    items: list[Any] = []
    for run in events:
        assert isinstance(run, JsonRun), run
        if run.key is None:
            members.update(zip(run.names, run.values, strict=True))
        elif run.key == "" and not members and run.start == len(items):
            items += run.values
        else:
            members.setdefault(run.key, []).extend(run.values)
    return members or items


@settings(max_examples=examples(250), deadline=None)
@given(_tops, _blocks, st.booleans(), st.sampled_from([None, 1, 4]))
def test_joined_runs_equal_the_result_of_json_loads(top: Any, block: int, ascii_only: bool, indent: int | None) -> None:
    if isinstance(top, dict):
        top = {f"k{name}": value for name, value in top.items()}  # "" is the name of a top-level array
    content = json.dumps(top, ensure_ascii=ascii_only, indent=indent)
    joined = _joined(_events(content.encode("utf-8", "surrogatepass"), block))
    assert joined == (top or joined)
    assert bool(joined) == bool(top)


@settings(max_examples=examples(250), deadline=None)
@given(st.lists(_values, min_size=1, max_size=6), _blocks, st.data())
def test_a_truncated_file_yields_the_complete_items(items: list[Any], block: int, data: Any) -> None:
    whole = json.dumps({"rows": items}).encode()
    cut = data.draw(st.integers(min_value=1, max_value=len(whole) - 1))
    *runs, last = _events(whole[:cut], block)
    assert isinstance(last, Fault)
    assert last.truncated
    assert last.offset <= cut
    values = [value for run in runs if isinstance(run, JsonRun) for value in run.values]
    assert values == items[: len(values)]
    # nothing that was whole is missing: the item that is cut is the next one
    ends = [len(json.dumps({"rows": items[: n + 1]})) - 2 for n in range(len(items))]
    assert len(values) >= sum(end + 1 <= cut for end in ends[:-1])


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-16-be", "utf-32"])
@pytest.mark.parametrize("block", [1, 5, 4096])
def test_encodings_are_detected_by_their_first_bytes(encoding: str, block: int) -> None:
    content = {"annotations": [{"caption": "ein Käfer \U0001f41e"}, {"caption": "zwei"}]}
    events = _events(json.dumps(content, ensure_ascii=False).encode(encoding), block)
    assert _joined(events) == content


def test_offsets_are_bytes_of_the_file() -> None:
    data = '{"rows": [{"a": "é"}, {"a": "b"}]}'.encode()
    runs = [event for event in _events(data, 1 << 20) if isinstance(event, JsonRun)]
    places = [run.offset(index) for run in runs for index in range(len(run.values))]
    assert [data[place : place + 1] for place in places if place is not None] == [b"{", b"{"]
    assert [run.where(0) for run in runs] == ["rows[0]", "rows[1]"]


@pytest.mark.parametrize("block", [3, 50, 1 << 20])
def test_a_malformed_item_is_reported_and_skipped(block: int) -> None:
    data = b'{"rows": [1, {"a": "x" "y,]"}, 2, tru, 3, {"b": 4 5}]}'
    events = _events(data, block)
    values = [value for event in events if isinstance(event, JsonRun) for value in event.values]
    faults = [event.where for event in events if isinstance(event, Fault)]
    assert values[:3] == [1, 2, 3]
    assert faults[:3] == ["rows[1]", "rows[3]", "rows[5]"]


def test_an_item_nested_beyond_the_stack_is_refused() -> None:
    deep = b"[" * 200_000 + b"]" * 200_000
    events = _events(b'{"rows": [1, ' + deep + b", 2]}", 1 << 16)
    assert [value for event in events if isinstance(event, JsonRun) for value in event.values] == [1, 2]
    assert [event.message for event in events if isinstance(event, Fault)] == ["nested too deeply"]


def test_a_number_of_many_digits_is_refused() -> None:
    events = _events(b'{"rows": [1, ' + b"9" * 10_000 + b", 2]}", 1 << 20)
    assert [value for event in events if isinstance(event, JsonRun) for value in event.values] == [1, 2]
    assert len([event for event in events if isinstance(event, Fault)]) == 1


@pytest.mark.parametrize(
    "data", [b"", b"  ", b"nope", b"17", b'"a"', b"\xff\xfe", b"{]", b'{"a" 1}', b'{"a": 1]', b"[1}"]
)
def test_invalid_json_is_reported(data: bytes) -> None:
    assert any(isinstance(event, Fault) for event in _events(data, 8))


def test_text_after_the_end_is_reported() -> None:
    *_, last = _events(b"[1, 2] x", 1 << 20)
    assert isinstance(last, Fault)
    assert not last.truncated


def test_memory_stays_bounded(tmp_path: Path) -> None:
    import tracemalloc

    path = tmp_path / "large.json"
    row = json.dumps({"id": 1, "caption": "x" * 80}) + ",\n"
    path.write_text('{"annotations": [' + row * 150_000 + "{}]}")
    tracemalloc.start()
    try:
        count = sum(len(event.values) for event in read_json(path, block=1 << 16) if isinstance(event, JsonRun))
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert count == 150_001
    assert peak < path.stat().st_size / 4
