"""Ends of a training: diverged, interrupted, on a full disk; and the files after success."""

from __future__ import annotations

import errno
import importlib.metadata
import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from support.clip_models import make_tiny, tiny_config

from trainers.errors import RunRefused, TrainerError
from trainers.loop import checkpoints, finetune
from trainers.loop.checkpoints import FOLDER
from trainers.loop.finetune import Interrupted, run_training
from trainers.loop.validation import Validation
from trainers.models.clip_model import WEIGHTS_FILE, hash_state
from trainers.models.loading import load_model
from trainers.run_files import (
    ENVIRONMENT,
    EXPORT_MANIFEST,
    METRICS,
    TrainingStatus,
    read_metrics,
    read_run,
    read_saved_steps,
)
from trainers.settings import RunConfig, create_run, read_config, write_config


def _run(folder: Path, config: RunConfig) -> Path:
    create_run(folder, config)
    return folder


def _after_steps(count: int) -> Callable[[], bool]:
    """A stop after so many steps; before the first one it is asked by others, too, so steps are counted."""
    steps: list[int] = []
    learn = finetune.Trainer.learn

    def counted(self: finetune.Trainer, batch: Any, step: int) -> float:
        steps.append(step)
        return learn(self, batch, step)

    finetune.Trainer.learn = counted  # type: ignore[method-assign]  # the fixture below puts it back
    return lambda: len(steps) >= count


