"""`negwb generate --compare`: two prompt versions at the same time, each on the items that chance assigned to it.

Both arms use the same engines, settings and budget, and run side by side, so that a server that changes with time
changes for both. Each arm is a run of its own in the record.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Final

from sqlalchemy import Connection

from curation_db.enums import GenerationState
from curation_db.generation import comparisons
from curation_db.generation.comparisons import ARMS, PromptComparison
from curation_db.generation.progress import StageProgress
from curation_db.generation.random_assignment import Arm
from curation_db.generation.runs import end_run
from curation_db.search import fulltext
from curation_db.storage.store import Store
from workbench.console import standard_streams
from workbench.errors import NothingToDo, UsageError
from workbench.generation.budget import BudgetClosed
from workbench.generation.engines.protocol import Engine, EngineFactory
from workbench.generation.engines.registry import open_engine
from workbench.generation.runs.plan import GenerationPlan, check_prices
from workbench.generation.runs.record_writer import RecordWriter
from workbench.generation.runs.runner import RunStopped
from workbench.generation.runs.session import (
    GenerationOptions,
    GenerationResult,
    OnProgress,
    PreparedRun,
    default_task,
    ignoring_closed_pipe,
    item_kind,
    nothing_left,
    open_engines,
    plugins_watched,
    prepare_run,
    run_with_heartbeat,
    stop_on_signals,
)
from workbench.workspace.layout import Workspace
from workbench.workspace.picture_folders import PictureFolders

_ASSIGNED_AT_ONCE: Final = 2_000
"""Items of one transaction, which an annotator's key press may wait for: about 20 ms."""
Accepts = Callable[[str, str, int], bool]
"""Whether an image (source, key, id) takes part in the comparison."""


@dataclass(frozen=True, slots=True)
class ComparisonResult:
    """Outcome of both runs."""

    comparison: PromptComparison
    assigned: int
    """Items that were assigned to an arm now."""
    results: Mapping[Arm, GenerationResult]

    @property
    def in_order(self) -> list[GenerationResult]:
        """Return both results; one with the error that stopped both is the last."""
        return sorted(self.results.values(), key=_severity)


def _severity(result: GenerationResult) -> int:
    if result.error is None:
        return 0
    return 1 if isinstance(result.error, BudgetClosed) else 2 if isinstance(result.error, RunStopped) else 3


def compare(
    workspace: Workspace,
    store: Store,
    plans: tuple[GenerationPlan, GenerationPlan],
    options: GenerationOptions,
    folders: PictureFolders,
    *,
    accepts: Accepts = lambda source, key, image_id: True,
    on_progress: OnProgress = lambda progress: None,
    notify: Callable[[str], None] = lambda line: None,
    factory: EngineFactory = open_engine,
) -> ComparisonResult:
    """Assign items to the plans' prompt versions and run both until they are complete, reach a cap or are stopped.

    Items that were assigned before and have no result come first; they count in the limit.

    Args:
        plans: Two plans that differ in their prompts alone.
        accepts: Which images take part.
        factory: Opens each engine.

    Raises:
        UsageError: the plans have the same prompt version.
        NegwbError: an engine cannot be opened, or another process runs the same recipe; no request was sent.
        NothingToDo: no item is left.
    """
    one, other = plans
    if one.prompts.version == other.prompts.version:
        raise UsageError(
            f"--compare: both are the prompt version {one.prompts.version}", hint="name two sets or files that differ"
        )
    check_prices(one, options.budget)
    on_progress, notify = ignoring_closed_pipe(on_progress), ignoring_closed_pipe(notify)
    with standard_streams.stdout_as_stderr():  # engines may print; stdout is for the result
        return asyncio.run(_compare(workspace, store, plans, options, folders, accepts, on_progress, notify, factory))


async def _compare(
    workspace: Workspace,
    store: Store,
    plans: tuple[GenerationPlan, GenerationPlan],
    options: GenerationOptions,
    folders: PictureFolders,
    accepts: Accepts,
    on_progress: OnProgress,
    notify: Callable[[str], None],
    factory: EngineFactory,
) -> ComparisonResult:
    async with (
        plugins_watched(workspace, plans[0], notify),
        open_engines(workspace, store, plans[0], options.budget, notify, factory) as engines,
    ):
        writer = RecordWriter(store)
        try:
            comparison = await writer.write(lambda connection: _open(connection, plans, engines))
            by_arm = _by_arm(comparison, plans)
            assigned, left = await _assign(writer, comparison, by_arm["a"], options, accepts)
            if not left:
                raise _nothing_left(store, by_arm["a"])
            runs: dict[Arm, PreparedRun] = {}
            try:
                for arm in ARMS:
                    runs[arm] = await _prepare(
                        workspace, store, writer, by_arm[arm], options, folders, engines, comparison, arm, notify
                    )
            except BaseException:  # the first arm is registered, and will not run
                for run in runs.values():
                    await writer.write(partial(_end_unstarted, run_id=run.run_id))
                raise
            results = await _run_both(runs, writer, on_progress, notify)
        finally:
            await asyncio.to_thread(writer.close)
    if any(result.progress.items_kept for result in results.values()):
        await asyncio.to_thread(fulltext.refresh, store)
    return ComparisonResult(comparison, assigned, results)


