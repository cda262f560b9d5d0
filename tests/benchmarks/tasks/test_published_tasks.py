"""Tests of benchmarks whose files cannot be had here: the tests write small files in the exact published format."""

from __future__ import annotations

import csv
import json
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from support.benches import ConstantModel, TinyModel, draw_picture

from benchmarks.baselines import FIRST_CAPTION, caption_without_cue
from benchmarks.errors import BenchError
from benchmarks.protocols import Protocol, baseline_credit
from benchmarks.registry import load_task
from benchmarks.results import StoredResult
from benchmarks.runner import run_task
from benchmarks.schema import captions_of
from benchmarks.task import Task
from benchmarks.tasks import aro, ccneg, coco_flickr, negbench

ITEMS = 48


def run(model: TinyModel, task: Task, results: Path) -> dict[str, StoredResult]:
    return {one.result["protocol"]["name"]: one for one in run_task(model, task, results_folder=results)}


def draw(folder: Path, names: list[str]) -> None:
    folder.mkdir(exist_ok=True)
    for seed, name in enumerate(dict.fromkeys(names)):
        draw_picture(folder / name, (60, 40), seed)


# -- NegBench


MCQ_HEADER = ["image_path", "correct_answer", *negbench.CHOICES, "correct_answer_template"]


def mcq_rows() -> list[list[str]]:
    """Return rows as in COCO's file: the right caption first, each template a third, commas and quotes in captions."""
    return [
        [
            f"data/coco/images/val2017/{n % 5:012d}.jpg",
            "0",
            f"This image features a dog, but not a cat, {n}",
            f"A cat but no dog {n}",
            f'A "cat" {n}' + (" (Your Turn!)" if n % 12 == 0 else ""),
            f"This image does not feature a dog {n}",
            negbench.TEMPLATES[n % 3],
        ]
        for n in range(ITEMS)
    ]


def write_mcq(folder: Path, rows: list[list[str]], header: list[str] = MCQ_HEADER) -> Path:
    with (folder / negbench.MCQ_FILES["negbench-coco-mcq"].file).open("w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows([header, *rows])
    draw(folder / "val2017", [row[0].rsplit("/", 1)[-1] for row in mcq_rows()])
    return folder


@pytest.fixture(autouse=True)
def published_sizes(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the published files have as many items as those of these tests."""
    sizes = {name: file._replace(items=ITEMS) for name, file in negbench.MCQ_FILES.items()}
    monkeypatch.setattr(negbench, "MCQ_FILES", sizes)
    monkeypatch.setattr(aro, "FILES", {name: file._replace(items=ITEMS) for name, file in aro.FILES.items()})
    monkeypatch.setattr(ccneg, "PUBLISHED", ITEMS)
    monkeypatch.setattr(ccneg, "EVALUATED", 10)


def negbench_rule(model: TinyModel, rows: list[list[str]], pictures: Path) -> list[int]:
    """Evaluate as NegBench's code does: the first highest of the normalised products, one image at a time."""
    chosen = []
    for row in rows:
        with Image.open(pictures / row[0].rsplit("/", 1)[-1]) as image:
            seen = model.encode_images([image.convert("RGB")])
        logits = seen @ model.encode_texts(row[2:6]).T
        chosen.append(int(torch.argmax(logits, dim=1).item()))
    return chosen


def test_negbench_equals_the_published_rule_for_every_item(tmp_path: Path) -> None:
    task = load_task("negbench-coco-mcq", write_mcq(tmp_path, mcq_rows()))
    stored = run(TinyModel(4), task, tmp_path / "results")
    plain = negbench_rule(TinyModel(4), mcq_rows(), tmp_path / "val2017")
    assert [row["pred"] for row in stored["official"].items()] == plain
    assert len(set(plain)) > 1
    metrics = stored["official"].result["metrics"]
    assert list(metrics) == ["accuracy", *(f"accuracy_on_{part}" for part in (*negbench.TEMPLATES, "clean"))]
    assert metrics["accuracy_on_hybrid"]["n"] == ITEMS // 3
    assert metrics["accuracy_on_clean"]["n"] == ITEMS - ITEMS // 12
    assert task.chance == 0.25


def test_a_constant_model_is_right_under_official_and_wrong_under_strict(tmp_path: Path) -> None:
    task = load_task("negbench-coco-mcq", write_mcq(tmp_path, mcq_rows()))
    stored = run(ConstantModel(1), task, tmp_path / "results")
    shares = {name: one.result["metrics"]["accuracy"]["value"] for name, one in stored.items()}
    assert shares == {"official": 1.0, "strict": 0.0}
    assert stored["official"].result["ties"] == ITEMS
    first = [baseline_credit(item, FIRST_CAPTION["first caption"], Protocol("official")).right for item in task.items]
    assert sum(first) == ITEMS


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda rows: rows[:-1], "has 47 items, the published file has 48"),
        (
            lambda rows: [["a.jpg", "4", *rows[0][2:]], *rows[1:]],
            "row 0: 'correct_answer' must be an index from 0 to 3",
        ),
        (lambda rows: [[*rows[0][:-1], "other"], *rows[1:]], "row 0: 'correct_answer_template'"),
        (lambda rows: [rows[0][:-1], *rows[1:]], "line 2: 6 cells, the header has 7"),
        (lambda rows: [["a.jpg", "0", "", *rows[0][3:]], *rows[1:]], "row 0: expected two captions or more"),
    ],
)
def test_a_changed_multiple_choice_file_is_refused(
    tmp_path: Path, change: Callable[[list[list[str]]], list[list[str]]], message: str
) -> None:
    write_mcq(tmp_path, change(mcq_rows()))
    with pytest.raises(BenchError) as raised:
        load_task("negbench-coco-mcq", tmp_path)
    assert message in raised.value.message


