"""Tests of the overlap between the images of a training and those of a benchmark."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest
from support.benches import draw_picture

from benchmarks.task import BenchItem, Box, ImageRegion, Task
from benchmarks.training_overlap import TrainingImage, TrainingImages, alike_text, overlap_text

NAMES = ("COCO_train2014_000000000139.jpg", "COCO_train2014_000000000200.jpg", "dog.jpg", "cat.jpg")
HASHES = {name: f"{at}" * 64 for at, name in enumerate(NAMES)}


@pytest.fixture
def task(tmp_path: Path) -> Task:
    """Return a task with two items of the first image and one of each other."""
    box = Box(0, 0, 5, 5)
    items = tuple(
        BenchItem(id=str(at), image=name, text="no hat", options=(box, box), target=0, cluster=name)
        for at, name in enumerate((NAMES[0], *NAMES))
    )
    for name in NAMES:
        draw_picture(tmp_path / name, (8, 8), 1)
    return Task(name="t", version="1", kind="regions", dataset_sha256="0" * 64, items=items, pictures=tmp_path)


@pytest.mark.parametrize(
    ("trained", "by_id", "by_content", "images", "items"),
    [
        ([], 0, 0, 0, 0),
        ([TrainingImage("000000000139.jpg", "f" * 64)], 1, 0, 1, 2),  # another file of the same image of COCO
        ([TrainingImage("x/COCO_val2014_000000000200.jpg", None)], 1, 0, 1, 1),
        ([TrainingImage("renamed.png", HASHES["dog.jpg"])], 0, 1, 1, 1),
        ([TrainingImage(NAMES[0], HASHES[NAMES[0]])], 1, 1, 1, 2),
        ([TrainingImage("other/dog.jpg", None)], 1, 0, 1, 1),  # the content is unknown, so the name counts
        ([TrainingImage("other/dog.jpg", "f" * 64)], 0, 0, 0, 0),  # another image of the same name
        ([TrainingImage("139.jpg", None), TrainingImage("a", "e" * 64)], 0, 0, 0, 0),
        ([TrainingImage(name, HASHES[name]) for name in NAMES], 2, 4, 4, 5),
    ],
)
def test_images_are_found_by_id_and_by_content(
    task: Task, trained: list[TrainingImage], by_id: int, by_content: int, images: int, items: int
) -> None:
    found = TrainingImages(("run-002", "run-001"), trained).overlap(task, HASHES)
    assert (found["by_id"], found["by_content"], found["images"], found["items"]) == (by_id, by_content, images, items)
    assert (found["runs"], found["training_images"]) == (["run-002", "run-001"], len(trained))


def test_the_text_states_all_counts(task: Task) -> None:
    found = TrainingImages(("run-001",), [TrainingImage(NAMES[0], HASHES[NAMES[0]])]).overlap(task, HASHES)
    text = overlap_text(found, len(task.images))
    assert text == "trained on 1 of its 4 images (1 by id, 1 by content), in 2 items: run-001"


def test_both_images_of_a_twin_count(task: Task) -> None:
    twin = dataclasses.replace(task.items[0], image="dog.jpg", options=(), twin=ImageRegion("cat.jpg", None))
    twins = dataclasses.replace(task, kind="twins", items=(twin,))
    found = TrainingImages(("r",), [TrainingImage("c", HASHES["cat.jpg"])]).overlap(twins, HASHES)
    assert (found["images"], found["items"]) == (1, 1)


def test_any_image_of_a_judged_task_concerns_all_its_items(task: Task) -> None:
    item = dataclasses.replace(task.items[0], image="", options=(), target=-1)
    judged = dataclasses.replace(task, kind="judged", gallery=NAMES, items=(item, item))
    for trained, items in (([TrainingImage("dog.jpg", HASHES["dog.jpg"])], 2), ([], 0)):
        assert TrainingImages(("run-001",), trained).overlap(judged, HASHES)["items"] == items


def test_images_that_only_look_like_training_images_are_counted_apart(task: Task) -> None:
    trained = TrainingImages(
        ("run-001",),
        [TrainingImage("x", HASHES["dog.jpg"])],
        alike=lambda of: ["dog.jpg", NAMES[0]] if of is task else [],
    )
    found = trained.overlap(task, HASHES)
    assert (found["images"], found["items"], found["alike"], found["alike_items"]) == (1, 1, 1, 2)
    text = alike_text(found, 4)
    assert text == "1 more of its 4 images looks like a training image in another size or encoding, in 2 items"
    none = TrainingImages(("run-001",), trained.images, alike=lambda _: ["dog.jpg"]).overlap(task, HASHES)
    assert (none["alike"], alike_text(none, 4)) == (0, "")
    unknown = TrainingImages(("run-001",), trained.images).overlap(task, HASHES)
    assert "alike" not in unknown
    assert alike_text(unknown, 4) == ""
