"""The subcommands of `negwb generate`: probe, judge, batch and tune (own modules), prompts, runs, failures."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Annotated, Any

import typer

from workbench.commands.generate import batch, tune
from workbench.commands.options import RunBlindJudgesOption, RunCostOption, RunRequestsOption, RunTokensOption
from workbench.console.key_values import pairs
from workbench.errors import NothingToDo, UsageError

if TYPE_CHECKING:
    from curation_db.generation.runs import GenerationRunRow

_PROBE = """\b
Examples:
  negwb generate probe http://localhost:8000/v1
  negwb generate probe llava                        an engine of negwb.toml
  negwb generate probe http://localhost:8000/v1 --model llava --json
  negwb generate probe                              list the stored results

\b
The result decides the source of probabilities: log-probabilities, else typed decisions, else samples, else a plain yes
or no. Some servers answer 200 and ignore unknown parameters, so every feature is tested.
"""
_JUDGE = """\b
Examples:
  negwb generate judge                              judge what the judges of negwb.toml have not judged
  negwb generate judge --judge clip --limit 1000
  negwb generate judge --judge llava:acceptable

\b
Edited and imported candidates have no verdicts until they are judged with this command.
"""
_PROMPTS = """\b
Examples:
  negwb generate prompts
  negwb generate prompts negwb-p1-1 > mine.toml     edit, then: negwb generate --prompts mine.toml
"""
_RUNS = """\b
Examples:
  negwb generate runs
  negwb generate runs --limit 1 --json
"""
_FAILURES = """\b
Examples:
  negwb generate failures
  negwb generate failures --run 3 --json