def test_a_missing_column_is_named(tmp_path: Path) -> None:
    write_mcq(tmp_path, [row[:-1] for row in mcq_rows()], MCQ_HEADER[:-1])
    with pytest.raises(BenchError, match="the column correct_answer_template is missing"):
        load_task("negbench-coco-mcq", tmp_path)


# -- ARO


def aro_rows() -> list[dict[str, Any]]:
    return [
        {
            "image_id": str(n % 4),
            "relation_name": ("on", "under")[n % 2],
            "image_path": f"{n % 4}.jpg",
            "bbox_x": n % 3,
            "bbox_y": 2,
            "bbox_w": 30,
            "bbox_h": 20 + n % 5,
            "true_caption": f"the cat is on the mat {n}",
            "false_caption": f"the mat sits over a dog {n}",
        }
        for n in range(ITEMS)
    ]


def test_aro_equals_the_published_rule_for_every_item(tmp_path: Path) -> None:
    (tmp_path / "visual_genome_relation.json").write_text(json.dumps(aro_rows()))
    draw(tmp_path / "images", [row["image_path"] for row in aro_rows()])
    task = load_task("aro-relation", tmp_path)
    stored = run(TinyModel(6), task, tmp_path / "results")
    plain, model = [], TinyModel(6)
    for row in aro_rows():
        x, y, w, h = (row[f"bbox_{side}"] for side in "xywh")
        with Image.open(tmp_path / "images" / row["image_path"]) as image:
            seen = model.encode_images([image.crop((x, y, x + w, y + h)).convert("RGB")])
        texts = model.encode_texts([row["false_caption"], row["true_caption"]])
        plain.append(int(np.argmax((seen @ texts.T).numpy())) == 1)
    assert [row["correct"] for row in stored["official"].items()] == plain
    assert set(plain) == {True, False}
    assert Counter(item.slices["relation"] for item in task.items) == {"on": 24, "under": 24}
    constant = run(ConstantModel(1), task, tmp_path / "constant")
    assert {one.result["metrics"]["accuracy"]["correct"] for one in constant.values()} == {0}


# -- CC-Neg


def ccneg_content() -> dict[str, Any]:
    return {
        "image_paths": [f"/workspace/datasets/cc3m/{n % 3:05d}/{n:09d}.jpg" for n in range(ITEMS)],
        "annotations": [
            {"json": {"caption": f"a dog, {n}"}, "sop_data": {"negative-prompt": f"a dog, but no cat, {n}"}}
            for n in range(ITEMS)
        ],
        "num_ops": {1: [0], 2: [1]},
    }


def test_ccneg_has_the_last_items_and_is_solved_without_images(tmp_path: Path) -> None:
    torch.save(ccneg_content(), tmp_path / ccneg.ANNOTATIONS)
    task = load_task("ccneg", tmp_path)
    assert [item.id for item in task.items] == [f"{n:06d}" for n in range(38, 48)]
    assert task.items[0].captions == ("a dog, 38", "a dog but no cat 38")
    assert task.items[0].image == "00002/000000038.jpg"
    credits = [baseline_credit(item, caption_without_cue, Protocol("strict")).right for item in task.items]
    assert sum(credits) == len(credits)


