"""Responses of odd servers: thoughts, streams of events, errors inside good replies, web pages."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from curation_db.enums import Method
from workbench.generation.engines.openai.responses.event_stream import assembled, is_event_stream
from workbench.generation.engines.openai.responses.response import ResponseProblem, error_status, parse_body, read_chat
from workbench.generation.engines.openai.responses.thoughts import answer_after_thought
from workbench.generation.engines.openai.responses.web_page import first_words
from workbench.generation.engines.requests import AnswerFormat, ModelAnswer


@pytest.mark.parametrize(
    ("text", "answer"),
    [
        ("Yes", "Yes"),
        ("<think>no</think>Yes", "Yes"),
        ("no</think>\n\nYes\n", "Yes"),
        ("<think>a</think><think>b</think> Yes", "Yes"),
        ("<THINKING>no</Thinking> Yes", "Yes"),
        ("[THINK]no[/THINK]Yes", "Yes"),
        ("◁think▷no◁/think▷Yes", "Yes"),
        ("<|channel|>analysis<|message|>no<|end|><|start|>assistant<|channel|>final<|message|>Yes<|return|>", "Yes"),
        ("Yes <think>was that right?", "Yes"),
        ("<think>the user wants", None),
        ("<think></think>", ""),
        ("a sign that says think", "a sign that says think"),
        ("I < you > me", "I < you > me"),
    ],
)
def test_a_thought_is_removed(text: str, answer: str | None) -> None:
    assert answer_after_thought(text) == answer


def test_log_probabilities_of_a_thought_are_no_verdict() -> None:
    entry = {"token": "No", "logprob": -0.1, "top_logprobs": [{"token": "No", "logprob": -0.1}]}
    choice = {"message": {"content": "No, wait</think>Yes"}, "logprobs": {"content": [entry]}}
    answer = read_chat({"choices": [choice]}, AnswerFormat.YES_NO, Method.LOGPROBS)
    assert isinstance(answer, ModelAnswer)
    assert (answer.p, answer.method, answer.text) == (1.0, Method.BARE, "Yes")


@pytest.mark.parametrize(
    ("payload", "status"),
    [
        ({"choices": []}, None),
        ({"error": None, "choices": []}, None),
        ({"error": {"code": 502}}, 502),
        ({"error": {"code": "429"}}, 429),
        ({"error": {"message": "x", "type": "insufficient_quota"}}, 429),
        ({"error": {"status": "UNAVAILABLE"}}, 503),
        ({"error": "out of memory", "status": 507}, 507),
        ({"error": "out of memory"}, 500),
        ({"object": "error", "message": "no model", "code": 404}, 404),
        ({"error": {"code": 200}}, 500),
        ({"error": {"code": True}}, 500),
        ([1], None),
    ],
)
def test_the_status_of_an_error_inside_a_good_reply(payload: Any, status: int | None) -> None:
    assert error_status(payload) == status


def stream(*events: object, end: str = "data: [DONE]\n\n") -> str:
    return "".join(f"data: {json.dumps(event)}\n\n" for event in events) + end


def test_events_are_joined() -> None:
    text = "\ufeff: hi\r\nevent: x\r\nid: 1\r\n" + stream(
        {"choices": [{"delta": {"role": "assistant", "content": "a "}, "logprobs": {"content": [{"token": "a "}]}}]},
        {
            "choices": [
                {"delta": {"content": "hat"}, "logprobs": {"content": [{"token": "hat"}]}, "finish_reason": "stop"}
            ]
        },
        {"choices": [], "usage": {"prompt_tokens": 5, "completion_tokens": 2}},
        end="",
    ).replace("\n", "\r\n")
    payload = parse_body(text.encode())
    assert payload["choices"][0]["message"] == {"role": "assistant", "content": "a hat"}
    assert [each["token"] for each in payload["choices"][0]["logprobs"]["content"]] == ["a ", "hat"]
    answer = read_chat(payload, AnswerFormat.TEXT, Method.BARE)
    assert isinstance(answer, ModelAnswer)
    assert (answer.text, answer.prompt_tokens, answer.completion_tokens) == ("a hat", 5, 2)


def test_a_stream_that_ended_early_is_no_answer() -> None:
    part = {"choices": [{"delta": {"content": "a h"}}]}
    assert assembled(stream(part, end="")) is None
    assert assembled(stream(part, end='data: {"choi')) is None
    assert isinstance(parse_body(stream(part, end="").encode()), ResponseProblem)
    assert assembled(stream({"error": {"code": 502}}, end="")) == {"error": {"code": 502}}


@given(st.text(alphabet='data: {}[]",\n\r1choiesltm'))
def test_any_stream_is_read_or_refused(text: str) -> None:
    if is_event_stream(text):
        assembled(text)


@pytest.mark.parametrize(
    ("page", "words"),
    [
        (
            "<html><head><title>Log in</title></head><body><script>x()</script>Hi &amp; bye",
            "'Log in Hi & bye'",
        ),
        ("Please sign in", "'Please sign in'"),
        ("<" * 100_000, "''"),
        ("<p>\x1b[31m\u202eevil", "'[31mevil'"),
    ],
)
def test_the_first_words_of_a_page(page: str, words: str) -> None:
    assert first_words(page) == words


def test_what_is_no_json_is_named_with_its_type() -> None:
    page = parse_body(b"<html>Sign in</html>", "text/html; charset=utf-8")
    assert isinstance(page, ResponseProblem)
    assert (page.foreign, page.detail) == (True, "the server sends no JSON but text/html: 'Sign in'")
    half = parse_body(b'{"choices', "application/json")
    assert isinstance(half, ResponseProblem)
    assert (half.foreign, half.detail) == (False, "the server's answer is not JSON")
