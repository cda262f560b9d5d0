"""What `negwb generate` does once its words are read."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import typer

from curation_db.language.sanitize import counted
from curation_db.review.candidates import Intake
from curation_db.storage.store import Store, open_read_only, open_store
from workbench.commands.generate.progress import print_line, progress_bar, result_lines
from workbench.demo.engine_kinds import register_demo_engines
from workbench.errors import NegwbError, NothingToDo, UsageError
from workbench.generation.budget import Budget
from workbench.generation.engines.protocol import EngineFactory
from workbench.generation.engines.registry import open_engine
from workbench.generation.runs.plan import GenerationPlan, make_plan
from workbench.generation.runs.session import GenerationOptions, GenerationResult, MakeTask, generate, nothing_left
from workbench.generation.runs.work_source import Shard
from workbench.workspace.engine_settings import EngineSettings, Pipeline
from workbench.workspace.layout import Workspace, find_workspace
from workbench.workspace.picture_folders import PictureFolders
from workbench.workspace.settings import Settings, read_settings


def run_generate(
    named: Path | None,
    *,
    asked: Mapping[str, Any],
    plan: Mapping[str, Any],
    options: Mapping[str, Any],
    caps: Mapping[str, Any],
    dry_run: bool,
    emit: Path | None,
    ingest: Sequence[Path],
    quiet: bool,
    as_json: bool,
) -> None:
    """Do what the options of `negwb generate` ask for.

    Raises:
        NegwbError: what stopped it, or that there is nothing to do.
    """
    if sum((dry_run, emit is not None, bool(ingest))) > 1:
        raise UsageError("--dry-run, --emit-requests and --ingest-responses are three different things: one at a time")
    register_demo_engines()
    workspace = find_workspace(named)
    settings = read_settings(workspace.settings)
    folders = PictureFolders(workspace.root, settings.pictures, follow_links=settings.follow_links)
    with (open_read_only if dry_run else open_store)(workspace.database) as store:
        if ingest:
            _ingest_responses(store, ingest, settings.generate.engines, as_json=as_json)
            return
        made = build_plan(settings, asked, plan)
        chosen = _options(settings, options, caps)
        _check_sources(store, chosen.sources)
        if dry_run:
            from workbench.commands.generate.dry_run import dry_run as show_dry

            show_dry(store, made, chosen, folders, as_json=as_json)
            return
        if emit is not None:
            _emit_requests(workspace, store, made, chosen, folders, emit, quiet=quiet, as_json=as_json)
            return
        ended = run_plan(workspace, store, made, chosen, folders, quiet=quiet)
        _print_result(ended, as_json=as_json)
        if not ended.progress.items_done:
            raise nothing_left(store, made.pipeline)


def build_plan(settings: Settings, asked: Mapping[str, Any], words: Mapping[str, Any]) -> GenerationPlan:
    """The plan for the words of a command line."""
    told = dict(words)
    name = str(told.pop("pipeline", "P1"))
    try:
        pipeline = Pipeline(name.upper())
    except ValueError:
        raise UsageError(f"--pipeline {name}", hint="P1 (object absence) or P2 (questions answered with no)") from None
    return make_plan(settings.generate.changed(asked, "--set"), pipeline=pipeline, **told)


def _options(settings: Settings, told: Mapping[str, Any], caps: Mapping[str, Any]) -> GenerationOptions:
    curate = settings.curate
    return GenerationOptions(
        sources=told["sources"],
        limit=told["limit"],
        shard=Shard.parse(told["shard"]),
        retry=told["retry"],
        budget=Budget(**caps),
        intake=Intake(overlap=curate.overlap, audit_rate=curate.audit_rate),
    )


def _check_sources(store: Store, named: Sequence[str]) -> None:
    from curation_db.search.overview import source_names

    with store.read() as connection:
        known = source_names(connection)
    if missing := [name for name in named if name not in known]:
        raise UsageError(f"there is no source {missing[0]!r}", hint=f"there are: {', '.join(known) or 'none'}")


def run_plan(
    workspace: Workspace,
    store: Store,
    plan: GenerationPlan,
    options: GenerationOptions,
    folders: PictureFolders,
    *,
    quiet: bool,
    make: EngineFactory = open_engine,
    task: MakeTask | None = None,
) -> GenerationResult:
    """Run a plan with its progress on stderr, unless `quiet`."""
    bar = nullcontext((lambda progress: None, print_line)) if quiet else progress_bar()
    with bar as (tell, between):
        return generate(
            workspace, store, plan, options, folders, on_progress=tell, notify=between, make=make, task=task
        )


def _print_result(ended: GenerationResult, *, as_json: bool) -> None:
    """How it ended; what stopped it is raised, after what was done has been said."""
    if as_json:
        typer.echo(json.dumps(run_json(ended)))
    for line in result_lines(ended):
        print_line(line)
    if ended.error is not None:
        raise ended.error


def run_json(ended: GenerationResult) -> dict[str, Any]:
    """The run as `--json` prints it."""
    return {
        "run": ended.run_id,
        "state": str(ended.state),
        "message": ended.message,
        "recipe": ended.recipe.hash,
        "settings": ended.recipe.to_dict(),
        "simulated": list(ended.simulated),
        **ended.progress.to_dict(),
    }


def _emit_requests(
    workspace: Workspace,
    store: Store,
    plan: GenerationPlan,
    options: GenerationOptions,
    folders: PictureFolders,
    path: Path,
    *,
    quiet: bool,
    as_json: bool,
) -> None:
    from workbench.generation.runs.batch_files import BatchRequestFile

    with BatchRequestFile(path, store, again=options.retry) as emission:
        ended = run_plan(workspace, store, plan, options, folders, quiet=quiet, make=emission.open)
        written = emission.finish(ended.run_id)
    if as_json:
        typer.echo(
            json.dumps({"file": str(path), "written": written, "waiting": ended.pending_images, **run_json(ended)})
        )
    for line in result_lines(ended):
        print_line(line)
    if ended.error is not None:
        raise ended.error
    if emission.already_sent:
        out = counted(emission.already_sent, "request")
        print_line(f"{out} in an earlier file, and not answered yet; is the file lost? --retry writes them again")
    if not written and emission.already_sent:
        raise NothingToDo("no further request is open until the answers are in", hint=f"{path} was not written")
    if not written:
        raise NothingToDo("no request is open: everything asked for is answered", hint=f"{path} was not written")
    sending = f"vllm run-batch -i {path.name} -o told.jsonl --model M"
    print_line(f"{counted(written, 'request')} in {path}; send them off, as in: {sending}")
    print_line(
        "then: negwb generate --ingest-responses told.jsonl, and --emit-requests again for what follows from them"
    )


def _ingest_responses(
    store: Store, paths: Sequence[Path], engines: Mapping[str, EngineSettings], *, as_json: bool
) -> None:
    from workbench.console.progress_bars import step_bars
    from workbench.generation.runs.batch_files import ingest_responses

    with step_bars(lines=True) as tell:
        told = ingest_responses(store, paths, engines, on_progress=tell, notify=print_line)
    if as_json:
        typer.echo(json.dumps(told.to_dict()))
    print_line(f"{told.stored:,} answers stored, {told.failed:,} of them failures; {told.known:,} were known already")
    if told.refused:
        raise NegwbError(f"{told.refused:,} lines were no answer to anything asked here", hint="they are listed above")
