"""What a server refuses, or answers otherwise, is found by the probe, and the engine adapts to it."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any
from zlib import crc32

import pytest
from support.answering_server import (
    AnsweringServer,
    answering_server,
    completion,
    image_of,
    last_text,
    refusal,
    token_logprobs,
)
from support.server_asks import answers, picture, text, yes_no

from curation_db.enums import Method
from workbench.generation.budget import Budget
from workbench.generation.engines.http.retry import RetryPolicy
from workbench.generation.engines.openai.engine import make
from workbench.generation.engines.openai.probing.capabilities import Capability, best_method, is_blind, value_of
from workbench.generation.engines.openai.probing.probe import probe
from workbench.generation.engines.protocol import EngineContext
from workbench.generation.engines.requests import ModelAnswer, ModelRequest
from workbench.workspace.settings.engines import EngineSettings

Body = Mapping[str, Any]
COUNTED = "one, two, three, four, five, six, seven, eight, nine, ten, eleven, twelve"
TEXT = text("Name an object.", temperature=0.6, top_p=0.9, seed=7)
YES_NO = yes_no("hat", picture(None, blank=True), seed=7)


def says(body: Body) -> str:
    """Answer as a model does that sees its image."""
    asked, image = last_text(body), image_of(body)
    if "yes" in asked:
        return "Yes"
    if "colour" in asked:
        return f"grey {crc32(image.encode())}"
    return COUNTED if "twelve" in asked else "It rains."


def plain(body: Body) -> tuple[int, dict[str, Any]]:
    return 200, completion(says(body))


@pytest.fixture
def server() -> Iterator[AnsweringServer]:
    with answering_server(plain) as running:
        yield running


async def probed(server: AnsweringServer, **settings: Any) -> dict[str, Any]:
    report = await probe(EngineSettings(**{"name": "j", "kind": "openai", "url": server.url, **settings}))
    assert all(each.evidence for each in report.capabilities)
    assert [each.name for each in report.capabilities] == list(Capability)
    return report.to_dict()


async def sent(
    server: AnsweringServer, requests: list[ModelRequest], capabilities: Body | None, **settings: Any
) -> tuple[list[ModelAnswer], list[dict[str, Any]]]:
    """Return the engine's answers, and the bodies that it sent."""
    wanted = EngineSettings(
        **{"name": "j", "kind": "openai", "url": server.url, "tries": 2, "concurrency": 1, **settings}
    )
    context = EngineContext(budget=Budget(), capabilities=lambda url, model: capabilities)
    engine = await make(wanted, context, policy=RetryPolicy(base=0.001, longest=0.002))
    before = len(server.requests)
    try:
        return await answers(engine, requests), server.requests[before:]
    finally:
        await engine.close()


def seen(capabilities: Body, *names: Capability) -> list[str]:
    return [capabilities[name]["seen"] for name in names]


# -- refused fields ---------------------------------------------------------------------------------------------------


def refusing(field: str, allowed: Any = None, status: int = 400) -> Any:
    def reply(body: Body) -> tuple[int, dict[str, Any]]:
        if field in body and body[field] != allowed:
            return refusal(f"Unsupported: {field}", status)
        return plain(body)

    return reply


@pytest.mark.parametrize(
    ("field", "status", "capability"),
    [("seed", 422, Capability.SEED), ("top_p", 400, Capability.TOP_P), ("temperature", 400, Capability.TEMPERATURE)],
)
async def test_a_refused_field_is_left_out(
    server: AnsweringServer, field: str, status: int, capability: Capability
) -> None:
    server.reply = refusing(field, status=status)
    capabilities = await probed(server)
    assert capabilities[capability]["seen"] == "no"
    assert f"Unsupported: {field}" in capabilities[capability]["evidence"]
    results, bodies = await sent(server, [TEXT, YES_NO], capabilities)
    assert not [answer.detail for answer in results if answer.failed]
    assert not [body for body in bodies if field in body]
    assert {"temperature", "top_p", "seed"} - {field} <= bodies[0].keys()


