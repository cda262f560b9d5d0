"""`negwb generate probe`, done."""

from __future__ import annotations

import asyncio
import json
from dataclasses import asdict, replace
from pathlib import Path

import typer

from curation_db.enums import Method
from curation_db.generation.endpoint_probes import list_probes, store_probe
from curation_db.language.sanitize import display_text
from curation_db.storage.store import open_read_only, open_store
from workbench.console.tables import Listing, show
from workbench.errors import NothingToDo, UsageError
from workbench.generation.engines.openai.capabilities import best_method
from workbench.generation.engines.openai.probe import ProbeReport, probe
from workbench.workspace.engine_settings import EngineSettings
from workbench.workspace.layout import find_workspace
from workbench.workspace.settings import read_settings


def probe_endpoint(named: Path | None, endpoint: str, *, model: str, key_env: str, as_json: bool) -> None:
    """Probe a server, store what it proved, and print it.

    Raises:
        NegwbError: it cannot be reached, or the engine is no server.
    """
    workspace = find_workspace(named)
    settings = _settings(read_settings(workspace.settings).generate.engines.get(endpoint), endpoint)
    settings = replace(settings, model=model or settings.model, key_env=key_env or settings.key_env)
    look = asyncio.run(probe(settings))
    with open_store(workspace.database) as store, store.write() as connection:
        store_probe(connection, look.url, look.model, look.to_dict())
    method, blind = (best_method(settings.method, look.to_dict(), pictured=pictured) for pictured in (True, False))
    if as_json:
        methods = {"method": str(method), "method_without_picture": str(blind)}
        typer.echo(json.dumps({"url": look.url, "model": look.model, "features": look.to_dict(), **methods}))
        return
    show([_listing(look)])
    typer.echo(f"negwb: {display_text(look.model, limit=100)} at {display_text(look.url, limit=200)}", err=True)
    typer.echo(f"       probabilities will come from: {_METHOD_TEXT[method]}", err=True)


def list_stored_probes(named: Path | None, *, as_json: bool) -> None:
    """Print what servers have proved.

    Raises:
        NothingToDo: none was asked.
    """
    with open_read_only(find_workspace(named).database) as store, store.read() as connection:
        looks = list_probes(connection)
    if as_json:
        for each in looks:
            typer.echo(json.dumps(asdict(each)))
        return
    if not looks:
        raise NothingToDo("no server was probed yet", hint="as in: negwb generate probe http://localhost:8000/v1")
    rows = [
        (each.url, each.model, str(best_method("auto", each.features, pictured=True)), each.probed_at[:16])
        for each in looks
    ]
    show([Listing("Servers", ("address", "model", "probabilities", "probed"), rows, left=4)])


_METHOD_TEXT = {
    Method.LOGPROBS: "log-probabilities",
    Method.DECISION: "typed decisions",
    Method.SAMPLES: "the share of yes among sampled answers",
    Method.BARE: "a bare yes or no, which is no probability",
}


def _listing(look: ProbeReport) -> Listing:
    rows = [(str(each.name), str(each.seen), each.evidence) for each in look.capabilities]
    return Listing("What the server honours", ("feature", "honoured", "what was seen"), rows, left=3)


def _settings(known: EngineSettings | None, endpoint: str) -> EngineSettings:
    if known is not None:
        if known.kind != "openai":
            raise UsageError(f"the engine {endpoint} is no server: {known.kind} proves nothing by being asked")
        return known
    if not endpoint.startswith(("http://", "https://")):
        raise UsageError(f"{endpoint!r} is neither an address nor an engine of negwb.toml")
    return EngineSettings(name="probed", kind="openai", url=endpoint)
