"""Generations as child processes, which the generate screen starts, resumes and stops by `negwb generate`.

A child's stdout and stderr go to a file; its results go to the record. Once its run has a row in the record, the run is
handled like that of any other process.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from curation_db.enums import StopReason
from curation_db.generation.runs import GenerationRunRow
from curation_db.processes import command_line, is_alive
from curation_db.storage.ids import utc_now
from workbench.errors import NegwbError
from workbench.jobs.process import Job, JobRegistry, interrupt, start_detached, tail
from workbench.workspace.layout import Workspace
from workbench.workspace.settings.engines import ANNOTATIONS, Pipeline
from workbench.workspace.settings.generation import GenerateSettings
from workbench.workspace.settings.settings import read_settings

FOLDER: Final = "generate"
"""Below the workspace's cache."""
# fmt: off
_SETTINGS: Final = (
    "rule", "threshold", "attempts", "rewrites", "mix", "edits", "unclear", "prior", "least_label_mass", "seed",
)
# fmt: on
_CAPS: Final = ("max_requests", "max_tokens", "max_cost")
_MAX_OUTPUT_FILES: Final = 50
_TAIL_LINES: Final = 20


@dataclass(frozen=True, slots=True, kw_only=True)
class GenerationOrder:
    """Options of a generation; all others come from negwb.toml."""

    pipeline: str
    limit: int | None
    """Captions or questions; None: all."""

    @property
    def arguments(self) -> list[str]:
        """The command line after `negwb generate`."""
        return ["--pipeline", self.pipeline, *(["--limit", str(self.limit)] if self.limit is not None else [])]


@dataclass(slots=True)
class GenerationJob(Job):
    workspace: Path
    pipeline: str
    output: Path
    """The file with its stdout and stderr."""
    started_at: str


@dataclass(frozen=True, slots=True)
class PendingProcess:
    """A process of ours without a row in the record: it opens its engines, or has ended before its run began."""

    pid: int
    pipeline: str
    ended: bool
    output: str
    """The last lines of an ended process."""


jobs: JobRegistry[int, GenerationJob] = JobRegistry()
"""By process ID."""


def start(workspace: Workspace, order: GenerationOrder) -> int:
    """Start a generation; returns its process ID.

    Raises:
        NegwbError: no proposer is set, or negwb.toml is invalid; nothing was started.
        OSError: the process, or its output file, cannot be created.
    """
    if not read_settings(workspace.settings).generate.proposer:
        raise NegwbError(
            "negwb.toml names no proposer",
            hint="add [engines.NAME] and set proposer in [generate]; see: negwb generate --help",
        )
    return start_job(workspace, order.arguments, order.pipeline)


def resume(workspace: Workspace, run: GenerationRunRow) -> int:
    """Start a generation that continues where `run` ended; returns its process ID.

    Raises:
        NegwbError: the run is active, or cannot be resumed from its settings.
        OSError: the process, or its output file, cannot be created.
    """
    if run.running:
        raise NegwbError(f"run {run.id} is running")
    arguments = resume_arguments(run, read_settings(workspace.settings).generate)
    return start_job(workspace, arguments, str(run.settings["pipeline"]))


def start_job(workspace: Workspace, arguments: list[str], pipeline: str) -> int:
    """Start `negwb generate` with these arguments; returns its process ID.

    Raises:
        OSError: the process, or its output file, cannot be created.
    """
    folder, now = workspace.cache / FOLDER, utc_now()
    folder.mkdir(parents=True, exist_ok=True)
    _remove_old_outputs(folder)
    handle, name = tempfile.mkstemp(dir=folder, suffix=".txt")
    with os.fdopen(handle, "wb") as output:
        process = start_detached("workbench", ["-w", str(workspace.root), "generate", *arguments, "--quiet"], output)
    jobs[process.pid] = GenerationJob(process, workspace.root, pipeline, Path(name), now)
    return process.pid


def _remove_old_outputs(folder: Path) -> None:
    files = sorted(folder.glob("*.txt"), key=lambda path: path.stat().st_mtime)
    for path in files[:-_MAX_OUTPUT_FILES]:
        path.unlink(missing_ok=True)


def stop(run: GenerationRunRow) -> None:
    """Ask the run's process to store what has arrived and to end; a second call ends it at once.

    Raises:
        NegwbError: the run is not running, or runs on another host.
    """
    if not run.here:
        raise NegwbError(f"run {run.id} is running on {run.host}", hint="stop it there with Ctrl-C")
    if (job := jobs.running(run.pid)) is not None:
        job.interrupt()
    elif is_alive(run.process) and _generates(run.pid):
        interrupt(run.pid)
    else:
        raise NegwbError(f"no process of this machine executes run {run.id}")