async def test_a_temperature_that_must_be_1_is_left_out(server: AnsweringServer) -> None:
    server.reply = refusing("temperature", 1)
    capabilities = await probed(server)
    assert value_of(capabilities, Capability.TEMPERATURE) == "refused"
    results, _ = await sent(server, [TEXT, YES_NO], capabilities)
    assert not [answer for answer in results if answer.failed]


@pytest.mark.parametrize("also", ["", "temperature"])
async def test_a_token_limit_of_another_name_is_renamed(server: AnsweringServer, also: str) -> None:
    def reply(body: Body) -> tuple[int, dict[str, Any]]:
        refused = [name for name in ("max_tokens", also) if name in body]
        return refusal(f"Unsupported parameter: {refused[0]}") if refused else plain(body)

    server.reply = reply
    capabilities = await probed(server)
    assert value_of(capabilities, Capability.MAX_TOKENS) == "max_completion_tokens"
    (answer,), (body,) = await sent(server, [TEXT], capabilities)
    assert not answer.failed
    assert body["max_completion_tokens"] == 64
    assert ("temperature" in body) is not bool(also)


async def test_a_refused_system_role_is_merged_into_the_users_message(server: AnsweringServer) -> None:
    def reply(body: Body) -> tuple[int, dict[str, Any]]:
        if any(turn["role"] == "system" for turn in body["messages"]):
            return refusal("System role not supported")
        return plain(body)

    server.reply = reply
    capabilities = await probed(server)
    assert capabilities["system"]["seen"] == "no"
    (answer,), (body,) = await sent(server, [TEXT], capabilities)
    assert not answer.failed
    assert body["messages"] == [{"role": "user", "content": "You answer with few words.\n\nName an object."}]
    (unchanged,), _ = await sent(server, [TEXT], capabilities, system="keep")
    assert unchanged.failed


async def test_settings_win_over_the_probe(server: AnsweringServer) -> None:
    refused = {"seen": "no", "evidence": "", "value": "refused"}
    probed = {"seed": refused, "temperature": refused, "max_tokens": {"value": "max_completion_tokens"}}
    probed["thinking"] = {"seen": "yes"}
    _, (adapted,) = await sent(server, [TEXT], probed)
    assert adapted.keys() == {"model", "messages", "top_p", "max_completion_tokens"}
    assert adapted["max_completion_tokens"] == 64 + 2048
    own = {"omit": ("top_p",), "rename": {"max_tokens": "limit"}, "system": "merge", "thinking_tokens": 36}
    _, (body,) = await sent(server, [TEXT], probed, **own)
    assert body.keys() == {"model", "messages", "temperature", "seed", "limit"}
    assert body["limit"] == 100
    assert [turn["role"] for turn in body["messages"]] == ["user"]
    _, (older,) = await sent(server, [TEXT], None, options={"max_completion_tokens": True})
    assert older["max_completion_tokens"] == 64
    assert "max_tokens" not in older


async def test_the_probe_uses_the_settings_of_the_engine(server: AnsweringServer) -> None:
    server.reply = refusing("seed")
    capabilities = await probed(server, omit=("seed",), rename={"max_tokens": "limit"}, system="merge")
    assert seen(capabilities, Capability.SEED, Capability.SYSTEM) == ["unknown", "unknown"]
    assert all("seed" not in body and "max_tokens" not in body for body in server.requests)
    assert all(turn["role"] == "user" for body in server.requests for turn in body["messages"])


async def test_an_error_in_a_reply_of_status_200_is_a_refusal(server: AnsweringServer) -> None:
    server.reply = lambda body: (200, {"error": {"message": "no seed", "code": 400}}) if "seed" in body else plain(body)
    assert value_of(await probed(server), Capability.SEED) == "refused"


async def test_a_failing_server_proves_nothing(server: AnsweringServer) -> None:
    server.reply = lambda body: refusal("loading", 503) if image_of(body) or "seed" in body else plain(body)
    capabilities = await probed(server)
    assert seen(capabilities, Capability.PICTURE, Capability.SEED, Capability.SAMPLING) == ["unknown"] * 3


# -- log-probabilities ------------------------------------------------------------------------------------------------


