"""Runner: runs the pipeline on many images at a time and stores each answer and result as it arrives.

Only requests in flight are not in the record. A killed run resumes when it is started again: its pipelines get their
earlier answers from the answer cache.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable, Collection, Mapping
from functools import partial
from typing import Final

from curation_db.enums import BLIND_SUFFIX, ItemStatus
from curation_db.errors import RecordError
from curation_db.generation import work_items as work
from curation_db.review.candidates import Intake, NewCandidate, NewVerdict
from workbench.errors import ExitCode, NegwbError
from workbench.generation.budget import Budget, BudgetClosed, BudgetReached
from workbench.generation.engines.answer_identity import AnswerIdentity
from workbench.generation.engines.protocol import Engine, EngineStopped
from workbench.generation.models import ImageTask, ItemResult, JudgeVerdict, Steps
from workbench.generation.pipelines.requests import is_final
from workbench.generation.recipe import Recipe
from workbench.generation.runs.counters import RunCounters
from workbench.generation.runs.dispatcher import RequestDispatcher
from workbench.generation.runs.record_writer import RecordWriter

CANDIDATE: Final = "candidate"
"""Kind of items that are only judged: candidate/ID."""
_GRACE_S: Final = 20.0
"""Seconds that a stopped run waits for requests in flight."""
_BUG: Final = "failed:bug"
StepsFor = Callable[[ImageTask], Steps]


class RunStopped(NegwbError):
    """The user stopped the run; the same command continues it."""

    exit_code = ExitCode.INTERRUPTED


class AnswerPending(NegwbError):
    """An answer will come from a batch file; a later run continues the image."""


class Runner:
    """Runs a pipeline on image tasks; for one run and one event loop."""

    def __init__(
        self,
        writer: RecordWriter,
        recipe: Recipe,
        steps_for: StepsFor,
        engines: Mapping[str, Engine],
        *,
        counters: RunCounters,
        budget: Budget,
        intake: Intake,
        run_id: int | None = None,
        report_bug: Callable[[str, BaseException], None] = lambda image, error: None,
        identities: Mapping[str, AnswerIdentity] | None = None,
        blind: Collection[str] = (),
    ) -> None:
        """`report_bug` is called with an image and the first error of each type that is a bug of negwb; `blind` are the
        judges that were proved not to see images."""
        self._writer, self._recipe, self._steps_for = writer, recipe, steps_for
        self._engines, self._counters, self._budget = engines, counters, budget
        self._intake, self._run_id, self._report_bug = intake, run_id, report_bug
        self._reported_bugs: set[type[BaseException]] = set()
        self._blind = blind
        self._capacity_changed = asyncio.Event()
        self.dispatcher = RequestDispatcher(
            writer,
            engines,
            counters,
            run_id=run_id,
            is_final=partial(is_final, recipe.rule),
            changed=self._capacity_changed.set,
            identities=identities,
        )
        self._tasks: set[asyncio.Task[None]] = set()
        self._error: BaseException | None = None
        self.pending_images = 0
        """Number of images that wait for answers from batch files."""

    @property
    def capacity(self) -> dict[str, int]:
        """Engine name to its current capacity."""
        return {name: engine.capacity for name, engine in self._engines.items()}

    @property
    def stopping(self) -> bool:
        """Whether no further request is sent."""
        return self._error is not None

    @property
    def in_flight(self) -> int:
        """Number of requests that a stopped run waits for; for engines that do not count them, the queued ones, too."""
        counts = [getattr(engine, "in_flight", None) for engine in self._engines.values()]
        known = [count for count in counts if isinstance(count, int)]
        return sum(known) if len(known) == len(counts) else self.dispatcher.outstanding

    @property
    def _unanswered(self) -> int:
        counts = [getattr(engine, "unanswered", None) for engine in self._engines.values()]
        return sum(count for count in counts if isinstance(count, int))

    def stop(self, reason: str = "stopped") -> None:
        """Send no further request; requests in flight may finish."""
        self._end(RunStopped(reason, hint="all answers are stored; run the same command again to continue"))

    def cancel(self) -> None:
        """End at once; requests in flight are lost."""
        for task in self._tasks:
            task.cancel()

    async def run(self, image_tasks: AsyncIterator[ImageTask]) -> None:
        """Process all image tasks.

        Raises:
            RunStopped, BudgetReached: by `stop` or a cap; the results so far are stored.
            EngineStopped, RecordError: the run cannot continue; the results so far are stored.
        """
        try:
            async for image_task in image_tasks:
                await self._wait_for_capacity()
                if self._error is not None:
                    break
                task = asyncio.create_task(self._process(image_task))
                self._tasks.add(task)
                task.add_done_callback(self._ended)
                await asyncio.sleep(0)  # its first requests count before the next task starts
            await self._drain()
        finally:
            self.cancel()
            await asyncio.gather(*self._tasks, return_exceptions=True)
            self._counters.count_unanswered(self._unanswered)
        if self._error is not None:
            raise self._error

    async def _wait_for_capacity(self) -> None:
        while self._error is None and not self._has_capacity():
            self._capacity_changed.clear()
            await self._capacity_changed.wait()

    def _has_capacity(self) -> bool:
        """Whether to start another task: requests up to twice the engines' capacity, and a bounded number of tasks."""
        capacity = max(
            1, sum(engine.capacity for engine in self._engines.values())
        )  # the annotation judge alone has no engine
        return self.dispatcher.outstanding < 2 * capacity and len(self._tasks) < 4 * capacity + 16

    async def _drain(self) -> None:
        while self._tasks:
            grace = None if self._error is None else _GRACE_S
            self._capacity_changed.clear()
            waiting = asyncio.create_task(self._capacity_changed.wait())
            done, _ = await asyncio.wait({*self._tasks, waiting}, timeout=grace, return_when=asyncio.FIRST_COMPLETED)
            waiting.cancel()
            if not done:
                return  # the time for requests in flight is over

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        self._capacity_changed.set()

    def _end(self, error: BaseException) -> None:
        if self._error is None:
            self._error = error
            self._budget.close("the run is ending")
        self._capacity_changed.set()

    async def _process(self, image_task: ImageTask) -> None:
        try:
            results = await self._run_pipeline(image_task)
            await self._store_results(image_task, results)
        except AnswerPending:
            self.pending_images += 1
        except (BudgetReached, EngineStopped, RecordError) as error:
            self._end(error)
        except Exception as error:  # a bug: one image does not stop the run
            if type(error) not in self._reported_bugs:
                self._reported_bugs.add(type(error))
                self._report_bug(image_task.picture.key, error)
            await self._store_results(image_task, _bug_results(image_task, error))

    async def _run_pipeline(self, image_task: ImageTask) -> tuple[ItemResult, ...]:
        steps = self._steps_for(image_task)
        try:
            requests = next(steps)
            while True:
                self._raise_if_ending()  # engines may ignore that the run is ending
                requests = steps.send(await self.dispatcher.answers(requests) if requests else ())
        except StopIteration as end:
            results: tuple[ItemResult, ...] = end.value
            return results
        finally:
            steps.close()

    def _raise_if_ending(self) -> None:
        if self._error is not None:
            raise BudgetClosed("the run is ending")

    async def _store_results(self, image_task: ImageTask, results: tuple[ItemResult, ...]) -> None:
        finished = [self._finished_item(image_task, result) for result in results]
        try:
            await self._writer.write(
                lambda connection: work.store_finished(
                    connection, self._run_id, self._recipe.hash, finished, self._intake
                )
            )
        except RecordError as error:
            self._end(error)
            return
        except Exception as error:
            if any(result.reason == _BUG for result in results):  # even the failure cannot be stored
                self._end(error)
            raise
        self._counters.count_results(results)

    def _finished_item(self, image_task: ImageTask, result: ItemResult) -> work.FinishedItem:
        return work.FinishedItem(
            item=result.item,
            image_id=image_task.picture.image_id or 0,
            status=result.status,
            reason=result.reason,
            detail=result.detail,
            attempts=result.attempts,
            draft=new_candidate(image_task, result, self._recipe, self._engines),
            candidate_id=candidate_id_of(result.item),
            verdicts=tuple(new_verdict(verdict, self._engines, self._blind) for verdict in result.verdicts),
        )


