"""The /models endpoint of a server."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from curation_db.language.sanitize import display_text
from workbench.generation.engines.http.client import HttpClient, Reply, TransportFailure
from workbench.generation.engines.http.stop_reasons import access_error
from workbench.generation.engines.openai.responses.response import ResponseProblem, parse_body
from workbench.workspace.engine_settings import EngineSettings


async def listed_models(settings: EngineSettings, client: HttpClient) -> list[str] | TransportFailure:
    """Return the models that the server lists; an empty list where it has no such endpoint.

    Raises:
        EngineStopped: the server refuses access.
    """
    reply = await client.get("/models")
    if isinstance(reply, TransportFailure):
        return reply
    if reply.status in {401, 403}:
        raise access_error(settings, reply, client.key)
    return model_ids(reply)


def model_ids(reply: Reply) -> list[str]:
    """Return the model IDs of a /models reply, cleaned for display."""
    payload: Any = parse_body(reply.body) if reply.status == 200 else None
    data = payload.get("data") if isinstance(payload, Mapping) and not isinstance(payload, ResponseProblem) else None
    entries = data if isinstance(data, list) else []
    ids = [entry.get("id") for entry in entries if isinstance(entry, Mapping)]
    return [display_text(each) for each in ids if isinstance(each, str) and each]
