"""Implementation of `negwb generate`."""

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
from workbench.generation.runs.session import (
    GenerationOptions,
    GenerationResult,
    MakeTask,
    generate,
    nothing_left,
    raise_for_failures,
)
from workbench.generation.runs.unclear_verdicts import verdicts_unclear
from workbench.generation.runs.work_source import Shard
from workbench.workspace.layout import Workspace, find_workspace
from workbench.workspace.picture_folders import PictureFolders
from workbench.workspace.settings.engines import EngineSettings, Pipeline
from workbench.workspace.settings.settings import Settings, read_settings


def run_generate(
    named: Path | None,
    *,
    changes: Mapping[str, Any],
    plan: Mapping[str, Any],
    options: Mapping[str, Any],
    caps: Mapping[str, Any],
    compare: tuple[str, str] | None,
    dry_run: bool,
    emit: Path | None,
    file_limits: Mapping[str, int],
    ingest: Sequence[Path],
    quiet: bool,
    as_json: bool,
) -> None:
    """Generate, or with the options dry-run, emit or ingest, print, write or read requests.

    Args:
        named: Workspace folder of the command line.
        changes: Settings of [generate] to replace.
        plan: Arguments of `make_plan`; "pipeline" as text.
        options: sources, limit, shard and retry.
        caps: max_requests, max_tokens and max_cost.
        compare: Two prompt sets or files, between which the items are divided at random.
        dry_run: Print the requests and an estimate.
        emit: File to write the next requests to.
        file_limits: max_lines and max_bytes of a file, where given.
        ingest: Files with responses to store.
        quiet: Print no progress.
        as_json: Print one JSON object.

    Raises:
        NegwbError: the error that stopped the run, or nothing to do.
    """
    if file_limits and emit is None:
        raise UsageError("--max-lines and --max-bytes belong to --emit-requests", hint="see: negwb generate --help")
    if sum((dry_run, emit is not None, bool(ingest))) > 1:
        raise UsageError("--dry-run, --emit-requests and --ingest-responses exclude each other", hint="use one of them")
    if compare is not None and (dry_run or emit is not None or ingest or plan.get("prompts")):
        raise UsageError(
            "--compare names both prompt sets and sends its requests: no --prompts, --dry-run or batch files with it",
            hint="an estimate for one of them: negwb generate --prompts A --dry-run",
        )
    register_demo_engines()
    workspace = find_workspace(named)
    settings = read_settings(workspace.settings)
    folders = PictureFolders(workspace.root, settings.pictures, follow_links=settings.follow_links)
    with (open_read_only if dry_run else open_store)(workspace.database) as store:
        if ingest:
            _ingest_responses(store, ingest, settings.generate.engines, as_json=as_json)
            return
        if compare is not None:
            from workbench.commands.generate.compare import run_comparison

            plans = [build_plan(workspace, settings, changes, {**plan, "prompts": name}) for name in compare]
            chosen = _options(settings, options, caps)
            _check_sources(store, chosen.sources)
            run_comparison(workspace, store, (plans[0], plans[1]), chosen, folders, quiet=quiet, as_json=as_json)
            return
        generation_plan = build_plan(workspace, settings, changes, plan)
        generation_options = _options(settings, options, caps)
        _check_sources(store, generation_options.sources)
        if dry_run:
            from workbench.commands.generate.dry_run import dry_run as print_dry_run

            print_dry_run(store, generation_plan, generation_options, folders, as_json=as_json)
            return
        if emit is not None:
            # fmt: off
            _emit_requests(
                workspace, store, generation_plan, generation_options, folders, emit, file_limits,
                quiet=quiet, as_json=as_json,
            )
            # fmt: on
            return
        ended = run_plan(workspace, store, generation_plan, generation_options, folders, quiet=quiet)
        _print_result(ended, as_json=as_json)
        if not ended.progress.items_done:
            raise nothing_left(store, generation_plan.pipeline)
        if (unclear := verdicts_unclear([ended.progress])) is not None:
            raise unclear


def build_plan(
    workspace: Workspace, settings: Settings, changes: Mapping[str, Any], options: Mapping[str, Any]
) -> GenerationPlan:
    """Build the plan from the options of the command line.

    Raises:
        UsageError: there is no such pipeline.
    """
    arguments = dict(options)
    name = str(arguments.pop("pipeline", "P1"))
    try:
        pipeline = Pipeline(name.upper())
    except ValueError:
        raise UsageError(
            f"there is no pipeline {name!r}", hint="use P1 (object absence) or P2 (questions answered with no)"
        ) from None
    return make_plan(settings.generate.changed(changes, "--set"), pipeline=pipeline, folder=workspace.root, **arguments)


