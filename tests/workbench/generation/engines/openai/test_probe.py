"""What a server honours is found out, also where it answers 200 and does nothing."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict
from typing import Any

import pytest
from support.model_server import HONOURS, Behaviour, Served, model_server

from curation_db.enums import Method
from workbench.errors import UsageError
from workbench.generation.budget import Budget, BudgetReached
from workbench.generation.engines.openai.capabilities import Capability, best_method, is_proved, value_of
from workbench.generation.engines.openai.probe import ProbeReport, probe
from workbench.generation.engines.protocol import EngineStopped
from workbench.workspace.engine_settings import EngineSettings


@pytest.fixture(scope="module")
def one_server() -> Iterator[Served]:
    with model_server() as running:
        yield running


@pytest.fixture
def server(one_server: Served) -> Served:
    one_server.behave(**asdict(Behaviour()))
    return one_server


async def look_at(server: Served, **settings: Any) -> ProbeReport:
    return await probe(EngineSettings(**{"name": "judge", "kind": "openai", "url": server.url + "/", **settings}))


def seen(look: ProbeReport) -> dict[str, str]:
    return {str(feature.name): str(feature.seen) for feature in look.capabilities}


async def test_a_server_that_honours_everything(server: Served) -> None:
    server.behave(decisions="assets")
    look = await look_at(server)
    assert seen(look) == dict.fromkeys(Capability, "yes")
    assert (look.url, look.model) == (server.url, "stub")
    capabilities = look.to_dict()
    assert value_of(capabilities, Capability.DECISION_PICTURE) == "assets"
    assert value_of(capabilities, Capability.LOGPROBS) == 5
    assert all(feature.evidence and "\n" not in feature.evidence for feature in look.capabilities)
    assert str(look).splitlines()[0] == f"{server.url}  stub"
    assert len(str(look).splitlines()) == 1 + len(Capability)


async def test_a_server_that_says_fine_and_does_nothing(server: Served) -> None:
    server.behave(logprobs=False, honours=[], decisions="images")
    found = seen(await look_at(server))
    # fmt: off
    assert found == {
        "models": "yes", "chat": "yes", "picture": "no", "logprobs": "no", "choice": "no", "json_schema": "no",
        "seed": "no", "sampling": "yes", "max_tokens": "no", "stop": "no", "decision": "yes", "decision_picture": "no",
    }
    # fmt: on


@pytest.mark.parametrize("missing", HONOURS)
async def test_each_feature_is_judged_by_itself(server: Served, missing: str) -> None:
    server.behave(honours=[name for name in HONOURS if name != missing])
    found = seen(await look_at(server))
    assert [name for name, told in found.items() if told != "yes"] == sorted(
        [missing, "decision", "decision_picture"], key=list(found).index
    )


async def test_the_way_in_which_decisions_see_pictures_is_found(server: Served) -> None:
    server.behave(decisions="images")
    assert value_of((await look_at(server)).to_dict(), Capability.DECISION_PICTURE) == "images"


async def test_a_server_that_does_not_chat_is_told_as_one(server: Served) -> None:
    server.behave(always=400, words="text only\n[/b] \x1b[31m")
    look = await look_at(server)
    assert seen(look)["chat"] == "no"
    assert set(seen(look).values()) == {"yes", "no", "unknown"}
    assert str(look).replace("\n", "").isprintable()


async def test_what_stops_a_look(server: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    settings = EngineSettings(name="j", kind="openai", url=server.url)
    with pytest.raises(BudgetReached):
        await probe(settings, budget=Budget(max_requests=3))
    server.behave(models=["a", "b"])
    with pytest.raises(UsageError, match="lists 2"):
        await look_at(server)
    server.behave(key="sk-secret-key", words="no {key}")
    monkeypatch.setenv("THE_KEY", "sk-wrong-key")
    with pytest.raises(EngineStopped) as stopped:
        await look_at(server, key_env="THE_KEY")
    assert "sk-wrong" not in stopped.value.message


def test_the_best_way_that_is_proved_is_taken() -> None:
    def told(*names: Capability) -> dict[str, Any]:
        return {str(name): {"seen": "yes"} for name in names}

    assert best_method("auto", None, has_image=True) is Method.BARE
    assert best_method("auto", {"logprobs": {"seen": "no"}, "seed": 3}, has_image=True) is Method.BARE
    assert best_method("auto", told(Capability.SAMPLING), has_image=True) is Method.SAMPLES
    assert best_method("auto", told(Capability.SAMPLING, Capability.DECISION), has_image=True) is Method.SAMPLES
    assert best_method("auto", told(Capability.SAMPLING, Capability.DECISION), has_image=False) is Method.DECISION
    assert (
        best_method("auto", told(Capability.DECISION, Capability.DECISION_PICTURE), has_image=True) is Method.DECISION
    )
    assert best_method("auto", told(*Capability), has_image=True) is Method.LOGPROBS
    assert best_method("bare", told(*Capability), has_image=True) is Method.BARE
    assert not is_proved({"logprobs": "yes"}, Capability.LOGPROBS)
