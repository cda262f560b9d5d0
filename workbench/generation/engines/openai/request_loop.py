"""Request loop: sends a call until it is answered or given up, with slots, retries, waiting times and costs."""

from __future__ import annotations

import time
from collections.abc import Callable, Hashable, Mapping
from dataclasses import dataclass, field, replace
from http import HTTPStatus
from typing import Any, Final

from workbench.generation.budget import Budget, Reservation
from workbench.generation.engines.http.breaker import RefusalBreaker
from workbench.generation.engines.http.client import HttpClient, Reply, TransportFailure
from workbench.generation.engines.http.errors import plain_line, server_message
from workbench.generation.engines.http.limiter import Limiter
from workbench.generation.engines.http.retry import RetryDecision, RetryPolicy, classify_status
from workbench.generation.engines.http.stop_reasons import access_error, connection_error, refusal_error
from workbench.generation.engines.http.window import LoadSignal
from workbench.generation.engines.openai.calls import EngineCall
from workbench.generation.engines.openai.request_body import encoded
from workbench.generation.engines.openai.responses.response import (
    ResponseProblem,
    cost_of,
    error_status,
    parse_body,
    token_counts,
)
from workbench.generation.engines.openai.token_bounds import TokenBounds
from workbench.generation.engines.protocol import EngineStopped, StoreAnswer
from workbench.generation.engines.requests import ModelAnswer, RequestFailure
from workbench.workspace.settings.engines import EngineSettings

_NO_CONNECTION: Final = frozenset({RequestFailure.CONNECTION, RequestFailure.TIMEOUT})
_FORBIDDEN_AT_FIRST: Final = 2
"""Replies with 403 in a row, before the first answer, that stop the engine: one may be due to a request's content."""
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
    answered_before: int = 0
    """Requests that the server had answered when the last one was sent."""
    moved: bool = False
    """Whether another server failed before."""
    failed: bool = False
    """Whether a problem of this call was already reported to the window."""
    milliseconds: float = 0.0
    cost: float | None = None
    reservation: Reservation | None = None
    """Of the request in flight."""


@dataclass(frozen=True, slots=True)
class _RequestOutcome:
    """Outcome of one HTTP request."""

    signal: LoadSignal
    answers: list[ModelAnswer] | None = None
    """Final answers of the call; None: try again."""
    retry_after: float | None = None
    """Retry-After in seconds."""


class CallMoved(Exception):
    """A call failed in all its tries on this server; another server may answer it."""


