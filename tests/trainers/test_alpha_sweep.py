"""Interpolation of a finished run with its base: the ends are the two models, and the validation is that of the run."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from support.clip_models import make_tiny, tiny_config

from trainers.alpha_sweep import InterpolatedModel, interpolation_of, save_interpolated_run, validator_of
from trainers.errors import TrainerError
from trainers.loop.finetune import run_training
from trainers.models.clip_model import ClipModel
from trainers.models.loading import load_model
from trainers.run_files import RunWriter, TrainingStatus, read_metrics, read_run
from trainers.settings import create_run, read_config


@pytest.fixture(scope="module")
def run(corpus: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished run with validation."""
    folder = tmp_path_factory.mktemp("sweep") / "mine"
    create_run(folder, tiny_config(corpus, epochs=1, val_share=0.3, keep="last"))
    run_training(folder)
    return folder


@pytest.fixture
def models(corpus: Path, run: Path) -> tuple[ClipModel, ClipModel]:
    return load_model(str(corpus / "model")), load_model(str(run / "model"))


def test_the_ends_are_the_two_models(models: tuple[ClipModel, ClipModel]) -> None:
    base, tuned = models
    hashes = base.model_hash, tuned.model_hash
    interpolated = InterpolatedModel(base, tuned)
    for alpha, expected in ((0.0, hashes[0]), (1.0, hashes[1])):
        interpolated.set_alpha(alpha)
        assert interpolated.model.model_hash == expected
    interpolated.set_alpha(0.5)
    assert interpolated.model.model_hash not in hashes
    assert interpolated.model.visual_hash == base.visual_hash
    assert not torch.equal(interpolated.model.model.logit_scale, base.model.logit_scale), "logit_scale was trained"


def test_the_validation_at_the_ends_is_that_of_the_run(run: Path, models: tuple[ClipModel, ClipModel]) -> None:
    before = sorted((path, path.stat().st_mtime_ns) for path in run.rglob("*"))
    interpolated = InterpolatedModel(*models)
    lines: list[str] = []
    validator = validator_of(read_config(run), interpolated.model, lines.append)
    assert validator is not None
    result = read_run(run).result
    for alpha, name in ((0.0, "validation_base"), (1.0, "validation")):
        interpolated.set_alpha(alpha)
        assert validator.measure(interpolated.model).to_row() == pytest.approx(result[name], rel=1e-6)
    assert any("pairs from" in line for line in lines)
    assert sorted((path, path.stat().st_mtime_ns) for path in run.rglob("*")) == before, "no file of the run is written"


def test_a_run_without_validation_has_no_validator(corpus: Path, models: tuple[ClipModel, ClipModel]) -> None:
    config = tiny_config(corpus, val_share=0.0, keep="last")
    assert validator_of(config, models[0], lambda line: None) is None


def test_the_saved_run_is_a_model(run: Path, models: tuple[ClipModel, ClipModel], tmp_path: Path) -> None:
    base, tuned = models
    expected = {
        name: torch.lerp(value, tuned.model.state_dict()[name], 0.25)
        for name, value in base.model.state_dict().items()
        if value.is_floating_point()
    }
    interpolated = InterpolatedModel(base, tuned)
    interpolated.set_alpha(0.25)
    folder = tmp_path / "mine-alpha-0.25"
    save_interpolated_run(run, interpolated.model, 0.25, folder, {"val_loss": 1.0})
    saved, state = load_model(str(folder / "model")), read_run(folder)
    for name, value in expected.items():
        assert torch.equal(saved.model.state_dict()[name], value), name
    assert state.status is TrainingStatus.DONE
    assert state.result["model"]["model_hash"] == saved.model_hash
    assert state.result["base"] == read_run(run).result["base"]
    assert state.result["interpolated_from"] == {"run": "mine", "alpha": 0.25}
    assert state.result["validation"] == {"val_loss": 1.0}
    assert read_config(folder).settings.interpolation == 0.25
    assert read_metrics(folder) == read_metrics(run)
    with pytest.raises(TrainerError, match="exists already"):
        save_interpolated_run(run, interpolated.model, 0.25, folder, {})


def test_the_model_of_a_run_may_be_interpolated_already(run: Path, tiny: ClipModel, tmp_path: Path) -> None:
    """GIVEN a run of which 0.6 of the change was saved THEN alpha = 0.5 is 0.3 of the change."""
    config = read_config(run)
    create_run(tmp_path / "chosen", config)
    assert interpolation_of(config.settings, tmp_path / "chosen") == 1
    RunWriter(tmp_path / "chosen").end("done.json", {"interpolation": {"alpha": 0.6}})
    assert interpolation_of(config.settings, tmp_path / "chosen") == 0.6
    save_interpolated_run(tmp_path / "chosen", tiny, 0.5, tmp_path / "saved", {})
    assert read_config(tmp_path / "saved").settings.interpolation == pytest.approx(0.3)


def test_other_image_and_text_towers_are_refused(corpus: Path, models: tuple[ClipModel, ClipModel]) -> None:
    with pytest.raises(TrainerError, match="different image towers"):
        InterpolatedModel(make_tiny(7), models[1])
    shallow = make_tiny(layers=1)
    shallow.model.visual = models[1].model.visual
    with pytest.raises(TrainerError, match="cannot be interpolated"):
        InterpolatedModel(shallow, models[1])
