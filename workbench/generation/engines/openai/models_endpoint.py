"""The /models endpoint of a server."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from curation_db.language.sanitize import display_text
from workbench.generation.engines.http.client import HttpClient, Reply, TransportFailure
from workbench.generation.engines.http.errors import plain_line, server_message
from workbench.generation.engines.http.retry import RetryDecision, classify_status
from workbench.generation.engines.http.stop_reasons import access_error, refusal_error
from workbench.generation.engines.openai.responses.response import ResponseProblem, parse_body
from workbench.generation.engines.protocol import EngineStopped
from workbench.generation.engines.requests import RequestFailure
from workbench.workspace.settings.engines import EngineSettings

_NO_ENDPOINT: Final = frozenset({404, 405, 501})


async def listed_models(settings: EngineSettings, client: HttpClient) -> list[str] | TransportFailure:
    """Return the models that the server lists; an empty list where it has no such endpoint.

    Where the settings name no model, the list is needed: a server that may send it later (503 while it loads) is a
    `TransportFailure` with `RequestFailure.SERVER`, and a reply that is no list is an error.

    Raises:
        EngineStopped: the server refuses access, or the list is needed and something else comes.
    """
    reply = await client.get("/models")
    if isinstance(reply, TransportFailure):
        return reply
    if reply.status in {401, 403}:
        raise access_error(settings, reply, client.key)
    listed = model_ids(reply)
    if listed or settings.model or reply.status in _NO_ENDPOINT:
        return listed
    if classify_status(reply.status) in {RetryDecision.RETRY, RetryDecision.THROTTLED}:
        return TransportFailure(RequestFailure.SERVER, _detail(reply, client.key))
    if (error := no_list_error(settings, reply, client.key)) is not None:
        raise error
    return []


def no_list_error(settings: EngineSettings, reply: Reply, key: str) -> EngineStopped | None:
    """Return the error of a reply that is neither a list of models nor the lack of one: an error or a web page."""
    if reply.status in _NO_ENDPOINT:
        return None
    if reply.status == 402 or 300 <= reply.status < 400:
        return access_error(settings, reply, key)
    if reply.status != 200:
        return refusal_error(settings, _detail(reply, key))
    problem = parse_body(reply.body, reply.headers.get("content-type", ""))
    return refusal_error(settings, plain_line(problem.detail, key)) if isinstance(problem, ResponseProblem) else None


def _detail(reply: Reply, key: str) -> str:
    return f"{reply.status}: {server_message(reply.body, key)}".removesuffix(": ")


def model_ids(reply: Reply) -> list[str]:
    """Return the model IDs of a /models reply, cleaned for display."""
    payload: Any = parse_body(reply.body) if reply.status == 200 else None
    data = payload.get("data") if isinstance(payload, Mapping) and not isinstance(payload, ResponseProblem) else None
    entries = data if isinstance(data, list) else []
    ids = [entry.get("id") for entry in entries if isinstance(entry, Mapping)]
    return [display_text(each) for each in ids if isinstance(each, str) and each]
