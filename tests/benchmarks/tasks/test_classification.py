"""Tests of zero-shot classification: ImageNet, CIFAR and folders of classes, in the exact published formats."""

from __future__ import annotations

import json
import os
import pickle
import struct
import subprocess
import sys
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import open_clip
import pytest
import torch
from PIL import Image
from support.benches import BrokenModel, ConstantModel, TinyModel, draw_picture

from benchmarks.analysis import comparison
from benchmarks.analysis.comparison import compare
from benchmarks.errors import BenchError
from benchmarks.protocols import Protocol, judge_rank
from benchmarks.registry import load_task, task_from_folder
from benchmarks.results import StoredResult
from benchmarks.runner import run_task
from benchmarks.schema import items_problem
from benchmarks.task import BenchItem, Task
from benchmarks.tasks.classification import cifar, imagenet, pickled_batches
from benchmarks.tasks.classification.prompts import OPENAI_CIFAR, openai_imagenet
from benchmarks.verdicts import VerdictCode, verdicts

IMAGES = 60
NAMES = ["airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck"]


class FlippedModel(TinyModel):
    """A model of seed 3 whose text embeddings point the other way."""

    def encode_texts(self, texts: Sequence[str]) -> Any:
        return -super().encode_texts(texts)


def run(model: TinyModel, task: Task, results: Path, **options: Any) -> dict[str, StoredResult]:
    return {one.result["protocol"]["name"]: one for one in run_task(model, task, results_folder=results, **options)}


# -- CIFAR: the opcodes of Python 2, which Python 3 cannot write


def python_2(value: object) -> bytes:
    """Return the opcodes with which cPickle of Python 2 wrote a value, without memo."""
    if isinstance(value, dict):
        return b"}(" + b"".join(python_2(each) for pair in value.items() for each in pair) + b"u"
    if isinstance(value, list):
        return b"](" + b"".join(map(python_2, value)) + b"e"
    if isinstance(value, int):
        return b"J" + struct.pack("<i", value)
    if isinstance(value, str):
        return b"U" + bytes([len(value)]) + value.encode()
    assert isinstance(value, np.ndarray)
    kind = b"cnumpy\ndtype\n" + python_2("u1") + b"K\x00K\x01\x87R(K\x03U\x01|NNN" + python_2(-1) * 2 + b"K\x00tb"
    shape = b"".join(map(python_2, value.shape)) + b"\x86"
    content = b"T" + struct.pack("<i", value.nbytes) + value.tobytes()
    array = b"cnumpy.core.multiarray\n_reconstruct\ncnumpy\nndarray\nK\x00\x85U\x01b\x87R"
    return array + b"(K\x01" + shape + kind + b"\x89" + content + b"tb"


def pixels(images: int = IMAGES) -> np.ndarray:
    return np.random.default_rng(5).integers(0, 256, size=(images, 3072), dtype=np.uint8)


def labels(classes: int = 10) -> list[int]:
    return [(7 * n) % classes for n in range(IMAGES)]


def write_cifar10(folder: Path, **changes: object) -> Path:
    home = folder / "cifar-10-batches-py"
    home.mkdir(parents=True)
    batch: dict[str, object] = {
        "batch_label": "testing batch 1 of 1",
        "labels": labels(),
        "data": pixels(),
        "filenames": [f"{n}.png" for n in range(IMAGES)],
    }
    (home / "test_batch").write_bytes(b"\x80\x02" + python_2(batch | changes) + b".")
    meta = {"num_cases_per_batch": 10000, "label_names": NAMES, "num_vis": 3072}
    (home / "batches.meta").write_bytes(b"\x80\x02" + python_2(meta) + b".")
    return folder


@pytest.fixture(autouse=True)
def published_sizes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cifar, "PUBLISHED", IMAGES)


def plain_classifier(model: TinyModel, images: list[Image.Image], classes: list[str], templates: list[str]) -> Any:
    """Score as build_zero_shot_classifier and the evaluation of open_clip do, one image at a time."""
    columns = []
    for name in classes:
        encoded = model.encode_texts([text.replace("{}", name) for text in templates]).mean(dim=0)
        columns.append(encoded / encoded.norm())
    weights = torch.stack(columns, dim=1)
    return torch.cat([100.0 * model.encode_images([image]) @ weights for image in images])


