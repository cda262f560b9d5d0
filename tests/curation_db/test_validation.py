"""Strict conversion of tables, and the texts of its problems."""

from __future__ import annotations

import math
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, Literal, NotRequired, TypedDict

import pytest

from curation_db.validation import Problem, ProblemKind, ValidationError, key_text, validate, validate_field


class Colour(StrEnum):
    RED = "red"
    BLUE = "blue"


def _even(value: int) -> str:
    return "" if value % 2 == 0 else "an even number"


@dataclass(frozen=True, slots=True, kw_only=True)
class Judge:
    model: str
    weight: float = field(default=1.0, metadata={"at_least": 0, "at_most": 1})


@dataclass(frozen=True, slots=True, kw_only=True)
class Table:
    inner: str = field(default="", metadata={"key": False})
    name: str = ""
    count: int = field(default=2, metadata={"at_least": 1, "check": _even})
    rate: float | None = None
    on: bool = False
    colour: Colour = Colour.RED
    keep: Literal["best", "last"] = "best"
    how: str = field(default="fast", metadata={"choices": ("fast", "slow")})
    names: tuple[str, ...] = ()
    betas: tuple[float, float] = (0.9, 0.999)
    off: frozenset[Colour] = frozenset()
    keys: Mapping[str, str] = field(default_factory=dict)
    options: Mapping[str, Any] = field(default_factory=dict)
    judge: tuple[Judge, ...] = ()
    engines: Mapping[str, Judge] = field(default_factory=dict)
    one: Judge | None = None


class Facts(TypedDict):
    name: str
    value: float
    note: NotRequired[str]


class Result(TypedDict):
    facts: Facts
    scores: dict[str, Facts]
    rank: int | None


def problems(value: object, kind: type = Table, **options: bool) -> tuple[Problem, ...]:
    with pytest.raises(ValidationError) as caught:
        validate(value, kind, **options)
    return caught.value.problems


def test_every_kind_of_value_is_converted() -> None:
    # fmt: off
    table = validate(
        {
            "name": "a", "count": 4, "rate": 1, "on": True, "colour": "blue", "keep": "last", "how": "slow",
            "names": ["x"], "betas": [0, 0.5], "off": ["red"], "keys": {"a": "b"}, "options": {"deep": [1, {}]},
            "judge": [{"model": "m"}, {"model": "n", "weight": 0}], "engines": {"e": {"model": "o"}},
            "one": {"model": "p"},
        },
        Table,
    )
    # fmt: on
    # fmt: off
    assert table == Table(
        name="a", count=4, rate=1.0, on=True, colour=Colour.BLUE, keep="last", how="slow", names=("x",),
        betas=(0.0, 0.5), off=frozenset({Colour.RED}), keys={"a": "b"}, options={"deep": [1, {}]},
        judge=(Judge(model="m"), Judge(model="n", weight=0.0)), engines={"e": Judge(model="o")}, one=Judge(model="p"),
    )
    # fmt: on
    assert isinstance(table.rate, float)
    assert isinstance(table.judge, tuple)


