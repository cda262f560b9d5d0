"""JSON from outside is parsed or raises one error of one line; every module uses this parser."""

from __future__ import annotations

import ast
import sys
from pathlib import Path

import pytest

from curation_db.foreign_json import JsonError, parse_json

DEEP = "[" * 200_000 + "]" * 200_000
DIGITS = "9" * 10_000
OWN_JSON = {
    "curation_db/foreign_json.py": "the reader itself",
    "curation_db/generation/unjudged.py": "made by a query of ours",
    "curation_db/generation/endpoint_probes.py": "a column that only we write",
    "curation_db/importing/writers/images.py": "a column that only we write",
    "curation_db/lint/index.py": "a column that only we write",
    "curation_db/queue/margins.py": "a column that only we write",
    "curation_db/queue/ordering.py": "a column that only we write",
    "workbench/demo/background_build.py": "the pipe from a child process",
    "workbench/demo/comparison/trials.py": "a file of the demo",
    "workbench/demo/simulation/annotator.py": "a file of the demo",
    "workbench/demo/simulation/scripted_engine.py": "a file of the demo",
    "trainers/models/clip_model.py": "a copy of a value in memory",
    "trainers/models/routed_clip.py": "used without negwb; the loader of negwb checks the file",
    "trainers/settings.py": "a copy of a value in memory",
    "trainers/clip_margin_worker.py": "the pipe from the parent process",
}


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (DEEP, "nested too deeply"),
        (f'{{"a": {DEEP}}}'.encode(), "nested too deeply"),
        (DIGITS, "Exceeds the limit"),
        (b'{"a": "\xff"}', "invalid utf-8 at byte 7"),
        ("{", "Expecting property name"),
        ('["a\nb"]', "Invalid control character"),
    ],
)
@pytest.mark.parametrize("hooks", [{}, {"parse_constant": str}], ids=["plain", "hooks"])
def test_invalid_json_is_an_error_of_one_line(content: str | bytes, message: str, hooks: dict[str, type]) -> None:
    with pytest.raises(JsonError) as raised:
        parse_json(content, **hooks)  # type: ignore[arg-type]
    assert str(raised.value).startswith(message)
    assert "\n" not in str(raised.value)
    assert "sys." not in str(raised.value)


def test_control_characters_pass_where_they_may() -> None:
    assert parse_json('{"a": "x\ny"}', strict=False) == {"a": "x\ny"}
    with pytest.raises(JsonError, match="nested too deeply"):
        parse_json(DEEP, strict=False)


def test_constants_and_fractions_are_converted_by_the_hooks() -> None:
    assert parse_json("[NaN, 1.5]", parse_constant=lambda _: None, parse_float=lambda message: f"<{message}>") == [
        None,
        "<1.5>",
    ]


def test_every_reader_of_foreign_json_is_this_one() -> None:
    """`json.loads` elsewhere fails on deep nesting with a traceback; allowed uses are listed with the reason."""
    root = Path(__file__).parents[2]
    callers = set()
    for package in ("curation_db", "workbench", "trainers", "benchmarks"):
        for path in (root / package).rglob("*.py"):
            name = path.relative_to(root).as_posix()
            if name.startswith("benchmarks/speed/"):
                continue  # they read what they wrote
            for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
                match node:
                    case ast.Attribute(value=ast.Name(id="json"), attr="loads" | "load"):
                        callers.add(name)
    assert sorted(callers) == sorted(OWN_JSON)


def test_the_recursion_limit_is_unchanged() -> None:
    assert sys.getrecursionlimit() < 100_000  # else DEEP tests nothing