def stop_pending(pid: int) -> None:
    """Interrupt a process of ours whose run has not begun; remove one that has ended from the list."""
    if (job := jobs.running(pid)) is not None:
        job.interrupt()
    else:
        jobs.pop(pid, None)


def pending(workspace: Workspace, started: Mapping[int, str]) -> list[PendingProcess]:
    """Our processes in this workspace whose run has no row, the newest first.

    Args:
        started: For the rows of this host, process ID to start time of the run. IDs are reused, so both are compared.
    """
    processes = []
    for pid, job in reversed(jobs.copy().items()):
        running = job.running  # also reaps one that has ended
        if job.workspace == workspace.root and started.get(pid, "") < job.started_at:
            processes.append(PendingProcess(pid, job.pipeline, not running, "" if running else _last_output(job)))
        elif not running:
            jobs.pop(pid, None)
    return processes


def _last_output(job: GenerationJob) -> str:
    """Return the last line of the output that is not indented, with the indented lines (its hint) below it."""
    last: list[str] = []
    for line in reversed([line for line in tail(job.output, _TAIL_LINES) if line.strip()]):
        last.insert(0, line.strip())
        if not line[0].isspace():
            break
    return " — ".join(last) or "no output"


def _generates(pid: int) -> bool:
    """Whether the process is a generation; a reused ID must not be signalled."""
    arguments = command_line(pid)
    return "generate" in arguments and any(
        word == "workbench" or word.rpartition("/")[2] == "negwb" for word in arguments
    )


# -- the command line that resumes a run ------------------------------------------------------------------------------


def resume_arguments(run: GenerationRunRow, settings: GenerateSettings) -> list[str]:
    """Return the arguments of `negwb generate` that continue `run` with its settings and the rest of its limit.

    Raises:
        NegwbError: they cannot be derived; the message says why.
    """
    own, recipe = run.settings, _table(run.settings.get("recipe"))
    if comparison := _table(own.get("comparison")):
        raise NegwbError(
            f"run {run.id} is an arm of comparison {comparison.get('id')} and cannot be resumed alone",
            hint="run negwb generate --compare with the same two prompt sets again",
        )
    if run.stop_reason is StopReason.BUDGET:
        raise NegwbError(
            f"run {run.id} has spent its budget",
            hint="run negwb generate with a larger --max-requests, --max-tokens or --max-cost",
        )
    if not recipe.get("proposer") or own.get("pipeline") not in list(Pipeline):
        raise NegwbError(f"run {run.id} cannot be resumed here", hint="run its original command again")
    judges = [_table(each) for each in recipe.get("judges") or ()]
    engines = {str(recipe["proposer"]), *(str(judge.get("name")) for judge in judges)} - {ANNOTATIONS}
    if missing := sorted(engines - settings.engines.keys()):
        raise NegwbError(f"negwb.toml has no engine {missing[0]!r}", hint="run its original command again")
    arguments = ["--pipeline", str(own["pipeline"]), "--proposer", str(recipe["proposer"])]
    arguments += [word for judge in judges for word in ("--judge", _judge_argument(judge))]
    arguments += [word for name in _SETTINGS if name in recipe for word in ("--set", f"{name}={recipe[name]}")]
    arguments += ["--random-concept"] if recipe.get("random_concept") else []
    arguments += ["--allow-blind"] if own.get("allow_blind") else []
    return (
        arguments
        + _prompt_arguments(str(recipe.get("prompts", "")), settings.prompts(Pipeline(own["pipeline"])))
        + _item_arguments(run)
        + _cap_arguments(own)
    )


def _prompt_arguments(version: str, default: str) -> list[str]:
    """Return --prompts, unless the set is the default. A default that is a file cannot be compared with a version."""
    name = version.rpartition("@")[0]
    return ["--prompts", name] if name and name != default and not default.endswith(".toml") else []


def _item_arguments(run: GenerationRunRow) -> list[str]:
    """Return the options that select the items: sources, shard and the rest of the limit."""
    own = run.settings
    arguments = [word for source in own.get("sources") or () for word in ("--source", str(source))]
    arguments += ["--shard", str(own["shard"])] if own.get("shard") else []
    arguments += ["--retry"] if own.get("retry") else []
    limit = own.get("limit")
    if isinstance(limit, int):
        left = limit - run.progress.items_done
        arguments += ["--limit", str(left if left > 0 else limit)]
    return arguments


def _cap_arguments(settings: Mapping[str, Any]) -> list[str]:
    caps = _table(settings.get("caps"))
    return [
        word
        for name in _CAPS
        if caps.get(name) is not None
        for word in (f"--{name.replace('_', '-')}", str(caps[name]))
    ]


def _judge_argument(judge: Mapping[str, Any]) -> str:
    questions = list(judge.get("questions") or [])
    return f"{judge.get('name')}:{questions[0]}" if len(questions) == 1 else str(judge.get("name"))


def _table(value: object) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}
