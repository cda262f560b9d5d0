"""Implementation of `negwb generate judge`."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import typer

from curation_db.language.sanitize import counted
from curation_db.storage.store import Store, open_store
from workbench.commands.generate.progress import print_line
from workbench.commands.generate.run import run_json, run_plan
from workbench.demo.engine_kinds import register_demo_engines
from workbench.errors import NothingToDo
from workbench.generation.budget import Budget
from workbench.generation.recipe import Recipe
from workbench.generation.runs.plan import GenerationPlan, make_plan
from workbench.generation.runs.record_writer import RecordWriter
from workbench.generation.runs.rejudging import UnjudgedCandidates
from workbench.generation.runs.session import GenerationOptions, GenerationResult, GenerationTask, raise_for_failures
from workbench.generation.runs.unclear_verdicts import verdicts_unclear
from workbench.workspace.layout import Workspace, find_workspace
from workbench.workspace.picture_folders import PictureFolders
from workbench.workspace.settings.engines import Pipeline
from workbench.workspace.settings.settings import Settings, read_settings


def judge_candidates(
    named: Path | None,
    judges: Sequence[str],
    *,
    prompts: str,
    changes: Mapping[str, Any],
    limit: int | None,
    allow_blind: bool,
    caps: Mapping[str, Any],
    quiet: bool,
    as_json: bool,
) -> None:
    """Judge the stored candidates: first those from captions (P1, edits, imports), then those from questions (P2).

    Args:
        named: Workspace folder of the command line.
        judges: Engines, as ENGINE or ENGINE:QUESTION; empty: those of negwb.toml.
        prompts: Name or file of a prompt set; empty: the default.
        changes: Settings of [generate] to replace.
        limit: Maximum number of candidates.
        allow_blind: Use judges that were proved not to see images.
        caps: max_requests, max_tokens and max_cost.
        quiet: Print no progress.
        as_json: Print one JSON object.

    Raises:
        NegwbError: the error that stopped the run, or nothing to do.
    """
    register_demo_engines()
    workspace = find_workspace(named)
    settings = read_settings(workspace.settings)
    budget, left, results = Budget(**caps), limit, list[GenerationResult]()
    with open_store(workspace.database) as store:
        for pipeline in Pipeline:
            if left == 0:
                break
            options = GenerationOptions(limit=left, budget=budget)
            plan = make_plan(
                settings.generate.changed(changes, "--set"),
                pipeline=pipeline,
                judges=judges,
                prompts=prompts,
                allow_blind=allow_blind,
                only_judges=True,
                folder=workspace.root,
            )
            result = _judge(workspace, store, settings, plan, options, quiet=quiet)
            results.append(result)
            if result.error is not None:
                break
            left = None if left is None else left - result.progress.items_done
    judged = sum(each.progress.items_done for each in results)
    if as_json:
        typer.echo(json.dumps({"judged": judged, "runs": [run_json(each) for each in results]}))
    failed = sum(each.progress.failed for each in results)
    if not judged and results[-1].error is None:
        raise NothingToDo("every candidate already has verdicts of these judges")
    requests = counted(sum(each.progress.requests for each in results), "request")
    print_line(f"{counted(judged - failed, 'candidate')} judged; {requests}")
    raise_for_failures(results)
    if (unclear := verdicts_unclear([each.progress for each in results])) is not None:
        raise unclear


def _judge(
    workspace: Workspace,
    store: Store,
    settings: Settings,
    plan: GenerationPlan,
    options: GenerationOptions,
    *,
    quiet: bool,
) -> GenerationResult:
    folders = PictureFolders(workspace.root, settings.pictures, follow_links=settings.follow_links)

    async def task(writer: RecordWriter, recipe: Recipe) -> GenerationTask:
        work = UnjudgedCandidates(writer, recipe, plan.prompts, folders, options.limit)
        return GenerationTask(work.image_tasks(), work.steps, None)

    return run_plan(workspace, store, plan, options, folders, quiet=quiet, task=task)
