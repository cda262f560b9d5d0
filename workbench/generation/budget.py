"""Caps on what a run may cost: requests, tokens, money. Shared by all engines of a run; for one event loop.

A request in flight reserves the most that it can cost. The reservation is replaced by the actual amount when the answer
arrives, so that the requests in flight together cannot exceed a cap.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field

from workbench.errors import ExitCode, NegwbError


class BudgetReached(NegwbError):
    """The next request would exceed a cap. Ends the run; the same command with a larger cap continues it."""

    exit_code = ExitCode.FAILED


class BudgetClosed(BudgetReached):
    """The run is ending for another reason: no further request is sent."""


@dataclass(slots=True, eq=False)
class Reservation:
    """Amount that a request in flight may cost. Must be settled."""

    _budget: Budget
    tokens: int = 0
    cost: float = 0.0
    settled: bool = False

    def settle(self, tokens: int = 0, cost: float | None = None) -> None:
        """Replace the reserved amount by the actual one; a second call has no effect."""
        if not self.settled:
            self.settled = True
            self._budget._settle(self, tokens, cost or 0.0)


@dataclass(slots=True)
class Budget:
    """Caps of a run, and what it has spent."""

    max_requests: int | None = None
    max_tokens: int | None = None
    """Prompt and completion tokens together, as the servers count them."""
    max_cost: float | None = None
    """In the currency of the engines' prices."""
    requests: int = field(default=0, init=False)
    tokens: int = field(default=0, init=False)
    cost: float = field(default=0.0, init=False)
    reserved_tokens: int = field(default=0, init=False)
    reserved_cost: float = field(default=0.0, init=False)
    _open: int = field(default=0, init=False)
    """Number of reservations that are not settled."""
    _waiting: list[asyncio.Future[None]] = field(default_factory=list, init=False)
    _on_close: list[Callable[[], None]] = field(default_factory=list, init=False)
    _closed: str = field(default="", init=False)

    @property
    def limits_amounts(self) -> bool:
        """Whether tokens or money have a cap, so that a request needs an estimate."""
        return self.max_tokens is not None or self.max_cost is not None

    def close(self, reason: str) -> None:
        """Refuse every further request; requests in flight may still finish."""
        if self._closed:
            return
        self._closed = reason
        for callback in self._on_close:
            callback()
        self._wake()

    def when_closed(self, callback: Callable[[], None]) -> None:
        """Call `callback` when the budget is closed, so that queued requests need not wait for their turn."""
        self._on_close.append(callback)

    def reserve(self, tokens: int = 0, cost: float = 0.0) -> Reservation:
        """Count one request that is about to be sent, and reserve the most that it can cost.

        Raises:
            BudgetReached: it could exceed a cap, or the budget is closed; the request is not counted.
        """
        reservation = self.try_reserve(tokens, cost)
        if reservation is None:
            raise self._reached(tokens, cost)
        return reservation

    async def reserve_in_turn(self, tokens: int, cost: float) -> Reservation:
        """Reserve as `reserve` does, but wait while only the reservations of requests in flight leave too little.

        Raises:
            BudgetReached: it could exceed a cap even if the requests in flight cost nothing, or the budget is closed.
        """
        while (reservation := self.try_reserve(tokens, cost)) is None:
            settled = asyncio.get_running_loop().create_future()
            self._waiting.append(settled)
            await settled
        return reservation

    def try_reserve(self, tokens: int, cost: float) -> Reservation | None:
        """Reserve as `reserve` does; None: it may fit when requests in flight are settled.

        Raises:
            BudgetReached: it could exceed a cap even if the requests in flight cost nothing, or the budget is closed.
        """
        if self._closed:
            raise BudgetClosed(self._closed)
        if self._exceeds(tokens, cost):
            raise self._reached(tokens, cost)
        if self._exceeds(self.reserved_tokens + tokens, self.reserved_cost + cost):
            return None
        self.requests += 1
        self._open += 1
        self.reserved_tokens += tokens
        self.reserved_cost += cost
        return Reservation(self, tokens, cost)

    def spend(self, tokens: int, cost: float | None) -> None:
        """Count the tokens and the cost of an answer whose request reserved nothing."""
        self.tokens += tokens
        self.cost += cost or 0.0

    def _settle(self, reservation: Reservation, tokens: int, cost: float) -> None:
        self._open -= 1
        self.reserved_tokens -= reservation.tokens
        self.reserved_cost = self.reserved_cost - reservation.cost if self._open else 0.0  # without rounding errors
        self.spend(tokens, cost)
        self._wake()

    def _wake(self) -> None:
        waiting, self._waiting = self._waiting, []
        for each in waiting:
            if not each.done():
                each.set_result(None)

    def _exceeds(self, tokens: int, cost: float) -> bool:
        """Whether a further request that may bring the open amounts to `tokens` and `cost` exceeds a cap."""
        return any(
            cap is not None and (spent >= cap or spent + more > cap)
            for spent, more, cap in (
                (self.requests, 1, self.max_requests),
                (self.tokens, tokens, self.max_tokens),
                (self.cost, cost, self.max_cost),
            )
        )

    def _reached(self, tokens: int, cost: float) -> BudgetReached:
        """Return the error for the first cap that a request of this amount could exceed."""
        for spent, more, cap, unit in (
            (self.requests, 0, self.max_requests, "requests"),
            (self.tokens, self.reserved_tokens + tokens, self.max_tokens, "tokens"),
            (self.cost, self.reserved_cost + cost, self.max_cost, "money"),
        ):
            if cap is not None and (spent >= cap or spent + more > cap):
                rest = f"; the next request may take {more:,.6g}" if spent < cap else ""
                return BudgetReached(
                    f"the budget is reached: {spent:,.6g} of {cap:,.6g} {unit}{rest}",
                    hint="all answers are stored; run the same command with a larger budget to continue",
                )
        raise AssertionError("unreachable")