def _bug_results(image_task: ImageTask, error: BaseException) -> tuple[ItemResult, ...]:
    detail = f"{type(error).__name__}: {error}"
    return tuple(
        ItemResult(item=item, status=ItemStatus.FAILED, reason=_BUG, detail=detail)
        for item in sorted(image_task.wanted)
    )


def candidate_id_of(item: str) -> int | None:
    """Return the candidate ID of an item of kind candidate."""
    kind, _, number = item.partition("/")
    return int(number) if kind == CANDIDATE else None


def new_candidate(
    image_task: ImageTask, result: ItemResult, recipe: Recipe, engines: Mapping[str, Engine]
) -> NewCandidate | None:
    """Return the candidate of a result in the record's format."""
    draft = result.draft
    if draft is None:
        return None
    generator = engines[recipe.proposer].model
    kind, _, _ = result.item.partition("/")
    keys = {each.item: each.key for each in image_task.captions} | {
        each.item: each.key for each in image_task.questions
    }
    return NewCandidate(
        source_id=image_task.source_id,
        key=f"generate/{recipe.hash}/{kind}/{keys.get(result.item, result.item)}",
        image_id=image_task.picture.image_id or 0,
        caption_id=draft.caption_id,
        raw_text=draft.text,
        concept=draft.concept,
        concept_confidence=1.0 if draft.concept else None,
        negation_type=draft.negation_type,
        pipeline=str(recipe.pipeline),
        generator=generator,
        prompt_version=recipe.prompts,
        extra=json.dumps({**draft.extra, "recipe": recipe.hash}, ensure_ascii=False),
    )


def new_verdict(verdict: JudgeVerdict, engines: Mapping[str, Engine], blind: Collection[str]) -> NewVerdict:
    """Return a verdict in the record's format; the caller sets `candidate_id`."""
    engine = engines.get(verdict.judge)
    return NewVerdict(
        candidate_id=0,
        judge=verdict.judge,
        model=engine.model if engine else verdict.judge,
        prompt_version=verdict.prompt,
        question=verdict.question,
        p=verdict.p,
        label_mass=verdict.label_mass,
        raw_text=verdict.text,
        latency_ms=verdict.latency_ms,
        simulated=engine.simulated if engine else False,
        method=f"{verdict.method or ''}{BLIND_SUFFIX}" if verdict.judge in blind else verdict.method,
        prior=verdict.prior,
        seed=verdict.seed,
    )
