"""Request loop: sends a call until it is answered or given up, with slots, retries, waiting times and costs."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Final

from workbench.generation.budget import Budget
from workbench.generation.engines.http.client import HttpClient, Reply, TransportFailure
from workbench.generation.engines.http.errors import plain_line, server_message
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
"""Tries after which a fallback answer (text instead of log-probabilities) is accepted."""


@dataclass(slots=True)
class CallState:
    """Progress of a call."""

    replies: list[list[ModelAnswer]] = field(default_factory=list)
    tries: int = 0
    """Tries without throttled requests."""
    sent: int = 0
    throttled: int = 0
    failed: bool = False
    """Whether a problem of this call was already reported to the window."""
    milliseconds: float = 0.0
    cost: float | None = None


@dataclass(frozen=True, slots=True)
class _RequestOutcome:
    """Outcome of one HTTP request."""

    signal: LoadSignal
    answers: list[ModelAnswer] | None = None
    """Final answers of the call; None: try again."""
    retry_after: float | None = None
    """Retry-After in seconds."""


class RequestLoop:
    """Sends calls to one server; for one event loop."""

    def __init__(
        self, settings: EngineSettings, budget: Budget, client: HttpClient, limiter: Limiter, policy: RetryPolicy
    ) -> None:
        self._settings = settings
        self._budget = budget
        self._client = client
        self._limiter = limiter
        self._policy = policy
        self._unreachable_calls = 0
        """Consecutive calls that got no connection in all their tries."""
        self.last_problem = ""
        """Last problem, for the error message when the engine stops."""

    async def run(self, call: EngineCall, store_answer: StoreAnswer) -> None:
        """Send `call` until it is answered or given up; store the answers while its slot is held.

        Raises:
            EngineStopped, BudgetReached: see `Engine.answer`.
        """
        state = CallState()
        while True:
            await self._limiter.acquire(retry=state.sent > 0)
            outcome = _RequestOutcome(LoadSignal.NONE)
            try:
                outcome = await self._send_requests(call, state)
                for index, answer in zip(call.indices, outcome.answers, strict=True) if outcome.answers else ():
                    await store_answer(index, answer)
            finally:
                self._limiter.release(outcome.signal, outcome.retry_after or 0.0)
            if outcome.answers is not None:
                return
            await self._limiter.sleep(self._policy.delay(state.tries + state.throttled, outcome.retry_after))

    async def _send_requests(self, call: EngineCall, state: CallState) -> _RequestOutcome:
        """Send the remaining requests of the call until it is complete or a request fails."""
        while True:
            self._budget.reserve()
            state.sent += 1
            started = time.perf_counter()
            reply = await self._client.post(call.path, call.build(len(state.replies)))
            state.milliseconds = 1000 * (time.perf_counter() - started)
            failure = self._handle_reply(call, state, reply)
            if failure is not None:
                return failure
            if len(state.replies) == call.rounds:
                return _RequestOutcome(LoadSignal.GOOD, self._complete_answers(call.finish(state.replies), state))

    def _handle_reply(
        self, call: EngineCall, state: CallState, reply: Reply | TransportFailure
    ) -> _RequestOutcome | None:
        """Return the outcome of a failed request; None: the reply is valid and was added to `state`."""
        if isinstance(reply, TransportFailure):
            connection = reply.failure in {RequestFailure.CONNECTION, RequestFailure.TIMEOUT}
            problem = ResponseProblem(failure=reply.failure, detail=reply.detail, retryable=True)
            return self._retry_or_give_up(
                call, state, problem, LoadSignal.TROUBLE if connection else self._load_signal(state)
            )
        retry_after = self._policy.retry_after(reply.headers)
        decision = classify_status(reply.status)
        if decision is RetryDecision.OK:
            return self._handle_success(call, state, reply)
        message = server_message(reply.body, self._client.key)
        decision = classify_status(reply.status, message, has_retry_after=retry_after is not None)
        if decision is RetryDecision.ABORT:
            error = access_error(self._settings, reply, self._client.key)
            self._limiter.stop(error)
            raise error
        if decision is RetryDecision.THROTTLED:
            return self._handle_throttling(call, state, message, retry_after)
        if decision is RetryDecision.REJECTED:
            detail = f"{reply.status}: {message}" if message else str(reply.status)
            return self._give_up(
                call, state, ResponseProblem(failure=RequestFailure.REFUSED, detail=detail), LoadSignal.GOOD
            )
        problem = ResponseProblem(failure=RequestFailure.SERVER, detail=f"{reply.status}: {message}", retryable=True)
        return self._retry_or_give_up(call, state, problem, self._load_signal(state), retry_after)

    def _handle_success(self, call: EngineCall, state: CallState, reply: Reply) -> _RequestOutcome | None:
        payload = parse_body(reply.body)
        read = payload if isinstance(payload, ResponseProblem) else call.read(payload)
        if not isinstance(payload, ResponseProblem):
            self._charge(state, payload)
        self._unreachable_calls = 0
        if not isinstance(read, ResponseProblem):
            state.replies.append(read)
            return None
        if read.fallback is not None and state.tries + 1 >= _FALLBACK_AFTER:
            state.replies.append([read.fallback])
            return None
        if read.retryable:
            return self._retry_or_give_up(call, state, read, self._load_signal(state))
        return self._give_up(call, state, read, LoadSignal.GOOD)

    def _handle_throttling(
        self, call: EngineCall, state: CallState, message: str, retry_after: float | None
    ) -> _RequestOutcome:
        state.throttled += 1
        self.last_problem = f"429: {message}" if message else "too many requests"
        if state.throttled < self._policy.max_throttled:
            return _RequestOutcome(LoadSignal.REFUSED, retry_after=retry_after)
        problem = ResponseProblem(
            failure=RequestFailure.SERVER, detail=f"refused {state.throttled} times: {self.last_problem}"
        )
        return self._give_up(call, state, problem, LoadSignal.REFUSED)

    def _retry_or_give_up(
        self,
        call: EngineCall,
        state: CallState,
        problem: ResponseProblem,
        signal: LoadSignal,
        retry_after: float | None = None,
    ) -> _RequestOutcome:
        state.tries += 1
        self.last_problem = problem.detail
        if state.tries < self._settings.tries:
            return _RequestOutcome(signal, retry_after=retry_after)
        if problem.failure is RequestFailure.CONNECTION:
            self._unreachable_calls += 1
            if self._unreachable_calls >= self._policy.unreachable_after:
                error = connection_error(self._settings, problem.detail)
                self._limiter.stop(error)
                raise error
        return self._give_up(call, state, problem, signal)

    def _load_signal(self, state: CallState) -> LoadSignal:
        """Return the load signal of a call that fails by itself: TROUBLE once, then NONE."""
        first, state.failed = not state.failed, True
        return LoadSignal.TROUBLE if first else LoadSignal.NONE

    def _give_up(
        self, call: EngineCall, state: CallState, problem: ResponseProblem, signal: LoadSignal
    ) -> _RequestOutcome:
        detail = plain_line(self._client.masking.mask(problem.detail), self._client.key)
        failed = problem.failed_answer(detail)
        return _RequestOutcome(signal, self._complete_answers([failed for _ in call.indices], state))

    def _charge(self, state: CallState, payload: Any) -> None:
        if not isinstance(payload, Mapping):
            return
        counts = token_counts(payload)
        cost = cost_of(counts, self._settings.price_in, self._settings.price_out)
        self._budget.spend((counts.prompt_tokens or 0) + (counts.completion_tokens or 0), cost)
        if cost is not None:
            state.cost = (state.cost or 0.0) + cost

    def _complete_answers(self, answers: list[ModelAnswer], state: CallState) -> list[ModelAnswer]:
        """Add latency, tries and cost to the answers: the cost is divided evenly, the tries count for the first one."""
        return [
            replace(
                answer,
                text=self._client.masking.mask(answer.text),  # parts of an answer are joined after the body was masked
                latency_ms=round(state.milliseconds, 1),
                tries=0 if place else state.sent,
                cost=None if state.cost is None else state.cost / len(answers),
            )
            for place, answer in enumerate(answers)
        ]
