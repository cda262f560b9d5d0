"""Review of a benchmark's judge: a random sample of what it judged becomes blind audit cards in Curate.

The sample is from the first images of the texts, whose score is corrected for the judge's errors. It is ordered by a
hash, so that a larger sample contains a smaller one, and so that neither the judge's answer nor the model matters.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from sqlalchemy import Connection

from benchmarks.results import StoredResult, list_results
from benchmarks.schema import JudgedImage, JudgeFacts
from curation_db.enums import BENCHMARK, Question
from curation_db.importing.rows import CandidateRow, ImageRow, RowBatch, RowGenerator
from curation_db.importing.writers.batch import BatchWriter
from curation_db.importing.writers.candidates import Provenance
from curation_db.review.candidates import Intake, NewVerdict, insert_verdicts
from curation_db.search import fulltext
from curation_db.storage import sqlite
from curation_db.storage.store import open_store
from workbench.errors import NegwbError, NothingToDo
from workbench.workspace.layout import Workspace
from workbench.workspace.operations import RESULTS, folder_as_written
from workbench.workspace.settings.settings import read_settings
from workbench.workspace.settings.writer import add_picture_folder

_STORED: Final = 500
"""Pairs in one transaction."""


@dataclass(frozen=True, slots=True)
class JudgedPair:
    """A text and the first image that a model retrieved for it."""

    text: str
    folder: Path
    image: str
    """File name in `folder`."""
    answers: JudgedImage
    judge: JudgeFacts

    @property
    def key(self) -> tuple[str, str]:
        return self.text, self.answers["sha256"]

    @property
    def place(self) -> bytes:
        """Place in the random order of the sample."""
        return hashlib.sha256("\0".join(self.key).encode("utf-8", "surrogatepass")).digest()

    @property
    def source(self) -> str:
        """Source of the image in the record; two folders may have different images of one name."""
        stem = re.sub(r"[^\w.-]+", "-", self.folder.name).strip("-.")[:40] or "images"
        digest = hashlib.sha256(str(self.folder).encode("utf-8", "surrogatepass")).hexdigest()
        return f"benchmark-{stem}-{digest[:8]}"

    @property
    def candidate_key(self) -> str:
        return f"{BENCHMARK}/{self.place.hex()[:24]}"


@dataclass(frozen=True, slots=True)
class ReviewedSample:
    pairs: int
    """Pairs that were judged."""
    sample: int
    """Pairs of the sample."""
    new: int
    """Pairs of the sample that the record did not have."""


def judged_results(results: Iterable[StoredResult]) -> list[StoredResult]:
    """Return the newest results of judged tasks by model, task, data and protocol; the hash of the data includes the
    judge."""
    newest: dict[tuple[str, str, str, str], StoredResult] = {}
    for stored in results:  # oldest first
        result = stored.result
        if "judge" in result:
            task = result["task"]
            key = (result["model"]["hash"], task["name"], task["dataset_sha256"], result["protocol"]["name"])
            newest[key] = stored
    return list(newest.values())


def add_review(workspace: Workspace, task: str, sample: int) -> ReviewedSample:
    """Add a random sample of the judged pairs of `task` to the record, as audit cards; known ones are left alone.

    Raises:
        NothingToDo: No result of the task has a judge.
        NegwbError: A pair of the sample is stored with another image.
    """
    listing = list_results(workspace.root / RESULTS)
    chosen = [each for each in judged_results(listing.results) if each.result["task"]["name"] == task]
    judged = [pair for stored in chosen for pair in _pairs(workspace.root, stored)]
    if not judged:
        raise NothingToDo(
            f"no result of {task} has answers of a judge", hint=f"run it first: negwb bench run {task} --judge NAME"
        )
    keys = sorted({pair.key: pair.place for pair in judged}.items(), key=lambda entry: entry[1])
    wanted = {key for key, _ in keys[:sample]}
    by_key: dict[tuple[str, str], list[JudgedPair]] = {}
    for pair in judged:
        if pair.key in wanted:
            by_key.setdefault(pair.key, []).append(pair)
    new = _store(workspace, task, list(by_key.values()))
    return ReviewedSample(len(keys), len(by_key), new)


def _pairs(root: Path, stored: StoredResult) -> Iterator[JudgedPair]:
    result = stored.result
    folder = root / result["task"].get("pictures_folder", "")
    for row in stored.items():
        if row.get("answers"):
            yield JudgedPair(row["text"], folder, str(row["options"][0]), row["answers"][0], result["judge"])


def _store(workspace: Workspace, task: str, pairs: Sequence[list[JudgedPair]]) -> int:
    """Store the pairs, each with the verdicts of all judges; return how many were new."""
    overlap = read_settings(workspace.settings).curate.overlap
    by_source: dict[str, list[list[JudgedPair]]] = {}
    for judgements in pairs:
        by_source.setdefault(judgements[0].source, []).append(judgements)
    new = 0
    with open_store(workspace.database) as store:
        for source, listed in by_source.items():
            folder = folder_as_written(listed[0][0].folder, workspace.root)
            add_picture_folder(workspace.settings, source, folder)
            # every pair is in the audit set: the sample was drawn above, and its cards are shown without the verdicts
            provenance = Provenance(source, task, BENCHMARK, Intake(overlap=overlap, audit_rate=1.0))
            writer = BatchWriter(provenance)
            for batch in _batches(listed):
                with store.write() as connection:
                    outcome = writer.write(connection, _rows(task, batch))
                    if outcome.rejects:
                        raise NegwbError(f"{source}: {outcome.rejects[0].message}")
                    new += outcome.counts["candidates"]
                    insert_verdicts(connection, _verdicts(connection, writer.images.source_id, batch))
        fulltext.refresh(store)
    return new


def _batches(pairs: Sequence[list[JudgedPair]]) -> Iterator[Sequence[list[JudgedPair]]]:
    for start in range(0, len(pairs), _STORED):
        yield pairs[start : start + _STORED]


@dataclass(frozen=True, slots=True)
class _Sample:
    """Origin of the rows, for messages about them."""

    task: str

    def where(self, index: int) -> str:
        return f"{self.task}, pair {index}"

    def offset(self, index: int) -> int | None:
        return None

    def value(self, index: int) -> object:
        return self.task


def _rows(task: str, pairs: Sequence[list[JudgedPair]]) -> RowBatch:
    batch = RowBatch()
    for number, (pair, *_) in enumerate(pairs):
        at = _Sample(task), number
        sha256 = bytes.fromhex(pair.answers["sha256"])
        batch.images.append(ImageRow(pair.image, pair.image, None, None, None, at, sha256))
        generator = RowGenerator(pair.candidate_key, task, BENCHMARK, None)
        extra = json.dumps({"benchmark": task}, ensure_ascii=False)
        batch.candidates.append(CandidateRow(None, pair.image, None, pair.text, None, extra, at, generator=generator))
    return batch


def _verdicts(connection: Connection, source_id: int, pairs: Sequence[list[JudgedPair]]) -> list[NewVerdict]:
    keys = [judgements[0].candidate_key for judgements in pairs]
    stored = sqlite.select_in(connection, "candidate", ("id", "key"), "key", keys, source_id=source_id)
    ids = {row.key: int(row.id) for row in stored}
    return [
        verdict
        for judgements in pairs
        for pair in judgements
        for verdict in _verdicts_of(pair, ids[pair.candidate_key])
    ]


def _verdicts_of(pair: JudgedPair, candidate: int) -> Iterator[NewVerdict]:
    """Yield the answer about the denied thing, and both answers as P(acceptable): the less certain of the two."""
    answers, judge = pair.answers, pair.judge
    denied, scene = answers["p_denied"], answers["p_scene"]
    both = None if denied is None or scene is None else min(scene, 1 - denied)
    shared: dict[str, Any] = {
        "candidate_id": candidate,
        "judge": judge["name"],
        "model": ", ".join(judge["models"]),
        "prompt_version": judge["prompt"],
        "simulated": judge["simulated"],
    }
    words = f"denied thing: {_word(answers['denied'])}; scene: {_word(answers['scene'])}"
    yield NewVerdict(**shared, question=Question.PRESENT, p=denied, raw_text=_word(answers["denied"]))
    yield NewVerdict(**shared, question=Question.ACCEPTABLE, p=both, raw_text=words)


def _word(answer: bool | None) -> str:
    return {True: "yes", False: "no", None: "neither yes nor no"}[answer]
