"""Several servers of one engine: shared load, one server per image, and servers that fail."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator, Sequence
from pathlib import Path
from typing import Any

import pytest
from PIL import Image
from support.habit_server import HabitReply, HabitRequest, HabitServer, failure, good, habit_server
from support.model_server import Served, model_server
from support.server_asks import Answers, answers, picture, text, yes_no
from support.six_items import build_workspace, run_generate

from workbench.errors import UsageError
from workbench.generation.budget import Budget
from workbench.generation.engines.http.retry import RetryPolicy
from workbench.generation.engines.openai.engine import OpenAiEngine, make
from workbench.generation.engines.protocol import EngineContext, EngineStopped
from workbench.generation.engines.requests import ModelAnswer
from workbench.workspace.settings.engines import EngineSettings

QUICK = RetryPolicy(base=0.01, longest=0.05, max_retry_after=0.5)


@contextlib.asynccontextmanager
async def pool(
    servers: Sequence[HabitServer | Served], lines: list[str] | None = None, **settings: Any
) -> AsyncIterator[OpenAiEngine]:
    urls = tuple(server.url for server in servers)
    engine_settings = EngineSettings(**{"name": "judge", "kind": "openai", "urls": urls, "timeout": 5.0, **settings})
    notify = (lambda line: None) if lines is None else lines.append
    opened = await make(engine_settings, EngineContext(budget=Budget(), notify=notify), policy=QUICK)
    try:
        yield opened
    finally:
        await opened.close()


def asks(number: int) -> list[Any]:
    return [text(f"Add the absence of the cup{n} to the caption 'scene {n}'.") for n in range(number)]


def unanswered(given: Sequence[ModelAnswer]) -> list[ModelAnswer]:
    return [answer for n, answer in enumerate(given) if answer.text != f"scene {n} with no cup{n}"]


def test_the_addresses_of_an_engine() -> None:
    settings = EngineSettings(name="j", kind="openai", urls=("http://a/v1", "http://b/v1"))
    assert settings.url == "http://a/v1"
    assert settings.servers == ("http://a/v1", "http://b/v1")
    both = EngineSettings(name="j", kind="openai", url="http://b/v1", urls=("http://a/v1", "http://b/v1"))
    assert both.servers == ("http://b/v1", "http://a/v1")


async def test_requests_go_to_the_server_with_the_least_load() -> None:
    with habit_server() as one, habit_server() as other:
        async with pool([one, other], concurrency=4) as opened:
            assert opened.capacity == 8
            assert not unanswered(await answers(opened, asks(40)))
    assert len(one.requests) + len(other.requests) == 40
    assert min(len(one.requests), len(other.requests)) >= 10


async def test_a_slow_server_gets_fewer_requests() -> None:
    with model_server(latency_ms=1) as quick, model_server(latency_ms=100) as slow:
        async with pool([quick, slow], concurrency=4) as opened:
            in_work = asyncio.Semaphore(8)  # the runner sends requests as others are answered

            async def ask(n: int) -> ModelAnswer:
                async with in_work:
                    return (await answers(opened, [asks(60)[n]]))[0]

            assert not unanswered(await asyncio.gather(*map(ask, range(60))))
        assert quick.stats()["served"] > 2 * slow.stats()["served"]


async def test_requests_about_one_image_stay_on_one_server(tmp_path: Path) -> None:
    shown = []
    for n in range(6):
        Image.new("RGB", (40, 30), (40 * n, 9, 99)).save(tmp_path / f"{n}.png")
        shown.append(picture(tmp_path / f"{n}.png"))
    with habit_server() as one, habit_server() as other:
        async with pool([one, other]) as opened:
            for thing in ("hat", "dog", "kite"):
                await asyncio.gather(
                    *(answers(opened, [yes_no(thing, each), yes_no(f"big {thing}", each)]) for each in shown)
                )
        images = [{_image(request) for request in server.requests} for server in (one, other)]
    assert not images[0] & images[1]
    assert len(images[0]) == len(images[1]) == 3


def _image(request: HabitRequest) -> str:
    return str(request.body["messages"][-1]["content"][0]["image_url"]["url"])


async def test_a_server_killed_in_the_middle_loses_nothing() -> None:
    lines: list[str] = []
    with model_server(latency_ms=5) as staying, model_server(latency_ms=5) as killed:
        received = Answers()

        async def store_answer(index: int, answer: ModelAnswer) -> None:
            await received.store(index, answer)
            if len(received.by_index) == 20:
                killed.process.kill()

        async with pool([staying, killed], lines, concurrency=4) as opened:
            await asyncio.wait_for(opened.answer(asks(80), store_answer), 60)
            assert opened.capacity == 4
    assert not unanswered([received.by_index[n] for n in range(80)])
    assert [line for line in lines if f"cannot reach {killed.url}" in line and "left out" in line]
    assert len(lines) == 1


async def test_a_server_that_recovers_is_used_again() -> None:
    lines: list[str] = []
    with habit_server() as one, habit_server() as other:
        other.habit = lambda request: failure(401, "the key has expired")
        async with pool([one, other], lines, concurrency=2) as opened:
            assert not unanswered(await answers(opened, asks(10)))
            other.habit, other.requests = good, []
            for _ in range(500):  # until the pause is over; each request may start the test of the server
                assert not unanswered(await answers(opened, asks(4)))
                if other.requests:
                    break
    assert other.requests
    assert [line.partition(" ")[2][:15] for line in lines] == ["refuses access:", "answers again"[:15]]


async def test_a_call_that_fails_on_one_server_is_sent_to_another() -> None:
    with habit_server() as one, habit_server() as other:
        other.habit = lambda request: HabitReply({"error": "out of memory"}, 500)
        async with pool([one, other], tries=2) as opened:
            assert not unanswered(await answers(opened, asks(12)))


async def test_all_servers_gone_stop_the_engine() -> None:
    with habit_server() as one, habit_server() as other:
        async with pool([one, other], tries=2) as opened:
            one.dead = other.dead = True
            with pytest.raises(EngineStopped, match="cannot reach"):
                await asyncio.wait_for(answers(opened, asks(12)), 60)


async def test_a_server_that_is_down_at_the_start_is_left_out() -> None:
    lines: list[str] = []
    with socket.socket() as taken, habit_server() as one:
        taken.bind(("127.0.0.1", 0))
        nowhere = f"http://127.0.0.1:{taken.getsockname()[1]}/v1"
        settings = EngineSettings(name="judge", kind="openai", urls=(nowhere, one.url))
        opened = await make(settings, EngineContext(budget=Budget(), notify=lines.append), policy=QUICK)
        try:
            assert not unanswered(await answers(opened, asks(4)))
        finally:
            await opened.close()
    assert len(lines) == 1
    assert f"cannot reach {nowhere}" in lines[0]


@pytest.mark.parametrize("named", ["", "stub"])
async def test_the_servers_need_the_same_model(named: str) -> None:
    with habit_server() as one, habit_server(models=("other",)) as other, pytest.raises(UsageError) as refused:
        async with pool([one, other], model=named):
            pass
    assert other.url in refused.value.message
    assert refused.value.message.isprintable()


def test_a_run_continues_when_one_of_two_servers_dies(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    template = build_workspace(tmp_path / "template")
    with habit_server() as one, habit_server() as other:

        def dying(request: HabitRequest) -> HabitReply:
            other.dead = request.number >= 4
            return good(request)

        other.habit = dying
        outcome = run_generate(
            template, tmp_path / "ws", monkeypatch, one, engine={"urls": [one.url, other.url], "concurrency": 2}
        )
    assert outcome.exit_code == 0, outcome.shown
    assert outcome.items == {"kept": 6}
    assert len(other.requests) >= 4
    assert outcome.result.stderr.count("left out") == 1