"""


def register(group: typer.Typer) -> None:
    """Add the commands."""
    group.command(epilog=_PROBE)(probe)
    group.command(epilog=_JUDGE)(judge)
    batch.register(group)
    tune.register(group)
    group.command(epilog=_PROMPTS)(prompts)
    group.command(epilog=_RUNS)(runs)
    group.command(epilog=_FAILURES)(failures)


def probe(
    context: typer.Context,
    endpoint: Annotated[
        str | None,
        typer.Argument(metavar="[ENDPOINT]", help="Server address or engine name; without it list the stored results."),
    ] = None,
    model: Annotated[str, typer.Option(help="Model of the server.", show_default="the only one")] = "",
    key_env: Annotated[str, typer.Option(metavar="NAME", help="Environment variable with the API key.")] = "",
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """Test with small requests which features a server supports, and store the result."""
    from workbench.commands.generate.probe import list_stored_probes, probe_endpoint  # imports httpx

    if endpoint is None:
        list_stored_probes(context.obj, as_json=as_json)
    else:
        probe_endpoint(context.obj, endpoint, model=model, key_env=key_env, as_json=as_json)


def judge(
    context: typer.Context,
    judges: Annotated[
        list[str] | None,
        typer.Option("--judge", metavar="ENGINE[:QUESTION]", help="Engine that judges; repeatable."),
    ] = None,
    prompts: Annotated[str | None, typer.Option(metavar="SET", help="Prompt set or its file.")] = None,
    settings: Annotated[
        list[str] | None, typer.Option("--set", metavar="NAME=VALUE", help="Any setting of [generate]; repeatable.")
    ] = None,
    limit: Annotated[int | None, typer.Option(min=1, help="Maximum number of candidates.")] = None,
    allow_blind: RunBlindJudgesOption = False,
    max_requests: RunRequestsOption = None,
    max_tokens: RunTokensOption = None,
    max_cost: RunCostOption = None,
    quiet: Annotated[bool, typer.Option("--quiet", help="Print no progress.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object about the run.")] = False,
) -> None:
    """Judge the candidates that have no verdict of these judges, such as imported and edited ones."""
    from workbench.commands.generate.judge import judge_candidates  # imports httpx

    judge_candidates(
        context.obj,
        judges or [],
        prompts=prompts or "",
        changes=pairs(settings or []),
        limit=limit,
        allow_blind=allow_blind,
        caps={"max_requests": max_requests, "max_tokens": max_tokens, "max_cost": max_cost},
        quiet=quiet,
        as_json=as_json,
    )


def prompts(
    context: typer.Context,
    name: Annotated[str | None, typer.Argument(metavar="[SET]", help="Prompt set to print in full.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """List the prompt sets, with those in the workspace's folder prompts, or print one as a template for your own.

    Pass an edited file with --prompts FILE; its version is its name and a hash of its content.
    """
    from workbench.console.tables import Listing, show
    from workbench.generation.prompts.loader import find_prompts, prompt_set_names, workspace_sets
    from workbench.workspace.layout import NoWorkspace, find_workspace

    try:
        folder = find_workspace(context.obj).root
    except NoWorkspace:
        folder = None
    names = [name] if name is not None else [*prompt_set_names(), *(workspace_sets(folder) if folder else ())]
    sets = [find_prompts(each, folder) for each in names]
    rows = [{"name": s.name, "version": s.version, "pipeline": str(s.pipeline), "about": s.about} for s in sets]
    if name is not None:
        typer.echo(json.dumps({**rows[0], "content": sets[0].content}) if as_json else sets[0].content.rstrip())
    elif as_json:
        typer.echo(json.dumps(rows))
    else:
        cells = [(s.version, str(s.pipeline), s.about) for s in sets]
        show([Listing("Prompt sets", ("version", "pipeline", "about"), cells, left=3)])


def runs(
    context: typer.Context,
    limit: Annotated[int, typer.Option(min=1, help="Maximum number of runs, newest first.")] = 20,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object per line.")] = False,
) -> None:
    """List the generation runs with their counts and final state."""
    from curation_db.generation.runs import list_runs
    from curation_db.storage.store import open_read_only
    from workbench.console.tables import Listing, show
    from workbench.workspace.layout import find_workspace

    with open_read_only(find_workspace(context.obj).database) as store, store.read() as connection:
        listed = list_runs(connection, limit)
    if as_json:
        for run in listed:
            typer.echo(json.dumps(_run_json(run)))
        return
    if not listed:
        raise NothingToDo("there are no generation runs yet", hint="see: negwb generate --help")
    headers = ("run", "state", "pipeline", "started", "items", "kept", "dropped", "failed", "requests", "cost")
    show([Listing("Runs", headers, [_row(run) for run in listed], left=4)])


def _run_json(run: GenerationRunRow) -> dict[str, Any]:
    return {
        "run": run.id,
        "state": "lost" if run.lost else str(run.state),
        "recipe": run.recipe,
        "started_at": run.started_at,
        "ended_at": run.ended_at,
        "message": run.message,
        "settings": dict(run.settings),
        **run.progress.to_dict(),
    }


def _row(run: GenerationRunRow) -> tuple[str, ...]:
    progress = run.progress
    return (
        str(run.id),
        "lost" if run.lost else str(run.state),
        str(run.settings.get("pipeline", "")),
        run.started_at[:16].replace("T", " "),
        f"{progress.items_done:,}",
        f"{progress.items_kept:,}",
        f"{progress.dropped:,}",
        f"{progress.failed:,}",
        f"{progress.requests:,}",
        f"{progress.cost:,.4g}",
    )


def failures(
    context: typer.Context,
    run: Annotated[int | None, typer.Option(help="Number of the run.", show_default="the newest with items")] = None,
    limit: Annotated[int, typer.Option(min=1, help="Maximum number of items, newest first.")] = 50,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object per line.")] = False,
) -> None:
    """List the dropped and failed items of a run, each with its reason.

    negwb generate --retry repeats the failed ones (failed:...).
    """
    from dataclasses import asdict

    from curation_db.generation.runs import failures as failed
    from curation_db.generation.runs import get_run, list_runs
    from curation_db.storage.store import open_read_only
    from workbench.console.tables import Listing, show
    from workbench.workspace.layout import find_workspace

    with open_read_only(find_workspace(context.obj).database) as store, store.read() as connection:
        if run is None:
            newest = next((each for each in list_runs(connection) if each.progress.items_done), None)
            if newest is None:
                raise NothingToDo("there are no generation runs yet", hint="see: negwb generate --help")
            run = newest.id
        elif get_run(connection, run) is None:
            raise UsageError(f"there is no run {run}", hint="see: negwb generate runs")
        listed = failed(connection, run_id=run, limit=limit)
    if as_json:
        for each in listed:
            typer.echo(json.dumps(asdict(each)))
        return
    if not listed:
        raise NothingToDo("no item failed or was dropped")
    rows = [(each.item, each.reason or "", each.detail or "", each.file_name or "", each.text or "") for each in listed]
    show([Listing("Items without a candidate", ("item", "reason", "detail", "image", "text"), rows, left=5)])
