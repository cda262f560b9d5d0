"""Most tokens that requests can cost, for the caps of a run. Pure.

The prompt is bounded by its bytes, since a token has at least one, and by `picture_tokens` for an image; the answer by
its max_tokens. A server that counts more for an image raises the bound of the requests that follow.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from workbench.generation.budget import Budget, Reservation
from workbench.generation.engines.openai.request_body import most_answer_tokens
from workbench.generation.engines.openai.request_rules import RequestRules
from workbench.generation.engines.requests import ModelRequest
from workbench.workspace.settings.engines import EngineSettings

_TEMPLATE_TOKENS: Final = 32
"""Tokens of the chat template per message."""
_PER_MILLION: Final = 1e6


@dataclass(slots=True)
class TokenBounds:
    """Reservations for the requests to one server."""

    settings: EngineSettings
    budget: Budget
    _largest_prompt: int = 0
    """Most tokens of a prompt with an image so far, as the server counts them."""

    async def reserve_in_turn(self, requests: Sequence[ModelRequest], rules: RequestRules) -> Reservation:
        """Reserve for model requests that are sent as one; see `Budget.reserve_in_turn`."""
        return await self.budget.reserve_in_turn(*self.most(requests, rules))

    def learn(self, requests: Sequence[ModelRequest], prompt_tokens: int) -> None:
        """Note the server's count for a prompt."""
        if any(request.picture for request in requests):
            self._largest_prompt = max(self._largest_prompt, prompt_tokens)

    def most(self, requests: Sequence[ModelRequest], rules: RequestRules) -> tuple[int, float]:
        """Return the most tokens and the largest cost; zeros where neither has a cap."""
        if not self.budget.limits_amounts:
            return 0, 0.0
        prompt = sum(_text_tokens(request) for request in requests)
        if any(request.picture for request in requests):
            prompt = max(prompt + self.settings.picture_tokens, self._largest_prompt)
        answer = sum(most_answer_tokens(request, rules) for request in requests)
        prices = (self.settings.price_in or 0.0, self.settings.price_out or 0.0)
        return prompt + answer, (prompt * prices[0] + answer * prices[1]) / _PER_MILLION


def _text_tokens(request: ModelRequest) -> int:
    return sum(len(message.text.encode("utf-8", "surrogatepass")) + _TEMPLATE_TOKENS for message in request.messages)
