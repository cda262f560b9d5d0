"""Implementation of `negwb generate probe`."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import typer

from curation_db.generation.endpoint_probes import list_probes, store_probe
from curation_db.language.sanitize import display_text
from curation_db.storage.store import open_read_only, open_store
from workbench.console.tables import Listing, show
from workbench.errors import NothingToDo, UsageError
from workbench.generation.engines.openai.probing.capabilities import Capability, best_method, is_blind, support_of
from workbench.generation.engines.openai.probing.probe import ProbeReport, probe
from workbench.generation.engines.openai.probing.probe_summary import probe_summary, rules_json
from workbench.generation.engines.openai.request_rules import request_rules
from workbench.workspace.layout import find_workspace
from workbench.workspace.settings.engines import EngineSettings
from workbench.workspace.settings.settings import read_settings


def probe_endpoint(named: Path | None, endpoint: str, *, model: str, key_env: str, as_json: bool) -> None:
    """Probe a server, or all servers of an engine; store the results, and print that of the first one.

    Raises:
        NegwbError: the server cannot be reached, or the engine is not a server.
    """
    workspace = find_workspace(named)
    known = read_settings(workspace.settings).generate
    settings = _settings(known.engines.get(endpoint), endpoint)
    settings = replace(settings, model=model or settings.model, key_env=key_env or settings.key_env)
    report, *others = [
        asyncio.run(probe(replace(settings, url=url, urls=()), least_label_mass=known.least_label_mass))
        for url in settings.servers or (settings.url,)
    ]
    capabilities = report.to_dict()
    with open_store(workspace.database) as store, store.write() as connection:
        for each in (report, *others):
            store_probe(connection, each.url, each.model, each.to_dict())
    differing = {each.url: _differing(report, each) for each in others}
    if as_json:
        servers = {"other_servers": differing} if others else {}
        result = {"url": report.url, "model": report.model, **_result_json(settings, capabilities), **servers}
        typer.echo(json.dumps(result))
        return
    show([_listing(report)])
    typer.echo(f"negwb: {display_text(report.model, limit=100)} at {display_text(report.url, limit=200)}", err=True)
    for line in probe_summary(settings, capabilities):
        typer.echo(f"       {display_text(line, limit=400)}", err=True)
    if unlike := {url: names for url, names in differing.items() if names}:
        text = "; ".join(f"{url} in {', '.join(names)}" for url, names in unlike.items())
        line = f"servers that differ from the first one, whose result all of them are used with: {text}"
        typer.echo(f"negwb: warning: {display_text(line, limit=400)}", err=True)


def _differing(first: ProbeReport, other: ProbeReport) -> list[str]:
    """Return the features that two servers of an engine support differently."""
    support = {each.name: each.seen for each in other.capabilities}
    return [str(each.name) for each in first.capabilities if support.get(each.name) is not each.seen]


def _result_json(settings: EngineSettings, capabilities: Mapping[str, Any]) -> dict[str, Any]:
    method, without = (best_method(settings.method, capabilities, has_image=image) for image in (True, False))
    return {
        "features": capabilities,
        "method": str(method),
        "method_without_picture": str(without),
        "blind": is_blind(settings.method, capabilities),
        "requests": rules_json(request_rules(settings, capabilities)),
    }


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
        (
            each.url,
            each.model,
            str(best_method("auto", each.features, has_image=True)),
            str(support_of(each.features, Capability.PICTURE)),
            each.probed_at[:16],
        )
        for each in stored
    ]
    show([Listing("Servers", ("address", "model", "probabilities", "images", "probed"), rows, left=5)])


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
