"""A second look at captions that say that something is absent: do the judges of the workspace see it in the image?

The captions are a random sample of the audit's captions with an absent object and an image. The answers are in the
answer cache of the record, so a stopped check continues, and a second one asks only what is new. A judge may be CLIP,
whose score is calibrated with the labels of the workspace, if there are enough.
"""

from __future__ import annotations

import hashlib
import math
import shutil
import tarfile
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from benchmarks.judged import ImageQuestion
from curation_db.corpus_audit.audit_report import interval_json
from curation_db.corpus_audit.parts import is_address
from curation_db.corpus_audit.readers.record import IMAGE
from curation_db.corpus_audit.readers.webdataset import SEPARATOR, BoundedTarInfo
from curation_db.corpus_audit.samples import Sampled
from curation_db.image_decoding import cause_of, open_image, open_regular
from curation_db.image_paths import find_image_file
from curation_db.importing.compression import open_bytes
from curation_db.stats.intervals import wilson
from curation_db.storage import sqlite
from curation_db.storage.store import open_read_only
from trainers.features.file_hashes import FileHashes
from workbench.generation.engines.local.clip_presence import STATISTIC, THRESHOLD
from workbench.generation.pipelines.proposals import is_mass, is_plural, with_article
from workbench.jobs.presence_calibration import fit, read_labels
from workbench.workspace.layout import Workspace
from workbench.workspace.picture_folders import PictureFolders
from workbench.workspace.settings.settings import read_settings

if TYPE_CHECKING:
    from benchmarks.judged import ImageJudge
    from workbench.generation.runs.plan import GenerationPlan

CLIP: Final = "clip"
"""Kind of the engines whose answers are scores."""
_IMAGE_BYTES: Final = 64 << 20
"""Largest image that is taken out of a shard."""
Progress = Callable[[str, int, int], None]


@dataclass(frozen=True, slots=True)
class AskedCaption:
    """A caption, the file of its image, and the question about the absent object."""

    caption: Sampled
    path: Path
    question: str


@dataclass(frozen=True, slots=True)
class CheckableCaptions:
    """The captions that can be checked, and why others cannot."""

    asked: tuple[AskedCaption, ...]
    left_out: Counter[str]


def question_about(concept: str) -> str:
    """Return the question whether the concept is in the image."""
    noun = concept.rsplit(maxsplit=1)[-1].lower() if concept.split() else concept
    if is_plural(noun):
        return f"Are there {concept} in the image?"
    return f"Is there {concept if is_mass(noun) else with_article(concept)} in the image?"


def find_images(workspace: Workspace, sample: Iterable[Sampled], folders: Iterable[Path]) -> CheckableCaptions:
    """Return the captions of the sample whose image is a readable file.

    Args:
        folders: Where images are that the corpus names by file.
    """
    captions, places = list(sample), list(folders)
    located = _of_record(workspace, captions) | _of_shards(workspace, captions)
    asked, left_out = [], Counter[str]()
    for caption in captions:
        name = caption.image or ""
        path = located.get(name)
        if path is None and is_address(name):
            left_out["the image is an address"] += 1
        elif (path := path or find_image_file(places, name)) is None:
            left_out["the image is missing"] += 1
        elif problem := _problem(path):
            left_out[problem] += 1
        else:
            asked.append(AskedCaption(caption, path, question_about(caption.target or "")))
    return CheckableCaptions(tuple(asked), left_out)


def _of_record(workspace: Workspace, captions: list[Sampled]) -> dict[str, Path]:
    """Return the files of images of the record, by name in the sample."""
    ids = [int(each.image.removeprefix(IMAGE)) for each in captions if each.image and each.image.startswith(IMAGE)]
    if not ids:
        return {}
    settings = read_settings(workspace.settings)
    folders = PictureFolders(workspace.root, settings.pictures, follow_links=settings.follow_links)
    with open_read_only(workspace.database) as store, store.read() as connection:
        rows = list(sqlite.select_in(connection, "image", ("id", "source_id", "file_name"), "id", sorted(set(ids))))
        wanted = sorted({row.source_id for row in rows})
        sources = {row.id: row.name for row in sqlite.select_in(connection, "source", ("id", "name"), "id", wanted)}
    found = {f"{IMAGE}{row.id}": folders.locate(sources[row.source_id], row.file_name) for row in rows}
    return {name: path for name, path in found.items() if path is not None}


