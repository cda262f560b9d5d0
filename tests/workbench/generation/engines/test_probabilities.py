"""P(yes) from text, tokens, decisions and samples."""

from __future__ import annotations

import json
import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from workbench.generation.engines.probabilities import (
    Probability,
    first_tokens,
    from_decision,
    from_logprobs,
    from_samples,
    from_tokens,
    from_words,
    sample_seed,
)
from workbench.generation.engines.yes_no_parsing import official_yes, read_yes_no

# fmt: off
YES = [
    "yes", "Yes", "YES.", " yes\n", "**Yes**", "Yes, there is a hat.", "Yes there is.", '"Yes"', "y", "Y.", "_Yes!_",
    "Answer: yes", "The answer is yes.", "Final answer: **Yes**", '{"answer": "yes"}', "yes</s>", "Yep.",
    "Yes — it is.",
    "Yes: a red one", "Yes\n\nA hat is on her head.", "\u200byes", "- Yes", "Yes, the image shows a hat.", "Yes it is",
]
# fmt: on
# fmt: off
NO = [
    "no", "No.", "NO!", "n", "no, there isn't", "No, there is no hat.", "**No**", "Nope.", "No there is not", "no</s>",
    "Answer: No", "No, I don’t see any hat.", "No; the woman wears nothing on her head.", "No, there is a cat instead.",
    "(No)", "No - only a horse.", '{"answer":"no"}', "No, it isn't.", "No\nThere are only people.",
    "No the image shows none",
]
# fmt: on
# fmt: off
NEITHER = [
    "", " ", "...", "I cannot tell", "not sure", "Not sure.", "unclear", "maybe", "No. Yes.", "Yes. No.", "yes and no",
    "Yes or no", "yes/no", "No doubt there is one.", "No question, it is there.", "No one is wearing a hat", "nothing",
    "Not really", "None", "yesterday", "Nowhere", "Yes, but I am not sure", "No, but I am not certain", "Yes?", "no?",
    "Yes, there isn't any.", "Yes, there is no hat.", "It is hard to say, no", "There is a hat.",
    "The image shows a hat.",
    "No, I cannot see the picture.", "Is there a hat?", "possibly yes", "Yes, maybe", "No, probably", "42", "😀",
    "I don't know", "no wait, yes", "No, actually there is a hat", "Yes, it seems so", "not yes", "No problem!", "ye",
    "As an AI, no", "No idea", "Yes, I guess", "no more than one", "It depends.", "No, it might be a cap",
]
# fmt: on


@pytest.mark.parametrize("text", YES)
def test_yes_is_parsed(text: str) -> None:
    assert read_yes_no(text) is True


@pytest.mark.parametrize("text", NO)
def test_no_is_parsed(text: str) -> None:
    assert read_yes_no(text) is False


@pytest.mark.parametrize("text", NEITHER)
def test_an_unclear_answer_is_not_no(text: str) -> None:
    assert read_yes_no(text) is None


@given(st.text(max_size=200))
def test_any_text_can_be_parsed(text: str) -> None:
    read = read_yes_no(text)
    assert read in {True, False, None}
    if read is True:  # what we call yes the published rule calls present too, but for the other words for it
        assert official_yes(text) or any(word in text.lower() for word in ("y", "yeah", "yep", "yup"))


@given(st.sampled_from(YES + NO), st.sampled_from(["I am not sure", "maybe", "but I cannot tell", "or not?"]))
def test_a_hedge_after_an_answer_makes_it_unclear(text: str, hedge: str) -> None:
    assert read_yes_no(f"{text}, {hedge}") is None


def test_a_megabyte_is_parsed_quickly() -> None:
    assert read_yes_no("no " * 500_000) is None
    assert read_yes_no("No. " + "x" * 1_000_000) is False
    assert read_yes_no("\u202e\x1b[31mno\x00") in {None, False}


def test_the_published_rule_matches_parts_of_words() -> None:
    assert all(map(official_yes, ("Yes", "she eyes her cat", "her eyes are closed", "NO... YES")))
    assert not any(map(official_yes, ("No", "unclear", "")))


def test_tokens_that_are_prefixes_of_yes_and_no_are_summed() -> None:
    # as vLLM 0.32 answered under `structured_outputs.choice`: probability spread over the ways to begin
    chance = from_tokens([("y", -1.24), ("yes", -1.28), ("n", -1.50), ("no", -2.2)])
    yes, no = math.exp(-1.24) + math.exp(-1.28), math.exp(-1.50) + math.exp(-2.2)
    assert chance.p == pytest.approx(yes / (yes + no))
    assert chance.label_mass == pytest.approx(yes + no)


@pytest.mark.parametrize("token", ["yes", "Yes", " YES", "\tye", "y", "▁yes", "ĠYes", "Y "])
def test_prefixes_of_yes_count_as_yes(token: str) -> None:
    assert from_tokens([(token, -0.5)]) == Probability(1.0, pytest.approx(math.exp(-0.5)))


@pytest.mark.parametrize(
    "token", ["", " ", "not", "now", "yesterday", "nope", "eyes", "none", "o", "es", '"yes', "▁", "\n"]
)
def test_other_tokens_count_as_neither(token: str) -> None:
    assert from_tokens([(token, -0.1)]) == Probability(None, 0.0)


@given(st.lists(st.tuples(st.sampled_from(["yes", " No", "n", "Y", "the", "", "no"]), st.floats(-30, 0))))
def test_any_tokens_give_a_valid_probability(tokens: list[tuple[str, float]]) -> None:
    chance = from_tokens(tokens)
    assert chance.p is None or 0 <= chance.p <= 1
    assert chance.label_mass is not None
    assert 0 <= chance.label_mass <= 1
    assert (chance.p is None) == (chance.label_mass == 0)


