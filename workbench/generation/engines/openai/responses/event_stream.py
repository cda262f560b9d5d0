"""A chat completion that a server sends as a stream of events although none was requested. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any, Final

from curation_db.foreign_json import JsonError, parse_json

_START: Final = re.compile(r"\s*(?:data|event|id|retry)?:")
_JOINED: Final = ("content", "reasoning_content", "reasoning", "refusal")
"""Texts of a message that arrive in pieces."""


def is_event_stream(text: str) -> bool:
    """Whether the text is a stream of server-sent events (WHATWG HTML 9.2)."""
    return _START.match(text) is not None


def assembled(text: str) -> Any:
    """Return the events of a stream as one response; None if the stream ended early."""
    message: dict[str, Any] = {}
    choice: dict[str, Any] = {}
    response: dict[str, Any] = {}
    log_probabilities: list[Any] = []
    complete = False
    for data in _data(text):
        if data == "[DONE]":
            complete = True
            break
        try:
            event = parse_json(data)
        except JsonError:
            return None
        if not isinstance(event, Mapping):
            continue
        response |= {name: value for name, value in event.items() if value is not None}
        choices = event.get("choices")
        part = choices[0] if isinstance(choices, list) and choices else None
        if not isinstance(part, Mapping):
            continue
        choice |= {name: value for name, value in part.items() if value is not None}
        _join(message, part.get("delta") or part.get("message"))
        listed = part.get("logprobs")
        content = listed.get("content") if isinstance(listed, Mapping) else None
        log_probabilities += content if isinstance(content, list) else []
    if not response or not (complete or choice.get("finish_reason") or not choice):
        return None
    if choice:
        choice["message"] = message
        if log_probabilities:
            choice["logprobs"] = {"content": log_probabilities}
        response["choices"] = [choice]
    return response


def _join(message: dict[str, Any], part: Any) -> None:
    for name, value in part.items() if isinstance(part, Mapping) else ():
        if name in _JOINED and isinstance(value, str) and isinstance(message.get(name), str):
            message[name] += value
        elif value is not None:
            message[name] = value


def _data(text: str) -> Iterator[str]:
    """Yield the data of each event; several data lines of one event are joined."""
    lines: list[str] = []
    for line in [*re.split(r"\r\n|\r|\n", text), ""]:
        if line.startswith("data:"):
            lines.append(line[5:].removeprefix(" "))
        elif not line and lines:
            yield "\n".join(lines)
            lines = []