def _of_shards(workspace: Workspace, captions: list[Sampled]) -> dict[str, Path]:
    """Take images out of WebDataset shards into the cache of the workspace; return the files by name in the sample."""
    members: dict[str, set[str]] = defaultdict(set)
    for each in captions:
        shard, separator, member = (each.image or "").partition(SEPARATOR)
        if separator and Path(shard).is_file():
            members[shard].add(member)
    folder = workspace.cache / "audit" / "images"
    found: dict[str, Path] = {}
    for shard, names in members.items():
        folder.mkdir(parents=True, exist_ok=True)
        for name, path in _taken_out(Path(shard), names, folder):
            found[f"{shard}{SEPARATOR}{name}"] = path
    return found


def _taken_out(shard: Path, names: set[str], folder: Path) -> Iterator[tuple[str, Path]]:
    try:
        with open_bytes(shard) as file, tarfile.open(fileobj=file, mode="r|", tarinfo=BoundedTarInfo) as archive:
            for member in archive:
                if member.name not in names or not member.isfile() or member.size > _IMAGE_BYTES:
                    continue
                content = archive.extractfile(member)
                identity = hashlib.sha256(f"{shard}{SEPARATOR}{member.name}".encode()).hexdigest()[:32]
                path = folder / f"{identity}{Path(member.name).suffix.lower()[:6]}"
                if content is not None:
                    with path.open("wb") as out:
                        shutil.copyfileobj(content, out)
                    yield member.name, path
    except (tarfile.TarError, EOFError, ValueError):
        return  # the audit has reported the damage; the rest of its images is missing


def _problem(path: Path) -> str:
    """Return why the file is no readable image; "": it is one."""
    try:
        with open_regular(path) as file:
            open_image(file)
    except Exception as error:  # nearly any, see `cause_of`
        return cause_of(error).value
    return ""


@dataclass(frozen=True, slots=True)
class ScoreJudge:
    """CLIP as the judge: its answers are scores, not words."""

    threshold: float
    """P(present) from which on an answer is yes: of the recipe."""
    alone: bool
    """No other judge answers, so that the labels can calibrate the score."""


def score_judge(plan: GenerationPlan) -> ScoreJudge | None:
    """Return what is known of CLIP among the judges of a plan; None: all judges answer with words."""
    kinds = [plan.engines[judge.name].kind for judge in plan.judges]
    return ScoreJudge(plan.settings.threshold, len(kinds) == 1) if CLIP in kinds else None


def ask(
    workspace: Workspace,
    found: CheckableCaptions,
    judge: ImageJudge,
    progress: Progress,
    *,
    scored: ScoreJudge | None = None,
) -> dict[str, Any]:
    """Return the result as JSON types: the share of captions whose image shows the absent object, with its interval.

    Args:
        scored: From `score_judge`.

    Raises:
        NegwbError: The check was stopped, or a question has no answer; the answers so far are stored.
    """
    labels = read_labels(workspace) if scored is not None and scored.alone else None
    labelled = [(path, question_about(label.concept)) for label, path in labels.entries] if labels else []
    paths = list(dict.fromkeys([*(each.path for each in found.asked), *(path for path, _ in labelled)]))
    hashes = FileHashes(workspace.cache).of(paths)
    sha256_of = dict(zip(paths, hashes, strict=True))
    wanted = {(each.path, each.question) for each in found.asked}.union(labelled)
    questions = sorted(ImageQuestion(path, sha256_of[path], text) for path, text in wanted)
    answered = judge.ask(questions, lambda done, total: progress("questions", done, total))
    answers = {(question.path, question.text): answer for question, answer in zip(questions, answered, strict=True)}
    calibration = None
    if labels is not None and scored is not None:
        calibration = fit(labels, [answers[path, text].p for path, text in labelled], scored.threshold)
    rows = []
    for each in found.asked:
        answer = answers[each.path, each.question]
        row = {
            "text": each.caption.text,
            "where": each.caption.origin.shown(),
            "image": str(each.path),
            "question": each.question,
            "shown": answer.yes,
            "p": answer.p,
        }
        if calibration is not None:
            row["p_calibrated"] = None if answer.p is None else calibration.scale.apply([answer.p])[0]
        rows.append(row)
    clear = [row for row in rows if row["shown"] is not None]
    shown = sum(row["shown"] is True for row in clear)
    result = {
        "judge": {name: judge.facts[name] for name in ("id", "name", "models", "prompt", "simulated", "blind")},
        "questions": len({(each.path, each.question) for each in found.asked}),
        "checked": len(rows),
        "clear": len(clear),
        "unclear": len(rows) - len(clear),
        "shown": shown,
        "share": interval_json(wilson(shown, len(clear))),
        "left_out": dict(sorted(found.left_out.items())),
        "captions": rows,
    }
    if scored is not None:
        result["score"] = {
            "statistic": STATISTIC,
            "threshold": THRESHOLD + math.log(scored.threshold / (1 - scored.threshold)),
            "calibration": None if calibration is None else calibration.to_json(shown, len(clear)),
        }
    return result