class RequestLoop:
    """Sends calls to one server; for one event loop."""

    def __init__(
        self,
        settings: EngineSettings,
        budget: Budget,
        client: HttpClient,
        limiter: Limiter,
        policy: RetryPolicy,
        *,
        has_spare: Callable[[], bool] = lambda: False,
    ) -> None:
        """`has_spare` returns whether another server can take this server's calls."""
        self._settings = settings
        self._bounds = TokenBounds(settings, budget)
        self._client = client
        self._limiter = limiter
        self._policy = policy
        self._has_spare = has_spare
        self._breaker = RefusalBreaker(policy.refusals)
        self._unreachable = 0
        """Consecutive calls without a connection in all their tries; with a spare server, consecutive requests."""
        self._answered = 0
        """Number of answered requests."""
        self._last_problem = ""
        self._connected = False
        """Whether the last problem came from the server and not from the connection."""

    def stop_error(self) -> EngineStopped:
        """Return the error for a server that lets no request through."""
        return (refusal_error if self._connected else connection_error)(self._settings, self._last_problem)

    async def run(self, call: EngineCall, store_answer: StoreAnswer, state: CallState) -> None:
        """Send `call` until it is answered or given up; store the answers while its slot is held.

        Args:
            state: Progress of the call, also from another server.

        Raises:
            EngineStopped, BudgetReached: see `Engine.answer`.
            CallMoved: another server should take the call.
        """
        while True:
            await self._limiter.acquire(retry=state.sent > 0)
            outcome = _RequestOutcome(LoadSignal.NONE)
            try:
                outcome = await self._send_requests(call, state)
                for index, answer in zip(call.indices, outcome.answers, strict=True) if outcome.answers else ():
                    await store_answer(index, answer)
                    state.sent = 0  # the stored answer counts them
            finally:
                self._limiter.release(outcome.signal, outcome.retry_after or 0.0)
            if outcome.answers is not None:
                return
            await self._limiter.sleep(self._policy.delay(state.tries + state.throttled, outcome.retry_after))

    async def _send_requests(self, call: EngineCall, state: CallState) -> _RequestOutcome:
        """Send the remaining requests of the call until it is complete or a request fails."""
        while True:
            reservation = state.reservation = await self._bounds.reserve_in_turn(call.requests, call.rules)
            try:
                state.sent += 1
                state.answered_before = self._answered
                started = time.perf_counter()
                reply = await self._client.post(call.path, call.build(len(state.replies)))
                state.milliseconds = 1000 * (time.perf_counter() - started)
                failure = self._handle_reply(call, state, reply)
            finally:
                reservation.settle()  # a request without a reply costs nothing
            if failure is not None:
                return failure
            if len(state.replies) == call.rounds:
                return _RequestOutcome(LoadSignal.GOOD, self._complete_answers(call.finish(state.replies), state))

    def _handle_reply(
        self, call: EngineCall, state: CallState, reply: Reply | TransportFailure
    ) -> _RequestOutcome | None:
        """Return the outcome of a failed request; None: the reply is valid and was added to `state`."""
        if isinstance(reply, TransportFailure):
            self._connected = reply.failure not in _NO_CONNECTION
            problem = ResponseProblem(failure=reply.failure, detail=reply.detail, retryable=True)
            signal = self._load_signal(state) if self._connected else LoadSignal.TROUBLE
            return self._retry_or_give_up(call, state, problem, signal)
        self._unreachable, self._connected = 0, True
        if 200 <= reply.status < 300:
            payload = parse_body(reply.body, reply.headers.get("content-type", ""))
            status = error_status(payload)
            if status is None or isinstance(payload, ResponseProblem):
                return self._handle_payload(call, state, payload)
            reply = replace(reply, status=status, body=encoded(payload))
        return self._handle_status(call, state, reply)

    def _handle_status(self, call: EngineCall, state: CallState, reply: Reply) -> _RequestOutcome:
        """Return the outcome of a reply with the status of a failure."""
        message = server_message(reply.body, self._client.key)
        retry_after = self._policy.retry_after(reply.headers, message)
        decision = classify_status(reply.status, message, has_retry_after=retry_after is not None)
        detail = f"{reply.status}: {message}" if message else str(reply.status)
        match decision:
            case RetryDecision.ABORT:
                raise self._stopped(access_error(self._settings, reply, self._client.key))
            case RetryDecision.THROTTLED:
                return self._handle_throttling(call, state, detail, retry_after)
            case RetryDecision.FORBIDDEN:
                if self._breaker.refuses_all(reply.status, at_first=_FORBIDDEN_AT_FIRST, later=self._policy.refusals):
                    raise self._stopped(access_error(self._settings, reply, self._client.key))
                refused = ResponseProblem(failure=RequestFailure.REFUSED, detail=detail)
                return self._give_up(call, state, refused, LoadSignal.GOOD)
            case RetryDecision.REJECTED:
                refused = ResponseProblem(failure=RequestFailure.REFUSED, detail=detail)
                self._count_refusal(refused, reply.status)
                return self._give_up(call, state, refused, LoadSignal.GOOD)
        if reply.status == HTTPStatus.SERVICE_UNAVAILABLE and self._answered == state.answered_before:
            # nothing else gets through: the server starts, and no single request is to blame
            state.throttled += 1
            self._last_problem = detail
            return _RequestOutcome(LoadSignal.TROUBLE, retry_after=retry_after)
        problem = ResponseProblem(failure=RequestFailure.SERVER, detail=detail, retryable=True)
        return self._retry_or_give_up(call, state, problem, self._load_signal(state), retry_after)

    def _handle_payload(self, call: EngineCall, state: CallState, payload: Any) -> _RequestOutcome | None:
        read = payload if isinstance(payload, ResponseProblem) else call.read(payload)
        if not isinstance(payload, ResponseProblem):
            self._charge(call, state, payload)
        if not isinstance(read, ResponseProblem):
            self._count_answer()
            state.replies.append(read)
            return None
        if read.fallback is not None and state.tries + 1 >= _FALLBACK_AFTER:
            self._count_answer()
            state.replies.append([read.fallback])
            return None
        if read.foreign and self._breaker.refuses_all(read.failure, later=self._policy.refusals):
            raise self._stopped(refusal_error(self._settings, self._masked(read.detail)))
        signal = LoadSignal.GOOD if read.from_model else self._load_signal(state)
        if read.retryable:
            return self._retry_or_give_up(call, state, read, signal)
        return self._give_up(call, state, read, LoadSignal.GOOD)

    def _count_answer(self) -> None:
        self._answered += 1
        self._breaker.count_answer()

    def _count_refusal(self, problem: ResponseProblem, reason: Hashable) -> None:
        """Count a failure for good.

        Raises:
            EngineStopped: the server refuses every request for this reason.
        """
        if self._breaker.refuses_all((problem.failure, reason)):
            raise self._stopped(refusal_error(self._settings, self._masked(problem.detail)))

    def _stopped(self, error: EngineStopped) -> EngineStopped:
        """Stop the server's limiter with `error`, and return it."""
        self._limiter.stop(error)
        return error

    def _handle_throttling(
        self, call: EngineCall, state: CallState, detail: str, retry_after: float | None
    ) -> _RequestOutcome:
        state.throttled += 1
        self._last_problem = detail
        if state.throttled < self._policy.max_throttled:
            return _RequestOutcome(LoadSignal.REFUSED, retry_after=retry_after)
        problem = ResponseProblem(failure=RequestFailure.SERVER, detail=f"refused {state.throttled} times: {detail}")
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
        self._last_problem = problem.detail
        last_try = state.tries >= self._settings.tries
        movable = self._has_spare() and not problem.from_model
        if problem.failure is RequestFailure.CONNECTION or (movable and problem.failure in _NO_CONNECTION):
            self._unreachable += last_try or movable
            if self._unreachable >= self._policy.unreachable_after:
                raise self._stopped(connection_error(self._settings, self._masked(problem.detail)))
        if not last_try:
            return _RequestOutcome(signal, retry_after=retry_after)
        if not problem.from_model and not problem.foreign:
            self._count_refusal(problem, None)
        if movable and not state.moved:
            raise CallMoved
        return self._give_up(call, state, problem, signal)

    def _load_signal(self, state: CallState) -> LoadSignal:
        """Return the load signal of a call that fails by itself: TROUBLE once, then NONE."""
        first, state.failed = not state.failed, True
        return LoadSignal.TROUBLE if first else LoadSignal.NONE

    def _give_up(
        self, call: EngineCall, state: CallState, problem: ResponseProblem, signal: LoadSignal
    ) -> _RequestOutcome:
        failed = problem.failed_answer(self._masked(problem.detail))
        return _RequestOutcome(signal, self._complete_answers([failed for _ in call.indices], state))

    def _masked(self, text: str) -> str:
        return plain_line(self._client.masking.mask(text), self._client.key)

    def _charge(self, call: EngineCall, state: CallState, payload: Any) -> None:
        reservation = state.reservation
        if not isinstance(payload, Mapping) or reservation is None:
            return
        counts = token_counts(payload)
        cost = cost_of(counts, self._settings.price_in, self._settings.price_out)
        if counts.prompt_tokens is None and counts.completion_tokens is None:
            reservation.settle(reservation.tokens, reservation.cost)  # the server counts nothing
        else:
            reservation.settle((counts.prompt_tokens or 0) + (counts.completion_tokens or 0), cost)
            self._bounds.learn(call.requests, counts.prompt_tokens or 0)
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
