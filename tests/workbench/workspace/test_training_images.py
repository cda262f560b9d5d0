"""Tests of the images that a model was trained on, over the runs that it went through."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path

import pytest
from support.scenes import encoded_again, scene

from benchmarks.task import BenchItem, Box, Task
from benchmarks.training_overlap import TrainingImage
from curation_db.exporting.manifest import ExportItem
from trainers.data.dataset import write_pool
from trainers.settings import RunConfig, TrainSettings, create_run
from workbench.workspace.create import create_workspace
from workbench.workspace.image_signatures import alike_finder
from workbench.workspace.layout import Workspace
from workbench.workspace.models import Model
from workbench.workspace.training_images import training_images


@pytest.fixture
def workspace(tmp_path: Path) -> Workspace:
    """Return a workspace with the files b.png and pool.png."""
    created = create_workspace(tmp_path / "ws")
    (created.root / "pictures").mkdir()
    for name in ("b.png", "pool.png"):
        (created.root / "pictures" / name).write_bytes(name.encode())
    return created


def item(name: str, sha256: str | None = None) -> ExportItem:
    return ExportItem(key=name, source="s", image_key=name, file_name=name, image_sha256=sha256, text="no hat")


def run(
    workspace: Workspace, name: str, start: str, items: Sequence[ExportItem], settings: TrainSettings | None = None
) -> Model:
    """Write a run and its export; return the model of the run."""
    export = workspace.root / "exports" / name
    export.mkdir(parents=True)
    (export / "items.jsonl").write_text("".join(each.to_line() for each in items))
    folder, pictures = workspace.root / "runs" / name, {"s": (str(workspace.root / "pictures"),)}
    used = settings or TrainSettings()
    config = RunConfig(model=start, export=str(export), cache="cache", pictures=pictures, settings=used)
    create_run(folder, config)
    return Model(str(folder / "model"), name)


def sha256(name: str) -> str:
    return hashlib.sha256(name.encode()).hexdigest()


def test_the_images_of_all_trainings_count_with_hashes_of_the_export_or_of_the_file(workspace: Workspace) -> None:
    pool = workspace.root / "pool.jsonl"
    write_pool(pool, [("pictures/pool.png", ["a dog"])])
    first = run(workspace, "first", "base", [item("a.png", "1" * 64), item("gone.png")])
    second = run(
        workspace, "second", first.spec, [item("b.png")] * 2, TrainSettings(replay_pool=str(pool), replay_share=0.5)
    )
    found = training_images(workspace, second)
    assert found is not None
    assert found.runs == ("second", "first")
    assert set(found.images) == {
        TrainingImage("a.png", "1" * 64),
        TrainingImage("gone.png", None),
        TrainingImage("b.png", sha256("b.png")),
        TrainingImage("pool.png", sha256("pool.png")),
    }
    assert training_images(workspace, Model(f"tuned:{second.spec}", "tuned:second")) == found


def test_other_models_and_lost_exports_have_no_training_images(workspace: Workspace) -> None:
    assert training_images(workspace, Model("ViT-B-32:openai", "ViT-B-32:openai")) is None
    model = run(workspace, "first", "base", [item("a.png")])
    (workspace.root / "exports" / "first" / "items.jsonl").unlink()
    warnings: list[str] = []
    assert training_images(workspace, model, warnings.append) is None
    assert "the training images of first are not known" in warnings[0]


def test_benchmark_images_that_look_like_training_images_are_named(workspace: Workspace) -> None:
    pictures = workspace.root / "pictures"
    for seed, name in enumerate(("seen.png", "other.png")):
        scene(seed).save(pictures / name)
    model = run(workspace, "first", "base", [item("seen.png"), item("gone.png"), item("b.png")])
    folder = workspace.root / "benchmarks" / "quiz"
    folder.mkdir(parents=True)
    encoded_again(scene(0)).save(folder / "000000000007.jpg", quality=60)
    scene(2).save(folder / "different.jpg")
    (folder / "broken.jpg").write_bytes(b"no image")
    names = ("000000000007.jpg", "different.jpg", "broken.jpg", "missing.jpg")
    task = Task(
        name="quiz",
        version="1",
        kind="regions",
        dataset_sha256="0" * 64,
        items=tuple(
            BenchItem(id=name, image=name, text="no hat", options=(Box(0, 0, 5, 5),), target=0, cluster=name)
            for name in names
        ),
        pictures=folder,
    )
    steps: list[tuple[str, int, int]] = []
    trained = training_images(workspace, model, progress=lambda *step: steps.append(step))
    assert trained is not None
    assert trained.alike is not None
    assert trained.alike(task) == {"000000000007.jpg"}
    assert [(step[1], step[2]) for step in steps] == [(2, 2), (4, 4)]
    trained.alike(task)
    assert len(steps) == 2
    found = trained.overlap(task, {})
    assert (found["images"], found["alike"], found["alike_items"]) == (0, 1, 1)

    elsewhere = Workspace(workspace.root / "pictures" / "seen.png")  # its cache folder cannot be created
    warnings: list[str] = []
    alike = alike_finder(elsewhere, [pictures / "seen.png"], warnings.append, lambda *step: None)
    assert alike is not None
    assert alike(task) == ()
    assert "images of quiz that look like training images were not searched" in warnings[0]
