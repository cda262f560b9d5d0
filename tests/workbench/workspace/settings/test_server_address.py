"""Addresses of servers for display."""

from __future__ import annotations

import pytest

from workbench.workspace.settings.generation import inline_engine
from workbench.workspace.settings.server_address import plain_url, secrets_of


@pytest.mark.parametrize(
    "url",
    [
        "http://localhost:8000/v1",
        "https://h/openai/deployments/gpt-4o-2024-08-06",
        "https://us-central1-h.example/v1/projects/my-project-123/locations/us-central1/endpoints/openapi",
        "https://h/Qwen2.5-VL-72B-Instruct/v1",
        "https://h/v1beta/openai",
    ],
)
def test_names_in_a_path_are_shown(url: str) -> None:
    assert plain_url(url + "/") == url
    assert not secrets_of(url)


@pytest.mark.parametrize(
    "key", ["sk-abcdefghij", "a1b2c3d4e5f6", "0123456789abcdef0123456789abcdef", "AbCdEfGhIjKlMnOp", "hunter2secret"]
)
def test_keys_are_not_shown(key: str) -> None:
    assert plain_url(f"https://h/{key}/v1") == "https://h/[key]/v1"
    assert plain_url(f"https://me:{key}@h/v1?key={key}#{key}") == "https://h/v1"
    assert secrets_of(f"https://h/{key}/v1?api-version=2024-10-21&code={key}9") == [key, f"{key}9"]
    engine = inline_engine(f"openai:https://h/{key}/v1")
    assert engine is not None
    assert key not in engine.name
