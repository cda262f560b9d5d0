"""What an engine is, and what it is told. A third party implements `Engine` and names a function that makes it in the
entry-point group "negwb.engines" (see README)."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Protocol

from workbench.errors import ExitCode, NegwbError
from workbench.generation.budget import Budget
from workbench.generation.engines.requests import ModelAnswer, ModelRequest
from workbench.workspace.engine_settings import EngineSettings

ENTRY_POINT_GROUP: Final = "negwb.engines"
"""Group in which packages name what makes an engine: `kind = "module:function"`."""


class EngineStopped(NegwbError):
    """The engine can answer nothing more: unreachable, the key refused, out of memory. Ends the run, cleanly."""

    exit_code = ExitCode.NETWORK


StoreAnswer = Callable[[int, ModelAnswer], Awaitable[None]]
"""Called as soon as question `index` of the group is answered; returns when the answer is in the record. Until then
the request counts as in flight, so a kill costs at most what is in flight."""


class Engine(Protocol):
    """Answers questions."""

    @property
    def model(self) -> str:
        """What the server or the folder calls the model; part of the memory's key, and kept with every answer."""
        ...

    @property
    def simulated(self) -> bool:
        """Whether it is a script and no model; said wherever its answers show."""
        ...

    @property
    def capacity(self) -> int:
        """How many questions it would take at a time now: the runner keeps about twice as many waiting."""
        ...

    async def answer(self, group: Sequence[ModelRequest], store_answer: StoreAnswer) -> None:
        """Answer every question of `group`, which are about one picture; calls `stored` once for each, in any order.

        A question that cannot be answered is an `ModelAnswer` with an error, never an exception.

        Raises:
            EngineStopped: nothing more can be answered.
            BudgetReached: the next request would be one too many.
        """
        ...

    async def close(self) -> None:
        """Release connections, processes and memory."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class EngineContext:
    """What an engine may use beside its settings."""

    budget: Budget
    capabilities: Callable[[str, str], Mapping[str, Any] | None] = lambda url, model: None
    """What `negwb generate probe` saw of a server's model; None: it was never probed."""
    folder: Path = Path()
    """The workspace: relative paths begin there."""
    notify: Callable[[str], None] = lambda line: None
    """Tells the person something, on stderr."""


EngineFactory = Callable[[EngineSettings, EngineContext], Awaitable[Engine]]
"""What an entry point names. Raises NegwbError where the settings are off or the server cannot be reached."""
