"""Tests of the verdicts on broken, constant and reversed models, under both protocols."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Any

import pytest
import torch
from support.benches import BrokenModel, ConstantModel, TinyModel, draw_picture

from benchmarks.protocols import Protocol
from benchmarks.registry import task_from_file
from benchmarks.results import StoredResult
from benchmarks.runner import run_task
from benchmarks.task import Task
from benchmarks.verdicts import VerdictCode, undecided, undecided_text, verdicts

N = 20
RULES = (Protocol("strict", allow_nan=True), Protocol("official"))


class FlippedTexts(TinyModel):
    """Encodes each text as the opposite of what `TinyModel` does."""

    def encode_texts(self, texts: Any) -> Any:
        return -super().encode_texts(texts)


@pytest.fixture(scope="module")
def solved(tmp_path_factory: pytest.TempPathFactory) -> Task:
    """Return a task whose right boxes are the choices of `TinyModel(1)`; two items share an image."""
    folder = tmp_path_factory.mktemp("solved")
    boxes = [[0, 0, 30, 40], [30, 0, 34, 40]]
    rows: list[dict[str, Any]] = []
    for number in range(N):
        draw_picture(folder / f"{number}.png", (64, 40), number)
        row = {"image": f"{number // 2}.png", "phrase": f"hat {number}", "ref_bbox": boxes[0], "bbox_list": boxes}
        rows.append(row)
    path = folder / "t.json"
    path.write_text(json.dumps(rows))
    first = run_task(TinyModel(1), task_from_file("t", path, folder), results_folder=folder / "r", protocols=RULES[:1])
    for row, item in zip(rows, first[0].items(), strict=True):
        row["ref_bbox"] = boxes[item["pred"] or 0]
    path.write_text(json.dumps(rows))
    return task_from_file("t", path, folder)


class CollapsedTexts(TinyModel):
    """Encodes all texts nearly alike, so that the image alone decides."""

    def encode_texts(self, texts: Any) -> Any:
        own = super().encode_texts(texts)
        shared = super().encode_texts(["one"])
        return torch.nn.functional.normalize(shared + 1e-4 * own, dim=1)


class CollapsedImages(TinyModel):
    """Encodes all images nearly alike, so that the text alone decides."""

    def encode_images(self, images: Any) -> Any:
        own = super().encode_images(images)
        return torch.nn.functional.normalize(torch.ones_like(own) + 1e-4 * own, dim=1)


@pytest.mark.parametrize(
    ("model", "code"),
    [(CollapsedTexts(1), VerdictCode.COLLAPSED_TEXTS), (CollapsedImages(1), VerdictCode.COLLAPSED_IMAGES)],
)
@pytest.mark.parametrize("kind", ["solved", "gallery", "twins"])
def test_collapsed_models_are_named(
    request: pytest.FixtureRequest, tmp_path: Path, kind: str, model: TinyModel, code: VerdictCode
) -> None:
    one = results_of(model, request.getfixturevalue(kind), tmp_path)[0]
    assert code in [each.code for each in verdicts(one.result, one.items())]


@pytest.fixture(scope="module")
def twins(solved: Task) -> Task:
    """Return a task of twins in which each image is in two items, with other texts."""
    rows = [
        {"images": [f"{n}.png", f"{(n + 1) % N}.png"], "texts": [f"no hat {n}", f"a hat {(n + 1) % N}"]}
        for n in range(N)
    ]
    path = solved.pictures / "twins.json"
    path.write_text(json.dumps(rows))
    return task_from_file("twins", path, solved.pictures)


@pytest.fixture(scope="module")
def gallery(solved: Task) -> Task:
    """Return a retrieval task whose right images rank in the lower half under `FlippedTexts(1)`."""
    texts = {f"hat {number}": {"image": f"{number}.png", "text": f"hat {number}"} for number in range(N)}
    path = solved.pictures / "g.json"

    def load() -> Task:
        path.write_text(json.dumps({"images": [f"{n}.png" for n in range(N)], "captions": list(texts.values())}))
        return task_from_file("g", path, solved.pictures)

    task = load()
    from benchmarks.scoring import score

    for item, row in zip(task.items, score(TinyModel(1), task).of_gallery(), strict=True):
        texts[item.text]["image"] = task.gallery[int(row.argmax())]
    return load()


def results_of(model: TinyModel, task: Task, folder: Path) -> list[StoredResult]:
    return list(run_task(model, task, results_folder=folder, protocols=RULES))


@pytest.mark.parametrize(
    ("model", "codes", "cell", "right"),
    [
        (TinyModel(1), [], "0", [N, N]),
        (ConstantModel(), [VerdictCode.CONSTANT], f"{N} equal", None),
        (BrokenModel(), [VerdictCode.NAN], f"{N} NaN", None),
        (FlippedTexts(1), [VerdictCode.REVERSED], "0", [0, 0]),
    ],
)
def test_each_kind_of_broken_model_is_named(
    solved: Task, tmp_path: Path, model: TinyModel, codes: list[VerdictCode], cell: str, right: list[int] | None
) -> None:
    stored = results_of(model, solved, tmp_path)
    for one in stored:
        assert [each.code for each in verdicts(one.result, one.items())] == codes
        assert undecided_text(undecided(one.items())) == cell
    if right is not None:
        assert [one.result["metrics"]["accuracy"]["correct"] for one in stored] == right


def test_the_verdicts_state_their_figures(solved: Task, tmp_path: Path) -> None:
    flipped = results_of(FlippedTexts(1), solved, tmp_path)[0]
    (verdict,) = verdicts(flipped.result, flipped.items())
    assert verdict.text == "order reversed: flipped sign gives 100.0 % instead of 0.0 %"
    negated = dataclasses.replace(solved, name="solved-negref")
    (below,) = verdicts((one := results_of(FlippedTexts(1), negated, tmp_path)[0]).result, one.items())
    assert below.code is VerdictCode.BELOW_CHANCE, "a model that ignores the negation is not broken"
    assert below.text == (
        "worse than chance: flipped sign gives 100.0 % instead of 0.0 %; the negation is ignored, or the sign flipped"
    )
    constant = results_of(ConstantModel(), solved, tmp_path)[1]
    counts = undecided(constant.items())
    assert counts.right == constant.result["metrics"]["accuracy"]["correct"] > 0


def test_reversed_ranks_are_named(gallery: Task, tmp_path: Path) -> None:
    right, flipped = (results_of(model, gallery, tmp_path)[0] for model in (TinyModel(1), FlippedTexts(1)))
    assert verdicts(right.result, right.items()) == ()
    (verdict,) = verdicts(flipped.result, flipped.items())
    assert verdict.code is VerdictCode.REVERSED
    assert verdict.text.endswith("flipped sign gives 100.0 % recall at 1")


def test_a_model_at_chance_is_not_reversed(solved: Task, tmp_path: Path) -> None:
    for seed in range(2, 8):
        one = results_of(TinyModel(seed), solved, tmp_path)[0]
        low = one.result["metrics"]["accuracy"]["high"] < one.result["task"]["chance"]
        assert bool(verdicts(one.result, one.items())) is low
