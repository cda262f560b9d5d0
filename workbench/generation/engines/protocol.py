"""What an engine is, and what it is told. A third party implements `Engine` and names a function that makes it in the
entry-point group "negwb.engines" (see README)."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, Protocol

from workbench.errors import ExitCode, NegwbError
from workbench.generation.asks import Answer, Ask
from workbench.generation.budget import Budget

ENTRY_POINTS: Final = "negwb.engines"
"""Group in which packages name what makes an engine: `kind = "module:function"`."""


class EngineStopped(NegwbError):
    """The engine can answer nothing more: unreachable, the key refused, out of memory. Ends the run, cleanly."""

    exit_code = ExitCode.NETWORK


Stored = Callable[[int, Answer], Awaitable[None]]
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

    async def answer(self, group: Sequence[Ask], stored: Stored) -> None:
        """Answer every question of `group`, which are about one picture; calls `stored` once for each, in any order.

        A question that cannot be answered is an `Answer` with an error, never an exception.

        Raises:
            EngineStopped: nothing more can be answered.
            BudgetReached: the next request would be one too many.
        """
        ...

    async def close(self) -> None:
        """Release connections, processes and memory."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class EngineSettings:
    """A table [engines.NAME] of negwb.toml. Which fields mean something depends on the kind."""

    name: str
    kind: str
    """openai, transformers, scripted, clip, or what a plug-in calls itself."""
    url: str = ""
    """Of an OpenAI-compatible server, with its /v1."""
    model: str = ""
    """As the server calls it, a model of the hub, or a folder. Empty: the only one that the server lists."""
    key_env: str = ""
    """Environment variable with the API key."""
    concurrency: int = 32
    """Most requests at a time; fewer while the server says that it is too many."""
    timeout: float = 120.0
    """Seconds for one request."""
    tries: int = 6
    """Requests for one answer before it counts as failed."""
    pictures: str = "data"
    """How pictures are sent: data (a downscaled JPEG in the request) or file (its file URL, for a server beside us)."""
    picture_side: int = 672
    """Pixels of the longer side of a picture that is sent."""
    picture_tokens: int = 600
    """What a picture is taken for in estimates."""
    price_in: float | None = None
    """Per million tokens of prompts."""
    price_out: float | None = None
    method: str = "auto"
    """Where probabilities come from: auto (the best that the server proved), logprobs, decision, samples, bare."""
    samples: int = 8
    """Answers for one probability, where they are counted."""
    device: str = "auto"
    dtype: str = "auto"
    batch: int = 8
    """Questions in one forward pass of a local model."""
    revision: str = ""
    """Of a model of the hub."""
    raw_prompts: bool = False
    """Send prompts that are published as one string past the model's chat template."""
    options: Mapping[str, Any] = field(default_factory=dict)
    """[engines.NAME.options]: further fields of every request, or whatever a plug-in wants."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Surroundings:
    """What an engine may use beside its settings."""

    budget: Budget
    features: Callable[[str, str], Mapping[str, Any] | None] = lambda url, model: None
    """What `negwb generate probe` saw of a server's model; None: it was never probed."""
    folder: Path = Path()
    """The workspace: relative paths begin there."""
    say: Callable[[str], None] = lambda line: None
    """Tells the person something, on stderr."""


MakeEngine = Callable[[EngineSettings, Surroundings], Awaitable[Engine]]
"""What an entry point names. Raises NegwbError where the settings are off or the server cannot be reached."""
