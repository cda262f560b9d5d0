"""Bench `curate`: from a key to the next card on the screen, with a million candidates in the record.

The record (`big_record`) has the worst case of a claim at the head of its queue. The claims are timed first. Then a
separate process decides cards (`curate_session`), and another one presses the same keys in an empty app.
"""

from __future__ import annotations

import json
import math
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from benchmarks.speed.support.big_record import PERSON, SOURCE, Size, draw_images, fill, fill_seeds
from benchmarks.speed.support.curate_session import BYTES, EMPTY
from benchmarks.speed.support.harness import median, report_progress
from benchmarks.speed.support.record_cache import copy_or_build
from curation_db.enums import Kind
from curation_db.events.annotators import begin_session, end_session
from curation_db.queue.claims import Queue
from curation_db.review.decisions import DecisionWriter
from curation_db.storage.store import open_store
from workbench.workspace.create import create_workspace
from workbench.workspace.layout import Workspace
from workbench.workspace.settings.writer import add_picture_folder

PRESSES = 300
_CLAIMS = 1_000
_QUICK = Size(candidates=10_000, seeds=500, voted=1_000)
_QUICK_PRESSES = 12
_ORDERED = Size(candidates=100, seeds=100, voted=0)
"""The record of the bytes: ten candidates per image, served in order."""


def run(*, quick: bool) -> dict[str, Any]:
    """Run the bench and return its figures."""
    size, presses = (_QUICK, _QUICK_PRESSES) if quick else (Size(), PRESSES)
    with tempfile.TemporaryDirectory(prefix="negwb-bench-") as folder:
        started = time.perf_counter()
        workspace, is_copy = _filled(Path(folder) / "ws", size, keep=not quick)
        build_s = time.perf_counter() - started
        report_progress(f"{'copied' if is_copy else 'wrote'} the record in {build_s:.0f} s")
        claims = claim_times(workspace, 50 if quick else _CLAIMS)
        empty = _run_session(EMPTY, presses)["empty"]
        measured = _run_session(workspace.root, presses)
        picture_kb = _mean_size(workspace.root / "pictures") // 1024
        megabytes = workspace.database.stat().st_size // 2**20
        sent = accept_bytes(Path(folder) / "ordered", _ORDERED, _QUICK_PRESSES if quick else _ORDERED.seeds - 1)
    return {
        "candidates": size.candidates,
        "presses": presses,
        **figures(measured, empty),
        **byte_figures(sent),
        **claim_figures(claims),
        "rss_mb": measured["rss_mb"],
        "pictures": measured["pictures"],
        "picture_kb": picture_kb,
        "audit_cards": measured["audit_cards"],
        "own_first_votes": size.voted,
        "record_mb": megabytes,
        "build_s": round(build_s, 1),
        "record_from_cache": is_copy,
        "notes": _NOTES,
    }


_NOTES = [
    "Textual's Pilot presses keys at 120x36: 55% accept, 25% reject (x, then the reason: timed from the reason), 10% "
    "unsure, 10% skip; it waits until the app is idle after each, so that cards are prefetched",
    "a card is painted with the first frame that contains its caption and its negation; every frame is rendered to "
    "true-colour bytes of a terminal, which are not sent anywhere; picture: the frame contains it, in half cells",
    "the app takes the colours of that terminal, so that what it prepares is for them; "
    "the median of the empty app is subtracted from p50 to p99 and picture_p95 (pilot_ms: a key that changes one "
    "word, rendered the same way), but not from raw_p95_ms",
    "rushed_*: the next key arrives as soon as a card is painted, faster than any annotator; undo_* (z) and edit_* "
    "(the key that saves an edited text) show a card, too; the same median is subtracted",
    "every card's picture is a JPEG decoded during the run; about one card in ten is from the audit, whose judges are "
    "hidden; all others show two judges and the lint checks",
    "*times_empty_p95: p95 of the key, of undo and of saving an edit, each as a multiple of pilot_ms",
    "bytes_*: all bytes of an accept until its card, panel and messages are drawn, at 120x36 in half cells, for a next "
    "card of the same image and of a new one; ratio: to the least that the changed cells need (least_bytes), medians",
    "claim_*: Queue.claim(1) with its commit, each followed by a decision, in the worst case: one "
    "annotator, overlap 2, the annotator's own first votes at the head; claim_worst_ms is the 99th percentile, "
    "claim_slowest_ms the slowest of all: it waits for the disk (the one commit in a hundred that empties the log "
    "into the file)",
    "rss_mb: peak memory of the app process (VmHWM) up to the last press",
    "the record was written or copied just before, so the file is in the page cache; a full-size record is kept in "
    "~/.cache/negwb-bench for later runs of the same code (record_from_cache, build_s)",
]


