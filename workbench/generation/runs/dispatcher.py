"""Dispatcher: answers a pipeline's requests from the answer cache, or else through the engines."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

from curation_db.enums import Method
from curation_db.generation import answer_cache as memory
from curation_db.language.sanitize import clean
from workbench.generation.engines.answer_identity import AnswerIdentity
from workbench.generation.engines.protocol import Engine
from workbench.generation.engines.requests import CUT_OR_EMPTY, ModelAnswer, ModelRequest, RequestFailure
from workbench.generation.models import EngineRequest
from workbench.generation.runs.counters import RunCounters
from workbench.generation.runs.record_writer import RecordWriter

_TEXT_LIMIT = 20_000
_ERROR_LIMIT = 100


class RequestDispatcher:
    """Sends each request once, also if several pipelines wait for it; for one event loop."""

    def __init__(
        self,
        writer: RecordWriter,
        engines: Mapping[str, Engine],
        counters: RunCounters,
        *,
        run_id: int | None = None,
        is_final: Callable[[ModelRequest, ModelAnswer], bool] = lambda request, answer: not answer.failed,
        changed: Callable[[], None] = lambda: None,
        identities: Mapping[str, AnswerIdentity] | None = None,
    ) -> None:
        """Configure the dispatcher.

        Args:
            is_final: Whether a stored answer stands; one that does not is requested again.
            changed: Called whenever a request is answered.
            identities: What determines the answers of each engine; default: its model only.
        """
        self._identities = identities or {}
        self._writer, self._engines, self._counters, self._is_final = writer, engines, counters, is_final
        self._run_id, self._changed = run_id, changed
        self._asking: dict[bytes, asyncio.Future[ModelAnswer]] = {}
        self.outstanding = 0
        """Number of requests in process."""

    async def answers(self, requests: Sequence[EngineRequest]) -> tuple[ModelAnswer, ...]:
        """Return the answers in the order of `requests`.

        Raises:
            EngineStopped, BudgetReached, AnswerPending: no further request can be sent; all answers so far are stored.
        """
        keys = [self._key(request) for request in requests]
        own: dict[bytes, EngineRequest] = {}
        futures: dict[bytes, asyncio.Future[ModelAnswer]] = {}
        for key, request in zip(keys, requests, strict=True):
            if key in futures:
                continue
            if (other := self._asking.get(key)) is not None:
                futures[key] = other
            else:
                futures[key] = self._asking[key] = asyncio.get_running_loop().create_future()
                own[key] = request
        self.outstanding += len(own)
        try:
            if own:
                await self._settle(own, futures)
            return tuple([await asyncio.shield(futures[key]) for key in keys])
        except Exception as error:
            for key in own:
                if not futures[key].done():  # other waiting pipelines get the error
                    futures[key].set_exception(error)
            raise
        finally:
            for key in own:
                self._count_off(key, futures[key])
                if futures[key].done() and not futures[key].cancelled():
                    futures[key].exception()  # marks it as retrieved
                else:
                    futures[key].cancel()

    def _key(self, request: EngineRequest) -> bytes:
        identity = self._identities.get(request.engine)
        return identity.key(request.request) if identity else request.request.key(self._engines[request.engine].model)

    def _count_off(self, key: bytes, answer: asyncio.Future[ModelAnswer]) -> None:
        """Remove an answered request, unless it was removed before; its key may already belong to a new request."""
        if self._asking.get(key) is answer:
            self._asking.pop(key)
            self.outstanding -= 1
            self._changed()

    async def _settle(
        self, own: Mapping[bytes, EngineRequest], futures: Mapping[bytes, asyncio.Future[ModelAnswer]]
    ) -> None:
        known = await self._writer.read(lambda connection: memory.load_answers(connection, list(own), CUT_OR_EMPTY))
        missing: dict[str, list[bytes]] = {}
        for key, request in own.items():
            if key in known and self._is_final(request.request, known[key]):
                self._counters.count_cached(request.request.stage, known[key])
                futures[key].set_result(known[key])
                self._count_off(key, futures[key])
            else:
                missing.setdefault(request.engine, []).append(key)
        if not missing:
            return
        groups = [self._request_answers(engine, keys, own, futures) for engine, keys in missing.items()]
        done = await asyncio.gather(*groups, return_exceptions=True)
        errors = [each for each in done if isinstance(each, BaseException)]
        if errors:
            raise errors[0]

    async def _request_answers(
        self,
        engine_name: str,
        keys: Sequence[bytes],
        own: Mapping[bytes, EngineRequest],
        futures: Mapping[bytes, asyncio.Future[ModelAnswer]],
    ) -> None:
        engine = self._engines[engine_name]
        group = [own[key].request for key in keys]
        for request in group:
            self._counters.count_request(request.stage)

        async def store_answer(index: int, answer_or_error: ModelAnswer) -> None:
            key, request, answer = keys[index], group[index], normalised(answer_or_error)
            if futures[key].done():
                return
            question = memory_key(request, key, engine_name, engine)
            await self._writer.write(
                lambda connection: memory.store_answers(connection, self._run_id, [(question, answer)])
            )
            self._counters.count_answer(request.stage, answer)
            if not futures[key].done():
                futures[key].set_result(answer)
            self._count_off(key, futures[key])

        await engine.answer(group, store_answer)
        for index, key in enumerate(keys):
            if not futures[key].done():
                await store_answer(
                    index, ModelAnswer(error=RequestFailure.MALFORMED, detail="the engine gave no answer", tries=0)
                )


def normalised(answer: ModelAnswer) -> ModelAnswer:
    """Return the answer as the answer cache will return it, so that a first run and a resumed run see the same values.

    Engines of other packages may return invalid probabilities, or numbers that SQLite cannot store.
    """
    p, mass = _probability(answer.p), _probability(answer.label_mass)
    text = clean(answer.text[:_TEXT_LIMIT])[:_TEXT_LIMIT]  # cleaning can lengthen the text
    return replace(
        answer,
        text=text,
        p=p,
        label_mass=mass,
        method=answer.method and Method(answer.method),
        error=clean(answer.error)[:_ERROR_LIMIT],
        detail=clean(answer.detail),
    )


def _probability(answer_or_error: float | None) -> float | None:
    """Return a valid probability or None."""
    return None if answer_or_error is None or not 0.0 <= answer_or_error <= 1.0 else float(answer_or_error)


def memory_key(request: ModelRequest, key: bytes, engine_name: str, engine: Engine) -> memory.AnswerKey:
    """Return the answer cache's key of a request."""
    return memory.AnswerKey(
        key=key,
        stage=request.stage,
        engine=engine_name,
        model=engine.model,
        prompt=request.prompt,
        subject=request.subject,
        image_id=request.picture.image_id if request.picture and not request.picture.blank else None,
        seed=request.sampling.seed,
        simulated=engine.simulated,
    )