class _Exploit:
    def __reduce__(self) -> tuple[Any, tuple[str]]:
        return print, ("code of the file ran",)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (_Exploit(), "cannot be read as a torch file of plain data"),
        ({"image_paths": ["a.jpg"]}, "expected the lists image_paths and annotations"),
        ({**ccneg_content(), "image_paths": [1] * ITEMS}, "image_paths must be a list of paths"),
        ({**ccneg_content(), "annotations": [{"json": {}}] * ITEMS}, "item 0: expected json.caption"),
    ],
)
def test_a_wrong_torch_file_is_refused(
    tmp_path: Path, content: object, message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    torch.save(content, tmp_path / ccneg.ANNOTATIONS)
    with pytest.raises(BenchError) as raised:
        load_task("ccneg", tmp_path)
    assert message in raised.value.message
    assert "\n" not in raised.value.message
    assert "code of the file ran" not in capsys.readouterr().out


# -- retrieval


def brute_force(model: TinyModel, captions: list[tuple[Path, list[str]]], k: int) -> tuple[float, float]:
    """Return recall at k of images by caption and of captions by image, from all pairs, one at a time."""
    texts = [(n, text) for n, (_, own) in enumerate(captions) for text in own]
    images = []
    for path, _ in captions:
        with Image.open(path) as image:
            images.append(model.encode_images([image.convert("RGB")])[0])
    encoded = [model.encode_texts([text])[0] for _, text in texts]
    scores = np.array([[float(image @ text) for text in encoded] for image in images])
    to_images = [owner in np.argsort(-scores[:, t], kind="stable")[:k] for t, (owner, _) in enumerate(texts)]
    to_captions = [
        any(texts[t][0] == n for t in np.argsort(-scores[n], kind="stable")[:k]) for n in range(len(captions))
    ]
    return float(np.mean(to_images)), float(np.mean(to_captions))


def captions_of_image(n: int) -> list[str]:
    words = ("cat", "dog", "zebra", "bus", "quilt", "fox", "jar")
    return [f"no {words[(n + k) % 7]} near the {words[(3 * n + k) % 7]} {n}{k}" for k in range(3 + n % 3)]


def write_negbench_retrieval(folder: Path, images: int) -> Path:
    with (folder / negbench.RETRIEVAL_FILES["negbench-coco-neg"].file).open("w", newline="") as file:
        rows = [[f"data/coco/images/val2017/{n:012d}.jpg", str(n), str(captions_of_image(n))] for n in range(images)]
        csv.writer(file).writerows([["filepath", "image_id", "captions"], *rows])
    draw(folder / "val2017", [f"{n:012d}.jpg" for n in range(images)])
    return folder


def write_karpathy(folder: Path, images: int) -> Path:
    rows = [
        {
            "filepath": "val2014",
            "filename": f"COCO_val2014_{n:012d}.jpg",
            "split": "test" if n % 2 else "train",
            "sentences": [{"raw": text, "tokens": text.split()} for text in captions_of_image(n) + ["a sixth"] * 4],
        }
        for n in range(2 * images)
    ]
    (folder / "dataset_coco.json").write_text(json.dumps({"images": rows, "dataset": "coco"}))
    draw(folder / "val2014", [row["filename"] for row in rows])
    return folder


@pytest.mark.parametrize("benchmark", ["negbench-coco-neg", "coco"])
def test_recalls_equal_a_brute_force_search(benchmark: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    images = 12
    if benchmark == "coco":
        monkeypatch.setattr(
            coco_flickr, "FILES", {name: file._replace(images=images) for name, file in coco_flickr.FILES.items()}
        )
        folder = write_karpathy(tmp_path, images)
        numbers = [n for n in range(2 * images) if n % 2]
        captions = [
            (folder / f"val2014/COCO_val2014_{n:012d}.jpg", (captions_of_image(n) + ["a sixth"] * 4)[:5])
            for n in numbers
        ]
    else:
        sizes = {name: file._replace(images=images) for name, file in negbench.RETRIEVAL_FILES.items()}
        monkeypatch.setattr(negbench, "RETRIEVAL_FILES", sizes)
        folder = write_negbench_retrieval(tmp_path, images)
        captions = [(folder / f"val2017/{n:012d}.jpg", captions_of_image(n)) for n in range(images)]
    measured = {
        direction: run(TinyModel(8), load_task(f"{benchmark}-{direction}", folder), tmp_path / direction)["official"]
        for direction in ("t2i", "i2t")
    }
    for k in (1, 5, 10):
        shares = [one.result["metrics"][f"recall_at_{k}"]["value"] for one in measured.values()]
        assert shares == pytest.approx(brute_force(TinyModel(8), captions, k)), k
    assert 0 < measured["i2t"].result["metrics"]["recall_at_1"]["value"] < 1
    row = measured["i2t"].items()[0]
    assert row["options"][0] in captions[0][1]
    assert row["options"][1] not in captions[0][1]
    assert captions_of(row) == row["options"]
    assert captions_of(measured["t2i"].items()[0]) == []


@pytest.mark.parametrize("cell", ["['a', 'b'", "'a'", "__import__('os').system('true')", "[1, 2]", "[]"])
def test_a_list_is_parsed_and_never_evaluated(cell: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    sizes = {name: file._replace(images=2) for name, file in negbench.RETRIEVAL_FILES.items()}
    monkeypatch.setattr(negbench, "RETRIEVAL_FILES", sizes)
    with (tmp_path / negbench.RETRIEVAL_FILES["negbench-coco-neg"].file).open("w", newline="") as file:
        csv.writer(file).writerows([["filepath", "captions"], ["a.jpg", "['no cat']"], ["b.jpg", cell]])
    with pytest.raises(BenchError, match="captions"):
        load_task("negbench-coco-neg-t2i", tmp_path)
