"""Holding a call with a server until it is answered or given up: places, tries, waits, money."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Final

from workbench.generation.budget import Budget
from workbench.generation.engines.http.client import HttpClient, Reply, TransportFailure
from workbench.generation.engines.http.errors import MIN_SECRET_LENGTH, mask_key, plain_line, server_message
from workbench.generation.engines.http.limiter import Limiter
from workbench.generation.engines.http.retry import RetryDecision, RetryPolicy, classify_status
from workbench.generation.engines.http.stop_reasons import access_error, connection_error
from workbench.generation.engines.http.window import LoadSignal
from workbench.generation.engines.openai.calls import EngineCall
from workbench.generation.engines.openai.response import ResponseProblem, cost_of, parse_body, token_counts
from workbench.generation.engines.protocol import StoreAnswer
from workbench.generation.engines.requests import ModelAnswer, RequestFailure
from workbench.workspace.engine_settings import EngineSettings

_FALLBACK_AFTER: Final = 2
"""Tries after which a poorer answer (words where log-probabilities were asked for) is better than asking on."""


@dataclass(slots=True)
class CallState:
    """How far a call has come."""

    said: list[list[ModelAnswer]] = field(default_factory=list)
    tries: int = 0
    """That count: a request that was refused because there were too many is none."""
    sent: int = 0
    rejections: int = 0
    failed: bool = False
    """Its own trouble was told to the window once."""
    milliseconds: float = 0.0
    cost: float | None = None


@dataclass(frozen=True, slots=True)
class _RequestOutcome:
    """What came of a request."""

    signal: LoadSignal
    answers: list[ModelAnswer] | None = None
    """There: the call is over."""
    asked: float | None = None
    """Seconds that the server asked to wait."""


class RequestLoop:
    """Holds calls with one server; for one event loop."""

    def __init__(
        self, settings: EngineSettings, budget: Budget, client: HttpClient, limiter: Limiter, patience: RetryPolicy
    ) -> None:
        self._settings = settings
        self._budget = budget
        self._client = client
        self._limiter = limiter
        self._patience = patience
        self._unheard = 0
        """Calls in a row that got no connection with all their tries."""
        self.last_trouble = ""
        """For the line that says why everything stopped."""

    async def run(self, call: EngineCall, store_answer: StoreAnswer) -> None:
        """Ask until `call` is answered or given up, and have the answers stored while the place is held.

        Raises:
            EngineStopped: see `Engine.answer`.
            BudgetReached: the same.
        """
        held = CallState()
        while True:
            await self._limiter.acquire(again=held.sent > 0)
            step = _RequestOutcome(LoadSignal.NONE)
            try:
                step = await self._step(call, held)
                for index, answer in zip(call.indices, step.answers, strict=True) if step.answers else ():
                    await store_answer(index, answer)
            finally:
                self._limiter.release(step.signal, step.asked or 0.0)
            if step.answers is not None:
                return
            await self._limiter.sleep(self._patience.delay(held.tries + held.rejections, step.asked))

    async def _step(self, call: EngineCall, held: CallState) -> _RequestOutcome:
        """Send what is still to be sent, until something goes wrong."""
        while True:
            self._budget.reserve()
            held.sent += 1
            started = time.perf_counter()
            reply = await self._client.post(call.path, call.build(len(held.said)))
            held.milliseconds = 1000 * (time.perf_counter() - started)
            outcome = self._judged(call, held, reply)
            if outcome is not None:
                return outcome
            if len(held.said) == call.rounds:
                return _RequestOutcome(LoadSignal.GOOD, self._finished(call.finish(held.said), held))

    def _judged(self, call: EngineCall, held: CallState, reply: Reply | TransportFailure) -> _RequestOutcome | None:
        """What a reply means; None: it is good, and kept in `held`."""
        if isinstance(reply, TransportFailure):
            connection = reply.failure in {RequestFailure.CONNECTION, RequestFailure.TIMEOUT}
            trouble = ResponseProblem(failure=reply.failure, detail=reply.detail, again=True)
            return self._troubled(call, held, trouble, LoadSignal.TROUBLE if connection else self._once(held))
        asked = self._patience.asked_for(reply.headers)
        means = classify_status(reply.status)
        if means is RetryDecision.OK:
            return self._read(call, held, reply)
        words = server_message(reply.body, self._client.key)
        means = classify_status(reply.status, words, says_when=asked is not None)
        if means is RetryDecision.ABORT:
            error = access_error(self._settings, reply, self._client.key)
            self._limiter.stop(error)
            raise error
        if means is RetryDecision.THROTTLED:
            return self._refused(call, held, words, asked)
        if means is RetryDecision.REJECTED:
            detail = f"{reply.status}: {words}" if words else str(reply.status)
            return self._given_up(
                call, held, ResponseProblem(failure=RequestFailure.REFUSED, detail=detail), LoadSignal.GOOD
            )
        trouble = ResponseProblem(failure=RequestFailure.SERVER, detail=f"{reply.status}: {words}", again=True)
        return self._troubled(call, held, trouble, self._once(held), asked)

    def _read(self, call: EngineCall, held: CallState, reply: Reply) -> _RequestOutcome | None:
        payload = parse_body(reply.body)
        read = payload if isinstance(payload, ResponseProblem) else call.read(payload)
        if not isinstance(payload, ResponseProblem):
            self._charge(held, payload)
        self._unheard = 0
        if not isinstance(read, ResponseProblem):
            held.said.append(read)
            return None
        if read.fallback is not None and held.tries + 1 >= _FALLBACK_AFTER:
            held.said.append([read.fallback])
            return None
        if read.again:
            return self._troubled(call, held, read, self._once(held))
        return self._given_up(call, held, read, LoadSignal.GOOD)

    def _refused(self, call: EngineCall, held: CallState, words: str, asked: float | None) -> _RequestOutcome:
        held.rejections += 1
        self.last_trouble = f"429: {words}" if words else "too many requests"
        if held.rejections < self._patience.rejections:
            return _RequestOutcome(LoadSignal.REFUSED, asked=asked)
        trouble = ResponseProblem(
            failure=RequestFailure.SERVER, detail=f"refused {held.rejections} times: {self.last_trouble}"
        )
        return self._given_up(call, held, trouble, LoadSignal.REFUSED)

    def _troubled(
        self,
        call: EngineCall,
        held: CallState,
        trouble: ResponseProblem,
        signal: LoadSignal,
        asked: float | None = None,
    ) -> _RequestOutcome:
        held.tries += 1
        self.last_trouble = trouble.detail
        if held.tries < self._settings.tries:
            return _RequestOutcome(signal, asked=asked)
        if trouble.failure is RequestFailure.CONNECTION:
            self._unheard += 1
            if self._unheard >= self._patience.dead_after:
                error = connection_error(self._settings, trouble.detail)
                self._limiter.stop(error)
                raise error
        return self._given_up(call, held, trouble, signal)

    def _once(self, held: CallState) -> LoadSignal:
        """What the window hears of a question that goes wrong by itself: one word, however often it is tried."""
        first, held.failed = not held.failed, True
        return LoadSignal.TROUBLE if first else LoadSignal.NONE

    def _given_up(
        self, call: EngineCall, held: CallState, trouble: ResponseProblem, signal: LoadSignal
    ) -> _RequestOutcome:
        failed = ModelAnswer(error=trouble.failure, detail=plain_line(trouble.detail, self._client.key))
        return _RequestOutcome(signal, self._finished([failed for _ in call.indices], held))

    def _charge(self, held: CallState, payload: Any) -> None:
        if not isinstance(payload, Mapping):
            return
        counts = token_counts(payload)
        cost = cost_of(counts, self._settings.price_in, self._settings.price_out)
        self._budget.spend((counts.prompt_tokens or 0) + (counts.completion_tokens or 0), cost)
        if cost is not None:
            held.cost = (held.cost or 0.0) + cost

    def _finished(self, answers: list[ModelAnswer], held: CallState) -> list[ModelAnswer]:
        """The answers with what it took to get them; what several cost together is shared out evenly, and the requests
        count for the first."""
        key = self._client.key
        return [
            replace(
                answer,
                text=mask_key(answer.text, key, least=MIN_SECRET_LENGTH),  # a caption may hold the word "none"
                latency_ms=round(held.milliseconds, 1),
                tries=0 if place else held.sent,
                cost=None if held.cost is None else held.cost / len(answers),
            )
            for place, answer in enumerate(answers)
        ]
