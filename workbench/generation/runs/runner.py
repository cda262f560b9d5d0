"""A run: units through a pipeline, many at a time, everything stored as it arrives.

Nothing is held that the record does not know, but what is in flight: a run that was killed is started again and goes
on, its pipelines fed from memory up to where they were.
"""

from __future__ import annotations

import asyncio
import json
import traceback
from collections.abc import AsyncIterator, Callable, Mapping
from typing import Final

from curation_db.enums import ItemStatus
from curation_db.errors import RecordError
from curation_db.generation import work_items as work
from curation_db.review.candidates import Intake, NewCandidate, NewVerdict
from workbench.errors import ExitCode, NegwbError
from workbench.generation.budget import Budget, BudgetClosed, BudgetReached
from workbench.generation.engines.protocol import Engine, EngineStopped
from workbench.generation.models import ImageTask, ItemResult, JudgeVerdict, Steps
from workbench.generation.recipe import Recipe
from workbench.generation.runs.counters import RunCounters
from workbench.generation.runs.dispatcher import RequestDispatcher
from workbench.generation.runs.record_writer import RecordWriter

CANDIDATE: Final = "candidate"
"""Items candidate/ID are judged and nothing else."""
_GRACE_S: Final = 20.0
"""How long a run that is stopped waits for what is in flight."""
_BUG: Final = "failed:bug"
StepsFor = Callable[[ImageTask], Steps]


class RunStopped(NegwbError):
    """A person ended the run; the same command goes on."""

    exit_code = ExitCode.INTERRUPTED


class AnswerPending(NegwbError):
    """An answer is to come from elsewhere: the unit waits for a later run."""


class Runner:
    """Runs units through a pipeline; one run, one event loop."""

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
        notify: Callable[[str], None] = lambda line: None,
    ) -> None:
        self._writer, self._recipe, self._steps_for = writer, recipe, steps_for
        self._engines, self._counters, self._budget = engines, counters, budget
        self._intake, self._run_id, self._say = intake, run_id, notify
        self._room = asyncio.Event()
        self.dispatcher = RequestDispatcher(writer, engines, counters, run_id=run_id, changed=self._room.set)
        self._tasks: set[asyncio.Task[None]] = set()
        self._error: BaseException | None = None
        self.pending_images = 0
        """Units that wait for answers from elsewhere."""

    @property
    def capacity(self) -> dict[str, int]:
        """How many questions each engine takes at a time now."""
        return {name: engine.capacity for name, engine in self._engines.items()}

    def stop(self, why: str = "stopped") -> None:
        """Send nothing more and let what is in flight come home."""
        self._end(RunStopped(why, hint="what was answered is kept; the same command goes on"))

    def cancel(self) -> None:
        """End at once; what is in flight is lost."""
        for task in self._tasks:
            task.cancel()

    async def run(self, image_tasks: AsyncIterator[ImageTask]) -> None:
        """Work through `units` to the end.

        Raises:
            Stopped, BudgetReached: by `stop` or a cap; what was done is kept.
            EngineStopped, RecordError: nothing more could be done; what was done is kept.
        """
        try:
            async for image_task in image_tasks:
                await self._until_room()
                if self._error is not None:
                    break
                task = asyncio.create_task(self._one(image_task))
                self._tasks.add(task)
                task.add_done_callback(self._ended)
                await asyncio.sleep(0)  # so that its first questions count before the next unit is let in
            await self._drain()
        finally:
            self.cancel()
            await asyncio.gather(*self._tasks, return_exceptions=True)
        if self._error is not None:
            raise self._error

    async def _until_room(self) -> None:
        while self._error is None and not self._has_room():
            self._room.clear()
            await self._room.wait()

    def _has_room(self) -> bool:
        """About twice as many questions wait as can be answered at a time, and units do not pile up behind a judge."""
        capacity = max(1, sum(engine.capacity for engine in self._engines.values()))  # annotations alone ask nobody
        return self.dispatcher.outstanding < 2 * capacity and len(self._tasks) < 4 * capacity + 16

    async def _drain(self) -> None:
        while self._tasks:
            grace = None if self._error is None else _GRACE_S
            self._room.clear()
            waiting = asyncio.create_task(self._room.wait())
            done, _ = await asyncio.wait({*self._tasks, waiting}, timeout=grace, return_when=asyncio.FIRST_COMPLETED)
            waiting.cancel()
            if not done:
                return  # what is in flight has had its time

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        self._room.set()

    def _end(self, error: BaseException) -> None:
        if self._error is None:
            self._error = error
            self._budget.close("the run is ending")
        self._room.set()

    async def _one(self, image_task: ImageTask) -> None:
        try:
            outcomes = await self._through(image_task)
            await self._keep(image_task, outcomes)
        except AnswerPending:
            self.pending_images += 1
        except (BudgetReached, EngineStopped, RecordError) as error:
            self._end(error)
        except Exception as error:  # a bug, or a plug-in's: one bad unit does not stop the rest
            self._say(f"{image_task.picture.key}: {error!r}")
            self._say(traceback.format_exc())
            await self._keep(image_task, _broken(image_task, error))

    async def _through(self, image_task: ImageTask) -> tuple[ItemResult, ...]:
        steps = self._steps_for(image_task)
        try:
            requests = next(steps)
            while True:
                self._check_open()  # an engine need not know that the run is ending
                requests = steps.send(await self.dispatcher.answers(requests) if requests else ())
        except StopIteration as end:
            outcomes: tuple[ItemResult, ...] = end.value
            return outcomes
        finally:
            steps.close()

    def _check_open(self) -> None:
        if self._error is not None:
            raise BudgetClosed("the run is ending")

    async def _keep(self, image_task: ImageTask, outcomes: tuple[ItemResult, ...]) -> None:
        finished = [self._finished(image_task, outcome) for outcome in outcomes]
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
            if any(outcome.reason == _BUG for outcome in outcomes):  # not even that can be stored
                self._end(error)
            raise
        self._counters.finished(outcomes)

    def _finished(self, image_task: ImageTask, outcome: ItemResult) -> work.FinishedItem:
        return work.FinishedItem(
            item=outcome.item,
            image_id=image_task.picture.image_id or 0,
            status=outcome.status,
            reason=outcome.reason,
            detail=outcome.detail,
            attempts=outcome.attempts,
            draft=new_candidate(image_task, outcome, self._recipe, self._engines),
            candidate_id=candidate_id_of(outcome.item),
            verdicts=tuple(new_verdict(said, self._engines) for said in outcome.verdicts),
        )