def test_templates_of_cifar_are_those_of_openai() -> None:
    a = list(OPENAI_CIFAR.texts[:9])
    assert a[:2] == ["a photo of a {}.", "a blurry photo of a {}."]
    assert a[-2:] == ["a photo of a small {}.", "a photo of a big {}."]
    assert list(OPENAI_CIFAR.texts[9:]) == [text.replace(" of a ", " of the ") for text in a]


def test_cifar_equals_the_published_rule_for_every_image(tmp_path: Path) -> None:
    task = load_task("cifar10", write_cifar10(tmp_path))
    assert (task.gallery, task.templates) == (tuple(NAMES), "openai-cifar (18)")
    assert task.chance == pytest.approx(0.1)
    assert task.missing_pictures() == []
    stored = run(TinyModel(3), task, tmp_path / "results")
    images = [Image.fromarray(row.reshape(3, 32, 32).transpose(1, 2, 0)) for row in pixels()]
    logits = plain_classifier(TinyModel(3), images, NAMES, list(OPENAI_CIFAR.texts))
    best = logits.topk(5).indices
    top_1, top_5 = ([label in row[:k] for label, row in zip(labels(), best.tolist(), strict=True)] for k in (1, 5))
    for one in stored.values():
        rows = one.items()
        assert [row["correct"] for row in rows] == top_1
        assert [row["rank"] <= 5 for row in rows if row["rank"]] == top_5
        wrong = {row["id"]: row["options"][1] for row in rows if not row["correct"]}
        assert wrong == {row["id"]: NAMES[best[n, 0]] for n, row in enumerate(rows) if not top_1[n]}
        assert one.result["metrics"]["accuracy"]["correct"] == sum(top_1)
        assert one.result["metrics"]["top_5"]["correct"] == sum(top_5)
        assert one.result["task"]["templates"] == "openai-cifar (18)"
    assert 0 < sum(top_1) < sum(top_5) < IMAGES


def test_per_class_slices_and_balanced_accuracy(tmp_path: Path) -> None:
    uneven = [0] * 40 + [1] * 12 + [2] * 8
    task = load_task("cifar10", write_cifar10(tmp_path, labels=uneven))
    strict = run(TinyModel(3), task, tmp_path / "results")["strict"]
    rows = strict.items()
    by_class = {name: [row["correct"] for row in rows if row["text"] == name] for name in NAMES[:3]}
    groups = {name: sum(each) / len(each) for name, each in by_class.items()}
    balanced = strict.result["balanced"]
    assert balanced == {"cut": "class", "value": pytest.approx(sum(groups.values()) / 3), "groups": groups}
    assert balanced["value"] != pytest.approx(strict.result["metrics"]["accuracy"]["value"])
    (row, _) = compare(tmp_path / "results", resamples=20).rows
    assert {(each.value, each.n) for each in row.slices if each.cut == "class"} == {
        (name, Counter(uneven)[place]) for place, name in enumerate(NAMES[:3])
    }
    assert f"balanced accuracy {100 * balanced['value']:.1f} %: the mean of 3 groups by class" in row.notes
    assert "prompt templates: openai-cifar (18)" in row.notes
    changed: Any = {**strict.result, "balanced": {**balanced, "value": balanced["value"] + 0.01}}
    assert "balanced accuracy" in items_problem(changed, rows)


