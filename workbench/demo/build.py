"""Builds the demo workspace with the steps of a real one: corpus file, import, candidates, verdicts.

`open_demo` builds as much as the first cards need, `finish_demo` the rest; the record and the files do not depend on
what happens between the two. Every step can be repeated: an interrupted build continues when it is run again. The
record itself names what is drawn, scripted or simulated (generator, judge, model).
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, text

from curation_db.atomic_write import replace_file
from curation_db.enums import Question
from curation_db.importing.pipeline import import_file, make_plan
from curation_db.review.candidates import Intake, NewCandidate, NewVerdict, insert_candidates, insert_verdicts
from curation_db.search import fulltext, queries
from curation_db.storage.store import Store, open_store
from workbench.demo.experiment.exam import RETRIEVAL
from workbench.demo.experiment.exam_files import SCENES, is_complete, write_exam
from workbench.demo.experiment.finetune_recipe import POOL_IMAGES as POOL
from workbench.demo.experiment.finetune_recipe import make_pool, recipe_as_toml
from workbench.demo.simulation.corpus import IMAGES, SEED, DemoImage, make_corpus
from workbench.demo.simulation.oracle import right_decision
from workbench.demo.world.drawing import jpeg
from workbench.errors import UsageError
from workbench.workspace.create import create_workspace
from workbench.workspace.layout import Workspace
from workbench.workspace.settings.settings import read_settings
from workbench.workspace.settings.writer import add_picture_folder

SOURCE = "demo"
_ENGINES = """\
# Scripts that know the drawn world, in place of models: negwb generate --limit 100
[generate]
proposer = "script"
judges = ["sim-judge-a", "sim-judge-b", "annotations"]

[engines.script]
kind = "scripted"

[engines.sim-judge-a]
kind = "scripted"
options = { judge = "a" }

[engines.sim-judge-b]
kind = "scripted"
options = { judge = "b" }

"""
GENERATOR = "scripted-proposer"
PROMPT_VERSION = "demo-1"
OPENING = 50
"""Images of the first cards."""
_BATCH = 25
"""Images of one transaction, which a decision of the annotator may wait for: 10 ms."""
STORING = "storing candidates and verdicts"
"""The step after which the queue has new candidates."""


@dataclass(frozen=True, slots=True)
class DemoSize:
    """Numbers of images to draw, and the seed of the images to curate."""

    pictures: int = IMAGES
    """Images to curate."""
    pool: int = POOL
    """Images with captions that trainings replay."""
    scenes: int = SCENES
    """Scenes of the exam, each with one denied and one affirmed phrase."""
    gallery: int = RETRIEVAL
    """Images of the exam's retrieval task."""
    seed: int = SEED
    """Seed of the images to curate and of their candidates."""


StepProgress = Callable[[str, int, int], None]
"""Callback of every step: name of the step, number done, total."""


@dataclass(frozen=True, slots=True)
class DemoFiles:
    """Paths of the demo's corpus in a workspace."""

    root: Path

    @property
    def pictures(self) -> Path:
        """The drawn images."""
        return self.root / "pictures"

    @property
    def captions(self) -> Path:
        """The corpus as a COCO captions file."""
        return self.root / "corpus" / "captions.json"

    @property
    def pool(self) -> Path:
        """Images with affirmative captions, which trainings replay; pool.jsonl lists them."""
        return self.root / "corpus" / "pool"

    @property
    def exam(self) -> Path:
        """The benchmarks of the workspace."""
        return self.root / "benchmarks"

    @property
    def truth(self) -> Path:
        """One line per image: the scene, and the correct decision about each candidate. Written last."""
        return self.root / "corpus" / "truth.jsonl"


def build_demo(folder: Path, *, size: DemoSize | None = None, overlap: str = "", progress: StepProgress) -> Workspace:
    """Build the demo workspace in `folder`, finish an interrupted build, or return the finished one.

    Args:
        overlap: Annotators per candidate; empty: as the settings say.

    Raises:
        UsageError: the folder is not empty and is no demo workspace.
    """
    workspace = open_demo(folder, size=size, overlap=overlap, progress=progress)
    finish_demo(folder, size=size, overlap=overlap, progress=progress)
    return workspace