def test_defaults_fill_missing_keys() -> None:
    assert validate({}, Table) == Table()


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ({"count": True}, "count = True: a whole number of at least 1 is expected"),
        ({"count": 2.0}, "count = 2.0: a whole number of at least 1 is expected"),
        ({"count": 0}, "count = 0: a whole number of at least 1 is expected"),
        ({"count": 3}, "count = 3: an even number is expected"),
        ({"inner": ""}, f"unknown key inner; known: {', '.join(Table.__slots__[1:])}"),
        ({"rate": "1"}, "rate = '1': a number is expected"),
        ({"rate": 10**400}, f"rate = 1{'0' * 79}…: a number is expected"),
        ({"on": 1}, "on = 1: true or false is expected"),
        ({"name": 3}, "name = 3: text in quotes is expected"),
        ({"colour": "green"}, "colour = 'green': one of: red, blue"),
        ({"keep": "none"}, "keep = 'none': one of: best, last"),
        ({"how": "hard"}, "how = 'hard': one of: fast, slow"),
        ({"names": "x"}, "names = 'x': a list of texts is expected"),
        ({"names": ["x", 1]}, "names[1] = 1: text in quotes is expected"),
        ({"betas": [1]}, "betas = [1]: a list of 2 numbers is expected"),
        ({"off": ["red", "pink"]}, "off[1] = 'pink': one of: red, blue"),
        ({"keys": {"a b": 1}}, "keys.'a b' = 1: text in quotes is expected"),
        ({"judge": [{"model": "m"}, {"model": 1}]}, "judge[1].model = 1: text in quotes is expected"),
        ({"judge": [{}]}, "judge[0].model is missing: text in quotes is expected"),
        ({"judge": {}}, "judge = {}: a list is expected"),
        ({"engines": {"e": {"modle": "m", "model": "m"}}}, "unknown key engines.e.modle; did you mean model?"),
        ({"one": {"model": "m", "weight": math.nan}}, "one.weight = nan: a number from 0 to 1 is expected"),
        ({"zzz": 1}, f"unknown key zzz; known: {', '.join(Table.__slots__[1:])}"),
        ([], "[]: a table is expected"),
    ],
)
def test_a_problem_names_the_key_and_the_expected_value(value: object, message: str) -> None:
    assert [str(each) for each in problems(value)] == [message]


def test_every_problem_is_reported() -> None:
    reported = problems({"nmae": "a", "count": "b", "judge": [{"model": 1}, {"weight": 2}]})
    assert [(each.key, each.kind) for each in reported] == [
        ("nmae", ProblemKind.UNKNOWN),
        ("count", ProblemKind.WRONG_TYPE),
        ("judge[0].model", ProblemKind.WRONG_TYPE),
        ("judge[1].model", ProblemKind.MISSING),
        ("judge[1].weight", ProblemKind.NOT_ALLOWED),
    ]
    assert reported[0].suggestion == "name"


def test_a_huge_integer_is_refused_without_printing_it() -> None:
    assert "a very large number" in str(problems({"name": 1 << 20_000})[0])


def test_typed_dicts_are_checked_within_each_other() -> None:
    facts = {"name": "a", "value": 1}
    sound = {"facts": facts, "scores": {"x": {**facts, "note": "n"}}, "rank": None}
    assert validate(sound, Result) == sound
    reported = problems({"facts": {"name": "a"}, "scores": {"x": {**facts, "value": "1"}}, "rank": 1.5}, Result)
    assert [each.key for each in reported] == ["facts.value", "scores.x.value", "rank"]


def test_unknown_keys_can_be_accepted() -> None:
    facts = {"name": "a", "value": 1.0, "more": 3}
    assert validate(facts, Facts, unknown_keys=True) == facts
    assert validate({"name": "a", "more": 3}, Table, unknown_keys=True) == Table(name="a")
    assert problems(facts, Facts)[0].key == "more"


def test_numbers_need_not_be_finite() -> None:
    options = {"a": [1.0, math.inf]}
    assert validate({"rate": math.inf, "options": options}, Table) == Table(rate=math.inf, options=options)


def test_one_field_can_be_checked_alone() -> None:
    assert validate_field(4, Table, "count") == 4
    with pytest.raises(ValidationError, match="count = 3: an even number is expected"):
        validate_field(3, Table, "count")


def test_the_path_can_begin_above_the_value() -> None:
    with pytest.raises(ValidationError, match=r"^curate\.count = 0"):
        validate({"count": 0}, Table, path=("curate",))


def test_keys_are_written_as_toml_writes_them() -> None:
    assert key_text(("judge", 0, "a-b_1", "x.y", "")) == "judge[0].a-b_1.'x.y'.''"


def test_msgspec_is_not_imported_with_the_module() -> None:
    command = "import sys, curation_db.validation; sys.exit('msgspec' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", command], check=False).returncode == 0


def test_a_table_of_tables_must_be_a_table() -> None:
    (problem,) = problems({"engines": ["llava"]})
    assert (problem.path, problem.kind) == (("engines",), ProblemKind.WRONG_TYPE)
