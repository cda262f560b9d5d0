"""Bench `generate`: request rate compared with the maximum rate of a server, and CPU cost per request.

The server runs in a separate process on loopback, answers after a fixed latency and processes a fixed number of
requests at a time. It either refuses further requests (429 with Retry-After) or queues them. The engine knows neither
the limit nor the behaviour.
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

from benchmarks.speed.support.generate_run import RunFigures, measure_run
from benchmarks.speed.support.harness import report_progress
from curation_db.enums import Stage
from workbench.generation.budget import Budget
from workbench.generation.engines.openai import engine as openai
from workbench.generation.engines.protocol import Engine, EngineContext
from workbench.generation.engines.requests import AnswerFormat, Message, ModelAnswer, ModelRequest, Sampling
from workbench.workspace.settings.engines import EngineSettings

LATENCY_MS: Final = 200.0
CEILING: Final = 64
CONCURRENCY: Final = 128
"""Maximum in the settings: twice the limit of the server."""
SECONDS: Final = 25.0
_FULL_RUN_SECONDS: Final = 40.0
_QUICK_SECONDS: Final = 1.5
_SERVER: Final = Path(__file__).parents[2] / "tests" / "support" / "model_server.py"
_LOGPROBS: Final = {"logprobs": {"seen": "yes", "evidence": "the bench's own server", "value": 20}}


def run(*, quick: bool) -> dict[str, Any]:
    """Run the bench and return its figures."""
    seconds = _QUICK_SECONDS if quick else SECONDS
    ceiling = CEILING / (LATENCY_MS / 1000)
    full_run = _measure_full_run(seconds if quick else _FULL_RUN_SECONDS, ceiling)
    refusing, waiting = (_measure_engine(seconds, queueing=queueing) for queueing in (False, True))
    return {
        "latency_ms": LATENCY_MS,
        "ceiling": CEILING,
        "concurrency": CONCURRENCY,
        "run_s": seconds if quick else _FULL_RUN_SECONDS,
        "engine_run_s": seconds,
        "ceiling_per_s": ceiling,
        "ours_per_s": round(full_run.per_s, 1),
        "ratio_to_ceiling": round(full_run.per_s / ceiling, 3),
        "cpu_ms_per_request": round(full_run.cpu_ms, 3),
        "steady_ratio": round(full_run.steady_per_s / ceiling, 3),
        "candidates": full_run.candidates,
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
            "ours: a complete run of negwb generate, P1 with images, every answer and candidate in a record; from the "
            "start to the end of the run, including the search for the ceiling; steady_ratio: the second half",
            "engine: yes/no requests by log-probabilities, without an image; the answers are not stored",
            f"ceiling_per_s: rate of a server that takes {CEILING} requests at once for {LATENCY_MS:.0f} ms each",
            "queueing: the same server, but it queues requests beyond the ceiling instead of refusing them",
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


def _measure_full_run(seconds: float, ceiling: float) -> RunFigures:
    report_progress(f"{seconds:.0f} s of a full run")
    with _server(queueing=False) as (url, _):
        settings = EngineSettings(name="bench", kind="openai", url=url, concurrency=CONCURRENCY)
        context = EngineContext(budget=Budget(), capabilities=lambda _url, _model: _LOGPROBS)
        return measure_run(settings, context, seconds, ceiling)


def _measure_engine(seconds: float, *, queueing: bool) -> _Run:
    report_progress(f"{seconds:.0f} s against a server that {'queues' if queueing else 'refuses'} beyond {CEILING}")
    with _server(queueing=queueing) as (url, process):
        return asyncio.run(_run_engine(url, process, seconds))


@contextlib.contextmanager
def _server(*, queueing: bool) -> Iterator[tuple[str, int]]:
    """Run the server; yield its address and process id."""
    behaviour = {"latency_ms": LATENCY_MS, "ceiling": CEILING, "queueing": queueing, "retry_after": "1"}
    command = [sys.executable, str(_SERVER), json.dumps(behaviour)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            yield f"{process.stdout.readline().strip()}/v1", process.pid
        finally:
            process.kill()


async def _run_engine(url: str, server: int, seconds: float) -> _Run:
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
    """Send requests until `until`; like the runner, twice as many wait as the engine may send."""

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


def _question(subject: str) -> ModelRequest:
    text = f"Is there a thing {subject} in this image? Answer only with 'yes' or 'no'."
    return ModelRequest(
        stage=Stage.PRESENCE,
        answer_format=AnswerFormat.YES_NO,
        prompt="bench",
        messages=(Message("user", text),),
        sampling=Sampling(max_tokens=10),
        subject=subject,
    )


def _cpu_of(process: int) -> float:
    """Return the CPU seconds of a process; NaN where /proc is not available."""
    try:
        fields = Path(f"/proc/{process}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()
    except OSError:
        return float("nan")
    return (int(fields[11]) + int(fields[12])) / 100
