"""Generations as child processes: the command line that begins one, or goes on with one, and the process itself.

Plain: no typer, no textual, no httpx. A child's terminal is a file of its own; what it does stands in the record.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from curation_db.generation_runs import GenerationRunRow
from curation_db.generation_words import StopReason
from curation_db.identity import utc_now
from workbench.errors import NegwbError
from workbench.generation.settings import GenerateSettings
from workbench.paths import Workspace
from workbench.workspace.engine_settings import ANNOTATIONS, Pipeline

FOLDER: Final = "generate"
"""Below the workspace's cache."""
_SETTINGS: Final = ("rule", "threshold", "attempts", "rewrites", "mix", "unclear", "prior", "least_label_mass", "seed")
_CAPS: Final = ("max_requests", "max_tokens", "max_cost")
_KEPT_FILES: Final = 50


@dataclass(frozen=True, slots=True, kw_only=True)
class Order:
    """A generation that was asked for; the rest is as negwb.toml has it."""

    pipeline: str
    limit: int | None
    """Captions or questions; None: all."""

    @property
    def words(self) -> list[str]:
        """Behind `negwb generate`."""
        return ["--pipeline", self.pipeline, *(["--limit", str(self.limit)] if self.limit is not None else [])]


@dataclass(frozen=True, slots=True)
class Child:
    """A process of ours."""

    process: subprocess.Popen[bytes]
    pipeline: str
    output: Path
    """What it says on stdout and stderr."""
    started_at: str

    @property
    def lives(self) -> bool:
        """Whether it still runs."""
        return self.process.poll() is None


def start_child(workspace: Workspace, words: list[str], pipeline: str) -> Child:
    """Start `negwb generate` with these words.

    In a session of its own it does not hear the terminal's Ctrl-C, and outlives whoever started it. One SIGINT asks
    it to store what arrived and to end.

    Raises:
        OSError: the process, or its file, cannot be made.
    """
    command = [sys.executable, "-P", "-m", "workbench", "-w", str(workspace.root), "generate", *words, "--quiet"]
    folder, now = workspace.cache / FOLDER, utc_now()
    folder.mkdir(parents=True, exist_ok=True)
    _forget_old(folder)
    number, name = tempfile.mkstemp(dir=folder, suffix=".txt")
    with os.fdopen(number, "wb") as output:
        process = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=output, stderr=subprocess.STDOUT, start_new_session=True
        )
    return Child(process, pipeline, Path(name), now)


def _forget_old(folder: Path) -> None:
    """Keep the newest outputs only."""
    files = sorted(folder.glob("*.txt"), key=lambda path: path.stat().st_mtime)
    for path in files[: -_KEPT_FILES or None]:
        path.unlink(missing_ok=True)


def words_to_go_on(run: GenerationRunRow, settings: GenerateSettings) -> list[str]:
    """What `negwb generate` is told so that it goes on where `run` ended, with its settings and what is left of it.

    Raises:
        NegwbError: it cannot go on by itself; the line says why.
    """
    told, recipe = run.settings, _table(run.settings.get("recipe"))
    if run.stop_reason is StopReason.BUDGET:
        raise NegwbError(
            f"run {run.id} has spent its budget", hint="say how much more: negwb generate with --max-cost or its like"
        )
    if not recipe.get("proposer") or told.get("pipeline") not in list(Pipeline):
        raise NegwbError(f"run {run.id} cannot go on from here", hint="go on with the command that began it")
    judges = [_table(each) for each in recipe.get("judges") or ()]
    engines = {str(recipe["proposer"]), *(str(judge.get("name")) for judge in judges)} - {ANNOTATIONS}
    if missing := sorted(engines - settings.engines.keys()):
        raise NegwbError(f"negwb.toml has no engine {missing[0]!r}", hint="go on with the command that began it")
    words = ["--pipeline", str(told["pipeline"]), "--proposer", str(recipe["proposer"])]
    words += [word for judge in judges for word in ("--judge", _judge(judge))]
    words += [word for name in _SETTINGS if name in recipe for word in ("--set", f"{name}={recipe[name]}")]
    words += ["--random-concept"] if recipe.get("random_concept") else []
    return (
        words
        + _prompts(str(recipe.get("prompts", "")), settings.prompts(Pipeline(told["pipeline"])))
        + _which(run)
        + _caps(told)
    )


def _prompts(version: str, usual: str) -> list[str]:
    """The prompt set, unless it is the usual one; that may be a file whose name tells nothing."""
    name = version.rpartition("@")[0]
    return ["--prompts", name] if name and name != usual and not usual.endswith(".toml") else []


def _which(run: GenerationRunRow) -> list[str]:
    """Which items: the same sources and shard, and as many as are left of the limit."""
    told = run.settings
    words = [word for source in told.get("sources") or () for word in ("--source", str(source))]
    words += ["--shard", str(told["shard"])] if told.get("shard") else []
    words += ["--retry"] if told.get("retry") else []
    limit = told.get("limit")
    if isinstance(limit, int):
        left = limit - run.progress.items_done
        words += ["--limit", str(left if left > 0 else limit)]
    return words


def _caps(told: Mapping[str, Any]) -> list[str]:
    caps = _table(told.get("caps"))
    return [
        word
        for name in _CAPS
        if caps.get(name) is not None
        for word in (f"--{name.replace('_', '-')}", str(caps[name]))
    ]


def _judge(judge: Mapping[str, Any]) -> str:
    asked = list(judge.get("questions") or [])
    return f"{judge.get('name')}:{asked[0]}" if len(asked) == 1 else str(judge.get("name"))


def _table(told: object) -> Mapping[str, Any]:
    return told if isinstance(told, Mapping) else {}
