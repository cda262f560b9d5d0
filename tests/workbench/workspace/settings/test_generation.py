"""[generate] and [engines] of negwb.toml, and engines and judges on the command line."""

from __future__ import annotations

from pathlib import Path

import pytest

from curation_db.enums import Question
from workbench.errors import UsageError
from workbench.generation.runs.session import shards_overlap
from workbench.generation.runs.work_source import Shard
from workbench.workspace.create import settings_template
from workbench.workspace.settings.engines import Edits, JudgeRule, JudgeSettings, Mix
from workbench.workspace.settings.generation import GenerateSettings, answerable_judges, inline_engine, parse_judge
from workbench.workspace.settings.settings import read_settings

TEMPLATE = settings_template()


BOTH = frozenset(Question)


def settings(tmp_path: Path, text: str) -> GenerateSettings:
    (tmp_path / "negwb.toml").write_text(text)
    return read_settings(tmp_path / "negwb.toml").generate


def test_settings_are_read(tmp_path: Path) -> None:
    result = settings(
        tmp_path,
        """
        [generate]
        proposer = "llama"
        judges = ["llava:present", "annotations"]
        rule = "official"
        mix = "negrefcocog"
        threshold = 1
        edits = "free"
        [engines.llama]
        kind = "openai"
        url = "http://localhost:8000/v1"
        price_in = 2
        [engines.llama.options]
        top_k = 5
        """,
    )
    assert (result.proposer, result.judges, result.rule, result.mix) == (
        "llama",
        ("llava:present", "annotations"),
        JudgeRule.OFFICIAL,
        Mix.NEGREFCOCOG,
    )
    assert result.edits is Edits.FREE
    assert result.engines["llama"].url == "http://localhost:8000/v1"
    assert result.engines["llama"].price_in == 2
    assert result.engines["llama"].options == {"top_k": 5}


def test_the_template_equals_the_defaults(tmp_path: Path) -> None:
    assert settings(tmp_path, TEMPLATE) == GenerateSettings()


def test_the_examples_of_the_template_are_valid(tmp_path: Path) -> None:
    part = TEMPLATE[TEMPLATE.index("\n# [generate]") : TEMPLATE.index("\n[train]\n")]
    shown = "\n".join(
        line.removeprefix("# ") if "=" in line or line.startswith("# [") else line for line in part.split("\n")
    )
    result = settings(tmp_path, shown)
    assert result.proposer in result.engines
    assert {parse_judge(judge)[0] for judge in result.judges} == {"llava", "annotations"}


@pytest.mark.parametrize(
    ("text", "message"),
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
def test_an_invalid_setting_is_refused_in_one_line(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(UsageError, match=message) as refused:
        settings(tmp_path, text)
    assert "\n" not in refused.value.message
    assert refused.value.hint
    assert "negwb.toml" in refused.value.message


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
def test_an_engine_is_defined_in_one_word(words: str, kind: str, url: str, model: str, name: str) -> None:
    engine = inline_engine(words)
    assert engine is not None
    assert (engine.kind, engine.url, engine.model, engine.name) == (kind, url, model, name)


def test_the_name_of_an_engine_has_no_password() -> None:
    engine = inline_engine("openai:http://user:secret@host:8000/v1?key=secret")
    assert engine is not None
    assert engine.name == "host-8000-v1"


def test_a_name_defines_no_engine_and_a_used_name_gets_a_number() -> None:
    assert inline_engine("llava") is None
    third = inline_engine("scripted:demo", ("demo", "demo-2"))
    assert third is not None
    assert third.name == "demo-3"


@pytest.mark.parametrize(
    ("words", "name", "questions"),
    [
        ("llava", "llava", BOTH),
        ("llava:present", "llava", {Question.PRESENT}),
        ("openai:http://h:8/v1", "openai:http://h:8/v1", BOTH),
        ("openai:http://h:8/v1#m:acceptable", "openai:http://h:8/v1#m", {Question.ACCEPTABLE}),
    ],
)
def test_a_judge_may_be_limited_to_one_question(words: str, name: str, questions: frozenset[Question]) -> None:
    assert parse_judge(words) == (name, questions)


def test_judges_get_only_questions_that_they_can_answer() -> None:
    judges = answerable_judges([("annotations", BOTH), ("c", BOTH), ("llava", BOTH)], {"c": "clip", "llava": "openai"})
    assert judges == (
        JudgeSettings(name="annotations", questions=frozenset({Question.PRESENT})),
        JudgeSettings(name="c", questions=frozenset({Question.ACCEPTABLE})),
        JudgeSettings(name="llava", questions=BOTH),
    )
    with pytest.raises(UsageError, match="cannot answer: acceptable"):
        answerable_judges([("annotations", frozenset({Question.ACCEPTABLE}))], {})


def test_clip_judges_presence_only_where_it_is_asked_for() -> None:
    asked = frozenset({Question.PRESENT})
    (judge,) = answerable_judges([("c", asked)], {"c": "clip"})
    assert judge.questions == asked
    assert answerable_judges([("c", BOTH)], {"c": "clip"})[0].questions == {Question.ACCEPTABLE}


def test_the_word_clip_names_the_base_model() -> None:
    engine = inline_engine("clip")
    assert engine is not None
    assert (engine.name, engine.kind, engine.model) == ("clip", "clip", "")


@pytest.mark.parametrize("words", ["", "1", "0/3", "4/3", "a/b", "1/2/3", "-1/2", "1/0", "²/3"])
def test_an_invalid_shard_is_refused(words: str) -> None:
    with pytest.raises(UsageError, match="i/n is expected"):
        Shard.parse(words)


def test_shards_split_the_images_evenly_and_without_overlap() -> None:
    shards = [Shard(number, 4) for number in range(1, 5)]
    members = [[shard.has("coco", str(key)) for shard in shards] for key in range(4_000)]
    assert all(sum(row) == 1 for row in members)
    assert all(900 < sum(row[index] for row in members) < 1_100 for index in range(4))


def test_overlap_of_shards_equals_an_enumeration() -> None:
    many = [Shard(number, of) for of in (1, 2, 3, 4, 6) for number in range(1, of + 1)]
    for one in many:
        for other in many:
            common = any(
                index % one.of == one.number - 1 and index % other.of == other.number - 1 for index in range(12)
            )
            assert shards_overlap(one, other) == common
