"""Implementation of `negwb generate --compare`."""

from __future__ import annotations

import json
from contextlib import nullcontext

import typer

from curation_db.language.sanitize import counted
from curation_db.storage.store import Store
from workbench.commands.generate.progress import print_line, progress_bar, result_lines
from workbench.commands.generate.run import run_json
from workbench.generation.prompts.seen_labels import seen_labels
from workbench.generation.runs.comparison import ComparisonResult, compare
from workbench.generation.runs.plan import GenerationPlan
from workbench.generation.runs.session import GenerationOptions, nothing_left, raise_for_failures
from workbench.generation.runs.unclear_verdicts import verdicts_unclear
from workbench.workspace.layout import Workspace
from workbench.workspace.picture_folders import PictureFolders


def run_comparison(
    workspace: Workspace,
    store: Store,
    plans: tuple[GenerationPlan, GenerationPlan],
    options: GenerationOptions,
    folders: PictureFolders,
    *,
    quiet: bool,
    as_json: bool,
) -> None:
    """Run both arms, print their results, and raise the error that stopped them.

    Raises:
        NegwbError: the error that stopped an arm, failed items, or nothing to do.
    """
    with store.read() as connection:
        seen = seen_labels(connection, [plan.prompts for plan in plans])
    if seen.examples:
        print_line("a prompt version was tuned here: only images that gave no examples take part")
    bar = nullcontext((lambda progress: None, print_line)) if quiet else progress_bar()
    with bar as (show_progress, print_above):
        ended = compare(
            workspace,
            store,
            plans,
            options,
            folders,
            accepts=lambda source, key, image: not any(seen.includes(version, image) for version in seen.examples),
            on_progress=show_progress,
            notify=print_above,
        )
    if as_json:
        typer.echo(json.dumps(_json(ended)))
    _print(ended, plans)
    raise_for_failures(ended.in_order)
    if not any(result.progress.items_done for result in ended.results.values()):
        raise nothing_left(store, plans[0].pipeline)
    if (unclear := verdicts_unclear([result.progress for result in ended.results.values()])) is not None:
        raise unclear


def _json(ended: ComparisonResult) -> dict[str, object]:
    return {
        "comparison": ended.comparison.id,
        "assigned": ended.assigned,
        "arms": {ended.comparison.prompt(arm): run_json(result) for arm, result in ended.results.items()},
    }


def _print(ended: ComparisonResult, plans: tuple[GenerationPlan, GenerationPlan]) -> None:
    print_line(f"{counted(ended.assigned, 'item')} assigned at random, half to each prompt version")
    for arm, result in ended.results.items():
        for line in result_lines(result):
            if not line.startswith("next:"):
                print_line(f"{ended.comparison.prompt(arm)}: {line}")
    if all(result.error is None for result in ended.results.values()):
        names = " ".join(plan.prompts.version for plan in plans)
        print_line(f"next: negwb curate --stream audit, then: negwb prompts compare {names}")
