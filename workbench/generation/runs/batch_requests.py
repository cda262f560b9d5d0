"""Reads a file of batch requests before it is submitted: its hash, its model, its requests and their likely cost."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from curation_db.foreign_json import JsonError, parse_json
from curation_db.language.sanitize import display_text
from workbench.errors import UsageError
from workbench.generation.engines.openai.batches.batch_lines import URL, custom_id
from workbench.workspace.settings.engines import EngineSettings

_CHARACTERS_PER_TOKEN: Final = 4
"""Of English text, about."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RequestFile:
    """What a file of requests contains."""

    path: Path
    sha256: str
    model: str
    keys: tuple[bytes, ...]
    characters: int
    """Of all prompts."""
    images: int
    answer_tokens: int
    """Most tokens of all answers."""

    def estimated_cost(self, settings: EngineSettings) -> float | None:
        """Return the cost if every answer has its full length; None: the engine has no prices."""
        if settings.price_in is None and settings.price_out is None:
            return None
        prompt_tokens = self.characters / _CHARACTERS_PER_TOKEN + self.images * settings.picture_tokens
        return (prompt_tokens * (settings.price_in or 0.0) + self.answer_tokens * (settings.price_out or 0.0)) / 1e6


def read_request_file(path: Path) -> RequestFile:
    """Read a file of requests.

    Raises:
        UsageError: it cannot be read, is empty, or has a line that is no request of negwb or names a second model.
    """
    digest = hashlib.sha256()
    keys: dict[bytes, None] = {}
    model = ""
    characters = images = answer_tokens = 0
    try:
        with path.open("rb") as file:
            for number, line in enumerate(file, 1):
                digest.update(line)
                key, body = custom_id(line), _body(line)
                if key is None or body is None or not isinstance(body.get("model"), str):
                    raise UsageError(
                        f"{path}, line {number}: not a request of negwb",
                        hint="write one: negwb generate --emit-requests FILE",
                    )
                if key in keys:
                    raise UsageError(f"{path}, line {number}: the request is in the file twice")
                if model and body["model"] != model:
                    names = " and ".join(display_text(name, limit=60) for name in (model, body["model"]))
                    raise UsageError(
                        f"{path}, line {number}: two models in one file: {names}",
                        hint="batch servers take one per file; write it again with --emit-requests --retry",
                    )
                keys[key], model = None, body["model"]
                some_characters, some_images = _prompt_size(body.get("messages"))
                characters, images = characters + some_characters, images + some_images
                tokens = body.get("max_tokens", body.get("max_completion_tokens"))
                answer_tokens += tokens if isinstance(tokens, int) else 0
    except OSError as error:
        raise UsageError(f"cannot read {path}: {error.strerror or error}") from error
    if not keys:
        raise UsageError(f"{path} has no requests")
    return RequestFile(
        path=path.absolute(),
        sha256=digest.hexdigest(),
        model=model,
        keys=tuple(keys),
        characters=characters,
        images=images,
        answer_tokens=answer_tokens,
    )


def _body(line: bytes) -> Mapping[str, Any] | None:
    try:
        content = parse_json(line)
    except JsonError:
        return None
    if not isinstance(content, Mapping) or content.get("url") != URL:
        return None
    body = content.get("body")
    return body if isinstance(body, Mapping) else None


def _prompt_size(messages: Any) -> tuple[int, int]:
    """Return the number of characters and of images."""
    characters = images = 0
    for message in messages if isinstance(messages, list) else ():
        content = message.get("content") if isinstance(message, Mapping) else None
        for part in content if isinstance(content, list) else [{"text": content}]:
            if isinstance(part, Mapping):
                images += part.get("type") == "image_url"
                text = part.get("text")
                characters += len(text) if isinstance(text, str) else 0
    return characters, images
