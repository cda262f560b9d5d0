"""Why an engine stops, as a person is told. Pure. The key itself is in none of these lines."""

from __future__ import annotations

from workbench.generation.engines.http.client import Reply
from workbench.generation.engines.http.errors import plain_url, server_message
from workbench.generation.engines.protocol import EngineStopped
from workbench.workspace.engine_settings import EngineSettings


def access_error(settings: EngineSettings, reply: Reply, key: str) -> EngineStopped:
    """The server answers nobody like us: key, account, model or address are wrong."""
    url, words = plain_url(settings.url), server_message(reply.body, key)
    said = f" ({words})" if words else ""
    if reply.status in {401, 403}:
        if settings.key_env:
            hint = f"is the API key in the environment variable {settings.key_env} right?"
        else:
            hint = f"name the environment variable that holds the API key: key_env in [engines.{settings.name}]"
        return EngineStopped(f"{url} refuses us: {reply.status}{said}", hint=hint)
    if reply.status in {402, 429}:
        return EngineStopped(f"{url}: the account is used up{said}", hint="what was answered is kept")
    if reply.status == 404:
        return EngineStopped(
            f"{url} does not know the model {settings.model} or the address{said}",
            hint=f"see what it serves: curl {url}/models; the address mostly ends with /v1",
        )
    return EngineStopped(
        f"{url} sends us elsewhere: {reply.status}{said}", hint=f"put the right address into [engines.{settings.name}]"
    )


def connection_error(settings: EngineSettings, why: str) -> EngineStopped:
    """Nothing gets through."""
    return EngineStopped(
        f"nothing gets through to {plain_url(settings.url)}: {why or 'no answer'}",
        hint="what was answered is kept; when the server is up, the same command goes on",
    )
