"""Runs with a routed model: trained with `routed`, or made of a finished run."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from support.clip_models import make_tiny, tiny_config

from trainers.errors import ModelRefused, TrainerError
from trainers.loop.finetune import run_training
from trainers.models.loading import load_model
from trainers.models.routed import RoutedClipModel, route_models
from trainers.models.saving import save_model
from trainers.routed_run import save_routed_folder, save_routed_run
from trainers.run_files import TrainingStatus, read_metrics, read_run
from trainers.settings import RunConfig, create_run, read_config

TEXTS = ["a dog", "a dog without a hat"]


def train(folder: Path, config: RunConfig) -> Path:
    create_run(folder, config)
    run_training(folder)
    return folder


@pytest.fixture(scope="module")
def plain(corpus: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished run on the tiny model."""
    return train(tmp_path_factory.mktemp("plain") / "plain", tiny_config(corpus, steps=4))


@pytest.fixture(scope="module")
def routed(corpus: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same run with a routed model."""
    config = replace(tiny_config(corpus, steps=4), routed=True, save_hf=True)
    return train(tmp_path_factory.mktemp("routed") / "routed", config)


def test_a_training_saves_its_base_and_what_it_trained(corpus: Path, plain: Path, routed: Path) -> None:
    base, trained, model = (load_model(str(path)) for path in (corpus / "model", plain / "model", routed / "model"))
    assert isinstance(model, RoutedClipModel)
    assert (model.base.model_hash, model.tuned.model_hash) == (base.model_hash, trained.model_hash)
    assert torch.equal(model.encode_texts(TEXTS)[:1], base.encode_texts(TEXTS)[:1])
    result = read_run(routed).result
    assert result["base"]["model_hash"] == base.model_hash
    assert result["model"]["model_hash"] == model.model_hash
    assert result["model"]["routed"]["tuned"] == trained.model_hash
    theirs = load_model(str(routed / "hf"))
    torch.testing.assert_close(theirs.encode_texts(TEXTS), trained.encode_texts(TEXTS), rtol=0, atol=1e-6)


def test_a_base_that_changes_during_the_training_is_refused(corpus: Path, tmp_path: Path) -> None:
    save_model(make_tiny(), tmp_path / "base")
    config = replace(tiny_config(corpus, steps=2), model=str(tmp_path / "base"), routed=True)
    create_run(tmp_path / "run", config)

    def replace_base() -> bool:
        save_model(make_tiny(5), tmp_path / "base")
        return False

    with pytest.raises(TrainerError, match="has changed since the training started"):
        run_training(tmp_path / "run", stop=replace_base)
    assert not (tmp_path / "run" / "model").exists()


def test_a_routed_model_cannot_be_trained_and_its_tuned_part_can(corpus: Path, routed: Path, tmp_path: Path) -> None:
    config = replace(tiny_config(corpus, steps=1), model=str(routed / "model"))
    create_run(tmp_path / "refused", config)
    with pytest.raises(ModelRefused, match="cannot be trained") as caught:
        run_training(tmp_path / "refused")
    assert f"tuned:{routed / 'model'}" in caught.value.hint
    further = train(tmp_path / "further", replace(config, model=f"tuned:{routed / 'model'}"))
    base = read_run(further).result["base"]
    assert base["model_hash"] == load_model(f"tuned:{routed / 'model'}").model_hash


def test_a_finished_run_becomes_a_routed_run(corpus: Path, plain: Path, routed: Path, tmp_path: Path) -> None:
    base = str(corpus / "model")
    model = route_models(load_model(base), load_model(str(plain / "model")), name=str(tmp_path / "new/model"))
    result = save_routed_run(plain, model, tmp_path / "new", base=base)
    state = read_run(tmp_path / "new")
    assert state.status is TrainingStatus.DONE
    assert state.result == result
    assert result["routed_from"] == "plain"
    assert read_metrics(tmp_path / "new") == read_metrics(plain)
    assert read_config(tmp_path / "new") == replace(read_config(plain), routed=True)
    assert load_model(str(tmp_path / "new/model")).model_hash == load_model(str(routed / "model")).model_hash
    assert {path.name for path in tmp_path.iterdir()} == {"new"}
    with pytest.raises(TrainerError, match="exists already"):
        save_routed_run(plain, model, tmp_path / "new", base=base)


def test_a_full_disk_leaves_nothing(corpus: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def no_space(*_: object) -> None:
        raise OSError(28, "No space left on device")

    base = load_model(str(corpus / "model"))
    monkeypatch.setattr("trainers.models.routed_folder._write_package", no_space)
    with pytest.raises(TrainerError, match="cannot be written: No space left"):
        save_routed_folder(route_models(base, base), tmp_path / "new")
    assert list(tmp_path.iterdir()) == []
