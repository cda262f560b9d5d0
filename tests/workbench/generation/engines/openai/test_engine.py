"""The openai engine against a server with all common faults."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import time
from collections.abc import AsyncIterator, Mapping
from pathlib import Path
from typing import Any

import pytest
from PIL import Image
from support.model_answers import p_yes
from support.model_server import Served, model_server
from support.server_asks import Answers, answers, picture, seen, text, yes_no

from curation_db.enums import Method
from workbench.errors import UsageError
from workbench.generation.budget import Budget, BudgetReached
from workbench.generation.engines.http.retry import RetryPolicy
from workbench.generation.engines.openai.engine import OpenAiEngine, make
from workbench.generation.engines.protocol import EngineContext, EngineStopped
from workbench.generation.engines.requests import ModelAnswer
from workbench.workspace.settings.engines import EngineSettings

QUICK = RetryPolicy(base=0.01, longest=0.05, max_retry_after=0.5)
KEY = "sk-test-0123456789"


@contextlib.asynccontextmanager
async def engine(
    server: Served, *, capabilities: Mapping[str, Any] | None = None, budget: Budget | None = None, **settings: Any
) -> AsyncIterator[OpenAiEngine]:
    engine_settings = EngineSettings(
        **{"name": "judge", "kind": "openai", "url": server.url, "timeout": 5.0, **settings}
    )
    around = EngineContext(budget=budget or Budget(), capabilities=lambda url, model: capabilities)
    opened = await make(engine_settings, around, policy=QUICK)
    try:
        yield opened
    finally:
        await opened.close()


async def test_a_text_answer_has_tokens_latency_and_cost(server: Served) -> None:
    budget = Budget()
    async with engine(server, budget=budget, price_in=1.0, price_out=10.0) as opened:
        assert (opened.model, opened.simulated, opened.capacity > 0) == ("stub", False, True)
        (answer,) = await answers(opened, [text("Add the absence of the hat to the caption 'a man on a horse'.")])
    assert answer.text == "a man on a horse with no hat"
    assert (answer.error, answer.tries, answer.p) == ("", 1, None)
    assert answer.latency_ms is not None
    assert answer.prompt_tokens is not None
    assert answer.completion_tokens == 8
    assert answer.cost == pytest.approx((answer.prompt_tokens + 80) / 1e6)
    assert (budget.requests, budget.tokens) == (1, answer.prompt_tokens + 8)
    assert budget.cost == pytest.approx(answer.cost)


async def test_many_answers_are_not_mixed_up(server: Served) -> None:
    asks = [text(f"Add the absence of the thing{n} to the caption 'caption {n}'.") for n in range(150)]
    async with engine(server) as opened:
        verdicts = await answers(opened, asks)
    assert [answer.text for answer in verdicts] == [f"caption {n} with no thing{n}" for n in range(150)]


# fmt: off
FAULTS = {
    "500": 0.1, "503": 0.05, "cut": 0.1, "half_json": 0.1, "wrong_schema": 0.1, "bad_utf8": 0.1, "429": 0.05,
}
# fmt: on


async def test_transient_faults_are_retried(server: Served) -> None:
    before = server.stats()
    server.behave(faults=FAULTS, seed=3)
    asks = [text(f"Add the absence of the cup{n} to the caption 'scene {n}'.") for n in range(60)]
    async with engine(server) as opened:
        verdicts = await answers(opened, asks)
    after = server.stats()
    assert [answer.text for answer in verdicts] == [f"scene {n} with no cup{n}" for n in range(60)]
    assert sum(answer.tries for answer in verdicts) > 90
    assert after["served"] - before["served"] == 60
    assert after["served_again"] == before["served_again"]
    for fault in FAULTS:
        assert after["faults"].get(fault, 0) > before["faults"].get(fault, 0), fault


@pytest.mark.parametrize(
    ("fault", "error", "detail"),
    [
        ("500", "server", "500: out of order"),
        ("half_json", "malformed", "not JSON"),
        ("wrong_schema", "malformed", "no message"),
        ("bad_utf8", "encoding", "UTF-8"),
        ("endless", "oversized", "4 MiB"),
        ("drip", "timeout", "no complete answer"),
    ],
)
async def test_a_permanent_fault_becomes_a_failure(server: Served, fault: str, error: str, detail: str) -> None:
    server.behave(faults={fault: 1.0}, faulty_tries=0, drip_s=0.02)
    async with engine(server, tries=2, timeout=0.3 if fault == "drip" else 5.0) as opened:
        (answer,) = await answers(opened, [text(f"about {fault}")])
    assert (answer.error, answer.tries) == (error, 2)
    assert detail in answer.detail


async def test_a_connection_that_is_always_cut_is_a_connection_failure(server: Served) -> None:
    server.behave(faults={"cut": 1.0}, faulty_tries=0)
    async with engine(server, tries=2) as opened:
        (answer,) = await answers(opened, [text("cut off")])
    assert (answer.error, answer.tries) == ("connection", 2)


@pytest.mark.parametrize(
    ("fault", "error", "detail"),
    [
        ("400", "refused", "400: out of order"),
        ("refusal", "refused", "I will not say that"),
        ("empty", "empty", "empty answer"),
        ("length", "too-long", "did not stop"),
    ],
)
async def test_permanent_failures_are_not_retried(server: Served, fault: str, error: str, detail: str) -> None:
    server.behave(faults={fault: 1.0})
    async with engine(server) as opened:
        (answer,) = await answers(opened, [text(f"about {fault}")])
    assert (answer.error, answer.tries) == (error, 1)
    assert detail in answer.detail
    assert bool(answer.text) is (fault == "length")  # the published rule reads a cut answer


async def test_a_slow_stream_does_not_extend_the_timeout(server: Served) -> None:
    server.behave(faults={"drip": 1.0}, faulty_tries=1, drip_s=0.02)
    started = time.monotonic()
    async with engine(server, timeout=1.0) as opened:  # the server sends for longer
        (answer,) = await answers(opened, [text("drip by drip")])
    assert (answer.error, answer.tries) == ("", 2)
    assert time.monotonic() - started >= 1.0


async def test_proved_log_probabilities_give_the_probability(server: Served) -> None:
    request = yes_no("hat")
    async with engine(server, capabilities=seen(logprobs=20)) as opened:
        (answer,) = await answers(opened, [request])
    assert answer.method is Method.LOGPROBS
    assert answer.p == pytest.approx(p_yes(request.messages[-1].text, "", 0.25))
    assert answer.label_mass == pytest.approx(0.98)


async def test_missing_log_probabilities_are_requested_again_and_then_replaced_by_text(server: Served) -> None:
    server.behave(faults={"no_logprobs": 1.0}, faulty_tries=1)
    async with engine(server, capabilities=seen(logprobs=20)) as opened:
        (again,) = await answers(opened, [yes_no("kite")])
        server.behave(logprobs=False, faults={})
        (without,) = await answers(opened, [yes_no("boat")])
    assert (again.method, again.tries) == (Method.LOGPROBS, 2)
    assert (without.method, without.tries, without.label_mass) == (Method.BARE, 2, None)
    assert without.p in {0.0, 1.0}


async def test_an_unprobed_server_gives_bare_answers(server: Served) -> None:
    async with engine(server) as opened:
        (answer,) = await answers(opened, [yes_no("dog")])
    assert (answer.method, answer.text) == (Method.BARE, "Yes" if answer.p else "No")


async def test_samples_are_counted(server: Served) -> None:
    budget = Budget()
    async with engine(server, method="samples", samples=5, budget=budget) as opened:
        (answer,) = await answers(opened, [yes_no("lamp", seed=4)])
    assert (answer.method, answer.tries, budget.requests) == (Method.SAMPLES, 5, 5)
    assert answer.p in {0.0, 1.0}
    assert answer.label_mass == 1.0
    assert answer.text.splitlines() == ["Yes" if answer.p else "No"] * 5


@pytest.mark.parametrize("shape", ["assets", "images"])
async def test_questions_about_one_image_share_a_typed_decision_call(
    server: Served, tmp_path: Path, shape: str
) -> None:
    server.behave(decisions=shape)
    Image.new("RGB", (40, 30), (9, 99, 200)).save(tmp_path / "blue.png")
    shown = picture(tmp_path / "blue.png")
    budget = Budget()
    capabilities = seen(decision=None, decision_picture=shape)
    async with engine(server, capabilities=capabilities, budget=budget) as opened:
        verdicts = await answers(opened, [yes_no(f"thing{n}", shown) for n in range(5)])
        (blank,) = await answers(opened, [yes_no("thing0", picture(None, blank=True))])
    assert budget.requests == 2
    assert {answer.method for answer in verdicts} == {Method.DECISION}
    assert len({answer.p for answer in verdicts}) == 5
    assert blank.p != verdicts[0].p
    assert {answer.label_mass for answer in verdicts} == {0.9 if shape == "images" else None}
    assert sum(answer.prompt_tokens or 0 for answer in verdicts) == 150
    assert sum(answer.tries for answer in verdicts) == 1


async def test_typed_decisions_get_images_only_where_proved(server: Served, tmp_path: Path) -> None:
    Image.new("RGB", (40, 30)).save(tmp_path / "a.png")
    async with engine(server, capabilities=seen(decision=None), method="decision") as opened:
        (answer,) = await answers(opened, [yes_no("hat", picture(tmp_path / "a.png"))])
    assert (answer.error, answer.tries) == ("unsupported", 0)


async def test_the_image_changes_the_answer_and_a_missing_one_is_a_failure(server: Served, tmp_path: Path) -> None:
    for name, colour in (("a", 10), ("b", 240)):
        Image.new("RGB", (40, 30), (colour, colour, 0)).save(tmp_path / f"{name}.png")
    (tmp_path / "broken.png").write_bytes(b"\x89PNG but not really")
    before = server.stats()["requests"]
    async with engine(server, capabilities=seen(logprobs=20)) as opened:
        asks = [yes_no("hat", picture(tmp_path / f"{name}.png")) for name in ("a", "b", "gone", "broken")]
        one, other, gone, broken = await answers(opened, asks)
    assert one.p != other.p
    assert (gone.error, broken.error) == ("picture-missing", "picture-bad")
    assert server.stats()["requests"] - before == 2


@pytest.mark.parametrize("status", [401, 403, 404, 402, 302])
async def test_an_access_error_stops_the_engine_and_never_shows_the_key(
    server: Served, monkeypatch: pytest.MonkeyPatch, status: int
) -> None:
    monkeypatch.setenv("JUDGE_KEY", KEY)
    server.behave(always=status, words="bad key {key}\u202e\x1b[31m <b>")
    async with engine(server, key_env="JUDGE_KEY") as opened:
        with pytest.raises(EngineStopped) as stopped:
            await answers(opened, [text("hello"), text("there")])
        with pytest.raises(EngineStopped):
            await answers(opened, [text("again")])
    message = stopped.value.message + stopped.value.hint
    assert KEY not in message
    assert "[key]" in message
    assert message.isprintable()
    if status in {401, 403}:
        assert "JUDGE_KEY" in stopped.value.hint


async def test_failures_and_answers_do_not_contain_the_key(server: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("JUDGE_KEY", KEY)
    server.behave(key=KEY, faults={"400": 1.0}, words="you sent {key} and s\x00k-test-0123456789")
    async with engine(server, key_env="JUDGE_KEY") as opened:
        (refused,) = await answers(opened, [text("one")])
        server.behave(faults={})
        (echoed,) = await answers(opened, [text(f"Add the absence of the hat to the caption '{KEY}'.")])
        assert KEY not in repr([server.client for server in opened._pool._servers])
    assert refused.detail == "400: you sent [key] and [key]"
    assert echoed.text == "[key] with no hat"


async def test_a_placeholder_key_is_not_masked_in_captions(server: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("JUDGE_KEY", "none")
    async with engine(server, key_env="JUDGE_KEY") as opened:
        (message,) = await answers(opened, [text("Add the absence of the hat to the caption 'none of the people'.")])
    assert message.text == "none of the people with no hat"


async def test_a_value_that_may_be_the_key_is_not_printed(server: Served) -> None:
    for wrong in ("sk-proj-0123456789", "hf_abcdefghijklmn"):
        with pytest.raises(UsageError) as odd:
            await answers_of(server, key_env=wrong)
        assert wrong not in odd.value.message + odd.value.hint


async def test_a_wrong_key_is_reported_before_the_first_request(
    server: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    server.behave(key=KEY, words="who is {key}?")
    monkeypatch.setenv("JUDGE_KEY", "sk-wrong")
    with pytest.raises(EngineStopped) as stopped:
        await answers_of(server, key_env="JUDGE_KEY")
    assert "sk-wrong" not in stopped.value.message + stopped.value.hint
    assert "JUDGE_KEY" in stopped.value.hint
    with pytest.raises(EngineStopped, match="401"):
        await answers_of(server)
    monkeypatch.setenv("JUDGE_KEY", "")
    with pytest.raises(UsageError, match="JUDGE_KEY is not set"):
        await answers_of(server, key_env="JUDGE_KEY")
    monkeypatch.setenv("JUDGE_KEY", "schlüssel")
    with pytest.raises(UsageError) as odd:
        await answers_of(server, key_env="JUDGE_KEY")
    assert "schlüssel" not in odd.value.message


async def answers_of(server: Served, **settings: Any) -> list[ModelAnswer]:
    async with engine(server, **settings) as opened:
        return await answers(opened, [text("hello")])


async def test_an_unreachable_server_is_reported_at_once() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{taken.getsockname()[1]}/v1"
    with pytest.raises(EngineStopped) as stopped:
        await make(EngineSettings(name="j", kind="openai", url=url), EngineContext(budget=Budget()), policy=QUICK)
    assert f"cannot reach {url}" in stopped.value.message
    with pytest.raises(UsageError, match="contains a user name or a password") as held:
        await make(EngineSettings(name="j", kind="openai", url="http://me:secret@h/v1"), EngineContext(budget=Budget()))
    assert "secret" not in held.value.message + held.value.hint


async def test_a_server_that_dies_stops_the_run_and_the_answers_are_stored() -> None:
    with model_server(latency_ms=5) as dying:
        received = Answers()

        async def store_answer(index: int, answer: ModelAnswer) -> None:
            await received.store(index, answer)
            if len(received.by_index) == 20:
                dying.process.kill()

        async with engine(dying, tries=2, concurrency=4) as opened:
            with pytest.raises(EngineStopped, match="cannot reach"):
                await asyncio.wait_for(opened.answer([text(f"number {n}") for n in range(60)], store_answer), 60)
    good = [answer for answer in received.by_index.values() if not answer.error]
    assert 20 <= len(good) <= 24
    assert {answer.error for answer in received.by_index.values()} <= {"", "connection"}


async def test_a_budget_stops_the_engine_and_sent_requests_are_stored(server: Served) -> None:
    server.behave(latency_ms=10)
    received = Answers()
    async with engine(server, budget=Budget(max_requests=7)) as opened:
        with pytest.raises(BudgetReached):
            await opened.answer([text(f"budget {n}") for n in range(20)], received.store)
    assert len(received.by_index) == 7


async def test_a_slot_is_held_until_the_answer_is_stored(server: Served) -> None:
    storing = most = 0
    three = asyncio.Barrier(3)

    async def stored(_index: int, _answer: ModelAnswer) -> None:
        nonlocal storing, most
        storing += 1
        most = max(most, storing)
        await three.wait()
        await asyncio.sleep(0.01)  # time for a fourth answer
        storing -= 1

    async with engine(server, concurrency=3) as opened:
        await opened.answer([text(f"held {n}") for n in range(12)], stored)
    assert most == 3


async def test_the_capacity_of_a_server_is_used_without_failures(server: Served) -> None:
    server.behave(latency_ms=10, ceiling=6, retry_after="0.02")
    async with engine(server, concurrency=32) as opened:
        verdicts = await answers(opened, [text(f"ceiling {n}") for n in range(200)])
        assert 4 <= opened.capacity <= 9
    assert not [answer for answer in verdicts if answer.error]
    assert sum(answer.tries for answer in verdicts) < 280


async def test_an_error_in_store_answer_is_raised(server: Served) -> None:
    async def stored(_index: int, _answer: ModelAnswer) -> None:
        raise ZeroDivisionError

    async with engine(server) as opened:
        with pytest.raises(ZeroDivisionError):
            await opened.answer([text("x")], stored)
        (answer,) = await answers(opened, [text("y")])
    assert not answer.error


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"method": "guess"}, "method"),
        ({"pictures": "mail"}, "pictures"),
        ({"raw_prompts": True}, "raw_prompts"),
        ({"concurrency": 0}, "above zero"),
        ({"url": "localhost:8000"}, "invalid server address"),
        ({"url": ""}, "none"),
        ({"url": "http://[::1/v1"}, "invalid server address"),
        ({"url": "http://h:99999/v1"}, "invalid server address"),
        ({"url": "http://h\u00fcgel/v1"}, "invalid server address"),
    ],
)
async def test_invalid_settings_are_reported(server: Served, settings: dict[str, Any], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        await answers_of(server, **settings)


async def test_the_only_model_is_used_and_one_of_several_must_be_named(server: Served) -> None:
    server.behave(models=["a", "b"])
    with pytest.raises(UsageError, match="lists 2") as which:
        await answers_of(server)
    assert which.value.hint == "set model to one of: a, b"
    assert not (await answers_of(server, model="b"))[0].error
    with pytest.raises(EngineStopped, match="does not know the model c"):
        await answers_of(server, model="c")


async def test_further_fields_are_sent_and_can_rename_the_token_limit(server: Served) -> None:
    async with engine(server, rename={"max_tokens": "max_completion_tokens"}, options={"stop": [" with no"]}) as opened:
        asks = [text("Add the absence of the hat to the caption 'a man'."), text("a long one", max_tokens=3)]
        cut, long = await answers(opened, asks)
    assert cut.text == "a man"
    assert long.error == "too-long"
