"""`negwb generate --dry-run`, printed."""

from __future__ import annotations

import json

import typer

from curation_db.language.sanitize import counted, display_text
from curation_db.storage.store import Store
from workbench.console.progress_bars import step_bars
from workbench.console.tables import Listing, show
from workbench.generation.models import EngineRequest
from workbench.generation.runs.dry_run import DryRun, estimate_run
from workbench.generation.runs.plan import GenerationPlan
from workbench.generation.runs.session import GenerationOptions, nothing_left
from workbench.workspace.picture_folders import PictureFolders


def dry_run(
    store: Store, plan: GenerationPlan, options: GenerationOptions, folders: PictureFolders, *, as_json: bool
) -> None:
    """Print the requests for the first picture, and an estimate for all.

    Raises:
        NothingToDo: there is none.
    """
    with step_bars() as tell:
        told = estimate_run(store, plan, options, folders, progress=tell)
    if not told.sampled:
        raise nothing_left(store, plan.pipeline)
    if as_json:
        typer.echo(json.dumps(told.to_dict()))
        return
    for request in told.shown:
        typer.echo(_request(request))
    show([_estimate(told)])
    typer.echo(
        f"negwb: an estimate for {counted(told.items, 'item')}, from {told.sampled:,} with made-up answers; tokens are"
        " CLIP's, which are near those of most models. Nothing was asked.",
        err=True,
    )


def _request(routed: EngineRequest) -> str:
    request = routed.request
    head = f"{request.stage} · {routed.engine} · {request.prompt} · temperature {request.sampling.temperature:g}"
    lines = [head + (f" · seed {request.sampling.seed}" if request.sampling.seed is not None else "")]
    if request.picture is not None:
        lines.append(f"  [picture] {display_text(request.picture.key, limit=100)}")
    for message in request.messages:
        first, *rest = message.text.split("\n")
        lines.append(f"  {message.role}: {display_text(first, limit=2_000)}")
        lines += [f"    {display_text(line, limit=2_000)}" for line in rest]
    return "\n".join(lines) + "\n"


def _estimate(told: DryRun) -> Listing:
    # fmt: off
    rows = [
        (name, f"{cost.requests:,.0f}", f"{cost.remembered:,.0f}", f"{cost.prompt_tokens:,.0f}",
         f"{cost.completion_tokens:,.0f}", "–" if cost.money is None else f"{cost.money:,.4g}")
        for name, cost in sorted(told.costs.items())
    ]
    # fmt: on
    headers = ("engine", "requests", "remembered", "prompt tokens", "answer tokens", "cost")
    return Listing("Estimate", headers, rows)