def logprob_server(*tokens: Mapping[str, float], most: int = 20) -> Any:
    def reply(body: Body) -> tuple[int, dict[str, Any]]:
        if body.get("top_logprobs", 0) > most:
            return refusal(f"top_logprobs must be at most {most}")
        if "logprobs" not in body:
            return plain(body)
        listed = tokens[: body["max_tokens"]]
        return 200, completion("".join(next(iter(each)) for each in listed), logprobs=token_logprobs(*listed))

    return reply


async def test_20_log_probabilities_are_tried_and_then_5(server: AnsweringServer) -> None:
    server.reply = logprob_server({"Yes": 0.7, "No": 0.2}, most=5)
    capabilities = await probed(server)
    assert value_of(capabilities, Capability.LOGPROBS) == {"listed": 2, "top": 5, "tokens": 1, "mass": 0.9}
    (answer,), (body,) = await sent(server, [YES_NO], capabilities)
    assert body["top_logprobs"] == 5
    assert answer.method is Method.LOGPROBS
    assert answer.p == pytest.approx(7 / 9)


@pytest.mark.parametrize("blank", ["\n", " ", "▁", "\n\n"])
async def test_the_first_token_that_is_not_blank_is_read(server: AnsweringServer, blank: str) -> None:
    server.reply = logprob_server({blank: 0.9, "Yes": 0.1}, {"No": 0.6, "Yes": 0.2})
    capabilities = await probed(server)
    assert seen(capabilities, Capability.LOGPROBS) == ["yes"]
    assert value_of(capabilities, Capability.LOGPROBS)["tokens"] == 2
    (answer,), (body,) = await sent(server, [YES_NO], capabilities)
    assert body["max_tokens"] == 2
    assert answer.p == pytest.approx(0.25)
    assert answer.label_mass == pytest.approx(0.8)


async def test_log_probabilities_without_mass_on_yes_and_no_are_not_proved(server: AnsweringServer) -> None:
    server.reply = logprob_server({"The": 0.8, "Yes": 0.03, "No": 0.01})
    capabilities = await probed(server)
    assert seen(capabilities, Capability.LOGPROBS) == ["no"]
    assert "0.04" in capabilities["logprobs"]["evidence"]
    assert best_method("auto", capabilities, has_image=True) is Method.BARE
    least = EngineSettings(name="j", kind="openai", url=server.url)
    assert (await probe(least, least_label_mass=0.03)).to_dict()["logprobs"]["seen"] == "yes"


# -- restricted answers -----------------------------------------------------------------------------------------------


def restricted(body: Body) -> tuple[int, dict[str, Any]]:
    if choice := body.get("structured_outputs", {}).get("choice"):
        return 200, completion(choice[0])
    if schema := body.get("response_format"):
        ((name, field),) = schema["json_schema"]["schema"]["properties"].items()
        return 200, completion(json.dumps({name: field["enum"][0]}))
    return plain(body)


@pytest.mark.parametrize("method", ["bare", "samples"])
@pytest.mark.parametrize("proved", ["choice", "json_schema"])
async def test_yes_or_no_is_restricted_where_that_is_proved(server: AnsweringServer, proved: str, method: str) -> None:
    server.reply = restricted
    (answer,), bodies = await sent(server, [YES_NO], {proved: {"seen": "yes"}}, method=method, samples=2)
    assert (answer.p, answer.method) == (1.0, Method(method))
    field = "structured_outputs" if proved == "choice" else "response_format"
    assert all(field in body for body in bodies)
    _, (text_body,) = await sent(server, [TEXT], {proved: {"seen": "yes"}})
    assert field not in text_body
    _, free = await sent(server, [YES_NO], {proved: {"seen": "yes"}}, method=method, constrain=False)
    assert not [body for body in free if field in body]


async def test_log_probabilities_are_not_restricted(server: AnsweringServer) -> None:
    """A restriction would move the whole mass to yes and no, and hide that an answer is neither."""
    server.reply = logprob_server({"Yes": 0.7, "No": 0.2})
    _, (body,) = await sent(server, [YES_NO], {"logprobs": {"seen": "yes"}, "choice": {"seen": "yes"}})
    assert not {"structured_outputs", "response_format"} & body.keys()


