"""Extraction and checks of rewrites: messy answers of language models give a clean caption or none."""

from __future__ import annotations

import json
from pathlib import Path
from typing import NamedTuple

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.pipeline_driver import make_image_task

from workbench.generation.pipelines.caption_extraction import extract_caption
from workbench.generation.pipelines.rewrite_checks import CONTENT_LOST, check_rewrite
from workbench.workspace.settings.engines import Edits

MESSY = Path(__file__).parents[1] / "fixtures" / "messy_answers.jsonl"
"""Answers in the habits of Llama, Qwen, Gemma, GPT, Mistral, Phi; `wanted` null: must be refused."""
CAPTION = "A man riding a horse in a field"


class Answer(NamedTuple):
    """An answer with its right outcome."""

    caption: str
    concept: str
    answer: str
    wanted: str | None


def read_answers(path: Path) -> list[Answer]:
    rows = map(json.loads, path.read_text("utf-8").splitlines())
    return [Answer(*(row[name] for name in Answer._fields)) for row in rows]


def survivor(answer: Answer, edits: Edits = Edits.MINIMAL) -> str | None:
    """Return the text that becomes a candidate, or None."""
    task = make_image_task([answer.caption])
    text = extract_caption(answer.answer, answer.caption)
    return text if check_rewrite(task, task.captions[0], text, answer.concept, edits=edits).ok else None


@pytest.mark.parametrize("answer", read_answers(MESSY), ids=lambda answer: answer.answer[:30].encode().hex())
def test_a_messy_answer_gives_the_clean_caption_or_is_refused(answer: Answer):
    assert survivor(answer) == answer.wanted


def test_the_shared_answers_give_no_wrong_and_no_dirty_survivor(shared_data: Path):
    path = shared_data.parent / "cases" / "rewrites.jsonl"
    if not path.is_file():
        pytest.skip(f"no file {path}")
    answers = read_answers(path)
    outcomes = [(answer, survivor(answer)) for answer in answers]
    assert [answer for answer, text in outcomes if text is not None and text != answer.wanted] == []
    lost = sum(answer.wanted is not None and text is None for answer, text in outcomes)
    assert lost <= 0.05 * sum(answer.wanted is not None for answer in answers)


def test_a_model_that_rephrases_passes_with_free_edits_only():
    rephrased = Answer(CAPTION, "hat", "Without a hat, a man rides his horse across a field", None)
    assert survivor(rephrased) is None
    assert survivor(rephrased, Edits.FREE) == rephrased.answer


@pytest.mark.parametrize(
    "answer",
    [
        "A man not wearing a hat riding a horse in a field OR A man riding a horse in a field without a hat",
        "A man not wearing a hat riding a horse in a field / A man without a hat",
        "Option 1: A man not wearing a hat rides a horse in a field",
        '{"caption": "A man not wearing a hat riding a horse in a field"}',
        "A man riding a horse in a field. A man not wearing a hat riding a horse in a field.",
        "A man rides a horse in a field. He is not wearing a hat.",
        "A man riding a horse in a field (not wearing a hat)",
    ],
)
def test_free_edits_admit_no_alternatives_and_no_added_sentences(answer: str):
    assert survivor(Answer(CAPTION, "hat", answer, None), Edits.FREE) is None


def test_free_edits_still_keep_most_words():
    task = make_image_task([CAPTION])
    check = check_rewrite(task, task.captions[0], "Nobody has a hat here", "hat", edits=Edits.FREE)
    assert check.rule == CONTENT_LOST


@given(st.text(), st.text())
def test_any_answer_gives_a_text_of_the_answer(answer: str, caption: str):
    assert len(extract_caption(answer, caption)) <= len(answer.encode()) + 1


@pytest.mark.parametrize(
    "unit", ["**", "> ", "- ", "<a>", '"', "`", "``` ", "Sure! ", "A: ", "\n\n", "<|a|>", "</think>"]
)
def test_many_wrappers_end(unit: str):
    assert isinstance(extract_caption(unit * (4_000 // len(unit)), CAPTION), str)
