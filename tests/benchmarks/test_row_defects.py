"""Known bad rows are flagged, and the score without them stands beside the full one."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
import torch
from support.benches import TinyModel, draw_picture

from benchmarks.protocols import Protocol
from benchmarks.registry import load_task
from benchmarks.row_defects import RowDefect, defect_of
from benchmarks.runner import run_task
from benchmarks.tasks import ccneg, valse


@pytest.mark.parametrize(
    "caption",
    [
        "A chair beside the table, with no chair in sight",
        "A man sitting in a chair, but there is no chair",
        "This image features a cup and a fork, but no fork is present",
        "There are two dogs but no dogs",
    ],
)
def test_a_caption_that_denies_what_it_affirms_is_a_contradiction(caption: str) -> None:
    assert defect_of([caption, "a dog"], 1) is RowDefect.CONTRADICTION


@pytest.mark.parametrize(
    "caption",
    [
        "a doughnut without a hole sitting below a light colored doughnut with a hole",
        "a dog with no other dog near it",
        "a man with a tie next to another man with no tie",
        "a person wearing a red shirt , with no sunglasses , in front of two women with sunglasses",
        "the street light with no visible lights",
        "the half of an egg sandwich with no egg sticking out of the front",
        "There are no people with the man.",
        "two dogs, not one dog",
        "the cat, not the reflection of the cat",
        "a dog but no cat",
    ],
)
def test_comparisons_are_no_contradictions(caption: str) -> None:
    assert defect_of([caption, "a bird"], 0) is None


def test_no_phrase_of_negrefcocog_and_one_row_of_valse_have_a_defect(shared_data: Path) -> None:
    phrases = [row["phrase"] for row in json.loads((shared_data / "NegRefCOCOg.json").read_bytes())]
    assert [phrase for phrase in phrases if defect_of([phrase, ""], 0)] == []
    rows = json.loads((shared_data / "valse_existence.json").read_bytes())
    found = {id: defect_of([row["caption"], row["foil"]], 0) for id, row in rows.items()}
    assert [defect for defect in found.values() if defect] == [RowDefect.EQUAL_CAPTIONS]


def test_other_defects() -> None:
    assert defect_of(["There are 4.", "there are 4"], 0) is RowDefect.EQUAL_CAPTIONS
    assert defect_of(["a dog", "a cat", "A cat."], 0) is None  # equal wrong captions leave one right answer
    assert defect_of(["a dog", "a cat (Your Turn!)"], 0) is RowDefect.CHATTER


CHATTER, CONTRADICTION = "a dog (Please rephrase the given caption)", "a dog on a mat, but no dog"


def test_valse_has_a_clean_score(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    foils = ["a cat", CONTRADICTION, CHATTER, "a dog 3", *("a fox" for _ in range(6))]
    rows = {
        f"id{n}": {"image_file": "a.jpg", "caption": f"a dog {n}", "foil": foil, "mturk": {"caption": 1 + n % 3}}
        for n, foil in enumerate(foils)
    }
    monkeypatch.setattr(valse, "ITEMS", {"existence": len(rows)})
    (tmp_path / "existence.json").write_text(json.dumps(rows))
    assert metrics_of("valse-existence", tmp_path, tmp_path / "images") == {"all": 10, "valid": 6, "clean": 7}


def test_ccneg_has_a_clean_score(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ccneg, "PUBLISHED", 6)
    negated = ["a dog but no cat", CHATTER, CONTRADICTION, "a dog without a cat", "a dog not on a mat", "no dog"]
    annotations = [{"json": {"caption": "a dog"}, "sop_data": {"negative-prompt": text}} for text in negated]
    torch.save({"image_paths": ["/x/a.jpg"] * 6, "annotations": annotations}, tmp_path / ccneg.ANNOTATIONS)
    assert metrics_of("ccneg", tmp_path, tmp_path / "images") == {"all": 6, "clean": 4}


def test_contextnegbench_has_a_clean_score(shared_data: Path, tmp_path: Path) -> None:
    folder = tmp_path / "data"
    shutil.copytree(shared_data / "contextnegbench_lite", folder)
    lines = (folder / "annotations.jsonl").read_text().splitlines()
    changed = json.loads(lines[0])
    changed["hard_negative_captions"] = [CHATTER]
    (folder / "annotations.jsonl").write_text("\n".join([json.dumps(changed), *lines[1:]]))
    assert metrics_of("contextnegbench-lite", folder, None) == {"all": 15, "clean": 14}


def metrics_of(name: str, folder: Path, images: Path | None) -> dict[str, int]:
    """Run the task; return the number of items of each score."""
    if images is not None:
        images.mkdir()
        draw_picture(images / "a.jpg", (60, 40), 1)
    (stored,) = run_task(
        TinyModel(1), load_task(name, folder), results_folder=folder / "results", protocols=[Protocol("official")]
    )
    metrics = stored.result["metrics"]
    return {name.removeprefix("accuracy_on_").replace("accuracy", "all"): score["n"] for name, score in metrics.items()}