@given(st.lists(st.tuples(st.sampled_from(["yes", "no", "Y", "N", "x"]), st.floats(-9, 0)), min_size=1))
def test_swapping_yes_and_no_complements_the_probability(tokens: list[tuple[str, float]]) -> None:
    swap = {"yes": "no", "no": "yes", "Y": "N", "N": "Y", "x": "x"}
    straight, swapped = from_tokens(tokens), from_tokens([(swap[token], logprob) for token, logprob in tokens])
    assert straight.label_mass == pytest.approx(swapped.label_mass)
    assert straight.p is None or swapped.p == pytest.approx(1 - straight.p)


VLLM = json.loads("""{"index": 0, "message": {"role": "assistant", "content": "Yes", "tool_calls": []},
 "logprobs": {"content": [{"token": "Yes", "logprob": -0.2231435513, "bytes": [89, 101, 115], "top_logprobs": [
   {"token": "Yes", "logprob": -0.2231435513, "bytes": [89, 101, 115]},
   {"token": "No", "logprob": -1.897119985, "bytes": [78, 111]},
   {"token": " yes", "logprob": -4.605170186, "bytes": [32, 121, 101, 115]},
   {"token": "The", "logprob": -5.2983, "bytes": [84, 104, 101]},
   {"token": "\\u0000", "logprob": -9999.0, "bytes": [0]}]}]},
 "finish_reason": "length", "stop_reason": null}""")


def test_a_chat_response_of_vllm_is_parsed() -> None:
    chance = from_logprobs(VLLM)
    assert chance is not None
    assert chance.p == pytest.approx(0.81 / 0.96)
    assert chance.label_mass == pytest.approx(0.96)


def test_the_generated_token_is_counted_once() -> None:
    beside: dict[str, Any] = {
        "logprobs": {"content": [{"token": "no", "logprob": -1.0, "top_logprobs": [{"token": "yes", "logprob": -2.0}]}]}
    }
    assert first_tokens(beside) == [("yes", -2.0), ("no", -1.0)]
    alone = {"logprobs": {"content": [{"token": "no", "logprob": -1.0}]}}
    assert first_tokens(alone) == [("no", -1.0)]


@pytest.mark.parametrize(
    "choice",
    [
        None,
        7,
        "logprobs",
        [],
        {},
        {"logprobs": None},
        {"logprobs": {}},
        {"logprobs": {"content": None}},
        {"logprobs": {"content": []}},
        {"logprobs": {"content": [None]}},
        {"logprobs": {"content": ["yes"]}},
        {"logprobs": {"content": [{"token": "yes"}]}},
        {"logprobs": {"content": [{"token": "yes", "logprob": True}]}},
        {"logprobs": {"content": [{"token": "yes", "logprob": float("nan")}]}},
        {"logprobs": {"content": [{"token": "yes", "logprob": -1, "top_logprobs": [{"token": 3, "logprob": -1}]}]}},
    ],
)
def test_missing_log_probabilities_differ_from_unclear_ones(choice: Any) -> None:
    assert from_logprobs(choice) is None


JSON = st.recursive(
    st.none() | st.booleans() | st.floats() | st.text(max_size=5) | st.integers(),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["logprobs", "content", "token", "logprob", "top_logprobs", "answers", "noul", "q"]), inner
        )
    ),
    max_leaves=12,
)


@given(JSON)
def test_any_json_can_be_parsed(value: Any) -> None:
    for chance in (from_logprobs(value), from_decision(value, "q")):
        assert chance is None or chance.p is None or 0 <= chance.p <= 1


def test_typed_decisions_of_both_servers_are_parsed() -> None:
    transformers = {"model": "m", "answers": {"q0": {"type": "noul", "noul": 0.37}}, "usage": {"input_tokens": 9}}
    assert from_decision(transformers, "q0") == Probability(0.37, None)
    vllm = {
        "answers": {"q0": {"type": "noul", "noul": 0.02, "probabilities": {"yes": 0.02, "no": 0.98}}},
        "diagnostics": {"q0": {"label_mass": 0.98, "argmax_is_label": True}},
    }
    assert from_decision(vllm, "q0") == Probability(0.02, 0.98)
    assert from_decision(vllm, "q1") is None
    assert from_decision({"answers": {"q0": {"type": "noul", "noul": 1.5}}}, "q0") is None
    assert from_decision({"answers": {"q0": {"type": "noul", "noul": True}}}, "q0") is None


def test_samples_are_counted_among_clear_answers() -> None:
    assert from_samples(["Yes", "No.", "yes", "I cannot tell"]) == Probability(2 / 3, 3 / 4)
    assert from_samples(["hm", ""]) == Probability(None, 0.0)
    assert from_samples([]) == Probability(None, 0.0)


def test_a_bare_answer_is_certain_or_unclear() -> None:
    assert (from_words("Yes."), from_words("no"), from_words("well")) == (
        Probability(1.0, None),
        Probability(0.0, None),
        Probability(None, None),
    )


def test_sample_seeds_are_deterministic_and_distinct() -> None:
    seeds = [sample_seed(7, number) for number in range(100)]
    assert seeds == [sample_seed(7, number) for number in range(100)]
    assert len(set(seeds)) == 100
    assert not set(seeds) & {sample_seed(8, number) for number in range(100)}
    assert all(0 <= seed < 2**31 for seed in seeds)