def test_a_cut_of_very_many_classes_has_no_slices(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    task = load_task("cifar10", write_cifar10(tmp_path))
    for model in (TinyModel(3), TinyModel(4)):
        run(model, task, tmp_path / "results", protocols=[Protocol("strict")])
    note = "10 values of the cut class: too many for slices"
    monkeypatch.setattr(comparison, "MOST_VALUES", 10)
    rows = compare(tmp_path / "results", resamples=20).rows
    assert [(len(row.slices), note in row.notes) for row in rows] == [(10, False)] * 2
    monkeypatch.setattr(comparison, "MOST_VALUES", 9)
    rows = compare(tmp_path / "results", resamples=20).rows
    assert [(len(row.slices), note in row.notes) for row in rows] == [(0, True)] * 2


def test_cifar_100_has_superclasses(tmp_path: Path) -> None:
    home = tmp_path / "cifar-100-python"
    home.mkdir()
    fine, coarse = [f"thing_{n}" for n in range(100)], [f"group_{n}" for n in range(20)]
    batch = {
        "filenames": ["a.png"] * IMAGES,
        "batch_label": "testing batch 1 of 1",
        "fine_labels": labels(100),
        "coarse_labels": labels(20),
        "data": pixels(),
    }
    (home / "test").write_bytes(b"\x80\x02" + python_2(batch) + b".")
    (home / "meta").write_bytes(b"\x80\x02" + python_2({"fine_label_names": fine, "coarse_label_names": coarse}) + b".")
    task = load_task("cifar100", tmp_path)
    assert task.items[3].slices == {"class": "thing 21", "superclass": "group 1"}
    assert task.prompts[21][0] == "a photo of a thing 21."


def test_a_constant_a_broken_and_a_flipped_model_are_exposed(tmp_path: Path) -> None:
    task = load_task("cifar10", write_cifar10(tmp_path))
    results = tmp_path / "results"
    first = Counter(labels())[0]  # a constant score chooses the first class

    def right(model: TinyModel, **options: Any) -> dict[str, int]:
        stored = run(model, task, results, **options)
        return {name: one.result["metrics"]["accuracy"]["correct"] for name, one in stored.items()}

    assert right(ConstantModel(1)) == {"official": first, "strict": 0}
    with pytest.raises(BenchError, match=r"00000\.png.*the score is NaN"):
        right(BrokenModel(2))
    lenient = (Protocol("official"), Protocol("strict", allow_nan=True))
    assert right(BrokenModel(2), protocols=lenient) == {"official": first, "strict": 0}
    sound, flipped = right(TinyModel(3)), right(FlippedModel(3))
    assert sound["strict"] == sound["official"]
    assert flipped["strict"] == flipped["official"] != sound["strict"]
    notes = {(row.ties, row.nan) for row in compare(results, resamples=20, slices=False).rows}
    assert notes == {(IMAGES, 0), (0, IMAGES), (0, 0)}


class BrokenCat(TinyModel):
    """Returns NaN for the texts about one class."""

    def encode_texts(self, texts: Sequence[str]) -> Any:
        features = super().encode_texts(texts)
        features[["cat" in text for text in texts]] = float("nan")
        return features


def test_a_class_whose_score_is_nan_is_chosen_as_by_argmax(tmp_path: Path) -> None:
    task = load_task("cifar10", write_cifar10(tmp_path))
    official, strict = (
        run(BrokenCat(3), task, tmp_path / rule.name, protocols=[rule])[rule.name]
        for rule in (Protocol("official"), Protocol("strict", allow_nan=True))
    )
    assert [row["text"] for row in official.items() if row["correct"]] == ["cat"] * labels().count(3)
    assert {row["options"][1] for row in official.items() if not row["correct"]} == {"cat"}
    assert (official.result["nan"], official.result["ties"]) == (IMAGES, 0)
    assert strict.result["metrics"]["accuracy"]["correct"] == 0


def test_a_flipped_sign_reverses_the_ranks(tmp_path: Path) -> None:
    task = load_task("cifar10", write_cifar10(tmp_path))
    sound, flipped = (
        run(model, task, tmp_path / str(n))["strict"] for n, model in enumerate((TinyModel(3), FlippedModel(3)))
    )
    ranks = [[row["rank"] or 0 for row in one.items()] for one in (sound, flipped)]
    assert [one + other for one, other in zip(*ranks, strict=True)] == [11] * IMAGES


def test_broken_models_are_named_and_a_poor_one_is_not(tmp_path: Path) -> None:
    seen = run(TinyModel(3), load_task("cifar10", write_cifar10(tmp_path / "a")), tmp_path / "first")["strict"].items()
    chosen = [NAMES.index(row["options"][int(not row["correct"])]) for row in seen]
    task = load_task("cifar10", write_cifar10(tmp_path / "b", labels=chosen))  # all right under TinyModel(3)
    poor = load_task("cifar10", write_cifar10(tmp_path / "c", labels=[(each + 1) % 10 for each in chosen]))
    for model, of, codes in (
        (TinyModel(3), task, []),
        (TinyModel(3), poor, []),
        (FlippedModel(3), task, [VerdictCode.REVERSED]),
        (ConstantModel(1), task, [VerdictCode.CONSTANT]),
    ):
        one = run(model, of, tmp_path / "results")["official"]
        assert [each.code for each in verdicts(one.result, one.items())] == codes


@pytest.mark.parametrize(
    ("scores", "official", "rank"),
    [
        ([0.5, 0.5, 0.1], 2, 2),
        ([0.1, 0.5, 0.5], 1, 2),
        ([float("nan"), 0.9, 0.1], 2, None),
        ([0.9, float("nan"), 0.1], 1, None),
        ([0.9, 0.8, float("nan")], 3, None),
    ],
)
def test_the_rank_of_a_class_follows_argmax(scores: list[float], official: int, rank: int | None) -> None:
    item = BenchItem(id="a", image="a.png", text="b", target=1, cluster="a")
    values = np.array(scores, dtype=np.float32)
    ranking = judge_rank(item, values, Protocol("official"), nan_first=True)
    assert (ranking.rank, ranking.rank == 1) == (official, int(values.argmax()) == 1)
    if rank is None:
        assert judge_rank(item, values, Protocol("strict", allow_nan=True), nan_first=True).rank == len(scores)
    else:
        assert judge_rank(item, values, Protocol("strict"), nan_first=True).rank == rank


def test_checkpoints_with_one_image_tower_share_its_features(tmp_path: Path) -> None:
    task = load_task("cifar10", write_cifar10(tmp_path))
    first, second = TinyModel(3), TinyModel(3, text_seed=9)
    for model in (first, second):
        run(model, task, tmp_path / "results", cache_folder=tmp_path / "cache")
    assert (first.images, second.images) == (IMAGES, 0)
    assert (first.texts, second.texts) == (180, 180)


def test_images_are_unpacked_once_and_completely(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_cifar10(tmp_path)
    seen: list[tuple[int, int]] = []
    save = Image.Image.save

    def full_disk(self: Image.Image, path: Any, *rest: Any) -> None:
        if Path(path).name == "00007.png":
            raise OSError(28, "No space left on device")
        save(self, path, *rest)

    task = load_task("cifar10", tmp_path)
    assert task.unpack
    with monkeypatch.context() as patch:
        patch.setattr(Image.Image, "save", full_disk)
        with pytest.raises(BenchError, match="No space left"):
            task.unpack(lambda done, total: None)
    assert sorted(path.name for path in task.pictures.parent.iterdir()) == ["batches.meta", "test_batch"]
    task.unpack(lambda done, total: seen.append((done, total)))
    assert seen[-1] == (IMAGES, IMAGES)
    with Image.open(task.pictures / "00003.png") as image:
        assert np.array_equal(np.asarray(image).transpose(2, 0, 1).reshape(-1), pixels()[3])
    (task.pictures / "00003.png").unlink()
    assert load_task("cifar10", tmp_path).missing_pictures() == ["00003.png"]


class _Exploit:
    def __reduce__(self) -> tuple[Any, tuple[str]]:
        return os.system, ("echo code of the file ran",)


@pytest.mark.parametrize("protocol", [0, 2, 4])
def test_nothing_in_a_pickle_is_run(tmp_path: Path, protocol: int, capfd: pytest.CaptureFixture[str]) -> None:
    write_cifar10(tmp_path)
    path = tmp_path / "cifar-10-batches-py" / "test_batch"
    path.write_bytes(pickle.dumps({b"data": _Exploit(), b"labels": []}, protocol))
    with pytest.raises(BenchError, match=r"it names .*system, which no published file does"):
        load_task("cifar10", tmp_path)
    assert "ran" not in capfd.readouterr().out


def test_a_batch_that_python_3_wrote_is_read(tmp_path: Path) -> None:
    write_cifar10(tmp_path)
    path = tmp_path / "cifar-10-batches-py" / "test_batch"
    path.write_bytes(pickle.dumps({"data": pixels(), "labels": labels()}, 2))
    batch, _ = pickled_batches.read_batch(path, hint="")
    assert np.array_equal(batch["data"], pixels())
    assert load_task("cifar10", tmp_path).items[2].target == labels()[2]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"data": pixels(59)}, "test_batch has 59 items, the published file has 60"),
        ({"data": pixels().reshape(-1, 1024)}, "'data' must have 3,072 bytes per image"),
        ({"data": [1, 2]}, "'data' must have 3,072 bytes per image"),
        ({"labels": labels()[:-1]}, "'labels' must be a list of 60 labels"),
        ({"labels": [10, *labels()[1:]]}, "image 0: the label 10 is not a number from 0 to 9"),
        ({"labels": ["cat", *labels()[1:]]}, "image 0: the label 'cat' is not a number"),
    ],
)
def test_a_changed_batch_is_refused(tmp_path: Path, changes: dict[str, object], message: str) -> None:
    write_cifar10(tmp_path, **changes)
    with pytest.raises(BenchError) as raised:
        load_task("cifar10", tmp_path)
    assert message in raised.value.message


