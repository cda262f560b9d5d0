"""`negwb generate probe`, done."""

from __future__ import annotations

import asyncio
import json
from dataclasses import replace
from pathlib import Path

import typer
from curation_db.probes import store_probe

from curation_db.store import open_store
from workbench.commands.tables import Listing, show
from workbench.errors import UsageError
from workbench.generation.engines.protocol import EngineSettings
from workbench.generation.probing import probe
from workbench.paths import find_workspace
from workbench.settings import read_settings


def probe_endpoint(named: Path | None, endpoint: str, *, model: str, key_env: str, as_json: bool) -> None:
    """Probe a server, store what it proved, and print it.

    Raises:
        NegwbError: it cannot be reached, or the engine is no server.
    """
    workspace = find_workspace(named)
    settings = _settings(read_settings(workspace.settings).generate.engines.get(endpoint), endpoint)
    settings = replace(settings, model=model or settings.model, key_env=key_env or settings.key_env)
    proved = asyncio.run(probe(settings))
    with open_store(workspace.database) as store, store.write() as connection:
        store_probe(connection, settings.url, proved.model, proved.features())
    if as_json:
        typer.echo(json.dumps(proved.to_dict()))
        return
    rows = [(each.name, each.word, each.evidence) for each in proved.findings]
    show([Listing(f"{proved.model} at {settings.url}", ("feature", "honoured", "what was seen"), rows, left=3)])
    typer.echo(f"negwb: probabilities will come from: {proved.method}", err=True)


def _settings(known: EngineSettings | None, endpoint: str) -> EngineSettings:
    if known is not None:
        if known.kind != "openai":
            raise UsageError(f"the engine {endpoint} is no server: {known.kind} proves nothing by being asked")
        return known
    if not endpoint.startswith(("http://", "https://")):
        raise UsageError(f"{endpoint!r} is neither an address nor an engine of negwb.toml")
    return EngineSettings(name="probed", kind="openai", url=endpoint)
