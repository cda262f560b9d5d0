"""[generate] and [engines] of negwb.toml, and engines and judges as they are said on the command line."""

from __future__ import annotations

from pathlib import Path

import pytest

from curation_db.enums import Question
from workbench.errors import UsageError
from workbench.generation.runs.session import shards_overlap
from workbench.generation.runs.work_source import Shard
from workbench.workspace.create import settings_template
from workbench.workspace.engine_settings import JudgeRule, JudgeSettings, Mix
from workbench.workspace.generation_settings import GenerateSettings, answerable_judges, inline_engine, parse_judge
from workbench.workspace.settings import read_settings

TEMPLATE = settings_template()


BOTH = frozenset(Question)


def settings(tmp_path: Path, text: str) -> GenerateSettings:
    (tmp_path / "negwb.toml").write_text(text)
    return read_settings(tmp_path / "negwb.toml").generate


def test_what_is_told_is_read(tmp_path: Path) -> None:
    told = settings(
        tmp_path,
        """
        [generate]
        proposer = "llama"
        judges = ["llava:present", "annotations"]
        rule = "official"
        mix = "negrefcocog"
        threshold = 1
        [engines.llama]
        kind = "openai"
        url = "http://localhost:8000/v1"
        price_in = 2
        [engines.llama.options]
        top_k = 5
        """,
    )
    assert (told.proposer, told.judges, told.rule, told.mix) == (
        "llama",
        ("llava:present", "annotations"),
        JudgeRule.OFFICIAL,
        Mix.NEGREFCOCOG,
    )
    assert told.engines["llama"].url == "http://localhost:8000/v1"
    assert told.engines["llama"].price_in == 2
    assert told.engines["llama"].options == {"top_k": 5}


def test_the_template_tells_nothing(tmp_path: Path) -> None:
    assert settings(tmp_path, TEMPLATE) == GenerateSettings()


def test_what_the_template_shows_can_be_taken_in(tmp_path: Path) -> None:
    part = TEMPLATE[TEMPLATE.index("[generate]") : TEMPLATE.index("[train]")]
    shown = "\n".join(
        line.removeprefix("# ") if "=" in line or "[engines" in line else line for line in part.split("\n")
    )
    told = settings(tmp_path, shown)
    assert told.proposer in told.engines
    assert {parse_judge(judge)[0] for judge in told.judges} == {"llava", "annotations"}


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("[generate]\nproposers = 'x'", "no setting 'proposers'"),
        ("[generate]\nrule = 'median'", r"rule = 'median'"),
        ("[generate]\njudges = 'llava'", "judges = 'llava'"),
        ("[generate]\nattempts = 0", r"attempts = 0"),
        ("[generate]\nthreshold = 'half'", r"threshold = 'half'"),
        ("[engines.a]\nurl = 'http://x'", "has no kind"),
        ("[engines.a]\nkind = 'openai'\nconcurency = 3", "no setting 'concurency'"),
        ("[engines.a]\nkind = 'openai'\nmethod = 'magic'", "method = 'magic'"),
        ("[engines.annotations]\nkind = 'openai'", "no name for an engine"),
        ("[engines]\na = 3", "a table is expected"),
        ("generate = 3", "a table is expected"),
    ],
)
def test_what_cannot_be_meant_is_refused_in_one_line(tmp_path: Path, text: str, says: str) -> None:
    with pytest.raises(UsageError, match=says) as told:
        settings(tmp_path, text)
    assert "\n" not in told.value.message
    assert told.value.hint
    assert "negwb.toml" in told.value.message


@pytest.mark.parametrize(
    ("words", "kind", "url", "model", "name"),
    [
        ("openai:http://localhost:8000/v1", "openai", "http://localhost:8000/v1", "", "localhost-8000-v1"),
        ("openai:http://h/v1#org/Model-7B", "openai", "http://h/v1", "org/Model-7B", "org-Model-7B"),
        ("transformers:org/llava", "transformers", "", "org/llava", "org-llava"),
        ("clip:run-001", "clip", "", "run-001", "run-001"),
        ("scripted:demo", "scripted", "", "demo", "demo"),
    ],
)
def test_an_engine_can_be_said_in_one_word(words: str, kind: str, url: str, model: str, name: str) -> None:
    found = inline_engine(words)
    assert found is not None
    assert (found.kind, found.url, found.model, found.name) == (kind, url, model, name)


def test_a_password_is_no_part_of_an_engines_name() -> None:
    found = inline_engine("openai:http://user:secret@host:8000/v1?key=secret")
    assert found is not None
    assert found.name == "host-8000-v1"


def test_a_name_is_no_engine_in_one_word_and_taken_names_are_not_given_again() -> None:
    assert inline_engine("llava") is None
    again = inline_engine("scripted:demo", ("demo", "demo-2"))
    assert again is not None
    assert again.name == "demo-3"


@pytest.mark.parametrize(
    ("words", "name", "questions"),
    [
        ("llava", "llava", BOTH),
        ("llava:present", "llava", {Question.PRESENT}),
        ("openai:http://h:8/v1", "openai:http://h:8/v1", BOTH),
        ("openai:http://h:8/v1#m:acceptable", "openai:http://h:8/v1#m", {Question.ACCEPTABLE}),
    ],
)
def test_a_judge_may_be_asked_one_question_only(words: str, name: str, questions: frozenset[Question]) -> None:
    assert parse_judge(words) == (name, questions)


def test_judges_are_not_asked_what_they_cannot_know() -> None:
    judges = answerable_judges([("annotations", BOTH), ("c", BOTH), ("llava", BOTH)], {"c": "clip", "llava": "openai"})
    assert judges == (
        JudgeSettings(name="annotations", questions=frozenset({Question.PRESENT})),
        JudgeSettings(name="c", questions=frozenset({Question.ACCEPTABLE})),
        JudgeSettings(name="llava", questions=BOTH),
    )
    with pytest.raises(UsageError, match="cannot answer: present"):
        answerable_judges([("c", frozenset({Question.PRESENT}))], {"c": "clip"})


@pytest.mark.parametrize("words", ["", "1", "0/3", "4/3", "a/b", "1/2/3", "-1/2", "1/0", "²/3"])
def test_a_shard_that_is_none_is_refused(words: str) -> None:
    with pytest.raises(UsageError, match="i/n is expected"):
        Shard.parse(words)


def test_shards_part_the_pictures_evenly_and_without_overlap() -> None:
    shards = [Shard(number, 4) for number in range(1, 5)]
    held = [[shard.has("coco", str(key)) for shard in shards] for key in range(4_000)]
    assert all(sum(row) == 1 for row in held)
    assert all(900 < sum(row[place] for row in held) < 1_100 for place in range(4))


def test_overlap_of_shards_is_what_counting_says() -> None:
    many = [Shard(number, of) for of in (1, 2, 3, 4, 6) for number in range(1, of + 1)]
    for one in many:
        for other in many:
            common = any(
                place % one.of == one.number - 1 and place % other.of == other.number - 1 for place in range(12)
            )
            assert shards_overlap(one, other) == common
