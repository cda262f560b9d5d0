"""Caps on what a run may cost: requests, tokens, money. Shared by all engines of a run; for one event loop."""

from __future__ import annotations

from dataclasses import dataclass, field

from workbench.errors import ExitCode, NegwbError


class BudgetReached(NegwbError):
    """The next request would be one too many. Ends the run, cleanly; the same command with a larger cap goes on."""

    exit_code = ExitCode.FAILED


class BudgetClosed(BudgetReached):
    """The run is ending for another reason: no further request is sent."""


@dataclass(slots=True)
class Budget:
    """What may be spent, and what was."""

    max_requests: int | None = None
    max_tokens: int | None = None
    """Of prompts and answers together, as the servers count them."""
    max_cost: float | None = None
    """In the currency of the engines' prices."""
    requests: int = field(default=0, init=False)
    tokens: int = field(default=0, init=False)
    cost: float = field(default=0.0, init=False)
    _closed: str = field(default="", init=False)

    def close(self, why: str) -> None:
        """Let nothing more be sent, while what is in flight comes home."""
        self._closed = self._closed or why

    def reserve(self) -> None:
        """Count a request that is about to be sent.

        Raises:
            BudgetReached: a cap is reached, or nothing more is to be sent; nothing was counted.
        """
        if self._closed:
            raise BudgetClosed(self._closed)
        for spent, most, what in (
            (self.requests, self.max_requests, "requests"),
            (self.tokens, self.max_tokens, "tokens"),
            (self.cost, self.max_cost, "money"),
        ):
            if most is not None and spent >= most:
                raise BudgetReached(
                    f"the budget is reached: {spent:,.6g} of {most:,.6g} {what}",
                    hint="what was answered is kept; a larger budget goes on from here",
                )
        self.requests += 1

    def spend(self, tokens: int, cost: float | None) -> None:
        """Count what an answer was charged for."""
        self.tokens += tokens
        self.cost += cost or 0.0
