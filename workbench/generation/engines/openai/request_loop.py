"""Holding a call with a server until it is answered or given up: places, tries, waits, money."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Final

from workbench.generation.budget import Budget
from workbench.generation.engines.http.client import HttpClient, Reply, TransportFailure
from workbench.generation.engines.http.errors import SECRET, masked, plain, server_words
from workbench.generation.engines.http.limiter import Limiter
from workbench.generation.engines.http.retry import Patience, RetryDecision, meaning
from workbench.generation.engines.http.stop_reasons import no_entry, unreachable
from workbench.generation.engines.http.window import LoadSignal
from workbench.generation.engines.openai.calls import EngineCall
from workbench.generation.engines.openai.response import Trouble, cost_of, parsed, tokens
from workbench.generation.engines.protocol import Stored
from workbench.generation.engines.requests import ModelAnswer, RequestFailure
from workbench.workspace.engine_settings import EngineSettings

_POORER_AFTER: Final = 2
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
class _Step:
    """What came of a request."""

    signal: LoadSignal
    answers: list[ModelAnswer] | None = None
    """There: the call is over."""
    asked: float | None = None
    """Seconds that the server asked to wait."""


class RequestLoop:
    """Holds calls with one server; for one event loop."""

    def __init__(
        self, settings: EngineSettings, budget: Budget, exchange: HttpClient, limiter: Limiter, patience: Patience
    ) -> None:
        self._settings = settings
        self._budget = budget
        self._exchange = exchange
        self._limiter = limiter
        self._patience = patience
        self._unheard = 0
        """Calls in a row that got no connection with all their tries."""
        self.last_trouble = ""
        """For the line that says why everything stopped."""

    async def hold(self, call: EngineCall, stored: Stored) -> None:
        """Ask until `call` is answered or given up, and have the answers stored while the place is held.

        Raises:
            EngineStopped: see `Engine.answer`.
            BudgetReached: the same.
        """
        held = CallState()
        while True:
            await self._limiter.take(again=held.sent > 0)
            step = _Step(LoadSignal.NONE)
            try:
                step = await self._step(call, held)
                for index, answer in zip(call.indices, step.answers, strict=True) if step.answers else ():
                    await stored(index, answer)
            finally:
                self._limiter.give_back(step.signal, step.asked or 0.0)
            if step.answers is not None:
                return
            await self._limiter.rest(self._patience.delay(held.tries + held.rejections, step.asked))

    async def _step(self, call: EngineCall, held: CallState) -> _Step:
        """Send what is still to be sent, until something goes wrong."""
        while True:
            self._budget.take()
            held.sent += 1
            started = time.perf_counter()
            reply = await self._exchange.post(call.path, call.build(len(held.said)))
            held.milliseconds = 1000 * (time.perf_counter() - started)
            outcome = self._judged(call, held, reply)
            if outcome is not None:
                return outcome
            if len(held.said) == call.rounds:
                return _Step(LoadSignal.GOOD, self._finished(call.finish(held.said), held))

    def _judged(self, call: EngineCall, held: CallState, reply: Reply | TransportFailure) -> _Step | None:
        """What a reply means; None: it is good, and kept in `held`."""
        if isinstance(reply, TransportFailure):
            connection = reply.failure in {RequestFailure.CONNECTION, RequestFailure.TIMEOUT}
            trouble = Trouble(failure=reply.failure, detail=reply.detail, again=True)
            return self._troubled(call, held, trouble, LoadSignal.TROUBLE if connection else self._once(held))
        asked = self._patience.asked_for(reply.headers)
        means = meaning(reply.status)
        if means is RetryDecision.FINE:
            return self._read(call, held, reply)
        words = server_words(reply.body, self._exchange.key)
        means = meaning(reply.status, words, says_when=asked is not None)
        if means is RetryDecision.NO_ENTRY:
            error = no_entry(self._settings, reply, self._exchange.key)
            self._limiter.stop(error)
            raise error
        if means is RetryDecision.TOO_MANY:
            return self._refused(call, held, words, asked)
        if means is RetryDecision.TURNED_DOWN:
            detail = f"{reply.status}: {words}" if words else str(reply.status)
            return self._given_up(call, held, Trouble(failure=RequestFailure.REFUSED, detail=detail), LoadSignal.GOOD)
        trouble = Trouble(failure=RequestFailure.SERVER, detail=f"{reply.status}: {words}", again=True)
        return self._troubled(call, held, trouble, self._once(held), asked)

    def _read(self, call: EngineCall, held: CallState, reply: Reply) -> _Step | None:
        payload = parsed(reply.body)
        read = payload if isinstance(payload, Trouble) else call.read(payload)
        if not isinstance(payload, Trouble):
            self._charge(held, payload)
        self._unheard = 0
        if not isinstance(read, Trouble):
            held.said.append(read)
            return None
        if read.meanwhile is not None and held.tries + 1 >= _POORER_AFTER:
            held.said.append([read.meanwhile])
            return None
        if read.again:
            return self._troubled(call, held, read, self._once(held))
        return self._given_up(call, held, read, LoadSignal.GOOD)

    def _refused(self, call: EngineCall, held: CallState, words: str, asked: float | None) -> _Step:
        held.rejections += 1
        self.last_trouble = f"429: {words}" if words else "too many requests"
        if held.rejections < self._patience.rejections:
            return _Step(LoadSignal.REFUSED, asked=asked)
        trouble = Trouble(failure=RequestFailure.SERVER, detail=f"refused {held.rejections} times: {self.last_trouble}")
        return self._given_up(call, held, trouble, LoadSignal.REFUSED)

    def _troubled(
        self, call: EngineCall, held: CallState, trouble: Trouble, signal: LoadSignal, asked: float | None = None
    ) -> _Step:
        held.tries += 1
        self.last_trouble = trouble.detail
        if held.tries < self._settings.tries:
            return _Step(signal, asked=asked)
        if trouble.failure is RequestFailure.CONNECTION:
            self._unheard += 1
            if self._unheard >= self._patience.dead_after:
                error = unreachable(self._settings, trouble.detail)
                self._limiter.stop(error)
                raise error
        return self._given_up(call, held, trouble, signal)

    def _once(self, held: CallState) -> LoadSignal:
        """What the window hears of a question that goes wrong by itself: one word, however often it is tried."""
        first, held.failed = not held.failed, True
        return LoadSignal.TROUBLE if first else LoadSignal.NONE

    def _given_up(self, call: EngineCall, held: CallState, trouble: Trouble, signal: LoadSignal) -> _Step:
        failed = ModelAnswer(error=trouble.failure, detail=plain(trouble.detail, self._exchange.key))
        return _Step(signal, self._finished([failed for _ in call.indices], held))

    def _charge(self, held: CallState, payload: Any) -> None:
        if not isinstance(payload, Mapping):
            return
        counts = tokens(payload)
        cost = cost_of(counts, self._settings.price_in, self._settings.price_out)
        self._budget.spend((counts.prompt_tokens or 0) + (counts.completion_tokens or 0), cost)
        if cost is not None:
            held.cost = (held.cost or 0.0) + cost

    def _finished(self, answers: list[ModelAnswer], held: CallState) -> list[ModelAnswer]:
        """The answers with what it took to get them; what several cost together is shared out evenly, and the requests
        count for the first."""
        key = self._exchange.key
        return [
            replace(
                answer,
                text=masked(answer.text, key, least=SECRET),  # a caption may hold the word "none"
                latency_ms=round(held.milliseconds, 1),
                tries=0 if place else held.sent,
                cost=None if held.cost is None else held.cost / len(answers),
            )
            for place, answer in enumerate(answers)
        ]
