"""Tests of the demo's tiny CLIP and of the script that trains it."""

from __future__ import annotations

import gzip
import json
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path

import pytest
import torch
from open_clip.tokenizer import SimpleTokenizer
from safetensors import safe_open

from trainers.models.loading import load_model
from workbench.demo.experiment.base_model import FOLDER, MODEL_CONFIG, TOLERANCE, BaseRecipe, save_base, train_base
from workbench.demo.experiment.exam import TEST, encode_exam, exam_accuracies, grade
from workbench.demo.experiment.vocabulary import BPE_FILE, write_vocabulary

WEIGHTS = "open_clip_model.safetensors"


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    """One thread, as in the script; two threads wait for each other if another program uses a core."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def test_the_shipped_model_is_small_and_half_precision() -> None:
    assert (FOLDER / WEIGHTS).stat().st_size <= 1_400_000
    with safe_open(FOLDER / WEIGHTS, framework="pt") as file:
        kinds = {file.get_tensor(name).dtype for name in file.keys()}  # noqa: SIM118 -- no mapping
    assert kinds <= {torch.float16, torch.int64}


def test_the_shipped_model_matches_the_script() -> None:
    data = json.loads((FOLDER / "metrics.json").read_text())
    assert data["recipe"] == asdict(BaseRecipe())
    config = json.loads((FOLDER / "open_clip_config.json").read_text())["model_cfg"]
    size = config["text_cfg"]["vocab_size"]
    assert config == MODEL_CONFIG | {"text_cfg": MODEL_CONFIG["text_cfg"] | {"vocab_size": size}}
    assert size == SimpleTokenizer(bpe_path=str(FOLDER / BPE_FILE)).vocab_size


def test_the_vocabulary_has_only_the_words_of_the_demo(tmp_path: Path) -> None:
    again = gzip.decompress(write_vocabulary(tmp_path).read_bytes())
    assert again == gzip.decompress((FOLDER / BPE_FILE).read_bytes())


def test_the_model_recognises_things_but_not_negation() -> None:
    model = load_model(str(FOLDER))
    marks = grade(model, encode_exam(model, TEST, scenes=60, retrieval=10)).percent()
    assert (marks["affirm"] >= 95, marks["negref"] <= 10) == (True, True)


def test_the_script_makes_the_same_bytes_again(tmp_path: Path) -> None:
    recipe = BaseRecipe(pictures=32, epochs=1, batch=16)
    tokenizer = SimpleTokenizer(bpe_path=str(FOLDER / BPE_FILE), context_length=40)
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        save_base(train_base(tokenizer, recipe), tmp_path / name, tokenizer.vocab_size)
    assert (tmp_path / "one" / WEIGHTS).read_bytes() == (tmp_path / "two" / WEIGHTS).read_bytes()
    (tmp_path / "one" / BPE_FILE).write_bytes((FOLDER / BPE_FILE).read_bytes())
    assert load_model(str(tmp_path / "one")).encode_texts(["a dog"]).shape == (1, 64)


@pytest.mark.long
def test_the_shipped_figures_match_the_model() -> None:
    data = json.loads((FOLDER / "metrics.json").read_text())
    for name, value in exam_accuracies(load_model(str(FOLDER))).items():
        assert value == pytest.approx(data[name], abs=TOLERANCE), name