@pytest.mark.parametrize(
    ("answer", "finish", "expected"),
    [("zq", "stop", "yes"), ("z", "length", "unknown"), ("", "length", "unknown"), ("It", "length", "no")],
)
async def test_a_cut_answer_proves_a_restriction_only_by_its_start(
    server: AnsweringServer, answer: str, finish: str, expected: str
) -> None:
    def reply(body: Body) -> tuple[int, dict[str, Any]]:
        return (200, completion(answer, finish=finish)) if "structured_outputs" in body else plain(body)

    server.reply = reply
    assert (await probed(server))["choice"]["seen"] == expected


# -- images -----------------------------------------------------------------------------------------------------------


async def test_the_same_answers_to_black_and_white_prove_blindness(server: AnsweringServer) -> None:
    assert not is_blind("auto", await probed(server))
    server.reply = lambda body: (200, completion("Yes" if image_of(body) else says(body)))
    capabilities = await probed(server)
    assert seen(capabilities, Capability.PICTURE) == ["no"]
    assert is_blind("auto", capabilities)
    assert not is_blind("auto", None)
    decided = capabilities | {"decision_picture": {"seen": "yes"}}
    assert not is_blind("decision", decided)
    assert is_blind("bare", decided)


async def test_answers_that_differ_by_chance_do_not_prove_that_images_are_seen(server: AnsweringServer) -> None:
    """Without a temperature a server samples, and each answer differs from the one before."""
    counter = iter(range(10_000))

    def reply(body: Body) -> tuple[int, dict[str, Any]]:
        if "temperature" in body:
            return refusal("temperature is not supported")
        number = next(counter)
        return 200, completion(f"{'Yes' if number % 3 else 'No'} {number}" if image_of(body) else says(body))

    server.reply = reply
    assert seen(await probed(server), Capability.PICTURE) == ["unknown"]


async def test_a_server_that_refuses_images_is_blind(server: AnsweringServer) -> None:
    server.reply = lambda body: refusal("this model takes no images") if image_of(body) else plain(body)
    capabilities = await probed(server)
    assert is_blind("auto", capabilities)
    assert "takes no images" in capabilities["picture"]["evidence"]


async def test_equal_cut_answers_do_not_prove_blindness(server: AnsweringServer) -> None:
    server.reply = lambda body: (200, completion("The", finish="length") if image_of(body) else completion(says(body)))
    assert seen(await probed(server), Capability.PICTURE) == ["unknown"]


# -- reasoning models -------------------------------------------------------------------------------------------------


def thinking(switch: str = "", *, beside: bool = False) -> Any:
    def reply(body: Body) -> tuple[int, dict[str, Any]]:
        if switch and switch in body:
            return plain(body)
        cut = body.get("max_tokens", 0) < 100
        thought = "<think>Let me count" + ("" if cut else "</think>\n\n" + says(body))
        if beside:
            return 200, completion("" if cut else says(body), finish="length" if cut else "stop", reasoning="I think")
        return 200, completion(thought, finish="length" if cut else "stop")

    return reply


@pytest.mark.parametrize("beside", [True, False])
async def test_a_reasoning_model_gets_tokens_for_its_thought(server: AnsweringServer, beside: bool) -> None:
    server.reply = thinking(beside=beside)
    capabilities = await probed(server)
    assert seen(capabilities, Capability.THINKING, Capability.PICTURE) == ["yes", "yes"]
    assert capabilities["thinking"]["evidence"].startswith("a reasoning model")
    assert COUNTED[:10] in capabilities["chat"]["evidence"]
    _, bodies = await sent(server, [TEXT, YES_NO], capabilities)
    assert [body["max_tokens"] for body in bodies] == [64 + 2048, 10 + 2048]


async def test_the_fields_that_switch_thinking_off_are_found(server: AnsweringServer) -> None:
    server.reply = thinking("chat_template_kwargs")
    capabilities = await probed(server)
    assert value_of(capabilities, Capability.THINKING) == {"off": {"chat_template_kwargs": {"enable_thinking": False}}}
    recipe = "options = { chat_template_kwargs = { enable_thinking = false } }"
    assert recipe in capabilities["thinking"]["evidence"]
    switched = await probed(server, options={"chat_template_kwargs": {"enable_thinking": False}})
    assert seen(switched, Capability.THINKING) == ["no"]
