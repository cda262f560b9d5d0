"""One run of `negwb generate`: opens engines, registers the run in the record, handles signals, stores the outcome."""

from __future__ import annotations

import asyncio
import math
import signal
from collections.abc import AsyncIterator, Awaitable, Callable, Collection, Iterator, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager, suppress
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any, Final, TypeVar

from sqlalchemy import Connection

from curation_db.enums import GenerationState, StopReason
from curation_db.errors import RecordError
from curation_db.generation import answer_cache, endpoint_probes, runs
from curation_db.generation.progress import StageProgress
from curation_db.generation.work_items import Scope, has_any
from curation_db.language.sanitize import counted
from curation_db.review.candidates import Intake
from curation_db.search import fulltext
from curation_db.storage.store import Store
from workbench.console import interruption, standard_streams
from workbench.error_log import unexpected_line, write_error_log
from workbench.errors import ExitCode, NegwbError, NothingToDo, UsageError
from workbench.generation.budget import Budget, BudgetClosed, BudgetReached
from workbench.generation.engines.protocol import Engine, EngineContext, EngineFactory, EngineStopped
from workbench.generation.engines.registry import open_engine, plugin_packages
from workbench.generation.engines.watchdog import LoopWatchdog, PluginCode, stray_errors_as_lines
from workbench.generation.models import ImageTask, Steps
from workbench.generation.pipelines.registry import image_missing, needs_image, steps_of
from workbench.generation.recipe import Recipe
from workbench.generation.runs.blind_judges import Probes, check_sight
from workbench.generation.runs.counters import RunCounters
from workbench.generation.runs.plan import GenerationPlan, check_judges, check_prices
from workbench.generation.runs.record_writer import RecordWriter
from workbench.generation.runs.runner import Runner, RunStopped
from workbench.generation.runs.work_source import Shard, read_image_tasks
from workbench.workspace.layout import Workspace
from workbench.workspace.picture_folders import PictureFolders
from workbench.workspace.settings.engines import EngineSettings, Pipeline
from workbench.workspace.settings.server_address import plain_url