def _broken(image_task: ImageTask, error: BaseException) -> tuple[ItemResult, ...]:
    detail = f"{type(error).__name__}: {error}"
    return tuple(
        ItemResult(item=item, status=ItemStatus.FAILED, reason=_BUG, detail=detail)
        for item in sorted(image_task.wanted)
    )


def candidate_id_of(item: str) -> int | None:
    """The candidate that an item is, where it is one."""
    kind, _, number = item.partition("/")
    return int(number) if kind == CANDIDATE else None


def new_candidate(
    image_task: ImageTask, outcome: ItemResult, recipe: Recipe, engines: Mapping[str, Engine]
) -> NewCandidate | None:
    """The candidate of an outcome as the record takes it."""
    draft = outcome.draft
    if draft is None:
        return None
    generator = engines[recipe.proposer].model
    kind, _, _ = outcome.item.partition("/")
    keys = {each.item: each.key for each in image_task.captions} | {
        each.item: each.key for each in image_task.questions
    }
    return NewCandidate(
        source_id=image_task.source_id,
        key=f"generate/{recipe.hash}/{kind}/{keys.get(outcome.item, outcome.item)}",
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


def new_verdict(said: JudgeVerdict, engines: Mapping[str, Engine]) -> NewVerdict:
    """A verdict as the record takes it; `candidate_id` is to be filled in."""
    engine = engines.get(said.judge)
    return NewVerdict(
        candidate_id=0,
        judge=said.judge,
        model=engine.model if engine else said.judge,
        prompt_version=said.prompt,
        question=said.question,
        p=said.p,
        label_mass=said.label_mass,
        raw_text=said.text,
        latency_ms=said.latency_ms,
        simulated=engine.simulated if engine else False,
        method=said.method and str(said.method),
        prior=said.prior,
        seed=said.seed,
    )
