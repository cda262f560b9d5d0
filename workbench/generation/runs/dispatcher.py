"""Answers a pipeline's requests: from memory where they were asked before, else through the engines."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

from curation_db.enums import Method
from curation_db.generation import answer_cache as memory
from curation_db.language.sanitize import clean
from workbench.generation.engines.protocol import Engine
from workbench.generation.engines.requests import ModelAnswer, ModelRequest, RequestFailure
from workbench.generation.models import EngineRequest
from workbench.generation.runs.counters import RunCounters
from workbench.generation.runs.record_writer import RecordWriter

_TEXT_LIMIT = 20_000
_ERROR_LIMIT = 100


class RequestDispatcher:
    """Asks each question once, whoever else is just asking it; for one event loop."""

    def __init__(
        self,
        writer: RecordWriter,
        engines: Mapping[str, Engine],
        counters: RunCounters,
        *,
        run_id: int | None = None,
        changed: Callable[[], None] = lambda: None,
    ) -> None:
        """`changed` is called whenever fewer questions are with the engines."""
        self._writer, self._engines, self._counters = writer, engines, counters
        self._run_id, self._changed = run_id, changed
        self._asking: dict[bytes, asyncio.Future[ModelAnswer]] = {}
        self.outstanding = 0
        """Questions that are being answered."""

    async def answers(self, requests: Sequence[EngineRequest]) -> tuple[ModelAnswer, ...]:
        """The answers, in the order of `requests`.

        Raises:
            EngineStopped, BudgetReached, Parked: nothing more can be asked now; what was answered is kept.
        """
        keys = [request.request.key(self._engines[request.engine].model) for request in requests]
        ours: dict[bytes, EngineRequest] = {}
        futures: dict[bytes, asyncio.Future[ModelAnswer]] = {}
        for key, request in zip(keys, requests, strict=True):
            if key in futures:
                continue
            if (other := self._asking.get(key)) is not None:
                futures[key] = other
            else:
                futures[key] = self._asking[key] = asyncio.get_running_loop().create_future()
                ours[key] = request
        self.outstanding += len(ours)
        try:
            if ours:
                await self._settle(ours, futures)
            return tuple([await asyncio.shield(futures[key]) for key in keys])
        except Exception as error:
            for key in ours:
                if not futures[key].done():  # who waits for our questions is not called off, it hears why
                    futures[key].set_exception(error)
            raise
        finally:
            for key in ours:
                self._answered(key, futures[key])
                if futures[key].done() and not futures[key].cancelled():
                    futures[key].exception()  # somebody else may wait for it or not: it is no loss
                else:
                    futures[key].cancel()

    def _answered(self, key: bytes, answer: asyncio.Future[ModelAnswer]) -> None:
        """One question less, if it was not counted off before; somebody else may be asking it again by now."""
        if self._asking.get(key) is answer:
            self._asking.pop(key)
            self.outstanding -= 1
            self._changed()

    async def _settle(
        self, ours: Mapping[bytes, EngineRequest], futures: Mapping[bytes, asyncio.Future[ModelAnswer]]
    ) -> None:
        known = await self._writer.read(lambda connection: memory.load_answers(connection, list(ours)))
        missing: dict[str, list[bytes]] = {}
        for key, request in ours.items():
            if key in known:
                self._counters.remembered(request.request.stage)
                futures[key].set_result(known[key])
                self._answered(key, futures[key])
            else:
                missing.setdefault(request.engine, []).append(key)
        if not missing:
            return
        groups = [self._ask(engine, keys, ours, futures) for engine, keys in missing.items()]
        done = await asyncio.gather(*groups, return_exceptions=True)
        errors = [each for each in done if isinstance(each, BaseException)]
        if errors:
            raise errors[0]

    async def _ask(
        self,
        engine_name: str,
        keys: Sequence[bytes],
        ours: Mapping[bytes, EngineRequest],
        futures: Mapping[bytes, asyncio.Future[ModelAnswer]],
    ) -> None:
        engine = self._engines[engine_name]
        group = [ours[key].request for key in keys]
        for ask in group:
            self._counters.asked(ask.stage)

        async def store_answer(index: int, told: ModelAnswer) -> None:
            key, ask, answer = keys[index], group[index], normalised(told)
            if futures[key].done():
                return
            question = memory_key(ask, key, engine_name, engine)
            await self._writer.write(
                lambda connection: memory.store_answers(connection, self._run_id, [(question, answer)])
            )
            self._counters.answered(ask.stage, answer)
            if not futures[key].done():
                futures[key].set_result(answer)
            self._answered(key, futures[key])

        await engine.answer(group, store_answer)
        for index, key in enumerate(keys):
            if not futures[key].done():
                await store_answer(
                    index, ModelAnswer(error=RequestFailure.MALFORMED, detail="the engine said nothing", tries=0)
                )


def normalised(answer: ModelAnswer) -> ModelAnswer:
    """The answer as the memory will give it back: a pipeline must not see anything else the first time.

    Engines that others wrote may say what is no probability, or numbers that SQLite does not know.
    """
    p, mass = _probability(answer.p), _probability(answer.label_mass)
    text = clean(answer.text[:_TEXT_LIMIT])[:_TEXT_LIMIT]  # cleaning may make letters of one
    return replace(
        answer,
        text=text,
        p=p,
        label_mass=mass,
        method=answer.method and Method(answer.method),
        error=clean(answer.error)[:_ERROR_LIMIT],
        detail=clean(answer.detail),
    )


def _probability(told: float | None) -> float | None:
    """A probability; None: it is none."""
    return None if told is None or not 0.0 <= told <= 1.0 else float(told)


def memory_key(ask: ModelRequest, key: bytes, engine_name: str, engine: Engine) -> memory.AnswerKey:
    """The question as the memory keeps it."""
    return memory.AnswerKey(
        key=key,
        stage=ask.stage,
        engine=engine_name,
        model=engine.model,
        prompt=ask.prompt,
        subject=ask.subject,
        image_id=ask.picture.image_id if ask.picture and not ask.picture.blank else None,
        seed=ask.sampling.seed,
        simulated=engine.simulated,
    )
