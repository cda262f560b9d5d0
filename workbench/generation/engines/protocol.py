"""The protocol of engines and their context. Another package implements `Engine` and registers a factory in the
entry-point group "negwb.engines"; the README of workbench.generation has an example."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Protocol

from workbench.errors import ExitCode, NegwbError
from workbench.generation.budget import Budget
from workbench.generation.engines.requests import ModelAnswer, ModelRequest
from workbench.workspace.settings.engines import EngineSettings

ENTRY_POINT_GROUP: Final = "negwb.engines"
"""Group in which packages register engine factories: `kind = "module:function"`."""


class EngineStopped(NegwbError):
    """The engine can answer no further request: unreachable, access refused, out of memory. Ends the run."""

    exit_code = ExitCode.NETWORK


StoreAnswer = Callable[[int, ModelAnswer], Awaitable[None]]
"""Called as soon as request `index` of the group is answered; returns when the answer is in the record. Until then the
request counts as in flight, so a killed run loses at most the requests in flight."""


class Engine(Protocol):
    """Answers model requests.

    An engine may have three more members: a method `answer_settings`, see `AnswerIdentity.of`; and the properties
    `in_flight`, the number of requests that a stopped run waits for, and `unanswered`, the number of requests that it
    sent for calls that ended without an answer.
    """

    @property
    def model(self) -> str:
        """Model name; part of the answer cache's key and stored with every answer."""
        ...

    @property
    def simulated(self) -> bool:
        """Whether a script answers and not a model; screens and reports mark such answers."""
        ...

    @property
    def capacity(self) -> int:
        """Number of requests that the engine can process at a time now; the runner queues about twice as many."""
        ...

    async def answer(self, group: Sequence[ModelRequest], store_answer: StoreAnswer) -> None:
        """Answer the requests of `group` and call `store_answer` once for each, in any order.

        A request that fails gets a `ModelAnswer` with an error, not an exception.

        Args:
            group: Requests about one image.
            store_answer: Takes the index in `group` and the answer.

        Raises:
            EngineStopped: the engine can answer no further request.
            BudgetReached: the next request would exceed a cap.
        """
        ...

    async def close(self) -> None:
        """Release connections, processes and memory."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class EngineContext:
    """What an engine gets in addition to its settings."""

    budget: Budget
    capabilities: Callable[[str, str], Mapping[str, Any] | None] = lambda url, model: None
    """URL and model to the capabilities that `negwb generate probe` stored; None: never probed."""
    folder: Path = Path()
    """Workspace folder, the base of relative paths."""
    notify: Callable[[str], None] = lambda line: None
    """Prints a line on stderr."""


EngineFactory = Callable[[EngineSettings, EngineContext], Awaitable[Engine]]
"""The function of an entry point. Raises NegwbError for invalid settings or an unreachable server."""
