"""A checkpoint that has lost bytes is never resumed from: the one before it takes its place, or the run is refused."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from support.clip_models import tiny_config, zero_block

from trainers.__main__ import main
from trainers.errors import TrainerError
from trainers.loop import finetune
from trainers.loop.checkpoints import FOLDER, DamagedCheckpoint
from trainers.loop.finetune import Interrupted, run_training
from trainers.models.clip_model import WEIGHTS_FILE
from trainers.run_files import TrainingStatus, checkpoints_of, read_run
from trainers.settings import RunConfig, create_run

STEPS = 24


@pytest.fixture(scope="module")
def config(corpus: Path) -> RunConfig:
    """24 steps in epochs of 4, with a checkpoint at the end of each."""
    return tiny_config(corpus, steps=STEPS, checkpoint_every=4, lr=3e-3)


@pytest.fixture(scope="module")
def straight(config: RunConfig, tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """The weights of an uninterrupted run."""
    folder = tmp_path_factory.mktemp("straight") / "r"
    create_run(folder, config)
    run_training(folder)
    return weights(folder)


def weights(folder: Path) -> bytes:
    return (folder / "model" / WEIGHTS_FILE).read_bytes()


def stopped(folder: Path, config: RunConfig, monkeypatch: pytest.MonkeyPatch, *, steps: int = 16) -> Path:
    """Create a run and stop it after so many steps."""
    done: list[int] = []
    learn = finetune.Trainer.learn

    def counted(self: finetune.Trainer, batch: object, step: int) -> float:
        done.append(step)
        return learn(self, batch, step)  # type: ignore[arg-type]

    create_run(folder, config)
    with monkeypatch.context() as patch, pytest.raises(Interrupted):
        patch.setattr(finetune.Trainer, "learn", counted)
        run_training(folder, stop=lambda: len(done) >= steps)
    return folder


def change_position(path: Path) -> None:
    """Change one digit of the header: a run that goes on at another step."""
    data = path.read_bytes()
    assert b'\\"step\\": 16' in data
    path.write_bytes(data.replace(b'\\"step\\": 16', b'\\"step\\": 15', 1))


DAMAGES: list[Callable[[Path], None]] = [
    zero_block,
    change_position,
    lambda path: os.truncate(path, path.stat().st_size // 2),
    lambda path: os.truncate(path, 0),
    lambda path: path.write_bytes(b"\xff" * 5000),
]


def best_of(folder: Path) -> list[Path]:
    return sorted((folder / FOLDER).glob("best-*"))


def test_the_newest_checkpoints_stay_with_their_best_weights(
    config: RunConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = stopped(tmp_path / "r", config, monkeypatch, steps=19)
    assert list(checkpoints_of(folder)) == [19, 16]
    assert 1 <= len(best_of(folder)) <= 2
    assert len(list((folder / FOLDER).iterdir())) == 2 + len(best_of(folder)), "no draft stays"


@pytest.mark.parametrize("damage", [DAMAGES[0], *(pytest.param(each, marks=pytest.mark.long) for each in DAMAGES[1:])])
def test_a_damaged_checkpoint_is_replaced_by_the_one_before(
    config: RunConfig,
    straight: bytes,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    damage: Callable[[Path], None],
) -> None:
    folder = stopped(tmp_path / "r", config, monkeypatch)
    damage(checkpoints_of(folder)[16])
    run_training(folder)
    log = (folder / "log.txt").read_text()
    assert log.count("step-000000016.safetensors is damaged: ") == 1
    assert "resumed at step 12 of 24\n" in log
    assert weights(folder) == straight


def test_without_an_intact_checkpoint_the_run_is_refused_in_one_line(
    config: RunConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    folder = stopped(tmp_path / "r", config, monkeypatch)
    for path in checkpoints_of(folder).values():
        zero_block(path)
    with pytest.raises(DamagedCheckpoint, match="is damaged") as caught:
        run_training(folder)
    assert str(folder / FOLDER) in caught.value.hint
    assert main([str(folder)]) == 6
    assert len(capfd.readouterr().err.splitlines()) == 2, "the message and the hint"
    assert read_run(folder).status is TrainingStatus.FAILED


@pytest.mark.long
def test_damaged_best_weights_make_their_checkpoints_unusable(
    config: RunConfig, straight: bytes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The end of the run needs them; the run goes back to a checkpoint that does not, or is refused at once."""
    config = replace(config, settings=replace(config.settings, checkpoint_every=3))
    folder = stopped(tmp_path / "r", config, monkeypatch, steps=6)
    assert list(checkpoints_of(folder)) == [6, 3], "the first epoch ends between them"
    zero_block(best_of(folder)[0])
    run_training(folder)
    log = (folder / "log.txt").read_text()
    assert log.count("best-000000004.safetensors is damaged: ") == 1
    assert "resumed at step 3 of 24\n" in log
    assert weights(folder) == straight


def test_best_weights_that_are_damaged_at_the_end_fail_the_run_which_can_be_resumed(
    config: RunConfig, straight: bytes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "r"
    create_run(folder, config)
    load_best = finetune.load_best

    def damaged(folder: Path, step: int, weights: object) -> None:
        zero_block(best_of(folder)[-1])
        load_best(folder, step, weights)  # type: ignore[arg-type]

    with monkeypatch.context() as patch, pytest.raises(DamagedCheckpoint) as caught:
        patch.setattr(finetune, "load_best", damaged)
        run_training(folder)
    assert caught.value.hint.endswith("negwb train --resume r")
    assert not (folder / "model").exists()
    run_training(folder)
    assert weights(folder) == straight


def test_a_run_that_goes_back_removes_the_checkpoints_after_it(
    config: RunConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = stopped(tmp_path / "r", config, monkeypatch)
    zero_block(checkpoints_of(folder)[16])
    with pytest.raises(Interrupted):
        run_training(folder, stop=lambda: (folder / "log.txt").read_text().endswith("resumed at step 12 of 24\n"))
    assert list(checkpoints_of(folder)) == [13, 12], "16 was damaged, and 13 is the newest of this attempt"


def test_a_checkpoint_of_a_former_version_is_named(
    config: RunConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = stopped(tmp_path / "r", config, monkeypatch)
    newest = checkpoints_of(folder)[16]
    newest.rename(newest.with_name("latest.safetensors"))
    with pytest.raises(TrainerError, match="another version"):
        run_training(folder)
