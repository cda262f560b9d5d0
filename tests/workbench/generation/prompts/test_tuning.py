"""Examples in the next version of a prompt set: where they go, how they are quoted, and that a block is replaced."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.examples import examples
from support.prompt_files import SMALLEST_FILE

from curation_db.enums import REASON_TEXTS, Reason
from curation_db.generation.tuning_examples import TuningExample, decisions_hash
from workbench.errors import UsageError
from workbench.generation.prompts.loader import find_prompts, parse_prompts
from workbench.generation.prompts.tuning import check_tunable, diff_lines, next_name, tuned_content, usable_reasons

P1, P2, PUBLISHED = (find_prompts(name) for name in ("negwb-p1-1", "negwb-p2-1", "negationclip-p1"))


def example(number: int = 1, *, reason: Reason | None = None, **texts: str) -> TuningExample:
    return TuningExample(
        uid=f"uid-{number}",
        candidate_id=number,
        image_id=number,
        caption=texts.get("caption", f"a dog {number}"),
        concept=texts.get("concept", f"hat {number}"),
        text=texts.get("text", f"a dog {number} without a hat"),
        cue="without",
        negation_type="absence",
        accepted=reason is None,
        reason=reason,
        audited=False,
    )


EXAMPLES = [example(1), example(2, reason=Reason.PRESENT), example(3, reason=Reason.UNGRAMMATICAL)]


def test_concepts_go_to_the_proposals_and_texts_to_the_rewrite() -> None:
    after = parse_prompts(tuned_content(P1, EXAMPLES, name="next", seed=4), "next")
    for stage in ("propose", "propose-again"):
        text = after.stages[stage].messages[0].text
        assert text.startswith(P1.stages[stage].messages[0].text)
        assert '- Accepted. Caption: "a dog 1"; answer: hat 1\n' in text
        reason = REASON_TEXTS[Reason.PRESENT]
        assert f'- Rejected, {reason}. Caption: "a dog 2"; answer: hat 2\n' in text
        assert "hat 3" not in text
        assert after.stages[stage].messages[1:] == P1.stages[stage].messages[1:]
    rewrite = after.stages["rewrite"].messages[0].text
    assert (
        'Rejected, not good English. Caption: "a dog 3"; not there: hat 3; answer: "a dog 3 without a hat"' in rewrite
    )
    assert "hat 2" not in rewrite
    for stage in ("presence", "acceptable", "propose-random"):
        assert after.stages[stage] == P1.stages[stage]
    assert after.stages["rewrite"].phrases == P1.stages["rewrite"].phrases


def test_the_file_says_what_it_was_made_from() -> None:
    after = parse_prompts(tuned_content(P1, EXAMPLES, name="negwb-p1-2", seed=4), "next")
    assert (after.name, after.pipeline, after.about) == ("negwb-p1-2", P1.pipeline, P1.about)
    assert after.tuned is not None
    assert (after.tuned.base, after.tuned.seed) == (P1.version, 4)
    assert after.tuned.decisions == ["uid-1", "uid-2", "uid-3"]
    assert after.tuned.decisions_sha256 == decisions_hash(EXAMPLES)
    assert P1.tuned is None
    assert any(mark == "+" and "uid-2" in line for mark, line in diff_lines(P1, after))
    assert not any("presence" in line for _, line in diff_lines(P1, after))


def test_a_second_tuning_replaces_the_examples_of_the_first() -> None:
    once = parse_prompts(tuned_content(P1, EXAMPLES, name="one", seed=0), "one")
    twice = parse_prompts(tuned_content(once, [example(9)], name="two", seed=0), "two")
    fresh = parse_prompts(tuned_content(P1, [example(9)], name="two", seed=0), "two")
    assert twice.stages == fresh.stages
    assert twice.tuned is not None
    assert (twice.tuned.base, twice.tuned.decisions) == (once.version, ["uid-9"])


def test_sets_without_proposals_and_with_a_raw_prompt() -> None:
    assert usable_reasons(P2) < usable_reasons(P1)
    after = parse_prompts(tuned_content(P2, EXAMPLES, name="x", seed=0), "x")
    assert "hat 3" in after.stages["rewrite"].messages[0].text
    published = parse_prompts(tuned_content(PUBLISHED, EXAMPLES, name="x", seed=0), "x")
    assert published.stages["presence"] == PUBLISHED.stages["presence"]
    assert published.stages["propose-random"] == PUBLISHED.stages["propose-random"]
    own = PUBLISHED.content.replace(
        "[[rewrite.messages]]", 'raw = "SAY: {caption} without {concept}"\n\n[[rewrite.messages]]', 1
    )
    raw = parse_prompts(tuned_content(parse_prompts(own, "own"), EXAMPLES, name="x", seed=0), "x").stages["rewrite"].raw
    assert raw is not None
    assert raw.endswith("\n\nSAY: {caption} without {concept}")
    assert "hat 3" in raw


def test_without_a_system_message_the_examples_come_before_the_question() -> None:
    after = parse_prompts(tuned_content(parse_prompts(SMALLEST_FILE, "mine"), [example(1)], name="mine-2", seed=0), "x")
    (message,) = after.stages["rewrite"].messages
    assert message.text.startswith("Decisions of people")
    assert message.text.endswith("\n\n{caption} {question}")


@settings(max_examples=examples(60), deadline=None)
@given(st.text(st.characters(exclude_characters="{}", exclude_categories=("C", "Z")), min_size=1, max_size=20))
def test_any_text_survives_the_file(text: str) -> None:
    tricky = example(1, caption=text, text=f'"""{text}\\', concept="\\u0022 '''")
    after = parse_prompts(tuned_content(P1, [tricky], name="x", seed=0), "x")
    assert (
        f'Caption: "{text}"; not there: \\u0022 \'\'\'; answer: """"{text}\\"\n'
        in after.stages["rewrite"].messages[0].text
    )


def test_names_of_versions() -> None:
    assert next_name("negwb-p1-1", set()) == "negwb-p1-2"
    assert next_name("negwb-p1-1", {"negwb-p1-2", "negwb-p1-3"}) == "negwb-p1-4"
    assert next_name("mine", {"mine-2"}) == "mine-3"


def test_a_damaged_block_is_reported() -> None:
    once = tuned_content(P1, EXAMPLES, name="one", seed=0)
    check_tunable(parse_prompts(once, "one"))
    damaged = parse_prompts(once.replace("End of the earlier answers.", "The end."), "one")
    with pytest.raises(UsageError, match="damaged block"):
        check_tunable(damaged)


@pytest.mark.parametrize(
    "table", ["base = 3", 'base = "x"', 'base = "x"\nseed = 1\ndecisions = "u"\ndecisions_sha256 = "x"']
)
def test_an_invalid_table_tuned_is_refused(table: str) -> None:
    with pytest.raises(UsageError, match="tuned"):
        parse_prompts(f"{P1.content}\n[tuned]\n{table}\n", "mine.toml")
