"""Batch lines contain the live engine's bodies, and responses are parsed by the same functions."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.model_answers import chat
from support.model_server import Behaviour, model_server
from support.server_asks import answers, picture, seen, text, yes_no

from curation_db.enums import Method
from workbench.generation.budget import Budget
from workbench.generation.engines.answer_identity import AnswerIdentity
from workbench.generation.engines.image_payload import EncodedImage, blank_url
from workbench.generation.engines.openai.batches.batch_lines import (
    BatchRequest,
    batch_line,
    batch_method,
    custom_id,
    is_same_model,
    read_line,
)
from workbench.generation.engines.openai.engine import make
from workbench.generation.engines.protocol import EngineContext
from workbench.generation.engines.requests import AnswerFormat, ModelRequest
from workbench.workspace.settings.engines import EngineSettings

SETTINGS = EngineSettings(name="batch", kind="openai", model="stub", price_in=2.0, options={"top_k": 5})


def batch_result(line: str) -> str:
    """Return the result line of `vllm run-batch` for a request line."""
    content = json.loads(line)
    body = chat(content["body"], Behaviour(), "")
    response = {"status_code": 200, "request_id": "vllm-batch-1", "body": body}
    return json.dumps({"id": "vllm-1", "custom_id": content["custom_id"], "response": response, "error": None})


KEY = bytes(range(32))
ASKS = [
    (text("Add the absence of the hat to the caption 'a man'.", temperature=0.6, top_p=0.9, seed=7), Method.BARE),
    (yes_no("dog", picture(None, blank=True)), Method.LOGPROBS),
    (yes_no("hat \ud800 \x00 ü"), Method.BARE),
]


@pytest.mark.parametrize(("model_request", "method"), ASKS)
def test_a_line_contains_the_request_and_its_key(model_request: ModelRequest, method: Method) -> None:
    shown = blank_url(64) if model_request.picture else None
    line = batch_line(model_request, SETTINGS, key=KEY, method=method, picture=shown)
    assert line == batch_line(model_request, SETTINGS, key=KEY, method=method, picture=shown)
    assert "\n" not in line
    content = json.loads(line)
    assert (content["method"], content["url"], content["body"]["model"]) == ("POST", "/v1/chat/completions", "stub")
    assert content["body"]["top_k"] == 5
    assert custom_id(line) == KEY
    assert ("logprobs" in content["body"]) == (method is Method.LOGPROBS)


async def test_a_batch_server_and_the_live_engine_give_equal_answers(tmp_path: Path) -> None:
    with model_server() as server:
        live = replace(SETTINGS, url=server.url, method="logprobs")
        engine = await make(live, EngineContext(budget=Budget()))
        verdicts = await answers(engine, [model_request for model_request, _ in ASKS[:2]])
        identity = AnswerIdentity.of(engine, live)
        await engine.close()
    for (request, method), answer in zip(ASKS[:2], verdicts, strict=True):
        shown = blank_url(live.picture_side) if request.picture else None
        line = batch_result(batch_line(request, live, key=identity.key(request), method=method, picture=shown))
        read = read_line(line, BatchRequest(request.answer_format, method), live)
        assert read is not None
        assert read == (identity.key(request), replace(answer, latency_ms=None))


def test_a_line_uses_single_request_methods_only() -> None:
    assert batch_method(SETTINGS, seen(logprobs=20), has_image=False) is Method.LOGPROBS
    for capabilities in (None, seen(sampling=None), seen(decision=None)):
        assert batch_method(SETTINGS, capabilities, has_image=False) is Method.BARE
    assert batch_method(replace(SETTINGS, method="samples"), None, has_image=False) is Method.BARE


def test_a_request_with_an_image_is_never_written_without_it() -> None:
    for request, shown in ((yes_no("hat", picture(None)), None), (yes_no("hat"), EncodedImage("data:"))):
        with pytest.raises(ValueError, match="not the request's"):
            batch_line(request, SETTINGS, key=KEY, method=Method.BARE, picture=shown)
    with pytest.raises(ValueError, match="not the request's"):
        batch_line(
            yes_no("hat", picture(None)),
            SETTINGS,
            key=KEY,
            method=Method.BARE,
            picture=EncodedImage(error="picture-bad"),
        )


@pytest.mark.parametrize(
    ("content", "error", "detail"),
    [
        ({"response": {"status_code": 400, "body": {"error": {"message": "too\nlong"}}}}, "refused", "400: too long"),
        ({"response": {"status_code": 400, "body": None}, "error": {"message": "no"}}, "refused", "400: no"),
        ({"response": {"status_code": 429, "body": {}}}, "server", "429"),
        ({"response": {"status_code": 500, "body": {"detail": "boom"}}}, "server", "500: boom"),
        ({"response": None, "error": {"code": "batch_expired", "message": "gone"}}, "server", "gone"),
        ({"response": None, "error": "gone"}, "server", "gone"),
        ({}, "server", "the batch server sent no answer"),
        ({"response": {"status_code": 200, "body": {"choices": []}}}, "malformed", "contains no message"),
        ({"response": {"status_code": 200, "body": "text"}}, "malformed", "contains no message"),
    ],
)
def test_a_response_without_an_answer_gives_the_reason(content: Mapping[str, Any], error: str, detail: str) -> None:
    read = read_line(json.dumps({"custom_id": KEY.hex(), **content}), BatchRequest(AnswerFormat.TEXT), SETTINGS)
    assert read is not None
    key, answer = read
    assert (key, answer.error) == (KEY, error)
    assert detail in answer.detail
    assert answer.detail.isprintable()


def test_missing_log_probabilities_fall_back_to_the_text() -> None:
    body = chat(
        json.loads(batch_line(yes_no("hat"), SETTINGS, key=KEY, method=Method.LOGPROBS, picture=None))["body"],
        Behaviour(logprobs=False),
        "",
    )
    line = json.dumps({"custom_id": KEY.hex(), "response": {"status_code": 200, "body": body}})
    read = read_line(line, BatchRequest(AnswerFormat.YES_NO, Method.LOGPROBS), SETTINGS)
    assert read is not None
    assert read[1].method is Method.BARE


@pytest.mark.parametrize("line", ["", "{", "[]", "7", '{"custom_id": 3}', '{"custom_id": "zz"}', '{"custom_id": "ab"}'])
def test_a_foreign_line_is_ignored(line: str) -> None:
    assert custom_id(line) is None
    assert read_line(line.encode(), BatchRequest(AnswerFormat.TEXT), SETTINGS) is None


@given(st.binary(max_size=100) | st.text(max_size=100))
def test_any_line_can_be_parsed(line: bytes | str) -> None:
    assert read_line(line, BatchRequest(AnswerFormat.TEXT), SETTINGS) is None


@pytest.mark.parametrize(
    ("requested", "answering", "same"),
    [
        ("gpt-4o-mini", "gpt-4o-mini", True),
        ("gpt-4o-mini", "gpt-4o-mini-2024-07-18", True),
        ("gpt-4o-mini-2024-07-18", "gpt-4o-mini", True),
        ("Qwen/Qwen3-8B", "qwen3-8b", True),
        ("llava", "llava:latest", True),
        ("claude", "claude@20250514", True),
        ("gpt-4", "gpt-4-0613", True),
        ("llama-3", "llama-3-70", False),
        ("gpt-4o", "gpt-4o-mini", False),
        ("gpt-4o", "gpt-4o-mini-2024-07-18", False),
        ("gpt-4", "gpt-4o", False),
        ("llama-3", "llama-3.1", False),
        ("llama-3.1-8b", "llama-3.1-70b", False),
        ("stub", "", False),
        ("Qwen/", "Qwen/Qwen3", False),
    ],
)
def test_names_of_one_model(requested: str, answering: str, same: bool) -> None:
    assert is_same_model(requested, answering) is same


@pytest.mark.parametrize(("code", "tries"), [("batch_expired", 0), ("batch_cancelled", 0), ("server_error", 1)])
def test_a_request_that_was_not_reached_counts_as_no_try(code: str, tries: int) -> None:
    line = json.dumps({"custom_id": "ab" * 32, "response": None, "error": {"code": code, "message": "m"}})
    read = read_line(line, BatchRequest(AnswerFormat.TEXT), SETTINGS)
    assert read is not None
    assert (read[1].error, read[1].tries) == ("server", tries)
