"""Runs of segmentation: both routes on tiny models, the stored results, resuming, and the protocols."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from support.segmentation import (
    HEIGHT,
    WIDTH,
    Scripted,
    columns,
    draw_image,
    phrasecut_rows,
    predicted,
    write_phrasecut,
    write_refcocog,
)
from support.segmentation_models import make_clip, make_clipseg, make_sam

from benchmarks import results
from benchmarks.analysis.comparison import compare
from benchmarks.errors import BenchError
from benchmarks.protocols import BOTH_PROTOCOLS, Protocol
from benchmarks.schema import items_problem
from benchmarks.segmentation import phrasecut, refcocog
from benchmarks.segmentation.choices import Subset
from benchmarks.segmentation.data import SegmentationData
from benchmarks.segmentation.evaluation import run_segmentation, task_name, without_other_sizes
from benchmarks.segmentation.masks import mask_from_text, mask_text
from benchmarks.segmentation.segmenters import (
    ClipSegSegmenter,
    ProposalSegmenter,
    masked_crop,
)
from curation_db.stats.intervals import Interval
from trainers.models.clip_model import ClipModel
from trainers.segmentation.clipseg import ClipSeg, load_clipseg
from trainers.segmentation.mask_proposals import MaskProposer, load_proposer
from trainers.segmentation.proposal_settings import ProposalSettings

EMPTY = np.zeros((HEIGHT, WIDTH), dtype=bool)
FOUR = [
    predicted(columns("red", 1)),  # IoU 1
    predicted(columns("blue", 0.5)),  # IoU exactly 1/2
    predicted(columns("red", 0.25)),  # IoU 1/4
    predicted(EMPTY),
]


@pytest.fixture
def data(tmp_path: Path) -> SegmentationData:
    return without_other_sizes(
        phrasecut.load(write_phrasecut(tmp_path / "phrasecut", images=2), "test").subset(Subset.ALL)
    )


def run(segmenter: Any, data: SegmentationData, folder: Path, **options: Any) -> dict[str, results.StoredResult]:
    stored = run_segmentation(segmenter, data, results_folder=folder / "results", **options)
    return {each.result["protocol"]["name"]: each for each in stored}


def test_result_has_the_scores_of_the_masks(data: SegmentationData, tmp_path: Path) -> None:
    strict = run(Scripted(FOUR), data, tmp_path)["strict"]
    again = results.read(strict.path)
    facts = again.result["segmentation"]
    assert facts["mean_iou"]["value"] == pytest.approx((1 + 0.5 + 0.25 + 0) / 4)
    red, blue = 12 * 12, 12 * 18
    assert facts["overall_iou"]["value"] == pytest.approx((red + blue / 2 + red / 4) / (2 * red + 2 * blue))
    assert facts["empty"] == 1
    assert {name: score["correct"] for name, score in again.result["metrics"].items()} == {
        "precision_at_0.5": 1,
        "precision_at_0.6": 1,
        "precision_at_0.7": 1,
        "precision_at_0.8": 1,
        "precision_at_0.9": 1,
    }
    assert again.result["task"]["name"] == "phrasecut-clipseg"
    assert again.result["task"]["kind"] == "segmentation"
    assert [row["correct"] for row in again.items()] == [True, False, False, False]
    assert [row["pred"] for row in again.items()] == [0, 0, 0, None]


def test_items_hold_both_masks(data: SegmentationData, tmp_path: Path) -> None:
    rows = run(Scripted(FOUR), data, tmp_path)["strict"].items()
    mask = rows[1]["mask"]
    assert mask["size"] == [HEIGHT, WIDTH]
    assert (mask_from_text(mask["true"], (HEIGHT, WIDTH)) == columns("blue", 1)).all()
    assert (mask_from_text(mask["predicted"], (HEIGHT, WIDTH)) == columns("blue", 0.5)).all()
    assert (mask["intersection"], mask["union"]) == (6 * 18, 12 * 18)


def test_blind_baselines_are_scored(data: SegmentationData, tmp_path: Path) -> None:
    result = run(Scripted(FOUR), data, tmp_path)["strict"].result
    whole = result["segmentation"]["blind"]["whole image"]
    assert whole[0] == pytest.approx((144 + 216) / 2 / (HEIGHT * WIDTH))
    assert result["baselines"].keys() == {"whole image", "centre box"}


def test_iou_of_exactly_the_threshold_depends_on_data_set_and_protocol(tmp_path: Path) -> None:
    of_phrasecut = phrasecut.load(write_phrasecut(tmp_path / "p", images=2), "test").subset(Subset.ALL)
    by_rule = run(Scripted(FOUR), of_phrasecut, tmp_path / "1")
    assert [by_rule[name].result["metrics"]["precision_at_0.5"]["correct"] for name in ("strict", "official")] == [1, 1]
    of_refcocog = refcocog.load(write_refcocog(tmp_path / "r"), "test").subset(Subset.ALL)
    masks = []
    for item in of_refcocog.task.items:
        mask = of_refcocog.regions[item.id].mask()
        mask.flat[np.flatnonzero(~mask)[: int(mask.sum())]] = True  # as many pixels outside: the IoU is 1/2
        masks.append(predicted(mask))
    by_rule = run(Scripted(masks), of_refcocog, tmp_path / "2")
    found = {name: each.result["metrics"]["precision_at_0.5"]["correct"] for name, each in by_rule.items()}
    assert found == {"strict": 0, "official": 6}
    assert all(not items_problem(each.result, each.items()) for each in by_rule.values())


def test_slices_have_the_scores_of_their_own_masks(tmp_path: Path) -> None:
    folder = write_phrasecut(tmp_path / "data", phrasecut_rows(2, red="square without blue"), images=2)
    data = phrasecut.load(folder, "test").subset(Subset.NEGATED)
    base = [predicted(columns(*each)) for each in (("red", 0.5), ("blue", 0), ("red", 0.25), ("blue", 0.5))]
    run(Scripted(base, model="b" * 64), data, tmp_path, label="base")
    run(Scripted(FOUR), data, tmp_path, label="tuned")
    ours, theirs = (
        {part.value: part for part in row.slices if part.cut == "cue"}
        for model in ("tuned", "base")
        for row in compare(tmp_path / "results", base="base").rows
        if (row.model, row.protocol) == (model, "strict")
    )
    # IoU of red (without) 1 and 1/4 against 1/2 and 1/4, of blue (not) 1/2 and 0 against 0 and 1/2. A quarter of the
    # resamples has the first image twice, a quarter the second one: the limits are the IoU of each.
    red, blue = ours["without"].masks, ours["not"].masks
    assert red is not None
    assert blue is not None
    assert red.base is not None
    assert blue.base is not None
    assert (red.mean_iou, blue.mean_iou) == (Interval(0.625, 0.25, 1), Interval(0.25, 0, 0.5))
    assert (red.overall_iou, blue.overall_iou) == (red.mean_iou, blue.mean_iou), "all squares of a colour are as large"
    assert (red.base.mean_iou, blue.base.mean_iou) == (Interval(0.25, 0, 0.5), Interval(0, -0.5, 0.5))
    assert (red.base.overall_iou, blue.base.overall_iou) == (red.base.mean_iou, blue.base.mean_iou)
    assert [(ours[cue].correct, ours[cue].n) for cue in ("without", "not")] == [(1, 2), (0, 2)], "an IoU above 0.5"
    assert [part.masks and part.masks.base for part in theirs.values()] == [None, None]


def test_tied_proposals_predict_nothing_under_strict(data: SegmentationData, tmp_path: Path) -> None:
    tied = [predicted(columns("red", 1), tie=True), *FOUR[1:]]
    by_rule = run(Scripted(tied), data, tmp_path)
    assert by_rule["official"].items()[0]["correct"]
    strict = by_rule["strict"]
    assert not strict.items()[0]["correct"]
    assert (strict.result["ties"], strict.result["segmentation"]["empty"]) == (1, 2)


def test_nan_stops_strict_with_the_name_of_the_item(data: SegmentationData, tmp_path: Path) -> None:
    broken = [*FOUR[:3], predicted(columns("blue", 1), nan=True)]
    with pytest.raises(BenchError, match="the item 101__1 has a score that is NaN"):
        run(Scripted(broken), data, tmp_path)
    assert not (tmp_path / "results").exists()
    allowed = run(Scripted(broken), data, tmp_path, protocols=[Protocol("strict", allow_nan=True)])["strict"]
    assert (allowed.result["nan"], allowed.items()[3]["correct"]) == (1, False)
    official = run(Scripted(broken), data, tmp_path, protocols=[Protocol("official")])["official"]
    assert official.items()[3]["correct"]


def test_results_of_other_settings_are_not_compared(data: SegmentationData, tmp_path: Path) -> None:
    first = run(Scripted(FOUR), data, tmp_path)["strict"].result["task"]["dataset_sha256"]
    second = run(Scripted(FOUR, setting=0.3), data, tmp_path)["strict"].result["task"]["dataset_sha256"]
    assert first != second


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("phrasecut", "phrasecut-clipseg"),
        ("phrasecut-negref", "phrasecut-clipseg-negref"),
        ("refcocog-affirm", "refcocog-clipseg-affirm"),
    ],
)
def test_name_of_the_task_ends_with_the_subset(name: str, expected: str) -> None:
    assert task_name(name, "clipseg") == expected


def test_report_compares_the_masks_of_two_models(data: SegmentationData, tmp_path: Path) -> None:
    run(Scripted([predicted(EMPTY)] * 4), data, tmp_path, label="base")
    run(Scripted(FOUR, model="b" * 64), data, tmp_path, label="tuned")
    report = compare(tmp_path / "results", base="base")
    row = next(row for row in report.rows if row.model == "tuned" and row.protocol == "strict")
    assert row.base is not None
    assert (row.base.gained, row.base.lost) == (1, 0)
    assert row.segmentation is not None
    assert row.segmentation.mean_iou.estimate == pytest.approx(1.75 / 4)
    assert row.segmentation.base is not None
    assert row.segmentation.base.mean_iou.estimate == pytest.approx(1.75 / 4)
    base = next(row for row in report.rows if row.model == "base" and row.protocol == "strict")
    assert base.segmentation is not None
    assert base.segmentation.base is None
    assert any("no predicted mask has a pixel" in note for note in base.notes)


def test_image_of_another_size_is_left_out_and_reported(tmp_path: Path) -> None:
    folder = write_phrasecut(tmp_path / "p")
    Image.new("RGB", (8, 9)).save(folder / "images" / "101.jpg")
    data = without_other_sizes(phrasecut.load(folder, "test").subset(Subset.ALL))
    assert [item.image for item in data.task.items] == ["100.jpg", "100.jpg", "102.jpg", "102.jpg"]
    assert [problem.row for problem in data.problems] == ["row 2", "row 3"]
    assert data.problems[0].reason == "101.jpg has 8 x 9 pixels, the file says 40 x 30"


def test_missing_and_damaged_images_are_errors(tmp_path: Path) -> None:
    folder = write_phrasecut(tmp_path / "p")
    data = phrasecut.load(folder, "test").subset(Subset.ALL)
    (folder / "images" / "101.jpg").write_bytes(b"no image")
    with pytest.raises(BenchError, match=r"101\.jpg cannot be read as an image"):
        without_other_sizes(data)
    (folder / "images" / "101.jpg").unlink()
    with pytest.raises(BenchError, match="1 of 3 images are missing"):
        without_other_sizes(data)


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("models")
    make_clipseg(folder / "clipseg", tokenizer=make_clip())
    make_sam(folder / "sam")
    return folder


@pytest.fixture
def clipseg(models: Path) -> ClipSeg:
    return load_clipseg(str(models / "clipseg"))


@pytest.fixture(scope="module")
def proposer(models: Path) -> MaskProposer:
    settings = ProposalSettings(points_per_side=3, pred_iou_thresh=-100, stability_score_thresh=0, crops_nms_thresh=1)
    return load_proposer(str(models / "sam"), settings=settings)


@pytest.fixture(scope="module")
def clip() -> ClipModel:
    return make_clip(seed=5)


def test_clipseg_route(data: SegmentationData, clipseg: ClipSeg, clip: ClipModel, tmp_path: Path) -> None:
    result = run(ClipSegSegmenter(clipseg, clip), data, tmp_path)["strict"]
    own = run(ClipSegSegmenter(clipseg, None), data, tmp_path)["strict"]
    first, second = (
        [row["mask"]["predicted"] for row in each.items() if row["id"] == "100__1"] for each in (result, own)
    )
    assert first != second
    logits = clipseg.logits(
        Image.open(data.task.pictures / "100.jpg"), clipseg.encode_texts(clip, ["square that is not red"])
    )
    assert (mask_from_text(first[0], (HEIGHT, WIDTH)) == (logits[0].numpy() > 0)).all()
    assert result.result["model"]["hash"] == clip.model_hash
    assert own.result["model"]["hash"] == clipseg.text_hash
    assert result.result["task"]["dataset_sha256"] == own.result["task"]["dataset_sha256"]
    assert len(result.result["segmentation"]["warnings"]) == 1


def test_higher_threshold_gives_smaller_masks(
    data: SegmentationData, clipseg: ClipSeg, clip: ClipModel, tmp_path: Path
) -> None:
    def pixels(threshold: float) -> int:
        stored = run(ClipSegSegmenter(clipseg, clip, threshold=threshold), data, tmp_path)["strict"]
        masks = (mask_from_text(row["mask"]["predicted"], (HEIGHT, WIDTH)) for row in stored.items())
        return sum(int(mask.sum()) for mask in masks)

    assert pixels(0.3) > pixels(0.5) > pixels(0.7)


class _Killed(Exception):
    pass


def test_killed_run_continues_where_it_was(
    data: SegmentationData,
    clipseg: ClipSeg,
    clip: ClipModel,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    whole = run(ClipSegSegmenter(clipseg, clip), data, tmp_path / "whole")["strict"]
    encode = clipseg.logits
    seen: list[str] = []

    def counted(image: Image.Image, vectors: torch.Tensor) -> torch.Tensor:
        if len(seen) == 1:
            seen.append("killed")
            raise _Killed
        seen.append("image")
        return encode(image, vectors)

    monkeypatch.setattr(clipseg, "logits", counted)
    with pytest.raises(_Killed):
        run(ClipSegSegmenter(clipseg, clip), data, tmp_path, cache_folder=tmp_path / "cache")
    assert not (tmp_path / "results").exists()
    (values,) = (tmp_path / "cache").rglob("values.jsonl")
    assert len(values.read_text().splitlines()) == 2  # both phrases of the first image
    with values.open("a") as file:
        file.write('["half a li')
    again = run(ClipSegSegmenter(clipseg, clip), data, tmp_path, cache_folder=tmp_path / "cache")["strict"]
    assert seen == ["image", "killed", "image"]
    assert [row["mask"] for row in again.items()] == [row["mask"] for row in whole.items()]
    run(ClipSegSegmenter(clipseg, clip), data, tmp_path, cache_folder=tmp_path / "cache")
    assert len(seen) == 3


def test_damaged_line_of_the_cache_is_computed_again(
    data: SegmentationData, clipseg: ClipSeg, clip: ClipModel, tmp_path: Path
) -> None:
    first = run(ClipSegSegmenter(clipseg, clip), data, tmp_path, cache_folder=tmp_path / "cache")["strict"]
    (values,) = (tmp_path / "cache").rglob("values.jsonl")
    lines = [json.loads(line) for line in values.read_text().splitlines()]
    lines[1][1]["rle"] = mask_text(~EMPTY)
    values.write_text("".join(json.dumps(line) + "\n" for line in lines))
    again = run(ClipSegSegmenter(clipseg, clip), data, tmp_path, cache_folder=tmp_path / "cache")["strict"]
    assert [row["mask"] for row in again.items()] == [row["mask"] for row in first.items()]


def test_another_text_tower_does_not_get_the_cached_masks(
    data: SegmentationData, clipseg: ClipSeg, clip: ClipModel, tmp_path: Path
) -> None:
    cache = tmp_path / "cache"
    run(ClipSegSegmenter(clipseg, clip), data, tmp_path, cache_folder=cache)
    other = make_clip(seed=6)
    cached = run(ClipSegSegmenter(clipseg, other), data, tmp_path, cache_folder=cache)["strict"]
    fresh = run(ClipSegSegmenter(clipseg, other), data, tmp_path)["strict"]
    assert [row["mask"] for row in cached.items()] == [row["mask"] for row in fresh.items()]


def test_nan_of_the_text_tower_is_found(
    data: SegmentationData, clipseg: ClipSeg, clip: ClipModel, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(clipseg, "encode_texts", lambda clip, texts: torch.full((len(texts), 16), torch.nan))
    with pytest.raises(BenchError, match="is NaN"):
        run(ClipSegSegmenter(clipseg, clip), data, tmp_path)


def test_proposals_route_takes_the_most_similar_proposal(
    data: SegmentationData, proposer: MaskProposer, clip: ClipModel, tmp_path: Path
) -> None:
    stored = run(ProposalSegmenter(proposer, clip), data, tmp_path, cache_folder=tmp_path / "cache")["strict"]
    row = next(row for row in stored.items() if row["id"] == "101__1")
    image = Image.open(data.task.pictures / "101.jpg").convert("RGB")
    masks = list({mask_text(mask): mask for mask in proposer.propose(image)}.values())
    assert len(masks) > 1
    crops = clip.encode_images([masked_crop(image, mask, (128, 128, 128)) for mask in masks])
    scores = crops @ clip.encode_texts(["square that is not red"])[0]
    best = masks[int(scores.argmax())]
    assert (mask_from_text(row["mask"]["predicted"], (HEIGHT, WIDTH)) == best).all()
    assert stored.result["task"]["name"] == "phrasecut-proposals"


def test_proposals_and_features_are_cached(
    data: SegmentationData,
    proposer: MaskProposer,
    clip: ClipModel,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    first = run(ProposalSegmenter(proposer, clip), data, tmp_path, cache_folder=tmp_path / "cache")["strict"]

    def fail(*_: object) -> None:
        raise AssertionError

    tuned = make_clip(seed=8)
    tuned.model.visual = clip.model.visual
    monkeypatch.setattr(proposer, "propose", fail)
    monkeypatch.setattr(clip, "encode_images", fail)
    monkeypatch.setattr(tuned, "encode_images", fail)
    again = run(ProposalSegmenter(proposer, clip), data, tmp_path, cache_folder=tmp_path / "cache")["strict"]
    assert [row["mask"] for row in again.items()] == [row["mask"] for row in first.items()]
    other = run(ProposalSegmenter(proposer, tuned), data, tmp_path, cache_folder=tmp_path / "cache")["strict"]
    assert other.result["model"]["hash"] != first.result["model"]["hash"]


def test_image_without_proposals_has_an_empty_mask(
    data: SegmentationData, proposer: MaskProposer, clip: ClipModel, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(proposer, "propose", lambda image: np.zeros((0, HEIGHT, WIDTH), dtype=bool))
    stored = run(ProposalSegmenter(proposer, clip), data, tmp_path)["strict"]
    assert stored.result["segmentation"]["empty"] == 4


def test_equal_proposals_are_a_tie_only_if_their_masks_differ(
    data: SegmentationData, proposer: MaskProposer, clip: ClipModel, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(clip, "encode_images", lambda images: torch.eye(16)[[0] * len(images)])
    monkeypatch.setattr(proposer, "propose", lambda image: np.stack([columns("red", 1)] * 2))
    assert run(ProposalSegmenter(proposer, clip), data, tmp_path)["strict"].result["ties"] == 0
    monkeypatch.setattr(proposer, "propose", lambda image: np.stack([columns("red", 1), columns("blue", 1)]))
    assert run(ProposalSegmenter(proposer, clip), data, tmp_path)["strict"].result["ties"] == 4


def test_masked_crop_shows_only_the_mask(tmp_path: Path) -> None:
    draw_image(tmp_path / "image.png")
    crop = masked_crop(Image.open(tmp_path / "image.png").convert("RGB"), columns("red", 1), (9, 8, 7))
    pixels = np.asarray(crop)
    assert pixels.shape[:2] == (14, 14)  # 12 pixels and a margin of a tenth on each side
    assert (pixels[0] == (9, 8, 7)).all()
    assert (pixels[1:13, 1:13] == (255, 0, 0)).all()


def test_missing_key_of_the_masks_is_a_damaged_result(data: SegmentationData, tmp_path: Path) -> None:
    stored = run(Scripted(FOUR), data, tmp_path)["strict"]
    rows = stored.items()
    rows[0]["mask"]["intersection"] += 7
    assert "impossible overlap" in items_problem(stored.result, rows)
    rows[0]["mask"]["intersection"] -= 8
    assert "IoU" in items_problem(stored.result, rows)
    del rows[0]["mask"]
    assert "has no mask" in items_problem(stored.result, rows)
    content = json.loads(stored.path.read_text())
    del content["segmentation"]
    stored.path.write_text(json.dumps(content))
    with pytest.raises(BenchError, match="segmentation: missing"):
        results.read(stored.path)


def test_both_protocols_are_stored(data: SegmentationData, tmp_path: Path) -> None:
    assert run(Scripted(FOUR), data, tmp_path).keys() == {protocol.name for protocol in BOTH_PROTOCOLS}
    assert len(phrasecut_rows(2)) == len(FOUR)