def _filled(folder: Path, size: Size, *, keep: bool) -> tuple[Workspace, bool]:
    """Create a workspace with a record of this size; return it, and whether it is a copy of an earlier run's.

    Args:
        keep: Keep it for later runs.
    """

    def build(into: Path) -> None:
        workspace = _workspace(into, size.images)
        with open_store(workspace.database) as store:
            fill(store, size)

    if not keep:
        build(folder)
    is_copy = keep and copy_or_build(folder, size, build)
    return Workspace(folder), is_copy


def _workspace(folder: Path, images: int) -> Workspace:
    """Create a workspace with so many images."""
    workspace = create_workspace(folder)
    draw_images(workspace.root / "pictures", images)
    add_picture_folder(workspace.settings, SOURCE, "pictures")
    return workspace


def _mean_size(folder: Path) -> int:
    """Return the mean number of bytes of the files in a folder."""
    return round(statistics.mean(path.stat().st_size for path in folder.iterdir()))


def claim_times(workspace: Workspace, count: int) -> list[float]:
    """Return the milliseconds of `count` claims, each followed by a decision, which adds an own vote at the head."""
    times: list[float] = []
    with open_store(workspace.database) as store:
        actor = begin_session(store, PERSON, version="bench")
        queue, reviewer = Queue(store, actor), DecisionWriter(store, actor)
        for _ in range(count):
            started = time.perf_counter()
            claims = queue.claim(1)
            times.append((time.perf_counter() - started) * 1000)
            reviewer.decide(claims[0].candidate_id, Kind.ACCEPT)
        end_session(store, actor)
    return times


def accept_bytes(folder: Path, size: Size, presses: int) -> dict[str, list[tuple[int, int]]]:
    """Return the bytes of accepts and the least that they need, by whether the next card has the same image."""
    workspace = _workspace(folder, size.images)
    with open_store(workspace.database) as store:
        fill_seeds(store, size)
    return _run_session(workspace.root, presses, BYTES)


def _run_session(folder: Path | str, presses: int, *options: str) -> dict[str, Any]:
    """Return the measurements of `curate_session` for this workspace, or for an empty app."""
    report_progress(f"{presses} keys " + ("on an empty app" if folder == EMPTY else "in the curate screen"))
    command = [sys.executable, "-m", "benchmarks.speed.support.curate_session", str(folder), str(presses), *options]
    environment = {
        **os.environ,
        "TEXTUAL_COLOR_SYSTEM": "truecolor",
    }  # that of the terminal to which frames are rendered
    done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True, env=environment)
    return dict(json.loads(done.stdout.splitlines()[-1]))


def figures(measured: dict[str, Any], empty: list[float]) -> dict[str, Any]:
    """Return the percentiles of the session, minus the cost of a key in an empty app."""
    pilot = median(empty)

    def beyond(presses: Iterable[list[float]], share: float, *, picture: bool = False) -> float:
        return max(0.0, round(percentile((press[picture] for press in presses), share) - pilot, 1))

    times = {
        **{f"p{share}_ms": beyond(measured["paced"], share) for share in (50, 95, 99)},
        "picture_p95_ms": beyond(measured["paced"], 95, picture=True),
        "pilot_ms": pilot,
        "raw_p95_ms": round(percentile((press[0] for press in measured["paced"]), 95), 1),
        "rushed_p50_ms": beyond(measured["rushed"], 50),
        "rushed_p95_ms": beyond(measured["rushed"], 95),
        "undo_p95_ms": beyond(measured["undone"], 95),
        "edit_p95_ms": beyond(measured["edited"], 95),
    }
    keys = {"": "p95_ms", "undo_": "undo_p95_ms", "edit_": "edit_p95_ms"}
    return {**times, **{f"{name}times_empty_p95": round(times[key] / pilot, 1) for name, key in keys.items()}}


def byte_figures(counted: dict[str, list[tuple[int, int]]]) -> dict[str, Any]:
    """Return the median bytes of an accept, and the median of their ratio to the least that the changed cells need."""
    return {
        key: figure
        for kind, accepts in counted.items()
        if accepts
        for key, figure in {
            f"bytes_{kind}_picture": round(statistics.median(sent for sent, _ in accepts)),
            f"bytes_{kind}_picture_ratio": round(statistics.median(sent / least for sent, least in accepts), 2),
        }.items()
    }


def claim_figures(took: list[float]) -> dict[str, Any]:
    """Return the percentiles of claims in the worst case."""
    return {
        "claims": len(took),
        "claim_worst_ms": round(percentile(took, 99), 2),
        "claim_p50_ms": round(percentile(took, 50), 2),
        "claim_slowest_ms": round(max(took), 2),
    }


def percentile(values: Iterable[float], share: float) -> float:
    """Return the least value that `share` percent of all values do not exceed."""
    ranked = sorted(values)
    return ranked[max(0, math.ceil(len(ranked) * share / 100) - 1)]
