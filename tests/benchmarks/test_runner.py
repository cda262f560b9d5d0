"""Tests of complete runs with small models: the published code, the cache, the stored results."""

from __future__ import annotations

import json
import shutil
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from support.benches import BrokenModel, ConstantModel, TinyModel, draw_picture, negrefcocog_folder, write_negrefcocog

from benchmarks.errors import BenchError
from benchmarks.protocols import Protocol
from benchmarks.registry import task_from_file
from benchmarks.results import StoredResult, list_results
from benchmarks.runner import run_task
from benchmarks.scoring import ModelIdentity, image_feature_key, score
from benchmarks.task import Task
from benchmarks.tasks import negrefcocog

ITEMS = 104
"""Number of items of the test file; eight of them share an image with another item."""


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_negrefcocog(tmp_path_factory.mktemp("source") / "all.json", ITEMS)


@pytest.fixture(scope="module")
def whole(source: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the folder of the complete task, with generated images."""
    folder = tmp_path_factory.mktemp("negrefcocog")
    negrefcocog_folder(folder, source)
    return folder


@pytest.fixture
def few(source: Path, tmp_path: Path) -> Task:
    """Return a task of the first 40 items."""
    negrefcocog_folder(tmp_path / "data", source, 40)
    return negrefcocog.load(tmp_path / "data")


def published_loop(model: TinyModel, rows: Sequence[dict[str, Any]], pictures: Path) -> list[tuple[int, bool]]:
    """Evaluate as the published code does: one item, one text, one crop at a time, without a cache."""
    outcome = []
    for row in rows:
        text = model.encode_texts([row["phrase"]])
        similarities = []
        for x, y, w, h in row["bbox_list"]:
            with Image.open(pictures / row["image"]) as picture:
                region = picture.crop((x, y, x + w, y + h)).convert("RGB")
            similarities.append((model.encode_images([region]) @ text.T).item())
        place = int(np.argmax(similarities))
        outcome.append((place, row["bbox_list"][place] == row["ref_bbox"]))
    return outcome


def by_protocol(stored: Sequence[StoredResult]) -> dict[str, StoredResult]:
    return {one.result["protocol"]["name"]: one for one in stored}


def test_official_equals_the_published_code_for_every_item(whole: Path, tmp_path: Path) -> None:
    task, model = negrefcocog.load(whole), TinyModel(1)
    by_name = by_protocol(run_task(model, task, results_folder=tmp_path, cache_folder=tmp_path / "cache"))
    rows = json.loads((whole / "NegRefCOCOg.json").read_bytes())
    plain = published_loop(TinyModel(1), rows, task.pictures)
    assert [(row["pred"], row["correct"]) for row in by_name["official"].items()] == plain
    assert 0.3 < by_name["official"].result["metrics"]["accuracy"]["value"] < 0.7
    assert by_name["official"].result["baselines"]["smaller box"]["correct"] == smaller_first(rows)
    assert by_name["official"].result["task"]["images"] == ITEMS - ITEMS // 13
    assert model.images == 2 * ITEMS  # each distinct crop once
    assert model.texts == ITEMS


def smaller_first(rows: Sequence[dict[str, Any]]) -> int:
    """Return the number of items whose right (first) box has the smaller area."""
    areas = [[round(w) * round(h) for _, _, w, h in row["bbox_list"]] for row in rows]
    return sum(first < second for first, second in areas)


@pytest.mark.long
def test_the_published_file(shared_data: Path, tmp_path: Path) -> None:
    negrefcocog_folder(tmp_path / "data", shared_data / "NegRefCOCOg.json")
    model = TinyModel(1)
    by_name = by_protocol(run_task(model, negrefcocog.load(tmp_path / "data"), results_folder=tmp_path / "results"))
    assert by_name["official"].result["metrics"]["accuracy"]["n"] == 440
    assert by_name["official"].result["baselines"]["smaller box"]["correct"] == 252
    assert by_name["official"].result["task"]["images"] == 402
    assert (model.images, model.texts) == (812, 437)  # each distinct crop and text once


def test_repeated_texts_and_crops_are_encoded_once(tmp_path: Path) -> None:
    draw_picture(tmp_path / "a.jpg", (100, 80), 1)
    boxes = [[0, 0, 40, 40], [40, 0, 40, 40], [0, 40, 90, 30]]
    rows = [
        {"image": "a.jpg", "phrase": phrase, "ref_bbox": boxes[0], "bbox_list": [boxes[0], boxes[other]]}
        for phrase, other in (("no hat", 1), ("no hat", 2), ("no dog", 1))
    ]
    (tmp_path / "t.json").write_text(json.dumps(rows))
    model = TinyModel(1)
    run_task(model, task_from_file("t", tmp_path / "t.json", tmp_path), results_folder=tmp_path / "r")
    assert (model.images, model.texts) == (3, 2)


def test_a_constant_model_has_100_percent_under_official_and_0_under_strict(whole: Path, tmp_path: Path) -> None:
    by_name = by_protocol(run_task(ConstantModel(), negrefcocog.load(whole), results_folder=tmp_path))
    assert by_name["official"].result["metrics"]["accuracy"]["correct"] == ITEMS
    assert by_name["strict"].result["metrics"]["accuracy"]["correct"] == 0
    assert by_name["strict"].result["ties"] == ITEMS


def test_nan_is_right_under_official_and_an_error_under_strict(few: Task, tmp_path: Path) -> None:
    results = tmp_path / "results"
    with pytest.raises(BenchError, match="item 0000"):
        run_task(BrokenModel(), few, results_folder=results, cache_folder=tmp_path / "cache")
    assert list_results(results).results == ()
    allowed = (Protocol("strict", allow_nan=True), Protocol("official"))
    by_name = by_protocol(run_task(BrokenModel(), few, results_folder=results, protocols=allowed))
    assert by_name["official"].result["metrics"]["accuracy"]["correct"] == 40
    assert by_name["strict"].result["metrics"]["accuracy"]["correct"] == 0
    assert by_name["strict"].result["nan"] == 40
    assert by_name["strict"].items()[0]["scores"] == [None, None]
    assert not any(path.stat().st_size for path in (tmp_path / "cache").rglob("features.f32"))


def test_strict_does_not_depend_on_the_order_of_options(few: Task, tmp_path: Path) -> None:
    rows = json.loads((few.pictures.parent / "NegRefCOCOg.json").read_bytes())
    for row in rows:
        row["bbox_list"].reverse()
    turned = tmp_path / "turned.json"
    turned.write_text(json.dumps(rows))
    right = [
        [
            row["correct"]
            for row in by_protocol(run_task(TinyModel(2), task, results_folder=tmp_path / "r"))["strict"].items()
        ]
        for task in (few, task_from_file("turned", turned, few.pictures))
    ]
    assert right[0] == right[1]


def test_features_are_computed_once_per_image_tower(few: Task, tmp_path: Path) -> None:
    def encoded(model: TinyModel, cache: Path | None) -> tuple[int, int]:
        score(model, few, cache=cache)
        return model.images, model.texts

    crops, texts = encoded(TinyModel(3), tmp_path)
    assert encoded(TinyModel(3), tmp_path) == (0, 0)
    assert encoded(TinyModel(3, text_seed=9), tmp_path) == (0, texts)
    assert encoded(TinyModel(4), tmp_path) == (crops, texts)
    assert encoded(TinyModel(3), None) == (crops, texts)
    cold, warm = score(TinyModel(3), few), score(TinyModel(3), few, cache=tmp_path)
    assert cold.of_options == warm.of_options


def test_a_changed_image_is_encoded_again(few: Task, tmp_path: Path) -> None:
    cache = tmp_path / "cache"
    score(TinyModel(3), few, cache=cache)
    name = few.images[0]
    with Image.open(few.pictures / name) as picture:
        size = picture.size
    draw_picture(few.pictures / name, size, 77)
    model = TinyModel(3)
    score(model, few, cache=cache)
    assert 2 <= model.images <= 4


def test_a_damaged_cache_is_computed_again(few: Task, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("trainers.features.file_hashes.SETTLED_S", 0.0)  # hashes of new files are saved
    before = score(TinyModel(3), few, cache=tmp_path)
    data, lines = list(tmp_path.rglob("features.f32")), list(tmp_path.rglob("*.jsonl"))
    assert (len(data), len(lines)) == (2, 3)
    for path in data:
        content = bytearray(path.read_bytes())
        content[100] ^= 1
        path.write_bytes(content)
    model, warnings = TinyModel(3), list[str]()
    assert score(model, few, cache=tmp_path, warn=warnings.append).of_options == before.of_options
    assert (model.images, model.texts) == (1, 1), "a checksum shows the row that is damaged"
    score(model, few, cache=tmp_path, warn=warnings.append)
    assert [line.partition(":")[0] for line in warnings] == ["2 damaged rows of the feature cache"]
    for path in data:
        path.write_bytes(path.read_bytes()[:50])
    assert score(TinyModel(3), few, cache=tmp_path).of_options == before.of_options
    for path in lines:
        path.write_bytes(b"[1")
    assert score(TinyModel(3), few, cache=tmp_path).of_options == before.of_options


def test_an_interrupted_run_stores_computed_features(few: Task, tmp_path: Path) -> None:
    class Dying(TinyModel):
        def encode_images(self, images: Sequence[Image.Image]) -> Any:
            if self.images >= 32:
                raise KeyboardInterrupt
            return super().encode_images(images)

    with pytest.raises(KeyboardInterrupt):
        score(Dying(3), few, cache=tmp_path, batch=16)
    resumed, fresh = TinyModel(3), TinyModel(3)
    score(resumed, few, cache=tmp_path)
    score(fresh, few)
    assert resumed.images == fresh.images - 32


def test_crops_are_black_outside_the_image_and_rgb(tmp_path: Path) -> None:
    seen: list[np.ndarray] = []

    class Looking(TinyModel):
        def encode_images(self, images: Sequence[Image.Image]) -> Any:
            seen.extend(np.asarray(image) for image in images)
            return super().encode_images(images)

    Image.new("L", (10, 10), 200).save(tmp_path / "a.png")
    boxes = [[5.5, 0, 9, 10], [0, 0, 4.4, 10]]
    row = {"image": "a.png", "phrase": "no hat", "ref_bbox": boxes[0], "bbox_list": boxes}
    (tmp_path / "t.json").write_text(json.dumps([row]))
    score(Looking(), task_from_file("t", tmp_path / "t.json", tmp_path))
    narrow, wide = sorted(seen, key=lambda pixels: pixels.shape[1])
    assert narrow.shape == (10, 4, 3)
    assert wide.shape == (10, 8, 3)  # from 6 (5.5 rounds to even) to 14 (14.5 does too)
    assert (wide[0, :, 0] == [200] * 4 + [0] * 4).all()


def test_missing_and_damaged_images_are_an_error(few: Task, tmp_path: Path) -> None:
    total = len(few.images)
    damaged = few.pictures / few.images[3]
    damaged.write_bytes(damaged.read_bytes()[:300])
    with pytest.raises(BenchError, match=few.images[3]) as raised:
        run_task(TinyModel(), few, results_folder=tmp_path / "r")
    assert raised.value.hint == "fetch it again with: negwb bench fetch negrefcocog"
    own = replace(few, fetch_command="")
    with pytest.raises(BenchError) as raised:
        run_task(TinyModel(), own, results_folder=tmp_path / "r")
    assert raised.value.hint == "replace it by a valid copy", "a user task has no fetch command"
    damaged.unlink()
    with pytest.raises(BenchError) as raised:
        own.check_pictures()
    assert raised.value.hint == f"the first is {few.images[3]}"
    shutil.rmtree(few.pictures)
    with pytest.raises(BenchError, match=f"{total} of {total} images") as raised:
        run_task(TinyModel(), few, results_folder=tmp_path / "r")
    assert raised.value.hint == "fetch them with: negwb bench fetch negrefcocog"
    assert not (tmp_path / "r").exists()


def test_features_that_are_not_normalised_are_refused(few: Task) -> None:
    class Raw(TinyModel):
        def encode_texts(self, texts: Sequence[str]) -> Any:
            return super().encode_texts(texts) * 3

    with pytest.raises(BenchError, match="not normalised: length 3"):
        score(Raw(), few)


def test_progress_is_reported(few: Task, tmp_path: Path) -> None:
    stages: list[tuple[str, int, int]] = []
    score(TinyModel(), few, progress=lambda *step: stages.append(step))
    crops = [step for step in stages if step[0] == "crops"]
    assert crops[0][1] == 0
    assert crops[-1][1] == crops[-1][2] > 60
    assert stages[-1][0] == "texts"


def retrieval_task(folder: Path, pictures: int = 30) -> Task:
    names = [f"{n}.jpg" for n in range(pictures)]
    for n, name in enumerate(names):
        draw_picture(folder / name, (40, 30), n)
    captions = [{"image": name, "text": f"picture number {n} without a hat"} for n, name in enumerate(names)]
    (folder / "retrieval.json").write_text(json.dumps({"images": names, "captions": captions}))
    return task_from_file("demo-retrieval", folder / "retrieval.json", folder)


def test_recall_equals_a_plain_ranking(tmp_path: Path) -> None:
    task = retrieval_task(tmp_path)
    by_name = by_protocol(run_task(TinyModel(5), task, results_folder=tmp_path / "r"))
    model = TinyModel(5)
    pictures = [Image.open(tmp_path / name).convert("RGB") for name in task.gallery]
    similarities = (model.encode_texts([i.text for i in task.items]) @ model.encode_images(pictures).T).numpy()
    ranks = [int((row > row[n]).sum()) + 1 for n, row in enumerate(similarities)]
    for stored in by_name.values():
        assert [row["rank"] for row in stored.items()] == ranks
        metrics = stored.result["metrics"]
        assert metrics["recall_at_1"]["correct"] == ranks.count(1)
        assert metrics["recall_at_5"]["correct"] == sum(rank <= 5 for rank in ranks)
        row = stored.items()[0]
        assert row["options"][0] == "0.jpg"
        assert row["pred"] == int(ranks[0] != 1)


def test_retrieval_of_a_constant_model(tmp_path: Path) -> None:
    by_name = by_protocol(run_task(ConstantModel(), retrieval_task(tmp_path), results_folder=tmp_path / "r"))
    assert by_name["official"].result["metrics"]["recall_at_1"]["correct"] == 1
    assert by_name["official"].result["metrics"]["recall_at_5"]["correct"] == 5
    assert by_name["strict"].result["metrics"]["recall_at_5"]["correct"] == 0


@pytest.mark.parametrize("changed", ["precision", "device", "activation", "preprocess"])
def test_features_of_different_precision_are_cached_separately(changed: str) -> None:
    class Other(TinyModel):
        def describe(self) -> dict[str, Any]:
            return super().describe() | {changed: "other"}

    class Renamed(TinyModel):
        def describe(self) -> dict[str, Any]:
            return super().describe() | {"name": "tuned", "parameters": 3}

    spaces = [image_feature_key(ModelIdentity.of(model)) for model in (TinyModel(), Other(), Renamed())]
    assert spaces[0] != spaces[1]
    assert spaces[0] == spaces[2]
    assert {"pillow", "torchvision", "cutting", "hash", "normalised", "dtype"} <= spaces[0].keys()
