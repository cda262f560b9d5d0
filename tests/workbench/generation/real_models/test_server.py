"""The openai engine against a real server with tiny models."""

from __future__ import annotations

import base64
from collections.abc import AsyncIterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx
import pytest
import pytest_asyncio
from support.model_requests import answers, settings, surroundings, write, yes_no

from curation_db.enums import Method
from workbench.generation.engines.local import engine as transformers_local
from workbench.generation.engines.openai import engine as openai
from workbench.generation.engines.openai.engine import OpenAiEngine
from workbench.generation.engines.openai.probing.capabilities import Capability, best_method, value_of
from workbench.generation.engines.openai.probing.probe import probe
from workbench.generation.engines.requests import RequestFailure

pytestmark = [pytest.mark.long, pytest.mark.asyncio(loop_scope="module")]

DECIDES: Mapping[str, Any] = {
    "decision": {"seen": "yes"},
    "decision_picture": {"seen": "yes", "value": "assets"},
}
QUESTION = "Is there a dog in this image? Answer only with 'yes' or 'no'."


async def opened(
    server: str, model: Path, capabilities: Mapping[str, Any] | None = None, **results: Any
) -> OpenAiEngine:
    """An engine for a model of the server, of which `capabilities` are known."""
    wanted = replace(settings("openai", model, **results), url=server)
    return await openai.make(wanted, surroundings(capabilities=lambda url, model: capabilities))


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def judge_engine(server: str, llava: Path) -> AsyncIterator[OpenAiEngine]:
    """The model that looks, of a server that was seen to decide."""
    engine = await opened(server, llava, DECIDES)
    yield engine
    await engine.close()


async def test_the_image_is_sent_and_changes_the_answer(server: str, llava: Path, colours: dict[str, Path]) -> None:
    engine = await opened(server, llava)
    try:
        red, blue, none = await answers(
            engine, [write(QUESTION, each, temperature=0) for each in (colours["red"], colours["blue"], None)]
        )
    finally:
        await engine.close()
    assert (red.text[:2].lower(), blue.text[:3].lower()) == ("no", "yes")
    assert red.prompt_tokens == blue.prompt_tokens == (none.prompt_tokens or 0) + 17  # 16 patches and a line's end


async def test_the_text_equals_that_of_the_local_model(
    server: str, llama: Path, llava: Path, colours: dict[str, Path]
) -> None:
    """Greedy, so that nothing but the prompt and the weights decides."""
    seen = [write(QUESTION, colours["red"], temperature=0), write("Is it blue?", colours["blue"], temperature=0)]
    results = [
        write("Name an object", system="Be short.", temperature=0, max_tokens=12),
        write("Go on", temperature=0),
    ]
    for model, group in ((llava, seen), (llama, results)):
        there = await opened(server, model)
        here = await transformers_local.make(settings("transformers", model), surroundings())
        try:
            far, near = await answers(there, group), await answers(here, group)
        finally:
            await there.close()
            await here.close()
        assert [(a.text, a.prompt_tokens, a.error) for a in far] == [(a.text, a.prompt_tokens, a.error) for a in near]


async def test_probabilities_equal_the_servers_decisions(
    judge_engine: OpenAiEngine, server: str, llava: Path, colours: dict[str, Path]
) -> None:
    group = [yes_no(text, colours[name]) for name in ("red", "blue") for text in (QUESTION, "Is it a hat?")]
    results = await answers(judge_engine, group)
    assert {answer.method for answer in results} == {Method.DECISION}
    assert (results[0].p or 1) < 0.5 < (results[2].p or 0)
    shown = base64.b64encode(colours["blue"].read_bytes()).decode()
    body = {
        "model": str(llava),
        "state": "<it>",
        "questions": {"a": {"type": "noul", "instructions": "Is it a hat?"}},
        "assets": {"<it>": {"type": "image", "format": "png", "data_base64": shown}},
    }
    async with httpx.AsyncClient(timeout=30) as client:
        plain = (await client.post(f"{server}/systemone", json=body)).json()
    assert results[3].p == pytest.approx(plain["answers"]["a"]["noul"], abs=0.02)  # a JPEG of the same colour


async def test_a_server_without_proved_capability_gives_bare_answers(
    server: str, llava: Path, colours: dict[str, Path]
) -> None:
    """It takes `logprobs` and leaves them out without a word: they count only where they were seen."""
    engine = await opened(server, llava)
    try:
        red, blue = await answers(engine, [yes_no(QUESTION, colours[name]) for name in ("red", "blue")])
    finally:
        await engine.close()
    assert (red.p, blue.p, red.method) == (0.0, 1.0, Method.BARE)


async def test_a_missing_image_fails_only_its_request(
    judge_engine: OpenAiEngine, colours: dict[str, Path], tmp_path: Path
) -> None:
    bad = tmp_path / "bad.jpg"
    bad.write_bytes(b"\xff\xd8\xff nothing")
    results = await answers(
        judge_engine, [yes_no(QUESTION, each) for each in (tmp_path / "gone.jpg", colours["red"], bad, colours["blue"])]
    )
    assert [answer.error for answer in results] == [RequestFailure.PICTURE_MISSING, "", RequestFailure.PICTURE_BAD, ""]


async def test_the_probe_matches_the_servers_capabilities(server: str, llama: Path, llava: Path) -> None:
    """It answers 200 to log-probabilities and to an image for a model without an image input, and leaves both out."""
    seen = {}
    for model in (llava, llama):
        report = await probe(replace(settings("openai", model), url=server))
        seen[model] = {str(name): results["seen"] for name, results in report.to_dict().items()}
        if model == llava:
            assert value_of(report.to_dict(), Capability.DECISION_PICTURE) == "assets"
            assert best_method("auto", report.to_dict(), has_image=True) is Method.DECISION
        else:
            assert best_method("auto", report.to_dict(), has_image=True) is Method.SAMPLES
    for results in seen.values():
        assert (results["chat"], results["decision"]) == ("yes", "yes")
        assert (results["logprobs"], results["choice"], results["json_schema"]) == ("no", "no", "no")
    assert (seen[llava]["picture"], seen[llava]["decision_picture"]) == ("yes", "yes")
    assert (seen[llama]["picture"], seen[llama]["decision_picture"]) == ("no", "no")
    assert (seen[llava]["sampling"], seen[llama]["sampling"]) == ("no", "yes")  # of their generation configurations
    assert (seen[llama]["seed"], seen[llama]["max_tokens"]) == ("yes", "yes")


async def test_max_tokens_and_seed(server: str, llama: Path) -> None:
    engine = await opened(server, llama, concurrency=1)
    try:
        (cut,) = await answers(engine, [write("Name an object", max_tokens=1)])
        drawn = [(await answers(engine, [write("Name an object", seed=seed)]))[0].text for seed in (*range(8), 3)]
    finally:
        await engine.close()
    assert cut.error == RequestFailure.TOO_LONG
    assert drawn[3] == drawn[8]
    assert len(set(drawn)) > 2


async def test_a_missing_model_fails_the_request_only(server: str, llama: Path) -> None:
    """The server answers 500 and then resets the connection: the next question must not suffer for it."""
    lost = await opened(server, Path("/no/such/model"), tries=2)
    try:
        (results,) = await answers(lost, [write("x")])
    finally:
        await lost.close()
    assert results.error == RequestFailure.SERVER
    engine = await opened(server, llama)
    try:
        (results,) = await answers(engine, [write("Name an object", temperature=0)])
    finally:
        await engine.close()
    assert not results.failed