def open_demo(folder: Path, *, size: DemoSize | None = None, overlap: str = "", progress: StepProgress) -> Workspace:
    """Create the demo workspace in `folder` with the images and candidates of the first cards (see `build_demo`)."""
    files, size = DemoFiles(folder), size or DemoSize()
    workspace = _workspace(folder, files)
    if is_finished(folder):
        return workspace
    with open_store(workspace.database) as store:
        if _is_open(store):
            return workspace
        with _only_builder(files):
            corpus = list(make_corpus(pictures=min(OPENING, size.pictures), seed=size.seed))
            add_picture_folder(workspace.settings, SOURCE, "pictures")
            _fix_audit_key(store)
            _add_images(store, files, corpus, _intake(workspace, overlap), progress, total=size.pictures)
    return workspace


def finish_demo(folder: Path, *, size: DemoSize | None = None, overlap: str = "", progress: StepProgress) -> None:
    """Build what `open_demo` leaves out: the other images and candidates, the replay pool and the exam.

    A second process waits until the first one has finished.
    """
    if is_finished(folder):
        return
    files, size = DemoFiles(folder), size or DemoSize()
    workspace = Workspace(folder.absolute())
    with _only_builder(files):
        if files.truth.is_file():  # of an earlier version, which lacks a task
            _write_exam(files, size, progress)
            return
        corpus = list(make_corpus(pictures=size.pictures, seed=size.seed))
        with open_store(workspace.database) as store:
            _add_images(store, files, corpus, _intake(workspace, overlap), progress, total=size.pictures)
            fulltext.refresh(store)
        make_pool(files.pool, pictures=size.pool, progress=partial(progress, "drawing images to replay"))
        _write_exam(files, size, progress)
        replace_file(files.truth, "".join(json.dumps(_truth_of(image)) + "\n" for image in corpus))


def is_finished(folder: Path) -> bool:
    """Return whether `finish_demo` has nothing left to do."""
    files = DemoFiles(folder)
    return files.truth.is_file() and is_complete(files.exam)


def _is_open(store: Store) -> bool:
    with store.read() as connection:
        return queries.has_candidates(connection)


def _write_exam(files: DemoFiles, size: DemoSize, progress: StepProgress) -> None:
    write_exam(files.exam, scenes=size.scenes, gallery=size.gallery, progress=partial(progress, "drawing the exam"))


@contextmanager
def _only_builder(files: DemoFiles) -> Iterator[None]:
    """Wait until no other process builds this demo, and build alone within the block."""
    try:
        import fcntl  # noqa: PLC0415 -- not on Windows
    except ImportError:
        yield
        return
    with (files.captions.parent / ".building").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _workspace(folder: Path, files: DemoFiles) -> Workspace:
    workspace = Workspace(folder.absolute())
    if workspace.settings.is_file() and files.captions.parent.is_dir():
        return workspace
    if folder.exists() and any(folder.iterdir()):
        raise UsageError(f"{folder} is not empty", hint="name another folder: negwb demo FOLDER")
    workspace = create_workspace(folder)
    settings, train, last = workspace.settings.read_text(encoding="utf-8").partition("[train]\n")
    replace_file(workspace.settings, settings + _ENGINES + train + last + recipe_as_toml("corpus/pool/pool.jsonl"))
    for subfolder in (files.pictures, files.captions.parent):
        subfolder.mkdir(exist_ok=True)
    return workspace


def _add_images(
    store: Store,
    files: DemoFiles,
    corpus: Sequence[DemoImage],
    intake: Intake,
    progress: StepProgress,
    *,
    total: int,
) -> None:
    """Import the captions, then draw each batch of images and store its candidates, so that no card lacks its image."""
    replace_file(files.captions, json.dumps(_as_coco(corpus), indent=1))
    import_file(store, make_plan(files.captions, source=SOURCE), progress=progress)
    for start in range(0, len(corpus), _BATCH):
        batch = corpus[start : start + _BATCH]
        for done, image in enumerate(batch, start + 1):
            _draw(image, files.pictures)
            progress("drawing images", done, total)
        with store.write() as connection:
            _propose_for(connection, batch, intake)
        progress(STORING, start + len(batch), total)


