"""API keys, headers and query parameters of an engine, with values from the environment; none is stored or printed."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterable, Mapping
from string import Template
from typing import Any, Final
from urllib.parse import quote

from curation_db.foreign_json import JsonError, parse_json
from workbench.errors import UsageError
from workbench.workspace.settings.engines import EngineSettings
from workbench.workspace.settings.server_address import MASK, MIN_SECRET_LENGTH, is_secret_parameter, secrets_of

_VARIABLE_NAME: Final = re.compile(r"[A-Z_][A-Z0-9_]*")
_HEADER_NAME: Final = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_OWN_HEADERS: Final = frozenset({"host", "content-length", "transfer-encoding", "connection", "accept-encoding"})
"""Headers that describe the connection or the body; the client sets them."""
_SECRET_HEADER: Final = re.compile(r"key|token|auth|secret|cookie|password|signature", re.I)
_SECRET_OPTION: Final = re.compile(
    r"(?:.*_)?(?:(?:api|access|secret|private|auth|subscription|signing)_?key|password|passwd|passphrase|secret"
    r"|authorization|credentials?|cookie|(?:auth|access|api|bearer|session|refresh|security|hf)_?token)|key|token"
)
"""Names of options with a secret; not `eos_token` or `prompt_cache_key`, which change answers."""
_CAMEL_CASE: Final = re.compile(r"(?<=[a-z])(?=[A-Z])")
_JSON_ESCAPE: Final = re.compile(r"\\(?:u([0-9a-fA-F]{4})|[bfnrt])")
_CONTROLS: Final = bytes((*range(0x20), 0x7F))
_INVISIBLE: Final = (
    r"[\x00-\x1f\x7f-\xa0\xad\u034f\u061c\u180b-\u180f\u200b-\u200f\u2028-\u202f\u2060-\u206f\ufe00-\ufe0f\ufeff]*"
)
"""Pattern of characters without a shape: controls, marks of direction, joiners, variation selectors."""


class Secrets:
    """Texts that no message, answer or record may contain."""

    def __init__(self, values: Iterable[str]) -> None:
        """Values shorter than `MIN_SECRET_LENGTH` are no secrets: a caption may contain them."""
        known = {value for value in values if len(value) >= MIN_SECRET_LENGTH}
        forms = known | {quote(value, safe="") for value in known} | {value.replace("/", "\\/") for value in known}
        self._values = sorted(forms, key=len, reverse=True)
        self._bytes = [value.encode() for value in self._values]
        self._split = [re.compile(_INVISIBLE.join(map(re.escape, value))) for value in self._values]
        between = b"[" + re.escape(_CONTROLS) + b"]*"
        self._split_bytes = [
            re.compile(between.join(re.escape(value[at : at + 1]) for at in range(len(value)))) for value in self._bytes
        ]

    def mask(self, text: str) -> str:
        """Replace the secrets in `text`, also where invisible characters split them."""
        for value in self._values:
            if value in text:
                text = text.replace(value, MASK)
        if not text.isprintable():
            for pattern in self._split:
                text = pattern.sub(MASK, text)
        return text

    def mask_body(self, body: bytes) -> bytes:
        """Replace the secrets in a body, also where JSON escapes hide them."""
        for value in self._bytes:
            if value in body:
                body = body.replace(value, MASK.encode())
        if not self._values or (b"\\" not in body and body.isascii() and b"\x00" not in body):
            return body
        text = body.decode("utf-8", "replace")
        visible = _JSON_ESCAPE.sub(_unescaped, text)
        if not any(pattern.search(visible) for pattern in self._split):
            return body
        try:
            content = parse_json(text, strict=False)
        except JsonError:  # a stream of events, or an error as plain text
            return self.mask(visible).encode("utf-8", "replace")
        return json.dumps(self.mask_content(content)).encode()

    def mask_lines(self, body: bytes) -> bytes:
        """Replace the secrets in lines, also those that line ends split."""
        bare = body.translate(None, _CONTROLS)
        if not any(value in bare for value in self._bytes):
            return body
        for pattern in self._split_bytes:
            body = pattern.sub(lambda match: MASK.encode() + b"\n" * (b"\n" in match[0]), body)
        return body

    def mask_content(self, content: Any) -> Any:
        """Replace the secrets in a JSON value."""
        if isinstance(content, str):
            return self.mask(content)
        if isinstance(content, list):
            return [self.mask_content(each) for each in content]
        if isinstance(content, Mapping):
            return {self.mask(name): self.mask_content(each) for name, each in content.items()}
        return content


def known_secrets(settings: EngineSettings) -> list[str]:
    """Return the secrets of an engine: in its options, headers, parameters and addresses, and in the variables that it
    names. Invalid settings and missing variables are no errors here."""
    named = [settings.key_env, *_variables(settings.headers), *_variables(settings.query)]
    values = [os.environ.get(name, "").strip() for name in named if name]
    values += [value for name, value in settings.headers.items() if _SECRET_HEADER.search(name)]
    values += [value for name, value in settings.query.items() if is_secret_parameter(name, value)]
    values += [secret for url in settings.servers for secret in secrets_of(url)]
    return values + secret_options(settings.options)


def secret_options(options: Any) -> list[str]:
    """Return the texts in the options of an engine, at any depth, whose names are those of secrets."""
    secrets: list[str] = []
    if isinstance(options, Mapping):
        for name, value in options.items():
            plain_name = _CAMEL_CASE.sub("_", str(name)).replace("-", "_").lower()
            if isinstance(value, str) and _SECRET_OPTION.fullmatch(plain_name):
                secrets += [value, value.rpartition(" ")[2]]  # "Bearer KEY"
            else:
                secrets += secret_options(value)
    elif isinstance(options, list | tuple):
        secrets += [secret for each in options for secret in secret_options(each)]
    return secrets


def _variables(values: Mapping[str, str]) -> list[str]:
    templates = map(Template, values.values())
    return [name for template in templates if template.is_valid() for name in template.get_identifiers()]


def _unescaped(escape: re.Match[str]) -> str:
    return chr(int(escape[1], 16)) if escape[1] else "\n"


def api_key(settings: EngineSettings) -> str:
    """Read the API key from the environment variable that the settings name; it is stored and printed nowhere."""
    if not settings.key_env:
        return ""
    key = os.environ.get(settings.key_env, "").strip()
    if not key:
        valid = _VARIABLE_NAME.fullmatch(settings.key_env)  # anything else may be the key itself and is not printed
        raise UsageError(
            f"[engines.{settings.name}] the environment variable {settings.key_env if valid else 'in key_env'} is not"
            " set",
            hint=f"put the API key into it: export {settings.key_env if valid else 'MY_API_KEY'}=..."
            + ("" if valid else ", and set key_env to its name, as in MY_API_KEY"),
        )
    if not _is_header_value(key):
        raise UsageError(f"{settings.key_env} contains no valid API key: a key has printable ASCII characters only")
    return key


def read_headers(settings: EngineSettings) -> tuple[dict[str, str], list[str]]:
    """Return the headers of the settings with the values of the environment, and those values that are secret."""
    headers, secrets = _expanded(settings, "headers", settings.headers)
    for name, value in headers.items():
        where = f"[engines.{settings.name}] headers"
        if not _HEADER_NAME.fullmatch(name) or not _is_header_value(value):
            raise UsageError(f"{where}: invalid name or value", hint="printable ASCII characters only")
        if name.lower() in _OWN_HEADERS:
            raise UsageError(f"{where}: {name} cannot be set", hint="negwb sets it for each request")
        if _SECRET_HEADER.search(name):
            secrets += [value, value.rpartition(" ")[2]]  # "Bearer KEY"
    return headers, secrets


def read_query(settings: EngineSettings) -> tuple[dict[str, str], list[str]]:
    """Return the query parameters of the settings as `read_headers` does."""
    return _expanded(settings, "query", settings.query)


def _expanded(settings: EngineSettings, table: str, values: Mapping[str, str]) -> tuple[dict[str, str], list[str]]:
    expanded: dict[str, str] = {}
    secrets: list[str] = []
    for name, text in values.items():
        template = Template(text)
        where = f"[engines.{settings.name}] {table}"
        if not template.is_valid():
            raise UsageError(f"{where}: a $ in a value precedes no variable", hint="write $$ for a dollar sign")
        variables = {each: os.environ.get(each, "").strip() for each in template.get_identifiers()}
        if missing := [each for each, value in variables.items() if not value]:
            shown = missing[0] if _VARIABLE_NAME.fullmatch(missing[0]) else "that a value names"
            raise UsageError(
                f"{where}: the environment variable {shown} is not set",
                hint="put the value into it: export NAME=...; write $$ for a dollar sign",
            )
        expanded[name] = template.substitute(variables)
        secrets += variables.values()
    return expanded, secrets


def _is_header_value(value: str) -> bool:
    return value.isascii() and value.isprintable()
