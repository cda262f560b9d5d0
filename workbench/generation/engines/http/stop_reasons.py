"""Error messages of engines that stop. Pure. No message contains the API key."""

from __future__ import annotations

from workbench.generation.engines.http.client import Reply
from workbench.generation.engines.http.errors import server_message
from workbench.generation.engines.protocol import EngineStopped
from workbench.workspace.settings.engines import EngineSettings
from workbench.workspace.settings.server_address import plain_url


def access_error(settings: EngineSettings, reply: Reply, key: str) -> EngineStopped:
    """Return the error for a server that rejects every request: key, account, model or address are wrong."""
    url, message = plain_url(settings.url), server_message(reply.body, key)
    quoted = f" ({message})" if message else ""
    if reply.status in {401, 403}:
        if settings.key_env:
            hint = f"check the API key in the environment variable {settings.key_env}"
        else:
            hint = f"set key_env to the name of the variable with the API key, in [engines.{settings.name}]"
        return EngineStopped(f"{url} refuses access: {reply.status}{quoted}", hint=hint)
    if reply.status in {402, 429}:
        return EngineStopped(f"{url}: the account has no credit left{quoted}", hint="all answers are stored")
    if reply.status == 404:
        return EngineStopped(
            f"{url} does not know the model {settings.model} or the address{quoted}",
            hint=f"list its models: curl {url}/models; most addresses end with /v1",
        )
    target = f" to {reply.target}" if reply.target else ""
    return EngineStopped(
        f"{url} redirects{target}: {reply.status}{quoted}",
        hint=f"set url in [engines.{settings.name}] to the new address, with its /v1",
    )


def connection_error(settings: EngineSettings, reason: str) -> EngineStopped:
    """Return the error for a server that cannot be reached."""
    return EngineStopped(
        f"cannot reach {plain_url(settings.url)}: {reason or 'no answer'}",
        hint="all answers are stored; run the same command again when the server is up",
    )


def refusal_error(settings: EngineSettings, detail: str) -> EngineStopped:
    """Return the error for a server that answers requests, but none with a usable answer."""
    return EngineStopped(
        f"{plain_url(settings.url)} answers no request: {detail}",
        hint=f"check url and model in [engines.{settings.name}]; negwb generate probe {settings.name} tests the server",
    )