def _draw(image: DemoImage, folder: Path) -> None:
    """Draw an image unless it exists. The file is complete at once: cards may show it while others are drawn."""
    path = folder / image.file_name
    if not path.is_file():
        draft = path.with_suffix(f".{os.getpid()}.new")
        draft.write_bytes(jpeg(image.scene))
        draft.replace(path)


def _as_coco(corpus: Iterable[DemoImage]) -> dict[str, Any]:
    images, annotations = [], []
    for image in corpus:
        images.append({"id": image.index + 1, "file_name": image.file_name})
        for number, caption in enumerate(image.captions):
            key = _caption_number(image, number)
            annotations.append({"image_id": image.index + 1, "id": key, "caption": caption.text})
    info = {"description": "negwb demo world: drawn pictures, scripted captions"}
    return {"info": info, "licenses": [], "images": images, "annotations": annotations}


def _caption_number(image: DemoImage, number: int) -> int:
    return image.index * 10 + number + 1


def candidate_key(image: DemoImage, number: int) -> str:
    """Return the record's key of candidate `number` of an image."""
    return f"demo/{image.index}-{number}"


def _propose_for(connection: Connection, images: Sequence[DemoImage], intake: Intake) -> None:
    source = connection.execute(text("SELECT id FROM source WHERE name = :name"), {"name": SOURCE}).scalar_one()
    drafts = [draft for image in images for draft in _drafts(connection, source, image)]
    insert_candidates(connection, drafts, intake)
    rows = connection.execute(text("SELECT key, id FROM candidate WHERE source_id = :source"), {"source": source})
    ids = {row.key: row.id for row in rows}
    insert_verdicts(connection, [o for image in images for o in _verdicts(ids, image)])


def _drafts(connection: Connection, source: int, image: DemoImage) -> Iterable[NewCandidate]:
    """Yield the candidates that the judges passed; the published pipeline drops the others too."""
    for number, candidate in enumerate(image.candidates):
        if not candidate.passed:
            continue
        caption = connection.execute(
            text("SELECT id, image_id FROM caption WHERE source_id = :source AND key = :key"),
            {"source": source, "key": str(_caption_number(image, candidate.caption))},
        ).one()
        yield NewCandidate(
            source_id=source,
            key=candidate_key(image, number),
            image_id=caption.image_id,
            caption_id=caption.id,
            raw_text=candidate.proposal.text,
            concept=candidate.proposal.concept,
            concept_confidence=1.0,
            negation_type=candidate.proposal.negation_type,
            pipeline=candidate.proposal.pipeline,
            generator=GENERATOR,
            prompt_version=PROMPT_VERSION,
        )


def _verdicts(ids: dict[str, int], image: DemoImage) -> Iterable[NewVerdict]:
    for number, candidate in enumerate(image.candidates):
        candidate_id = ids.get(candidate_key(image, number))
        for verdict in candidate.verdicts if candidate_id else ():
            yield NewVerdict(
                candidate_id=candidate_id or 0,
                judge=verdict.judge.removesuffix(" (simulated)"),
                model="a script, not a model",
                prompt_version=PROMPT_VERSION,
                question=Question.PRESENT,
                p=verdict.p_present,
                label_mass=1.0,
                raw_text=verdict.text,
                simulated=True,
            )


def _truth_of(image: DemoImage) -> dict[str, Any]:
    decisions = {}
    for number, candidate in enumerate(image.candidates):
        kind, reason = right_decision(image.scene, candidate.proposal)
        decisions[candidate_key(image, number)] = [kind, reason]
    return {"file_name": image.file_name, "scene": image.scene.to_dict(), "decisions": decisions}


def _intake(workspace: Workspace, overlap: str) -> Intake:
    curate = read_settings(workspace.settings).curate
    return Intake(overlap=overlap or curate.overlap, audit_rate=curate.audit_rate)


def _fix_audit_key(store: Store) -> None:
    """Store a fixed audit key, so that every demo has the same audit set and the same pseudonyms.

    A secret key would keep annotators from predicting the audit set, which does not matter in a drawn world.
    """
    with store.write() as connection:
        connection.execute(
            text("INSERT INTO record_note(name, value) VALUES ('audit_key', :key) ON CONFLICT DO NOTHING"),
            {"key": "6e6567" + "77" * 13},
        )
