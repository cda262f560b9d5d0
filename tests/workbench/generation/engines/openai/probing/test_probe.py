"""The probe tests a server's capabilities, also if it answers 200 and ignores a parameter."""

from __future__ import annotations

from typing import Any

import pytest
from support.model_server import HONOURS, Served

from curation_db.enums import Method
from workbench.errors import UsageError
from workbench.generation.budget import Budget, BudgetReached
from workbench.generation.engines.openai.probing.capabilities import Capability, best_method, is_proved, value_of
from workbench.generation.engines.openai.probing.probe import ProbeReport, probe
from workbench.generation.engines.protocol import EngineStopped
from workbench.workspace.settings.engines import EngineSettings


async def run_probe(server: Served, **settings: Any) -> ProbeReport:
    return await probe(EngineSettings(**{"name": "judge", "kind": "openai", "url": server.url + "/", **settings}))


def seen(report: ProbeReport) -> dict[str, str]:
    return {str(feature.name): str(feature.seen) for feature in report.capabilities}


async def test_a_server_with_all_capabilities(server: Served) -> None:
    server.behave(decisions="assets")
    report = await run_probe(server)
    assert seen(report) == dict.fromkeys(Capability, "yes") | {"thinking": "no"}
    assert (report.url, report.model) == (server.url, "stub")
    capabilities = report.to_dict()
    assert value_of(capabilities, Capability.DECISION_PICTURE) == "assets"
    assert value_of(capabilities, Capability.LOGPROBS) == {"listed": 5, "top": 20, "tokens": 1, "mass": 0.98}
    assert all(feature.evidence and "\n" not in feature.evidence for feature in report.capabilities)
    assert str(report).splitlines()[0] == f"{server.url}  stub"
    assert len(str(report).splitlines()) == 1 + len(Capability)


async def test_a_server_that_ignores_all_parameters(server: Served) -> None:
    server.behave(logprobs=False, honours=[], decisions="images")
    results = seen(await run_probe(server))
    # fmt: off
    assert results == {
        "models": "yes", "chat": "yes", "picture": "no", "logprobs": "no", "choice": "no", "json_schema": "no",
        "seed": "no", "sampling": "yes", "temperature": "yes", "top_p": "yes", "max_tokens": "no", "stop": "no",
        "system": "no", "thinking": "no", "decision": "yes", "decision_picture": "no",
    }
    # fmt: on


@pytest.mark.parametrize("missing", HONOURS)
async def test_each_capability_is_tested_separately(server: Served, missing: str) -> None:
    server.behave(honours=[name for name in HONOURS if name != missing])
    results = seen(await run_probe(server))
    assert [name for name, proved in results.items() if proved != "yes"] == sorted(
        [missing, "thinking", "decision", "decision_picture"], key=list(results).index
    )


async def test_the_image_field_of_typed_decisions_is_detected(server: Served) -> None:
    server.behave(decisions="images")
    assert value_of((await run_probe(server)).to_dict(), Capability.DECISION_PICTURE) == "images"


async def test_a_server_without_chat_is_reported(server: Served) -> None:
    server.behave(always=400, words="text only\n[/b] \x1b[31m")
    report = await run_probe(server)
    assert seen(report)["chat"] == "no"
    assert set(seen(report).values()) == {"yes", "no", "unknown"}
    assert str(report).replace("\n", "").isprintable()


async def test_errors_that_stop_a_probe(server: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    settings = EngineSettings(name="j", kind="openai", url=server.url)
    with pytest.raises(BudgetReached):
        await probe(settings, budget=Budget(max_requests=3))
    server.behave(models=["a", "b"])
    with pytest.raises(UsageError, match="lists 2"):
        await run_probe(server)
    server.behave(key="sk-secret-key", words="no {key}")
    monkeypatch.setenv("THE_KEY", "sk-wrong-key")
    with pytest.raises(EngineStopped) as stopped:
        await run_probe(server, key_env="THE_KEY")
    assert "sk-wrong" not in stopped.value.message


def test_the_best_proved_method_is_used() -> None:
    def proved(*names: Capability) -> dict[str, Any]:
        return {str(name): {"seen": "yes"} for name in names}

    assert best_method("auto", None, has_image=True) is Method.BARE
    assert best_method("auto", {"logprobs": {"seen": "no"}, "seed": 3}, has_image=True) is Method.BARE
    assert best_method("auto", proved(Capability.SAMPLING), has_image=True) is Method.SAMPLES
    assert best_method("auto", proved(Capability.SAMPLING, Capability.DECISION), has_image=True) is Method.SAMPLES
    assert best_method("auto", proved(Capability.SAMPLING, Capability.DECISION), has_image=False) is Method.DECISION
    assert (
        best_method("auto", proved(Capability.DECISION, Capability.DECISION_PICTURE), has_image=True) is Method.DECISION
    )
    assert best_method("auto", proved(*Capability), has_image=True) is Method.LOGPROBS
    assert best_method("bare", proved(*Capability), has_image=True) is Method.BARE
    assert not is_proved({"logprobs": "yes"}, Capability.LOGPROBS)
