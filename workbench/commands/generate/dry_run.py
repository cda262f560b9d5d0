"""Output of `negwb generate --dry-run`."""

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
    """Print the requests for the first image and an estimate for all items.

    Raises:
        NothingToDo: no item is left to generate for.
    """
    with step_bars() as report_step:
        result = estimate_run(store, plan, options, folders, progress=report_step)
    if not result.sampled:
        raise nothing_left(store, plan.pipeline)
    if as_json:
        typer.echo(json.dumps(result.to_dict()))
        return
    for request in result.first_requests:
        typer.echo(_request_text(request))
    show([_estimate(result)])
    typer.echo(
        f"negwb: estimate for {counted(result.items, 'item')}, from {result.sampled:,} with simulated answers; tokens"
        " are CLIP's, whose number is near that of most models. No requests were sent.",
        err=True,
    )


def _request_text(routed: EngineRequest) -> str:
    request = routed.request
    sampling = request.sampling
    head = f"{request.stage} · {routed.engine} · {request.prompt} · temperature {sampling.temperature:g}"
    lines = [head + (f" · seed {sampling.seed}" if sampling.seed is not None else "")]
    if request.picture is not None:
        lines.append(f"  [image] {display_text(request.picture.key, limit=100)}")
    for message in request.messages:
        first, *rest = message.text.split("\n")
        lines.append(f"  {message.role}: {display_text(first, limit=2_000)}")
        lines += [f"    {display_text(line, limit=2_000)}" for line in rest]
    return "\n".join(lines) + "\n"


def _estimate(result: DryRun) -> Listing:
    rows = [
        (
            name,
            f"{cost.requests:,.0f}",
            f"{cost.remembered:,.0f}",
            f"{cost.prompt_tokens:,.0f}",
            f"{cost.completion_tokens:,.0f}",
            "–" if cost.money is None else f"{cost.money:,.4g}",
        )
        for name, cost in sorted(result.costs.items())
    ]
    headers = ("engine", "requests", "cached", "prompt tokens", "answer tokens", "cost")
    return Listing("Estimate", headers, rows)
