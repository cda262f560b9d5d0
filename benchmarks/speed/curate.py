"""Bench `curate`: from a key to the next card on the screen, with a million candidates in the record.

The record is made first (`big_record`), with the worst case of a claim at its head; then the claims are timed, then a
process of its own sits down and decides (`sitting`), and one more presses the same keys on an empty app.
"""

from __future__ import annotations

import json
import math
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from benchmarks.speed.big_record import PERSON, SOURCE, Size, draw_pictures, fill
from benchmarks.speed.curate_session import EMPTY
from benchmarks.speed.harness import median, say, timed
from curation_db.enums import Kind
from curation_db.events.annotators import begin_session, end_session
from curation_db.queue.claims import Queue
from curation_db.review.decisions import DecisionWriter
from curation_db.storage.store import open_store
from workbench.workspace.create import create_workspace
from workbench.workspace.layout import Workspace
from workbench.workspace.settings_writer import add_picture_folder

PRESSES = 300
_CLAIMS = 1_000
_QUICK = Size(candidates=10_000, seeds=500, voted=1_000)
_QUICK_PRESSES = 12


def run(*, quick: bool) -> dict[str, Any]:
    """The bench's keys (BENCHES.md)."""
    size, presses = (_QUICK, _QUICK_PRESSES) if quick else (Size(), PRESSES)
    with tempfile.TemporaryDirectory(prefix="negwb-bench-") as place:
        workspace = create_workspace(Path(place) / "ws")
        picture_bytes = draw_pictures(workspace.root / "pictures", size.pictures)
        add_picture_folder(workspace.settings, SOURCE, "pictures")
        build_s = timed(lambda: _fill(workspace, size))
        say(f"the record took {build_s:.0f} s")
        claims = claim_times(workspace, 50 if quick else _CLAIMS)
        empty = _in_a_process(EMPTY, presses)["empty"]
        told = _in_a_process(workspace.root, presses)
        megabytes = workspace.database.stat().st_size // 2**20
    return {
        "candidates": size.candidates,
        "presses": presses,
        **figures(told, empty),
        **claim_figures(claims),
        "rss_mb": told["rss_mb"],
        "pictures": told["pictures"],
        "picture_kb": picture_bytes // 1024,
        "audit_cards": told["audit_cards"],
        "own_first_votes": size.voted,
        "record_mb": megabytes,
        "build_s": round(build_s, 1),
        "notes": _NOTES,
    }


_NOTES = [
    "Textual's Pilot presses keys at 120x36: 55% accept, 25% reject (x, then the reason: timed from the reason), 10% "
    "unsure, 10% skip; it waits until the app is idle after each, so the deck has had time to prepare cards",
    "a card is painted when the first frame is done in which its caption and its negation stand; every frame is drawn "
    "to a terminal's true-colour bytes, which are not sent anywhere; picture: it is in the frame, in half cells",
    "p50 to p99 and picture_p95 have the median of the empty app taken off (pilot_ms: a key that changes one word, "
    "drawn the same way); raw_p95_ms has not",
    "rushed_*: the next key is there the moment a card is painted, faster than anybody decides; undo_* (z) and edit_* "
    "(the key that saves a mended text) bring a card too; both taken off as above",
    "every card's picture is a JPEG decoded during the run; about one card in ten is from the audit, whose judges are "
    "hidden; all others show two judges and the checks",
    "claim_*: Queue.claim(1) with its commit, each followed by a decision, in the worst case that there is: one "
    "annotator, overlap 2, the person's own first votes at the head; claim_worst_ms is the 99th percentile, "
    "claim_slowest_ms the slowest of all: it waits for the disk (the one commit in a hundred that empties the log "
    "into the file)",
    "rss_mb: the most memory that the process with the app has had at once (VmHWM) until the last of the presses",
    "the record was written just before, so the file is in the cache",
]


def _fill(workspace: Workspace, size: Size) -> None:
    with open_store(workspace.database) as store:
        fill(store, size)


def claim_times(workspace: Workspace, count: int) -> list[float]:
    """Milliseconds of so many claims, a decision after each: more own first votes at the head each time."""
    took: list[float] = []
    with open_store(workspace.database) as store:
        actor = begin_session(store, PERSON, version="bench")
        queue, reviewer = Queue(store, actor), DecisionWriter(store, actor)
        for _ in range(count):
            started = time.perf_counter()
            claims = queue.claim(1)
            took.append((time.perf_counter() - started) * 1000)
            reviewer.decide(claims[0].candidate_id, Kind.ACCEPT)
        end_session(store, actor)
    return took


def _in_a_process(folder: Path | str, presses: int) -> dict[str, Any]:
    """What `sitting` tells of this workspace, or of an empty app."""
    say(f"{presses} keys " + ("on an empty app" if folder == EMPTY else "at the desk"))
    command = [sys.executable, "-m", "benchmarks.speed.curate_session", str(folder), str(presses)]
    done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
    return dict(json.loads(done.stdout.splitlines()[-1]))


def figures(told: dict[str, Any], empty: list[float]) -> dict[str, Any]:
    """Percentiles of what the sitting measured, without what a key costs on an empty app."""
    pilot = median(empty)

    def beyond(presses: Iterable[list[float]], share: float, *, picture: bool = False) -> float:
        return max(0.0, round(percentile((press[picture] for press in presses), share) - pilot, 1))

    return {
        **{f"p{share}_ms": beyond(told["paced"], share) for share in (50, 95, 99)},
        "picture_p95_ms": beyond(told["paced"], 95, picture=True),
        "pilot_ms": pilot,
        "raw_p95_ms": round(percentile((press[0] for press in told["paced"]), 95), 1),
        "rushed_p50_ms": beyond(told["rushed"], 50),
        "rushed_p95_ms": beyond(told["rushed"], 95),
        "undo_p95_ms": beyond(told["undone"], 95),
        "edit_p95_ms": beyond(told["edited"], 95),
    }


def claim_figures(took: list[float]) -> dict[str, Any]:
    """What a claim takes in the worst case there is, and what the slowest one took."""
    return {
        "claims": len(took),
        "claim_worst_ms": round(percentile(took, 99), 2),
        "claim_p50_ms": round(percentile(took, 50), 2),
        "claim_slowest_ms": round(max(took), 2),
    }


def percentile(values: Iterable[float], share: float) -> float:
    """The least value that `share` percent of all do not exceed."""
    ranked = sorted(values)
    return ranked[max(0, math.ceil(len(ranked) * share / 100) - 1)]
