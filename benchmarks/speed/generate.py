"""Bench `generate`: how near to a server's ceiling the questions come, and what one costs here.

The server stands in a process of its own on loopback, answers after a fixed latency and takes a fixed number of
requests at a time: beyond it, it either refuses (429 with Retry-After) or lets them wait. The engine is told neither.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from benchmarks.speed.generate_run import Whole, whole
from benchmarks.speed.harness import say
from curation_db.enums import Stage
from workbench.generation.budget import Budget
from workbench.generation.engines.openai import engine as openai
from workbench.generation.engines.protocol import Engine, EngineContext
from workbench.generation.engines.requests import AnswerFormat, Message, ModelAnswer, ModelRequest, Sampling
from workbench.workspace.engine_settings import EngineSettings

LATENCY_MS: Final = 200.0
CEILING: Final = 64
CONCURRENCY: Final = 128
"""What the settings allow: twice as much as the server takes."""
SECONDS: Final = 25.0
_WHOLE_SECONDS: Final = 40.0
_QUICK_SECONDS: Final = 1.5
_SERVER: Final = Path(__file__).parents[2] / "tests" / "support" / "model_server.py"
_LOGPROBS: Final = {"logprobs": {"seen": "yes", "evidence": "the bench's own server", "value": 20}}


def run(*, quick: bool) -> dict[str, Any]:
    """The bench's keys (BENCHES.md)."""
    seconds = _QUICK_SECONDS if quick else SECONDS
    ceiling = CEILING / (LATENCY_MS / 1000)
    all_of_it = _whole(seconds if quick else _WHOLE_SECONDS, ceiling)
    refusing, waiting = (_measured(seconds, queueing=queueing) for queueing in (False, True))
    return {
        "latency_ms": LATENCY_MS,
        "ceiling": CEILING,
        "concurrency": CONCURRENCY,
        "run_s": seconds if quick else _WHOLE_SECONDS,
        "engine_run_s": seconds,
        "ceiling_per_s": ceiling,
        "ours_per_s": round(all_of_it.per_s, 1),
        "ratio_to_ceiling": round(all_of_it.per_s / ceiling, 3),
        "cpu_ms_per_request": round(all_of_it.cpu_ms, 3),
        "steady_ratio": round(all_of_it.steady_per_s / ceiling, 3),
        "candidates": all_of_it.kept,
        "engine_per_s": round(refusing.per_s, 1),
        "engine_ratio": round(refusing.per_s / ceiling, 3),
        "engine_steady_ratio": round(refusing.steady_per_s / ceiling, 3),
        "engine_cpu_ms_per_request": round(refusing.cpu_ms, 3),
        "refused": refusing.refused,
        "median_latency_ms": round(refusing.latency_ms, 1),
        "queueing_per_s": round(waiting.per_s, 1),
        "queueing_ratio": round(waiting.per_s / ceiling, 3),
        "server_cpu_ms_per_request": round(refusing.server_cpu_ms, 3),
        "notes": [
            "ours: all of negwb generate, P1 with pictures, every answer and candidate in a record; from the start to "
            "the end of the run, finding the ceiling included; steady_ratio: the second half",
            "engine: a yes or no by log-probabilities, about no picture; the answer is handed over and not stored",
            f"ceiling_per_s: all that a server can answer which takes {CEILING} at a time for {LATENCY_MS:.0f} ms each",
            "queueing: the same server, but what is beyond the ceiling waits there instead of being refused",
        ],
    }


@dataclass(frozen=True, slots=True)
class _Run:
    per_s: float
    steady_per_s: float
    cpu_ms: float
    latency_ms: float
    refused: int
    server_cpu_ms: float


def _whole(seconds: float, ceiling: float) -> Whole:
    say(f"{seconds:.0f} s of a whole run")
    with _server(queueing=False) as (url, _):
        settings = EngineSettings(name="bench", kind="openai", url=url, concurrency=CONCURRENCY)
        surroundings = EngineContext(budget=Budget(), capabilities=lambda _url, _model: _LOGPROBS)
        return whole(settings, surroundings, seconds, ceiling)


def _measured(seconds: float, *, queueing: bool) -> _Run:
    say(f"{seconds:.0f} s against a server that {'lets wait' if queueing else 'refuses'} beyond {CEILING}")
    with _server(queueing=queueing) as (url, process):
        return asyncio.run(_asked(url, process, seconds))


@contextlib.contextmanager
def _server(*, queueing: bool) -> Iterator[tuple[str, int]]:
    """The server's address and process id."""
    behaviour = {"latency_ms": LATENCY_MS, "ceiling": CEILING, "queueing": queueing, "retry_after": "1"}
    command = [sys.executable, str(_SERVER), json.dumps(behaviour)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            yield f"{process.stdout.readline().strip()}/v1", process.pid
        finally:
            process.kill()


async def _asked(url: str, server: int, seconds: float) -> _Run:
    settings = EngineSettings(name="bench", kind="openai", url=url, concurrency=CONCURRENCY)
    budget = Budget()
    engine = await openai.make(settings, EngineContext(budget=budget, capabilities=lambda _url, _model: _LOGPROBS))
    ends: list[tuple[float, float]] = []
    try:
        started, cpu, server_cpu = time.perf_counter(), time.process_time(), _cpu_of(server)
        await _work(engine, started + seconds, ends)
        cpu, server_cpu = time.process_time() - cpu, _cpu_of(server) - server_cpu
    finally:
        await engine.close()
    refused = budget.requests - len(ends)
    ends = [end for end in ends if end[0] <= started + seconds]
    late = sum(when > started + seconds / 2 for when, _ in ends)
    latencies = sorted(latency for _, latency in ends)
    return _Run(
        per_s=len(ends) / seconds,
        steady_per_s=late / (seconds / 2),
        cpu_ms=1000 * cpu / budget.requests,
        latency_ms=latencies[len(latencies) // 2],
        refused=refused,
        server_cpu_ms=1000 * server_cpu / budget.requests,
    )


async def _work(engine: Engine, until: float, ends: list[tuple[float, float]]) -> None:
    """Ask until then; twice as many wait as the engine may ever send, as with the runner."""

    async def stored(_index: int, answer: ModelAnswer) -> None:
        assert not answer.error, answer
        assert answer.p is not None
        ends.append((time.perf_counter(), answer.latency_ms or 0.0))

    async def one(worker: int) -> None:
        number = 0
        while time.perf_counter() < until:
            await engine.answer([_question(f"{worker}/{number}")], stored)
            number += 1

    await asyncio.gather(*(one(worker) for worker in range(2 * CONCURRENCY)))


def _question(thing: str) -> ModelRequest:
    text = f"Is there a thing {thing} in this image? Answer only with 'yes' or 'no'."
    return ModelRequest(
        stage=Stage.PRESENCE,
        answer_format=AnswerFormat.YES_NO,
        prompt="bench",
        messages=(Message("user", text),),
        sampling=Sampling(max_tokens=10),
        subject=thing,
    )


def _cpu_of(process: int) -> float:
    """Seconds of CPU that a process has used, where the system tells."""
    try:
        fields = Path(f"/proc/{process}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()
    except OSError:
        return float("nan")
    return (int(fields[11]) + int(fields[12])) / 100
