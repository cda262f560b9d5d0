"""The key of an answer covers the settings that change it, and no others."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import fields, replace
from datetime import date
from typing import Any

import pytest
from support.model_requests import write, yes_no

from curation_db.enums import Stage
from workbench.generation.engines.answer_identity import AnswerIdentity, RequestKind, settings_in_use
from workbench.generation.engines.openai.probing.capabilities import Capability
from workbench.generation.engines.protocol import StoreAnswer
from workbench.generation.engines.requests import ImagePayload, ModelRequest
from workbench.workspace.settings.engines import Answers, EngineSettings

IMAGE = ImagePayload(key="coco/1")
REQUESTS = {
    "text": write("propose an object"),
    "text, image": write("describe it", IMAGE),
    "text, raw": replace(write("describe it"), raw="USER: describe it"),
    "yes/no": yes_no("Is there a hat?"),
    "yes/no, image": yes_no("Is there a hat?", IMAGE),
}
SETTINGS = EngineSettings(name="vlm", kind="openai", url="http://a/v1", model="m", method="bare")


class Engine:
    """An engine without settings of its own."""

    model, simulated, capacity = "m", False, 1

    async def answer(self, group: Sequence[ModelRequest], store_answer: StoreAnswer) -> None:
        raise AssertionError("no request is sent")

    async def close(self) -> None:
        pass


def keys(settings: EngineSettings) -> dict[str, bytes]:
    identity = AnswerIdentity.of(Engine(), settings)
    return {name: identity.key(request) for name, request in REQUESTS.items()}


def changed(before: EngineSettings, after: EngineSettings) -> set[str]:
    """Return the requests whose keys differ."""
    old, new = keys(before), keys(after)
    return {name for name in REQUESTS if old[name] != new[name]}


def test_a_secret_in_the_options_is_not_part_of_the_identity(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MY_KEY", "s3cret-0f-th3-environment")
    options = {"extra": {"api_key": "s3cret-by-name", "user": "s3cret-0f-th3-environment"}, "seed": 3}
    first = replace(SETTINGS, key_env="MY_KEY", options=options)
    stored = AnswerIdentity.of(Engine(), first).settings_for(RequestKind.of(REQUESTS["text"]))
    assert stored["options"] == {"extra": {"api_key": "[key]", "user": "[key]"}, "seed": 3}
    other = {**options, "extra": {**options["extra"], "api_key": "an0ther-secret"}}
    assert keys(first) == keys(replace(first, options=other))
    assert keys(first) != keys(replace(first, options={**options, "seed": 4}))


def test_every_setting_says_which_answers_it_changes() -> None:
    unmarked = [each.name for each in fields(EngineSettings) if not isinstance(each.metadata.get("answers"), Answers)]
    assert not unmarked


ALL, IMAGES = set(REQUESTS), {"text, image", "yes/no, image"}
YES_NO = {"yes/no", "yes/no, image"}


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"options": {"top_k": 1}}, ALL),
        ({"revision": "v2"}, ALL),
        ({"dtype": "float32"}, ALL),
        ({"kind": "toy"}, ALL),
        ({"omit": ("seed",)}, ALL),
        ({"omit": ()}, set()),  # as if nothing were found by a probe
        ({"rename": {"seed": "random_seed"}}, ALL),
        ({"system": "merge"}, ALL),
        ({"thinking_tokens": 9}, ALL),
        ({"constrain": False}, set()),  # no restriction is proved
        ({"picture_side": 336}, IMAGES),
        ({"method": "logprobs"}, YES_NO),
        ({"method": "samples"}, YES_NO),
        ({"raw_prompts": True}, {"text, raw"}),
        ({"samples": 3}, set()),  # the method takes one answer
        ({"name": "other"}, set()),
        ({"url": "http://b/v1"}, set()),
        ({"key_env": "KEY"}, set()),
        ({"concurrency": 1}, set()),
        ({"timeout": 9.0}, set()),
        ({"tries": 2}, set()),
        ({"pictures": "file"}, set()),
        ({"picture_tokens": 9}, set()),
        ({"price_in": 2.0, "price_out": 3.0}, set()),
        ({"batch": 2}, set()),
        ({"urls": ("http://a/v1", "http://b/v1")}, set()),
        ({"headers": {"x-team": "a"}}, set()),
        ({"query": {"api-version": "1"}}, set()),
        ({"device": "cuda:1"}, set()),
    ],
)
def test_a_setting_changes_the_keys_of_the_answers_that_it_changes(changes: dict[str, Any], expected: set[str]) -> None:
    assert changed(SETTINGS, replace(SETTINGS, **changes)) == expected


@pytest.mark.parametrize(("method", "expected"), [("samples", YES_NO), ("auto", set()), ("logprobs", set())])
def test_the_number_of_samples_counts_where_samples_are_taken(method: str, expected: set[str]) -> None:
    before = replace(SETTINGS, method=method)
    assert changed(before, replace(before, samples=3)) == expected


def test_the_name_of_the_opened_engine_counts_not_that_of_the_settings() -> None:
    assert changed(SETTINGS, replace(SETTINGS, model="")) == set()
    other = Engine()
    other.model = "m2"
    assert AnswerIdentity.of(other, SETTINGS).key(REQUESTS["text"]) != keys(SETTINGS)["text"]


@pytest.mark.parametrize(
    ("proved", "configured", "method"),
    [
        ((), "auto", "bare"),
        ((Capability.LOGPROBS,), "auto", "logprobs"),
        ((Capability.SAMPLING,), "auto", "samples"),
        ((Capability.LOGPROBS,), "bare", "bare"),
    ],
)
def test_the_method_in_use_counts_not_the_configured_one(
    proved: Sequence[Capability], configured: str, method: str
) -> None:
    probe = {name: {"seen": "yes", "value": 20} for name in proved}
    settings = replace(SETTINGS, method=configured)
    probed = AnswerIdentity("m", settings, lambda kind: settings_in_use(settings, probe, kind))
    for request in REQUESTS.values():
        assert probed.key(request) == AnswerIdentity.of(Engine(), replace(SETTINGS, method=method)).key(request)


@pytest.mark.parametrize(
    ("entry", "expected"),
    [
        ({Capability.SEED: {"seen": "no", "value": "refused"}}, ALL),
        ({Capability.SYSTEM: {"seen": "no"}}, ALL),
        ({Capability.MAX_TOKENS: {"seen": "yes", "value": "max_completion_tokens"}}, ALL),
        ({Capability.THINKING: {"seen": "yes"}}, ALL),
        ({Capability.CHOICE: {"seen": "yes"}}, YES_NO),
        ({Capability.JSON_SCHEMA: {"seen": "yes"}}, YES_NO),
        ({Capability.PICTURE: {"seen": "yes"}}, set()),
    ],
)
def test_the_findings_of_a_probe_count_where_they_change_a_request(entry: dict[str, Any], expected: set[str]) -> None:
    probed = AnswerIdentity("m", SETTINGS, lambda kind: settings_in_use(SETTINGS, entry, kind))
    old = keys(SETTINGS)
    assert {name for name, request in REQUESTS.items() if probed.key(request) != old[name]} == expected


def test_the_number_of_log_probabilities_counts() -> None:
    before = replace(SETTINGS, method="logprobs")
    entry = {Capability.LOGPROBS: {"seen": "yes", "value": {"top": 5, "tokens": 2}}}
    probed = AnswerIdentity("m", before, lambda kind: settings_in_use(before, entry, kind))
    old = keys(before)
    assert {name for name, request in REQUESTS.items() if probed.key(request) != old[name]} == YES_NO


def test_typed_decisions_count_only_for_requests_that_use_them() -> None:
    auto = replace(SETTINGS, method="auto")
    probe = {Capability.DECISION: {"seen": "yes"}}  # not proved with images
    probed = AnswerIdentity("m", auto, lambda kind: settings_in_use(auto, probe, kind))
    old = keys(SETTINGS)
    assert {name for name, request in REQUESTS.items() if probed.key(request) != old[name]} == {"yes/no"}


def test_the_only_method_of_a_kind_equals_auto() -> None:
    local = replace(SETTINGS, kind="transformers", method="auto")
    assert changed(local, replace(local, method="logprobs")) == set()


def test_an_engine_of_another_package_is_identified_by_its_settings() -> None:
    toy = EngineSettings(name="toy", kind="toy", options={"words": 3, "since": date(2026, 1, 2), "most": float("inf")})
    assert changed(toy, replace(toy, options=dict(reversed(toy.options.items())))) == set()
    assert changed(toy, replace(toy, options={**toy.options, "since": date(2026, 1, 3)})) == ALL
    assert changed(toy, replace(toy, samples=3)) == YES_NO  # it may take several answers


def test_the_raw_prompt_counts_where_it_is_sent() -> None:
    request = REQUESTS["text, raw"]
    other = replace(request, raw="ASSISTANT: describe it")
    assert AnswerIdentity.of(Engine(), SETTINGS).key(request) == AnswerIdentity.of(Engine(), SETTINGS).key(other)
    raw = AnswerIdentity.of(Engine(), replace(SETTINGS, raw_prompts=True))
    assert raw.key(request) != raw.key(other)


def test_a_setting_with_an_empty_default_is_not_in_the_key() -> None:
    identity = AnswerIdentity.of(Engine(), SETTINGS)
    request = replace(REQUESTS["text"], stage=Stage.PROPOSE)
    assert identity.key(request) == request.key(
        "m", {"dtype": "auto", "kind": "openai", "model": "m", "system": "keep"}
    )
