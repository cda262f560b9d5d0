"""`negwb generate judge`, done."""

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
from workbench.generation.runs.plan import make_plan
from workbench.generation.runs.record_writer import RecordWriter
from workbench.generation.runs.rejudging import UnjudgedCandidates
from workbench.generation.runs.session import GenerationOptions, GenerationResult, GenerationTask
from workbench.workspace.engine_settings import Pipeline
from workbench.workspace.layout import Workspace, find_workspace
from workbench.workspace.picture_folders import PictureFolders
from workbench.workspace.settings import Settings, read_settings


def judge_candidates(
    named: Path | None,
    judges: Sequence[str],
    *,
    prompts: str,
    asked: Mapping[str, Any],
    limit: int | None,
    caps: Mapping[str, Any],
    quiet: bool,
    as_json: bool,
) -> None:
    """Judge what is there: first what P1, people and other sets made, then what came from questions.

    Raises:
        NegwbError: what stopped it, or that there is nothing to do.
    """
    register_demo_engines()
    workspace = find_workspace(named)
    settings = read_settings(workspace.settings)
    budget, left, done = Budget(**caps), limit, list[GenerationResult]()
    with open_store(workspace.database) as store:
        for pipeline in Pipeline:
            if left == 0:
                break
            options = GenerationOptions(limit=left, budget=budget)
            ended = _judge(workspace, store, settings, pipeline, judges, prompts, asked, options, quiet=quiet)
            done.append(ended)
            if ended.error is not None:
                break
            left = None if left is None else left - ended.progress.items_done
    judged = sum(each.progress.items_done for each in done)
    if as_json:
        typer.echo(json.dumps({"judged": judged, "runs": [run_json(each) for each in done]}))
    if failed := sum(each.progress.failed for each in done):
        print_line(f"{failed:,} of {judged:,} could not be judged: negwb generate failures")
    if done[-1].error is not None:
        raise done[-1].error
    if not judged:
        raise NothingToDo("every candidate has the verdicts of these judges")
    print_line(
        f"{counted(judged, 'candidate')} judged; {counted(sum(each.progress.requests for each in done), 'request')}"
    )


def _judge(
    workspace: Workspace,
    store: Store,
    settings: Settings,
    pipeline: Pipeline,
    judges: Sequence[str],
    prompts: str,
    asked: Mapping[str, Any],
    options: GenerationOptions,
    *,
    quiet: bool,
) -> GenerationResult:
    plan = make_plan(
        settings.generate.changed(asked, "--set"), pipeline=pipeline, judges=judges, prompts=prompts, only_judges=True
    )
    folders = PictureFolders(workspace.root, settings.pictures, follow_links=settings.follow_links)

    async def task(writer: RecordWriter, recipe: Recipe) -> GenerationTask:
        work = UnjudgedCandidates(writer, recipe, plan.prompts, folders, options.limit)
        return GenerationTask(work.image_tasks(), work.steps, None)

    return run_plan(workspace, store, plan, options, folders, quiet=quiet, task=task)
