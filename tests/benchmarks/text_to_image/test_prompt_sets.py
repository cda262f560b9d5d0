from __future__ import annotations

import contextlib
import csv
import io
import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchmarks.errors import BenchError
from benchmarks.text_to_image.prompt_sets import (
    COLUMNS,
    EVERYDAY,
    csv_text,
    cues_of,
    read_prompt_set,
)
from curation_db.language import negation_cues

ROWS = [("a dog without a hat", "Is there a dog?", "Is there a hat?"), ("no cat, a tree", "A tree?", "A cat?")]


def write(folder: Path, name: str, rows: list[tuple[str, ...]]) -> str:
    path = folder / name
    objects = [dict(zip(("Prompt", "Question1", "Question2"), row, strict=True)) for row in rows]
    match path.suffix:
        case ".json":
            path.write_text(json.dumps(objects))
        case ".jsonl":
            path.write_text("".join(json.dumps(each) + "\n" for each in objects) + "\n")
        case _:
            out = io.StringIO()
            writer = csv.writer(out)
            writer.writerows([("Prompt", "Question1", "Question2"), *rows])
            path.write_text("\ufeff" + out.getvalue())
    return str(path)


def test_the_own_set_is_negated_and_asks_two_questions() -> None:
    own = read_prompt_set(EVERYDAY)
    assert len(own.prompts) == 40
    assert all(negation_cues.first_cue(each.text) for each in own.prompts)
    assert all(each.subject.endswith("?") and each.denied.endswith("?") for each in own.prompts)
    assert all(each.subject != each.denied for each in own.prompts)
    assert sum(cues_of(own).values()) == 40
    assert {"no", "without", "not"} <= cues_of(own).keys()


def test_all_formats_give_the_same_set(tmp_path: Path) -> None:
    sets = [read_prompt_set(write(tmp_path, f"mine.{ending}", ROWS)) for ending in ("csv", "json", "jsonl")]
    assert [tuple(each[1:]) for each in sets[0].prompts] == ROWS
    assert [each.id for each in sets[0].prompts] == ["1", "2"]
    assert sets[0] == sets[1] == sets[2]


def test_the_hash_changes_with_any_text(tmp_path: Path) -> None:
    hashes = {read_prompt_set(write(tmp_path, "a.csv", ROWS)).sha256}
    for at in range(3):
        changed = [*ROWS[0]]
        changed[at] += "!"
        hashes.add(read_prompt_set(write(tmp_path, "a.csv", [tuple(changed), ROWS[1]])).sha256)
    assert len(hashes) == 4


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ([("a", "b", "")], r"line 2: question2 is missing$"),
        ([("a", "b", "c"), ("a", "d", "e")], r"line 3: an earlier row has this prompt"),
        ([("", "b", "c"), ("x" * 1001, "b", "c")], r"line 2: prompt is missing \(and 1 other row\)"),
        ([("x" * 1001, "b", "c")], "more than 1,000 characters"),
        ([], "has no prompts"),
    ],
)
def test_a_wrong_row_is_named(tmp_path: Path, rows: list[tuple[str, ...]], message: str) -> None:
    with pytest.raises(BenchError, match=message) as raised:
        read_prompt_set(write(tmp_path, "a.csv", rows))
    assert "prompt, question1, question2" in raised.value.hint


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("a.json", "{}", "expected a list"),
        ("a.json", "[1]", "entry 1: expected an object"),
        ("a.jsonl", '{"prompt": "a"', "line 1: "),
        ("a.csv", "prompt\na\n", "question1 is missing"),
        ("a.csv", b"\xff\xfe\x00", "cannot be read"),
        ("a.txt", "", "is not .csv, .json or .jsonl"),
    ],
)
def test_files_of_another_kind_are_refused(tmp_path: Path, name: str, content: str | bytes, message: str) -> None:
    path = tmp_path / name
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    with pytest.raises(BenchError, match=message):
        read_prompt_set(str(path))


def test_a_missing_file_names_the_own_set() -> None:
    with pytest.raises(BenchError, match=r"no prompt set nowhere\.csv") as raised:
        read_prompt_set("nowhere.csv")
    assert EVERYDAY in raised.value.hint


TEXT = st.text(st.characters(exclude_categories=("Cs", "Cc")), min_size=1, max_size=30).filter(str.strip)


@given(st.lists(st.tuples(TEXT, TEXT, TEXT), min_size=1, max_size=5, unique_by=lambda row: row[0].strip()))
def test_what_is_printed_as_csv_is_read_again(
    tmp_path_factory: pytest.TempPathFactory, rows: list[tuple[str, str, str]]
) -> None:
    folder = tmp_path_factory.mktemp("round")
    first = read_prompt_set(write(folder, "a.json", list(rows)))
    (folder / "a.csv").write_text(csv_text(first), newline="")
    assert read_prompt_set(str(folder / "a.csv")) == first


@given(st.binary(max_size=200), st.sampled_from([".csv", ".json", ".jsonl"]))
def test_any_bytes_are_a_set_or_one_line(tmp_path_factory: pytest.TempPathFactory, content: bytes, ending: str) -> None:
    path = tmp_path_factory.mktemp("bytes") / f"a{ending}"
    path.write_bytes(content)
    with contextlib.suppress(BenchError):
        assert read_prompt_set(str(path)).prompts


def test_columns_are_those_of_the_hint() -> None:
    assert COLUMNS == ("prompt", "question1", "question2")