_HEARTBEAT_S: Final = 1.0
_STOPPING_S: Final = 0.2
"""Heartbeat of a run that waits for its last answers."""
_KINDS: Final = {Pipeline.P1: "caption", Pipeline.P2: "question"}
T = TypeVar("T")
OnProgress = Callable[[StageProgress], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class GenerationOptions:
    """Options of a run that do not affect the result of an item."""

    sources: tuple[str, ...] = ()
    limit: int | None = None
    """Most items."""
    shard: Shard = field(default_factory=Shard)
    retry: bool = False
    budget: Budget = field(default_factory=Budget)
    intake: Intake = field(default_factory=Intake)


@dataclass(frozen=True, slots=True)
class GenerationTask:
    """Input of a run."""

    image_tasks: AsyncIterator[ImageTask]
    steps: Callable[[ImageTask], Steps]
    total: int | None
    """Number of items, if known."""


MakeTask = Callable[[RecordWriter, Recipe], Awaitable[GenerationTask]]


@dataclass(frozen=True, slots=True)
class GenerationResult:
    """Outcome of a run."""

    run_id: int
    recipe: Recipe
    state: GenerationState
    progress: StageProgress
    message: str = ""
    error: BaseException | None = None
    """The error that ended the run early."""
    pending_images: int = 0
    simulated: tuple[str, ...] = ()
    """Engines that run scripts, not models."""
    blind: tuple[str, ...] = ()
    """Judges that do not see images, as the probe proved."""
    main_failure: str = ""
    """The most frequent reason of failed items, with details."""


class ItemsFailed(NegwbError):
    """Some items of a complete run failed, others went through (were kept or dropped)."""

    exit_code = ExitCode.UNEXPECTED


class NothingWentThrough(ItemsFailed):
    """Every item failed, through a server, an engine or missing images."""

    exit_code = ExitCode.NETWORK


def raise_for_failures(results: Sequence[GenerationResult]) -> None:
    """Raise the error that stopped the last of some runs, or the error for their failed items.

    Raises:
        ItemsFailed, NothingWentThrough: items failed in complete runs.
    """
    if results[-1].error is not None:
        raise results[-1].error
    done = sum(each.progress.items_done for each in results)
    failed = sum(each.progress.failed for each in results)
    if not failed:
        return
    reason = next((each.main_failure for each in results if each.main_failure), "")
    which = (
        f"no item went through: {counted(done, 'item')}" if failed == done else f"{failed:,} of {counted(done, 'item')}"
    )
    raise (NothingWentThrough if failed == done else ItemsFailed)(
        ": ".join(filter(None, (f"{which} failed", reason))),
        hint="list them: negwb generate failures; then repeat the command with --retry",
    )


def generate(
    workspace: Workspace,
    store: Store,
    plan: GenerationPlan,
    options: GenerationOptions,
    folders: PictureFolders,
    *,
    on_progress: OnProgress = lambda progress: None,
    notify: Callable[[str], None] = lambda line: None,
    factory: EngineFactory = open_engine,
    task: MakeTask | None = None,
) -> GenerationResult:
    """Run `plan` until it is complete, reaches a cap or is stopped.

    Args:
        factory: Opens each engine.
        task: Input of the run; default: all unprocessed captions or questions.

    Raises:
        NegwbError: an engine cannot be opened, or another process runs the same recipe; no request was sent.
    """
    check_prices(plan, options.budget)
    on_progress, notify = ignoring_closed_pipe(on_progress), ignoring_closed_pipe(notify)
    if task is None:
        task = partial(default_task, plan, options, folders)
    try:
        with standard_streams.stdout_as_stderr():  # engines may print; stdout is for the result
            return asyncio.run(_generate(workspace, store, plan, options, on_progress, notify, factory, task))
    except SystemExit as stop:  # in a task of a plug-in's own; elsewhere the guard catches it
        raise EngineStopped(
            f"an engine called sys.exit({stop.code})", hint="all answers are stored; report it to the engine's author"
        ) from stop


def ignoring_closed_pipe(callback: Callable[[T], None]) -> Callable[[T], None]:
    """Wrap a callback so that a closed output pipe does not end the run."""

    def call(value: T) -> None:
        with suppress(OSError, ValueError):
            callback(value)

    return call


async def _generate(
    workspace: Workspace,
    store: Store,
    plan: GenerationPlan,
    options: GenerationOptions,
    on_progress: OnProgress,
    notify: Callable[[str], None],
    factory: EngineFactory,
    make_task: MakeTask,
) -> GenerationResult:
    async with (
        plugins_watched(workspace, plan, notify),
        open_engines(workspace, store, plan, options.budget, notify, factory) as engines,
    ):
        writer = RecordWriter(store)
        try:
            run = await prepare_run(workspace, store, writer, plan, options, engines, make_task, notify)
            with stop_on_signals([run.runner], notify):
                ended = await run_with_heartbeat(run, writer, on_progress)
        finally:
            await asyncio.to_thread(writer.close)
    if ended.progress.items_kept:
        await asyncio.to_thread(fulltext.refresh, store)
    return ended


@dataclass(frozen=True, slots=True)
class PreparedRun:
    """A run that is registered in the record, before its first request."""

    run_id: int
    recipe: Recipe
    runner: Runner
    task: GenerationTask
    counters: RunCounters
    simulated: tuple[str, ...]
    blind: tuple[str, ...]


async def prepare_run(
    workspace: Workspace,
    store: Store,
    writer: RecordWriter,
    plan: GenerationPlan,
    options: GenerationOptions,
    engines: Mapping[str, Engine],
    make_task: MakeTask,
    notify: Callable[[str], None],
    *,
    comparison: Mapping[str, Any] | None = None,
) -> PreparedRun:
    """Register the run and make its runner.

    Args:
        comparison: What its settings say about the comparison that it is an arm of.

    Raises:
        UsageError: the judges are refused, or another process runs the same recipe.
    """
    identities = plan.identities(engines)
    recipe = plan.recipe(identities)
    check_judges(recipe)
    blind = check_sight(plan, {name: engine.model for name, engine in engines.items()}, probes_of(store))
    settings_json = settings_of(plan, recipe, options, engines, blind)
    if comparison is not None:
        settings_json["comparison"] = dict(comparison)
    run_id = await writer.write(lambda connection: register_run(connection, recipe, settings_json, options, plan))
    task = await make_task(writer, recipe)
    counters = RunCounters(task.total, least_label_mass=recipe.least_label_mass)

    def report_bug(image: str, error: BaseException) -> None:
        notify(f"{image}: {unexpected_line(error, write_error_log(error, workspace.root))}")

    # fmt: off
    runner = Runner(
        writer, recipe, task.steps, engines,
        counters=counters, budget=options.budget, intake=options.intake, run_id=run_id, report_bug=report_bug,
        identities=identities, blind=blind,
    )
    # fmt: on
    simulated, sightless = tuple(settings_json["simulated"]), tuple(settings_json["blind"])
    return PreparedRun(run_id, recipe, runner, task, counters, simulated, sightless)


@asynccontextmanager
async def plugins_watched(
    workspace: Workspace, plan: GenerationPlan, notify: Callable[[str], None]
) -> AsyncIterator[None]:
    """Report plug-in engines that block the event loop or raise in tasks of their own."""
    packages = plugin_packages(plan.engines.values())
    if not packages:
        yield
        return
    code = PluginCode(packages)
    with stray_errors_as_lines(code, notify, workspace.root), LoopWatchdog(code, notify):
        yield


async def default_task(
    plan: GenerationPlan,
    options: GenerationOptions,
    folders: PictureFolders,
    writer: RecordWriter,
    recipe: Recipe,
    *,
    arm: tuple[int, str] | None = None,
) -> GenerationTask:
    """Return the captions or questions that are not yet processed under the recipe; see `Scope.arm`."""
    scope = replace(scope_of(plan, recipe, options), arm=arm)
    image_tasks = read_image_tasks(writer, scope, folders, shard=options.shard, limit=options.limit)
    total = await writer.read(lambda connection: _total(connection, scope, options))
    image_needed = needs_image(recipe, plan.prompts, {name: each.kind for name, each in plan.engines.items()})

    def steps(image_task: ImageTask) -> Steps:
        if image_needed and image_task.picture.path is None:
            return image_missing(image_task)
        return steps_of(image_task, recipe, plan.prompts)

    return GenerationTask(image_tasks, steps, total)


@asynccontextmanager
async def open_engines(
    workspace: Workspace,
    store: Store,
    plan: GenerationPlan,
    budget: Budget,
    notify: Callable[[str], None],
    factory: EngineFactory,
) -> AsyncIterator[dict[str, Engine]]:
    """Open the plan's engines; close them at the end."""

    unproved = {judge.name for judge in plan.judges if _may_prove(plan.engines.get(judge.name))}

    capabilities = probes_of(store)
    context = EngineContext(budget=budget, capabilities=capabilities, folder=workspace.root, notify=notify)
    async with AsyncExitStack() as stack:
        engines: dict[str, Engine] = {}
        for name, settings in plan.engines.items():
            engines[name] = await factory(settings, context)
            stack.push_async_callback(engines[name].close)
            if name in unproved and capabilities(plain_url(settings.url), engines[name].model) is None:
                which = f"{plain_url(settings.url)} --model {engines[name].model}"
                notify(
                    f"{name} has not been probed: yes/no text without probabilities; run: negwb generate probe {which}"
                )
        yield engines


def probes_of(store: Store) -> Probes:
    """Return a function that reads the stored results of probes."""

    def probes(url: str, model: str) -> Mapping[str, Any] | None:
        with store.read() as connection:
            return endpoint_probes.read_probe(connection, url, model)

    return probes


def _may_prove(settings: EngineSettings | None) -> bool:
    """Whether the engine's method depends on a probe."""
    return settings is not None and settings.kind == "openai" and settings.method == "auto"


def scope_of(plan: GenerationPlan, recipe: Recipe, options: GenerationOptions) -> Scope:
    """Return the items that the run processes."""
    return Scope(recipe=recipe.hash, kind=_KINDS[plan.pipeline], sources=options.sources, retry=options.retry)


def item_kind(pipeline: Pipeline) -> str:
    """Return the kind of the pipeline's items: caption or question."""
    return _KINDS[pipeline]


def nothing_left(store: Store, pipeline: Pipeline) -> NothingToDo:
    """Return the error for a run without items: none were imported, or all are processed."""
    with store.read() as connection:
        if not has_any(connection, _KINDS[pipeline]):
            what = "captions" if pipeline is Pipeline.P1 else "questions that people answered with no"
            return NothingToDo(f"the record has no {what}", hint="import some first: negwb import FILE")
    return NothingToDo(
        "all items are processed",
        hint="other settings process them again; --retry processes the failed ones",
    )


def _total(connection: Connection, scope: Scope, options: GenerationOptions) -> int:
    """Return the number of items to process; for a shard its approximate share."""
    total = scope.count(connection)
    if options.shard.of > 1:
        total = math.ceil(total / options.shard.of)
    return total if options.limit is None else min(total, options.limit)


def settings_of(
    plan: GenerationPlan,
    recipe: Recipe,
    options: GenerationOptions,
    engines: Mapping[str, Engine],
    blind: Collection[str] = (),
) -> dict[str, Any]:
    """Return the settings of a run that the record stores."""
    return {
        "pipeline": str(plan.pipeline),
        "recipe": recipe.to_dict(),
        "sources": list(options.sources),
        "limit": options.limit,
        "shard": f"{options.shard.number}/{options.shard.of}",
        "retry": options.retry,
        "caps": {name: getattr(options.budget, name) for name in ("max_requests", "max_tokens", "max_cost")},
        "engines": {name: {"kind": each.kind, "url": plain_url(each.url)} for name, each in plan.engines.items()},
        "allow_blind": plan.allow_blind,
        "blind": sorted(blind),
        "simulated": sorted(name for name, engine in engines.items() if engine.simulated),
    }


def register_run(
    connection: Connection,
    recipe: Recipe,
    settings_json: Mapping[str, Any],
    options: GenerationOptions,
    plan: GenerationPlan,
) -> int:
    """Register the run in the record.

    Raises:
        UsageError: another process runs the same recipe on the same items, and both would pay for the requests.
    """
    for other in runs.list_runs(connection, 100):
        if other.recipe != recipe.hash or other.state is not GenerationState.RUNNING or other.lost:
            continue
        if shards_overlap(options.shard, Shard.parse(str(other.settings.get("shard", "1/1")))):
            raise UsageError(
                f"process {other.pid} on {other.host} is running the same generation",
                hint="wait for it, or split the items: --shard 1/2 here, --shard 2/2 there",
            )
    answer_cache.store_prompt(connection, plan.prompts.version, plan.prompts.content)
    return runs.start_run(connection, recipe=recipe.hash, settings=settings_json)


def shards_overlap(one: Shard, other: Shard) -> bool:
    """Whether the shards share images (Chinese remainder theorem)."""
    return (one.number - other.number) % math.gcd(one.of, other.of) == 0


async def run_with_heartbeat(run: PreparedRun, writer: RecordWriter, on_progress: OnProgress) -> GenerationResult:
    """Run with a heartbeat in the record, and store the outcome."""
    runner, counters, run_id = run.runner, run.counters, run.run_id

    def progress() -> StageProgress:
        if runner.stopping:
            counters.note = _waiting_line(runner.in_flight)
            return counters.progress(runner.in_flight, runner.capacity)
        return counters.progress(runner.dispatcher.outstanding, runner.capacity)

    async def beat(now: StageProgress) -> None:
        on_progress(now)
        with suppress(RecordError):  # a busy record only misses a heartbeat
            await writer.write(lambda connection: runs.record_heartbeat(connection, run_id, now.to_dict()))

    async def beats() -> None:
        while True:
            await beat(progress())
            await asyncio.sleep(_STOPPING_S if runner.stopping else _HEARTBEAT_S)

    beating = asyncio.create_task(beats())
    error: BaseException | None = None
    try:
        await runner.run(run.task.image_tasks)
    except (NegwbError, RecordError) as ended:
        error = ended
    except asyncio.CancelledError:
        await _end(writer, run_id, GenerationState.STOPPED, progress(), "ended at once", StopReason.REQUEST)
        raise
    except BaseException as ended:
        await _end(writer, run_id, GenerationState.FAILED, progress(), repr(ended))
        raise
    finally:
        beating.cancel()
        with suppress(asyncio.CancelledError):
            await beating
    stop_reason = _stop_reason(error)
    state = GenerationState.DONE
    if error is not None:
        state = GenerationState.FAILED if stop_reason is None else GenerationState.STOPPED
    message = getattr(error, "message", "") if error else ""
    last = replace(progress(), note="")
    on_progress(last)
    await _end(writer, run_id, state, last, message, stop_reason)
    return GenerationResult(
        run_id,
        run.recipe,
        state,
        last,
        message,
        error,
        runner.pending_images,
        simulated=run.simulated,
        blind=run.blind,
        main_failure=counters.main_failure,
    )


def _stop_reason(error: BaseException | None) -> StopReason | None:
    if isinstance(error, BudgetReached):
        return StopReason.REQUEST if isinstance(error, BudgetClosed) else StopReason.BUDGET
    return StopReason.REQUEST if isinstance(error, RunStopped) else None


async def _end(
    writer: RecordWriter,
    run_id: int,
    state: GenerationState,
    progress: StageProgress,
    message: str,
    stop_reason: StopReason | None = None,
) -> None:
    counts = progress.to_dict()

    def write(connection: Connection) -> None:
        runs.end_run(connection, run_id, state, counts, message, stop_reason=stop_reason)

    with suppress(RecordError):  # all answers are stored; the run then shows as lost
        await writer.write(write)


def _waiting_line(in_flight: int) -> str:
    """Return what a stopped run waits for; empty: for nothing."""
    if not in_flight:
        return ""
    return f"waiting for {counted(in_flight, 'answer')}"


@contextmanager
def stop_on_signals(runners: Sequence[Runner], notify: Callable[[str], None]) -> Iterator[None]:
    """On Ctrl-C, SIGTERM or SIGHUP, stop the runs; on a second signal, end them at once."""
    signals = 0

    def on_signal(_number: signal.Signals) -> None:
        nonlocal signals
        signals += 1
        if signals > 1:
            for runner in runners:
                runner.cancel()
            return
        for runner in runners:
            runner.stop("stopped")
        if line := _waiting_line(max(runner.in_flight for runner in runners)):
            notify(f"{line}; Ctrl-C again ends at once and loses them")

    with interruption.heard_by(asyncio.get_running_loop(), on_signal, also=[signal.SIGINT]):
        yield
