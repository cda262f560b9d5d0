"""Implementation of `negwb generate probe`."""

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
    """Probe a server; store and print the result.

    Raises:
        NegwbError: the server cannot be reached, or the engine is not a server.
    """
    workspace = find_workspace(named)
    settings = _settings(read_settings(workspace.settings).generate.engines.get(endpoint), endpoint)
    settings = replace(settings, model=model or settings.model, key_env=key_env or settings.key_env)
    report = asyncio.run(probe(settings))
    with open_store(workspace.database) as store, store.write() as connection:
        store_probe(connection, report.url, report.model, report.to_dict())
    method, blind = (best_method(settings.method, report.to_dict(), has_image=pictured) for pictured in (True, False))
    if as_json:
        methods = {"method": str(method), "method_without_picture": str(blind)}
        typer.echo(json.dumps({"url": report.url, "model": report.model, "features": report.to_dict(), **methods}))
        return
    show([_listing(report)])
    typer.echo(f"negwb: {display_text(report.model, limit=100)} at {display_text(report.url, limit=200)}", err=True)
    typer.echo(f"       probabilities come from: {_METHOD_TEXT[method]}", err=True)


def list_stored_probes(named: Path | None, *, as_json: bool) -> None:
    """Print the stored results of all probed servers.

    Raises:
        NothingToDo: no server was probed.
    """
    with open_read_only(find_workspace(named).database) as store, store.read() as connection:
        stored = list_probes(connection)
    if as_json:
        for each in stored:
            typer.echo(json.dumps(asdict(each)))
        return
    if not stored:
        raise NothingToDo("no server was probed yet", hint="for example: negwb generate probe http://localhost:8000/v1")
    rows = [
        (each.url, each.model, str(best_method("auto", each.features, has_image=True)), each.probed_at[:16])
        for each in stored
    ]
    show([Listing("Servers", ("address", "model", "probabilities", "probed"), rows, left=4)])


_METHOD_TEXT = {
    Method.LOGPROBS: "log-probabilities",
    Method.DECISION: "typed decisions",
    Method.SAMPLES: "the share of yes among sampled answers",
    Method.BARE: "none: a plain yes or no is not a probability",
}


def _listing(report: ProbeReport) -> Listing:
    rows = [(str(each.name), str(each.seen), each.evidence) for each in report.capabilities]
    return Listing("Server features", ("feature", "supported", "evidence"), rows, left=3)


def _settings(known: EngineSettings | None, endpoint: str) -> EngineSettings:
    if known is not None:
        if known.kind != "openai":
            raise UsageError(f"the engine {endpoint} is not a server: engines of kind {known.kind} cannot be probed")
        return known
    if not endpoint.startswith(("http://", "https://")):
        raise UsageError(f"{endpoint!r} is neither a server address nor an engine of negwb.toml")
    return EngineSettings(name="probed", kind="openai", url=endpoint)