def _options(settings: Settings, options: Mapping[str, Any], caps: Mapping[str, Any]) -> GenerationOptions:
    curate = settings.curate
    return GenerationOptions(
        sources=options["sources"],
        limit=options["limit"],
        shard=Shard.parse(options["shard"]),
        retry=options["retry"],
        budget=Budget(**caps),
        intake=Intake(overlap=curate.overlap, audit_rate=curate.audit_rate),
    )


def _check_sources(store: Store, names: Sequence[str]) -> None:
    from curation_db.search.overview import source_names

    with store.read() as connection:
        known = source_names(connection)
    if missing := [name for name in names if name not in known]:
        raise UsageError(f"there is no source {missing[0]!r}", hint=f"known sources: {', '.join(known) or 'none'}")


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
    """Run a plan, with progress on stderr unless `quiet`."""
    bar = nullcontext((lambda progress: None, print_line)) if quiet else progress_bar()
    with bar as (show_progress, print_above):
        return generate(
            workspace,
            store,
            plan,
            options,
            folders,
            on_progress=show_progress,
            notify=print_above,
            factory=make,
            task=task,
        )


def _print_result(ended: GenerationResult, *, as_json: bool) -> None:
    """Print the result of a run, then raise the error that stopped it, or that of its failed items."""
    if as_json:
        typer.echo(json.dumps(run_json(ended)))
    for line in result_lines(ended):
        print_line(line)
    raise_for_failures([ended])


def run_json(ended: GenerationResult) -> dict[str, Any]:
    """Return the run as `--json` prints it."""
    return {
        "run": ended.run_id,
        "state": str(ended.state),
        "message": ended.message,
        "recipe": ended.recipe.hash,
        "settings": ended.recipe.to_dict(),
        "simulated": list(ended.simulated),
        "blind": list(ended.blind),
        **ended.progress.to_dict(),
    }


def _emit_requests(
    workspace: Workspace,
    store: Store,
    plan: GenerationPlan,
    options: GenerationOptions,
    folders: PictureFolders,
    path: Path,
    limits: Mapping[str, int],
    *,
    quiet: bool,
    as_json: bool,
) -> None:
    from workbench.generation.runs.batch_files import BatchRequestFiles

    if options.budget.max_tokens is not None or options.budget.max_cost is not None:
        raise UsageError(
            "--max-tokens and --max-cost cap nothing here: no answer is paid for while requests are written",
            hint="use --max-requests, or: negwb generate batch submit --max-cost",
        )
    with BatchRequestFiles(path, store, again=options.retry, notify=print_line, **limits) as batch:
        ended = run_plan(workspace, store, plan, options, folders, quiet=quiet, make=batch.open)
        files = batch.finish(ended.run_id)
    written = sum(file.requests for file in files)
    if as_json:
        listed = [file.to_dict() for file in files]
        result = {"file": str(path), "files": listed, "written": written, "too_large": batch.too_large}
        typer.echo(json.dumps({**result, "waiting": ended.pending_images, **run_json(ended)}))
    for line in result_lines(ended):
        print_line(line)
    for file in files:
        print_line(f"wrote {counted(file.requests, 'request')} of {file.engine} to {file.path}")
    if batch.already_sent:
        count = counted(batch.already_sent, "request")
        print_line(f"{count} in an earlier file without answers yet; if that file is lost, --retry writes them again")
    if ended.error is not None or not ended.pending_images:
        raise_for_failures([ended])
    if batch.too_large:
        count = counted(batch.too_large, "request")
        raise NegwbError(
            f"{count} larger than --max-bytes: not written, still open",
            hint="raise --max-bytes, or send smaller images: picture_side in negwb.toml",
        )
    if not written and batch.already_sent:
        raise NothingToDo("the next requests depend on answers not ingested yet", hint=f"{path} was not written")
    if not written:
        raise NothingToDo("all requests are answered", hint=f"{path} was not written")
    first = files[0].path
    print_line(f"send them: negwb generate batch submit {first}{' ...' if len(files) > 1 else ''}")
    print_line(f"or run them elsewhere, for example: vllm run-batch -i {first.name} -o responses.jsonl --model M")
    print_line("and then: negwb generate --ingest-responses responses.jsonl; --emit-requests for the next requests")


def _ingest_responses(
    store: Store, paths: Sequence[Path], engines: Mapping[str, EngineSettings], *, as_json: bool
) -> None:
    from workbench.console.progress_bars import step_bars
    from workbench.generation.runs.batch_files import ingest_responses

    with step_bars(lines=True) as report_step:
        result = ingest_responses(store, paths, engines, on_progress=report_step, notify=print_line)
    if as_json:
        typer.echo(json.dumps(result.to_dict()))
    print_line(f"{result.stored:,} answers stored, {result.failed:,} of them failures; {result.known:,} already known")
    if result.refused:
        raise NegwbError(
            f"{result.refused:,} lines answer no request of this record", hint="the lines are listed above"
        )