def test_a_missing_or_cut_batch_says_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(BenchError, match="no such file") as raised:
        load_task("cifar10", tmp_path / "nothing")
    assert "cifar-10-python.tar.gz" in raised.value.hint
    path = write_cifar10(tmp_path) / "cifar-10-batches-py" / "test_batch"
    path.write_bytes(path.read_bytes()[:1000])
    with pytest.raises(BenchError, match="cannot be read as a batch"):
        load_task("cifar10", tmp_path)


# -- ImageNet


def write_imagenet(folder: Path, ids: Sequence[str]) -> Path:
    draw_picture(folder / "one.jpg", (40, 40), 1)
    for number, name in enumerate(ids):
        (folder / "val" / name).mkdir(parents=True)
        os.link(folder / "one.jpg", folder / "val" / name / f"ILSVRC2012_val_{number + 1:08d}.JPEG")
    return folder


def test_imagenet_has_the_classes_and_prompts_of_openai(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(imagenet, "PUBLISHED", 1000)
    folder = write_imagenet(tmp_path, [f"n{9 * n:08d}" for n in range(1000)])
    task = load_task("imagenet", folder)
    names = open_clip.IMAGENET_CLASSNAMES
    assert [item.target for item in task.items] == list(range(1000))
    assert task.prompts[7] == tuple(make(names[7]) for make in open_clip.OPENAI_IMAGENET_TEMPLATES)
    assert task.templates == "openai-imagenet (80)"
    assert [gallery for gallery, name in zip(task.gallery, names, strict=True) if gallery != name] == [
        f"{name} (n{9 * n:08d})" for n, name in enumerate(names) if names.count(name) > 1
    ]
    one = load_task("imagenet-one-prompt", folder)
    assert one.prompts[7] == (f"a photo of a {names[7]}.",)
    assert one.dataset_sha256 != task.dataset_sha256
    monkeypatch.setattr(imagenet, "PUBLISHED", 50_000)
    with pytest.raises(BenchError, match="has 1,000 items, the published file has 50,000"):
        load_task("imagenet", folder)


@pytest.mark.parametrize(
    ("ids", "message"),
    [(["n00000001", "n00000002"], "has 2 classes, ImageNet has 1,000"), (["cat", "dog"], "'cat' is not a WordNet id")],
)
def test_another_folder_is_not_imagenet(tmp_path: Path, ids: list[str], message: str) -> None:
    with pytest.raises(BenchError) as raised:
        load_task("imagenet", write_imagenet(tmp_path, ids))
    assert message in raised.value.message
    assert "ILSVRC2012_img_val.tar" in raised.value.hint


def test_names_and_templates_are_read_without_open_clip() -> None:
    code = (
        "import sys; from benchmarks.registry import entries; entries();"
        "from benchmarks.tasks.classification.prompts import openai_imagenet;"
        "assert len(openai_imagenet().texts) == 80; assert not {'torch', 'open_clip'} & sys.modules.keys()"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
    assert openai_imagenet().prompts("dog")[0] == "a bad photo of a dog."


# -- a folder of classes


def write_classes(folder: Path, images: dict[str, int]) -> Path:
    for name, count in images.items():
        (folder / name).mkdir(parents=True)
        for n in range(count):
            draw_picture(folder / name / f"{n}.jpg", (40, 30), n + len(name))
    return folder


def test_a_folder_of_classes_equals_a_plain_evaluation(tmp_path: Path) -> None:
    folder = write_classes(tmp_path / "pets", {"golden_retriever": 4, "cat": 5, "fox": 3})
    (folder / "cat" / "notes.txt").write_text("no image")
    (folder / "cat" / ".trash").mkdir()
    draw_picture(folder / "cat" / ".trash" / "0.jpg", (40, 30), 1)
    (folder / "cat" / "more").mkdir()
    os.replace(folder / "cat" / "4.jpg", folder / "cat" / "more" / "4.JPEG")
    (folder / ".hidden").mkdir()
    task = task_from_folder(folder)
    assert (task.name, task.gallery) == ("pets", ("cat", "fox", "golden retriever"))
    stored = run(TinyModel(5), task, tmp_path / "results")["official"]
    paths = sorted(folder / item.image for item in task.items)
    assert len(paths) == 12
    images = [Image.open(path).convert("RGB") for path in paths]
    chosen = plain_classifier(TinyModel(5), images, list(task.gallery), ["a photo of a {}."]).argmax(dim=1)
    folders = ["cat", "fox", "golden_retriever"]
    assert [row["correct"] for row in stored.items()] == [
        folders[place] == path.relative_to(folder).parts[0] for place, path in zip(chosen.tolist(), paths, strict=True)
    ]
    assert list(stored.result["metrics"]) == ["accuracy"]  # one of five of three classes says nothing


def test_names_and_templates_of_a_folder(tmp_path: Path) -> None:
    folder = write_classes(tmp_path / "pets", {"a": 1, "b": 1})
    plain = task_from_folder(folder)
    (folder / "classes.json").write_text(json.dumps({"classes": {"a": "ape"}, "templates": ["the {}", "no {} here"]}))
    task = task_from_folder(folder)
    assert task.prompts == (("the ape", "no ape here"), ("the b", "no b here"))
    assert task.templates == "classes.json (2)"
    assert task.dataset_sha256 != plain.dataset_sha256


def test_the_images_of_classes_may_be_in_another_folder(tmp_path: Path) -> None:
    photos = write_classes(tmp_path / "photos", {"a": 1, "b": 2})
    settings = tmp_path / "pets" / "classes.json"
    settings.parent.mkdir()
    settings.write_text(json.dumps({"classes": {"a": "ape"}}))
    task = task_from_folder(settings.parent, photos)
    assert (task.name, task.gallery, len(task.items), task.pictures) == ("pets", ("ape", "b"), 3, photos)
    assert task.missing_pictures() == []


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ({"templates": ["a photo"]}, "'templates' must be a list of texts with one {}"),
        ({"templates": "a {}"}, "'templates' must be a list of texts with one {}"),
        ({"classes": {"z": "zebra"}}, "there is no sub-folder 'z'"),
        ({"classes": {"a": 1}}, "'classes' must be an object of names by sub-folder"),
        ({"classes": ["a"]}, "'classes' must be an object of names by sub-folder"),
        ([], "expected an object"),
    ],
)
def test_a_wrong_settings_file_is_refused(tmp_path: Path, content: object, message: str) -> None:
    folder = write_classes(tmp_path / "pets", {"a": 1, "b": 1})
    (folder / "classes.json").write_text(json.dumps(content))
    with pytest.raises(BenchError) as raised:
        task_from_folder(folder)
    assert message in raised.value.message


@pytest.mark.parametrize(("images", "message"), [({"a": 1}, "fewer than two"), ({"a": 1, "b": 0}, "'b' has no images")])
def test_a_folder_without_classes_is_refused(tmp_path: Path, images: dict[str, int], message: str) -> None:
    with pytest.raises(BenchError, match=message):
        task_from_folder(write_classes(tmp_path / "pets", images))


def test_two_classes_of_one_name_are_told_apart(tmp_path: Path) -> None:
    task = task_from_folder(write_classes(tmp_path / "pets", {"red_fox": 1, "red fox": 1}))
    assert task.gallery == ("red fox (red fox)", "red fox (red_fox)")
    strict = run(TinyModel(5), task, tmp_path / "results")["strict"].result
    assert (strict["metrics"]["accuracy"]["correct"], strict["ties"]) == (0, 2)