def _open(
    connection: Connection, plans: tuple[GenerationPlan, GenerationPlan], engines: Mapping[str, Engine]
) -> PromptComparison:
    one, other = (plan.recipe(plan.identities(engines)) for plan in plans)
    return comparisons.open_comparison(
        connection,
        recipes=(one.hash, other.hash),
        prompts=(one.prompts, other.prompts),
        pipeline=str(one.pipeline),
        seed=one.seed,
    )


def _end_unstarted(connection: Connection, run_id: int) -> None:
    end_run(connection, run_id, GenerationState.STOPPED, StageProgress(), "the other arm could not start")


def _by_arm(comparison: PromptComparison, plans: tuple[GenerationPlan, GenerationPlan]) -> dict[Arm, GenerationPlan]:
    by_version = {plan.prompts.version: plan for plan in plans}
    return {arm: by_version[comparison.prompt(arm)] for arm in ARMS}


async def _assign(
    writer: RecordWriter,
    comparison: PromptComparison,
    plan: GenerationPlan,
    options: GenerationOptions,
    accepts: Accepts,
) -> tuple[int, int]:
    """Assign items up to the limit; return how many were assigned, and how many have no result yet."""
    waiting = await writer.read(lambda connection: comparisons.unfinished(connection, comparison, retry=options.retry))
    wanted = None if options.limit is None else options.limit - waiting
    assigned = after = 0

    def accepts_here(source: str, key: str, image_id: int) -> bool:
        return options.shard.has(source, key) and accepts(source, key, image_id)

    while wanted is None or assigned < wanted:
        step = _ASSIGNED_AT_ONCE if wanted is None else min(_ASSIGNED_AT_ONCE, wanted - assigned)

        def assign(connection: Connection, step: int = step, after: int = after) -> tuple[int, int]:
            return comparisons.assign_items(
                connection,
                comparison,
                item_kind(plan.pipeline),
                limit=step,
                sources=options.sources,
                accepts=accepts_here,
                after=after,
            )

        added, after = await writer.write(assign)
        assigned += added
        if not after:
            break
        after -= 1  # a part of the last image may be left
    return assigned, waiting + assigned


def _nothing_left(store: Store, plan: GenerationPlan) -> NothingToDo:
    return nothing_left(store, plan.pipeline)


async def _prepare(
    workspace: Workspace,
    store: Store,
    writer: RecordWriter,
    plan: GenerationPlan,
    options: GenerationOptions,
    folders: PictureFolders,
    engines: Mapping[str, Engine],
    comparison: PromptComparison,
    arm: Arm,
    notify: Callable[[str], None],
) -> PreparedRun:
    limit = options.limit
    own = replace(options, limit=None if limit is None else limit // 2 + (limit % 2 if arm == "a" else 0))
    task = partial(default_task, plan, own, folders, arm=(comparison.id, arm))
    about = {"id": comparison.id, "arm": arm, "prompts": [comparison.prompt_a, comparison.prompt_b]}
    return await prepare_run(workspace, store, writer, plan, options, engines, task, notify, comparison=about)


async def _run_both(
    runs: Mapping[Arm, PreparedRun], writer: RecordWriter, on_progress: OnProgress, notify: Callable[[str], None]
) -> dict[Arm, GenerationResult]:
    latest: dict[Arm, StageProgress] = {}

    def show(arm: Arm, progress: StageProgress) -> None:
        latest[arm] = progress
        on_progress(together(list(latest.values())))

    async def run(arm: Arm) -> GenerationResult:
        try:
            return await run_with_heartbeat(runs[arm], writer, partial(show, arm))
        except BaseException:
            for each in runs.values():
                each.runner.stop("the other arm has failed")
            raise

    with stop_on_signals([each.runner for each in runs.values()], notify):
        ended = await asyncio.gather(*(run(arm) for arm in ARMS), return_exceptions=True)
    for result in ended:
        if isinstance(result, BaseException):
            raise result
    return {arm: result for arm, result in zip(ARMS, ended, strict=True) if isinstance(result, GenerationResult)}


def together(arms: Sequence[StageProgress]) -> StageProgress:
    """Return the progress of both arms as one; requests in flight and capacity are those of the shared engines."""
    first = arms[0]
    totals = [arm.items_total for arm in arms]
    times = [arm.eta_s for arm in arms if arm.eta_s is not None]
    known = [total for total in totals if total is not None]
    return replace(
        first,
        items_total=sum(known) if len(known) == len(totals) else None,
        items_done=sum(arm.items_done for arm in arms),
        items_kept=sum(arm.items_kept for arm in arms),
        dropped=sum(arm.dropped for arm in arms),
        failed=sum(arm.failed for arm in arms),
        requests=sum(arm.requests for arm in arms),
        answers=sum(arm.answers for arm in arms),
        remembered=sum(arm.remembered for arm in arms),
        tokens=sum(arm.tokens for arm in arms),
        cost=sum(arm.cost for arm in arms),
        items_per_s=sum(arm.items_per_s for arm in arms),
        requests_per_s=sum(arm.requests_per_s for arm in arms),
        eta_s=max(times, default=None),
        in_flight=max(arm.in_flight for arm in arms),
        note=next((arm.note for arm in arms if arm.note), ""),
    )