@pytest.fixture(autouse=True)
def _own_learn(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(finetune.Trainer, "learn", finetune.Trainer.learn)


class TestDiverged:
    @pytest.mark.parametrize(
        "settings",
        [
            {"steps": 1},
            {"steps": 1, "val_share": 0.0, "keep": "last"},
            {"steps": 1, "keep": "last"},
            {"steps": 3, "val_share": 0.0, "keep": "last"},
        ],
    )
    def test_it_is_no_model(self, corpus: Path, tmp_path: Path, settings: dict[str, Any]) -> None:
        folder = _run(tmp_path / "r", tiny_config(corpus, lr=1e30, **settings))
        with pytest.raises(TrainerError, match=r"diverged|the loss is") as caught:
            run_training(folder)
        assert "smaller lr" in caught.value.hint
        assert not (folder / "model").exists()
        assert read_run(folder).status is not TrainingStatus.DONE
        assert "NaN" not in (folder / METRICS).read_text()

    def test_a_loss_that_is_no_number_is_never_the_best(
        self, corpus: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        measured = iter((Validation(9.0, 0.0, 0.0), Validation(float("nan"), 0.0, 0.0)))
        monkeypatch.setattr(finetune.Trainer, "validate", lambda self: next(measured))
        folder = _run(tmp_path / "r", tiny_config(corpus, steps=2))
        with pytest.raises(TrainerError, match="val_loss is nan at step 2"):
            run_training(folder)
        assert not (folder / FOLDER).exists()

    def test_a_weight_that_is_not_finite_fails_the_run(
        self, corpus: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def spoil(self: finetune.Trainer, alpha: float) -> None:
            next(iter(self.weights.values())).data[0] = float("inf")

        monkeypatch.setattr(finetune.Trainer, "interpolate", spoil)
        folder = _run(tmp_path / "r", tiny_config(corpus, steps=2))
        with pytest.raises(TrainerError, match="positional_embedding is not finite"):
            run_training(folder)
        assert not (folder / "model").exists()

    def test_after_a_loss_that_is_no_number_the_saved_state_resumes(
        self, corpus: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """The step with that loss changes nothing, and where it was a fault of the machine, the run ends as another."""
        straight, failed = (_run(tmp_path / name, tiny_config(corpus, steps=6, clip_norm=1.0)) for name in ("s", "f"))
        run_training(straight)
        with monkeypatch.context() as patch, pytest.raises(TrainerError) as caught:
            patch.setattr(finetune.Trainer, "learn", _spoil_loss_of(4))
            run_training(failed)
        expected = "the training diverged: the loss is nan at step 5; the state of step 3 is saved"
        assert caught.value.message == expected
        assert caught.value.hint.endswith("negwb train --resume f repeats the steps after 3")
        assert read_saved_steps(failed) == (3, 6)
        run_training(failed)
        assert (failed / "model" / WEIGHTS_FILE).read_bytes() == (straight / "model" / WEIGHTS_FILE).read_bytes()

    def test_a_loss_that_is_no_number_changes_no_weight(self, corpus: Path, tmp_path: Path) -> None:
        weights: list[tuple[str, str]] = []

        def learn(trainer: finetune.Trainer, batch: Any, step: int) -> float:
            with torch.no_grad():
                trainer.model.model.logit_scale.fill_(float("nan"))
            before = hash_state(trainer.weights)
            loss = original(trainer, batch, step)
            weights.append((before, hash_state(trainer.weights)))
            return loss

        original, finetune.Trainer.learn = finetune.Trainer.learn, learn  # type: ignore[method-assign]
        with pytest.raises(TrainerError, match=r"the loss is nan at step 1$") as caught:
            run_training(_run(tmp_path / "r", tiny_config(corpus, steps=2)))
        assert [before == after for before, after in weights] == [True]
        assert "--resume" not in caught.value.hint, "nothing is saved"

    def test_weights_that_are_not_finite_replace_no_checkpoint(
        self, corpus: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """A loss is measured before its step, so it can be finite where the weights after it are not."""
        learn = finetune.Trainer.learn

        def spoil(trainer: finetune.Trainer, batch: Any, step: int) -> float:
            loss = learn(trainer, batch, step)
            if step == 5:
                with torch.no_grad():
                    trainer.model.model.logit_scale.fill_(float("inf"))
            return loss

        monkeypatch.setattr(finetune.Trainer, "learn", spoil)
        monkeypatch.setattr(finetune.TrainingRun, "_after_step", lambda self, loss, pairs_per_s: None)
        folder = _run(tmp_path / "r", tiny_config(corpus, steps=9, keep_checkpoints=1))
        with pytest.raises(TrainerError, match="logit_scale is not finite at step 6; the state of step 3 is saved"):
            run_training(folder)
        assert read_saved_steps(folder) == (3, 9)


def _spoil_loss_of(step: int) -> Callable[[finetune.Trainer, Any, int], float]:
    learn = finetune.Trainer.learn

    def spoil(trainer: finetune.Trainer, batch: Any, number: int) -> float:
        return float("nan") if number == step else learn(trainer, batch, number)

    return spoil


class TestRefused:
    @pytest.mark.parametrize("device", ["meta", "hpu", "cuda:99", "nonsense"])
    def test_a_device_that_cannot_compute(self, corpus: Path, tmp_path: Path, device: str) -> None:
        config = json.loads(tiny_config(corpus, steps=2).to_text()) | {"device": device}
        folder = _run(tmp_path / "r", RunConfig.from_text(json.dumps(config)))
        with pytest.raises(RunRefused, match=device) as caught:
            run_training(folder)
        assert caught.value.hint == "cpu always works"

    @pytest.mark.usefixtures("own_threads")
    def test_threads_without_cores_unless_the_run_has_begun(
        self, corpus: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """A run that began on more cores is continued with its number of threads, for the same weights."""
        monkeypatch.setattr("trainers.settings.available_cores", lambda: 2)
        folder = _run(tmp_path / "r", tiny_config(corpus, steps=6, threads=2))
        with pytest.raises(Interrupted):
            run_training(folder, stop=_after_steps(3))
        monkeypatch.setattr("trainers.settings.available_cores", lambda: 1)
        run_training(folder)
        with pytest.raises(RunRefused, match="threads = 2"):
            run_training(_run(tmp_path / "new", tiny_config(corpus, steps=6, threads=2)))


class TestInterrupted:
    def test_between_two_batches_of_pictures(
        self, corpus: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """The features that were computed stay, and a resumed run goes on with the rest."""
        monkeypatch.setattr("trainers.features.image_features._BATCH", 4)
        monkeypatch.setattr("trainers.interrupts._MIN_INTERVAL_S", 0.0)
        monkeypatch.setattr("trainers.interrupts._SHARE", 0.0)
        config = json.loads(tiny_config(corpus, steps=2).to_text()) | {"cache": str(tmp_path / "cache")}
        folder = _run(tmp_path / "r", RunConfig.from_text(json.dumps(config)))
        log = folder / "log.txt"
        with pytest.raises(Interrupted):
            run_training(folder, stop=lambda: "encoding pictures 8 of 24" in log.read_text() if log.exists() else False)
        assert read_saved_steps(folder) is None
        run_training(folder)
        assert "features computed 12\n" in log.read_text(), "a batch was under way when it was told of the 8 before"
        assert "reading pictures 24 of 24\n" in log.read_text()

    def test_the_saved_step_is_read_before_the_first_log_line(self, corpus: Path, tmp_path: Path) -> None:
        folder = _run(tmp_path / "r", tiny_config(corpus, steps=20, log_every=10))
        with pytest.raises(Interrupted):
            run_training(folder, stop=_after_steps(3))
        assert ([row["step"] for row in read_metrics(folder)], read_saved_steps(folder)) == ([0], (3, 20))
        assert "stopped at step 3 of 20\n" in (folder / "log.txt").read_text()

    @pytest.mark.usefixtures("own_threads")
    def test_it_goes_on_with_the_threads_that_it_began_with(self, corpus: Path, tmp_path: Path) -> None:
        """The machine chose the thread count, and another count would change the last bits."""
        straight, stopped = (_run(tmp_path / n, tiny_config(corpus, steps=6, threads=None)) for n in ("s", "t"))
        torch.set_num_threads(1)
        run_training(straight)
        with pytest.raises(Interrupted):
            run_training(stopped, stop=_after_steps(3))
        torch.set_num_threads(2)
        assert run_training(stopped)["threads"] == 1
        assert (stopped / "model" / WEIGHTS_FILE).read_bytes() == (straight / "model" / WEIGHTS_FILE).read_bytes()

    def test_in_half_precision_and_in_parts_it_ends_with_the_same_bytes(self, corpus: Path, tmp_path: Path) -> None:
        config = tiny_config(corpus, steps=6, precision="bf16", micro_batch=3)
        straight, stopped, exact = (_run(tmp_path / name, config) for name in ("straight", "stopped", "exact"))
        write_config(exact, tiny_config(corpus, steps=6))
        with pytest.raises(Interrupted):
            run_training(stopped, stop=_after_steps(4))
        for folder in (straight, stopped, exact):
            run_training(folder)
        weights = [(folder / "model" / WEIGHTS_FILE).read_bytes() for folder in (straight, stopped, exact)]
        assert weights[0] == weights[1] != weights[2]
        fp16 = _run(tmp_path / "fp16", tiny_config(corpus, steps=6, precision="fp16"))
        with pytest.raises(RunRefused, match="precision = fp16 on the device cpu"):
            run_training(fp16)

    def test_a_checkpoint_of_another_version_is_refused(
        self, corpus: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        folder = _run(tmp_path / "r", tiny_config(corpus, steps=6, threads=None))
        with monkeypatch.context() as patch, pytest.raises(Interrupted):
            patch.setattr(checkpoints, "FORMAT", 1)
            run_training(folder, stop=_after_steps(3))
        with pytest.raises(TrainerError, match="another version"):
            run_training(folder)


class TestFullDisk:
    def refused(self, folder: Path) -> None:
        with pytest.raises(TrainerError, match="No space left on device") as caught:
            run_training(folder)
        assert caught.value.hint == f"free disk space, then run: negwb train --resume {folder.name}"
        assert "\n" not in caught.value.message

    @pytest.mark.parametrize("where", ["metrics", "checkpoint", "model", "pth", "features"])
    def test_a_full_disk_is_one_line_and_the_run_resumes(
        self, corpus: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, where: str
    ) -> None:
        def full(*arguments: object, **named: object) -> None:
            raise OSError(errno.ENOSPC, "No space left on device")

        def torchs_own(*arguments: object, **named: object) -> None:
            raise RuntimeError("[enforce fail at inline_container.cc:659]: No space left on device\nmore")

        patch_target = {
            "metrics": ("trainers.run_files.RunWriter.metrics", full),
            "checkpoint": ("trainers.loop.checkpoints.save_file", full),
            "model": ("trainers.models.weight_files.save_file", full),
            "pth": ("torch.save", torchs_own),
            "features": ("trainers.features.feature_store.append", full),
        }[where]
        config = json.loads(tiny_config(corpus, save_pth=True, steps=4).to_text()) | {"cache": str(tmp_path / "cache")}
        folder = _run(tmp_path / "r", RunConfig.from_text(json.dumps(config)))
        with monkeypatch.context() as patch:
            patch.setattr(*patch_target)
            self.refused(folder)
        assert not [path for path in folder.rglob("*") if path.name.endswith(".new")], "its room is needed"
        run_training(folder)
        assert read_run(folder).status is TrainingStatus.DONE

    def test_failed_json_that_cannot_be_written_hides_nothing(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
    ) -> None:
        from trainers.__main__ import _failed
        from trainers.run_files import RunWriter

        def full(handle: int) -> None:
            raise OSError(errno.ENOSPC, "No space left on device")

        monkeypatch.setattr(os, "fsync", full)
        assert _failed(RunWriter(tmp_path), "the reason", "the hint") == 6
        assert capsys.readouterr().err == "the reason\nthe hint\n"


def test_what_is_renamed_has_reached_the_disk(corpus: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """After a power cut, model/ must not be there with empty files."""
    synced: list[str] = []
    fsync = os.fsync

    def seen(handle: int) -> None:
        synced.append(os.readlink(f"/proc/self/fd/{handle}"))
        fsync(handle)

    folder = _run(tmp_path / "r", tiny_config(corpus, save_pth=True, steps=1))
    monkeypatch.setattr(os, "fsync", seen)
    run_training(folder)
    new = folder / ".model.new"
    assert {str(new / name) for name in (WEIGHTS_FILE, "open_clip_config.json")} <= set(synced)
    assert {str(new), str(folder / ".model.pth.new")} <= set(synced)


def test_what_made_a_run_is_in_its_folder(corpus: Path, tmp_path: Path) -> None:
    folder = _run(tmp_path / "r", tiny_config(corpus, steps=4, seed=7))
    with pytest.raises(Interrupted):
        run_training(folder, stop=_after_steps(2))
    run_training(folder)
    assert (folder / EXPORT_MANIFEST).read_bytes() == (corpus / "export" / "manifest.json").read_bytes()
    attempts = [json.loads(line) for line in (folder / ENVIRONMENT).read_text().splitlines()]
    assert len(attempts) == 2, "the second may run on another machine"
    for record in attempts:
        assert record["packages"]["torch"] == importlib.metadata.version("torch")
        assert {"negwb", "open_clip_torch", "numpy"} <= record["packages"].keys()
        assert (record["threads"], record["device"]) == (1, "cpu")
    assert read_config(folder).settings.seed == 7


def test_model_pth_holds_the_same_weights(corpus: Path, tmp_path: Path) -> None:
    folder = _run(tmp_path / "r", tiny_config(corpus, save_pth=True, steps=2))
    run_training(folder)
    state = torch.load(folder / "model.pth", weights_only=True)
    assert hash_state(state) == hash_state(load_model(str(folder / "model")).model.state_dict())
    assert set(state) == set(make_tiny().model.state_dict())
    assert not (folder / FOLDER).exists()
