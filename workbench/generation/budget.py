"""Caps on what a run may cost: requests, tokens, money. Shared by all engines of a run; for one event loop."""

from __future__ import annotations

from dataclasses import dataclass, field

from workbench.errors import ExitCode, NegwbError


class BudgetReached(NegwbError):
    """The next request would exceed a cap. Ends the run; the same command with a larger cap continues it."""

    exit_code = ExitCode.FAILED


class BudgetClosed(BudgetReached):
    """The run is ending for another reason: no further request is sent."""


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
    _closed: str = field(default="", init=False)

    def close(self, reason: str) -> None:
        """Refuse every further request; requests in flight may still finish."""
        self._closed = self._closed or reason

    def reserve(self) -> None:
        """Count one request that is about to be sent.

        Raises:
            BudgetReached: a cap is reached, or the budget is closed; the request is not counted.
        """
        if self._closed:
            raise BudgetClosed(self._closed)
        for spent, cap, unit in (
            (self.requests, self.max_requests, "requests"),
            (self.tokens, self.max_tokens, "tokens"),
            (self.cost, self.max_cost, "money"),
        ):
            if cap is not None and spent >= cap:
                raise BudgetReached(
                    f"the budget is reached: {spent:,.6g} of {cap:,.6g} {unit}",
                    hint="all answers are stored; run the same command with a larger budget to continue",
                )
        self.requests += 1

    def spend(self, tokens: int, cost: float | None) -> None:
        """Count the tokens and the cost of an answer."""
        self.tokens += tokens
        self.cost += cost or 0.0
