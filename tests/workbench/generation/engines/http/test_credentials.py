"""Headers and parameters from the settings and the environment, and the masking of secrets."""

from __future__ import annotations

import json

import pytest

from workbench.errors import UsageError
from workbench.generation.engines.http.client import open_client
from workbench.generation.engines.http.credentials import Secrets, known_secrets, read_headers, read_query
from workbench.generation.engines.openai.batches.batch_api import _MaskedWriter
from workbench.workspace.settings.engines import EngineSettings

KEY = "s3cret/key+0123"


def settings(**values: object) -> EngineSettings:
    return EngineSettings(**{"name": "j", "kind": "openai", "url": "http://h/v1", **values})  # type: ignore[arg-type]


def test_values_come_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MY_KEY", KEY)
    values = {"api-key": "$MY_KEY", "X-Price": "5 $$", "Cookie": "id=${MY_KEY}"}
    headers, secrets = read_headers(settings(headers=values))
    assert headers == {"api-key": KEY, "X-Price": "5 $", "Cookie": f"id={KEY}"}
    assert KEY in secrets
    query, secrets = read_query(settings(query={"code": "$MY_KEY", "api-version": "2024-10-21"}))
    assert query == {"code": KEY, "api-version": "2024-10-21"}
    assert secrets == [KEY]


@pytest.mark.parametrize(
    ("headers", "says"),
    [
        ({"api-key": "$NOT_SET"}, "the environment variable NOT_SET is not set"),
        ({"api-key": "$"}, "precedes no variable"),
        ({"api key": "x"}, "invalid name"),
        ({"x": "a\r\nHost: evil"}, "invalid name or value"),
        ({"Content-Length": "3"}, "Content-Length cannot be set"),
    ],
)
def test_invalid_headers_are_reported(headers: dict[str, str], says: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("NOT_SET", raising=False)
    with pytest.raises(UsageError, match=says) as refused:
        open_client(settings(headers=headers))
    assert refused.value.message.startswith("[engines.j] headers")
    assert refused.value.message.isprintable()


@pytest.mark.parametrize(
    "hidden",
    [
        KEY,
        KEY[:5] + "\x00" + KEY[5:],
        KEY[:5] + "\u200b\u2060" + KEY[5:9] + "\n" + KEY[9:],
        "s3cret%2Fkey%2B0123",
    ],
)
def test_a_secret_is_masked_in_any_form(hidden: str) -> None:
    secrets = Secrets([KEY, "none"])
    assert secrets.mask(f"a {hidden} of none") == "a [key] of none"
    for body in (json.dumps({"x": [f"a {hidden}"]}), json.dumps({"x": [f"a {hidden}"]}, ensure_ascii=False)):
        assert json.loads(secrets.mask_body(body.encode())) == {"x": ["a [key]"]}
    assert b"[key]" in secrets.mask_body(f"data: {hidden}é".encode())


def test_escapes_that_hide_a_secret_are_found() -> None:
    escaped = "".join(f"\\u{ord(character):04x}" for character in KEY)
    assert json.loads(Secrets([KEY]).mask_body(f'{{"x": "{escaped}"}}'.encode())) == {"x": "[key]"}
    php = KEY.replace("/", "\\/")
    assert json.loads(Secrets([KEY]).mask_body(f'{{"x": "{php}"}}'.encode())) == {"x": "[key]"}


@pytest.mark.parametrize("split", [KEY, KEY[:4] + "\n" + KEY[4:], "\r\n".join(KEY), KEY[:7] + "\n\n\t" + KEY[7:]])
@pytest.mark.parametrize("size", [1, 5, 70, 10_000])
def test_a_downloaded_file_has_no_secret_over_lines_or_chunks(split: str, size: int) -> None:
    content = b"".join(b'{"n": %d}\n' % n for n in range(8)) + f'{{"x": "a {split} b"}}\nlast'.encode()
    written = bytearray()
    writer = _MaskedWriter(written.extend, Secrets([KEY]))
    for start in range(0, len(content), size):
        writer.write(content[start : start + size])
    writer.finish()
    end = b"\n" if "\n" in split else b""
    assert bytes(written) == content.replace(split.encode(), b"[key]" + end)


def test_a_secret_in_the_options_is_known_by_its_name_and_by_its_value(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MY_KEY", KEY)
    options = {
        "extra": [{"apiKey": "by-name-0001", "Authorization": "Bearer by-name-0002"}, {"copy": KEY}],
        "hf-token": "by-name-0003",
        "token": "by-name-0004",
        "eos_token": "<|im_end|>",
        "prompt_cache_key": "captions-1",
        "max_tokens": 12345678,
    }
    known = known_secrets(settings(options=options, key_env="MY_KEY", headers={"x": "$", "Cookie": "by-name-0005"}))
    assert {KEY, *(f"by-name-000{n}" for n in range(1, 6))} <= set(known)
    assert not {"<|im_end|>", "captions-1", 12345678} & set(known)
    assert open_client(settings(options=options)).masking.mask("by-name-0003") == "[key]"


def test_bodies_without_a_secret_are_not_changed() -> None:
    body = '{"x": "caf\\u00e9 \\n é", "logprob": -0.10}'.encode()
    assert Secrets([KEY]).mask_body(body) is body
    assert Secrets([]).mask_body(body) is body


def test_secrets_are_not_in_the_representation_of_a_client(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MY_KEY", KEY)
    client = open_client(settings(headers={"api-key": "$MY_KEY"}, query={"code": "$MY_KEY"}, key_env="MY_KEY"))
    assert KEY not in repr(client)
