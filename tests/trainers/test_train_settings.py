"""Settings round-trip through JSON, contradictions are refused, the defaults are the published recipe."""

from __future__ import annotations

import errno
import json
import os
from pathlib import Path
from typing import Any

import pytest

from trainers.errors import RunRefused, TrainerError
from trainers.settings import RunConfig, TrainSettings, available_cores, check_threads, create_run, read_config


def test_the_defaults_are_the_published_recipe() -> None:
    s = TrainSettings()
    assert (s.lr, s.weight_decay, s.betas, s.batch, s.epochs) == (1e-6, 0.01, (0.9, 0.999), 512, 15)
    assert (s.frozen, s.schedule, s.warm_up, s.clip_norm) == (("visual.", "ln_final."), "constant", 0.0, None)
    assert (s.replay_share, s.same_image_mask, s.interpolation, s.keep) == (0.0, False, 1.0, "best")


def test_settings_survive_json() -> None:
    s = TrainSettings(steps=7, schedule="cosine", clip_norm=1.0, replay_share=0.5, replay_pool="x", threads=1)
    assert TrainSettings.from_dict(json.loads(json.dumps(s.to_dict()))) == s
    whole = TrainSettings.from_dict({"lr": 1, "betas": [0, 0.9]}).to_dict()
    assert json.dumps([whole["lr"], whole["betas"]]) == "[1, [0, 0.9]]", "else a resumed run has another fingerprint"


@pytest.mark.parametrize(
    "wrong",
    [
        {"lr": 0.0},
        {"batch": 1},
        {"micro_batch": 0},
        {"precision": "fp8"},
        {"replay_pool": "x"},
        {"replay_share": 1.0},
        {"lora_rank": 0},
        {"lora_rank": 4, "lora_alpha": 0.0},
        {"lora_targets": ("attn",)},
        {"objective": "other"},
        {"objective": "conclip", "replay_share": 0.5},
        {"objective": "conclip", "hard_pictures": 5},
        {"objective": "conclip", "false_captions": True},
        {"batch": 2, "replay_share": 0.9},
        {"val_share": 0.0},
        {"anchor_weight": 1.0},
        {"interpolation": 0.0},
        {"interpolation_max_loss": -0.1},
        {"interpolation_max_loss": 1.0},
        {"interpolation_max_loss": float("nan")},
        {"interpolation_max_loss": 0.1, "val_share": 0.0, "keep": "last"},
        {"interpolation_max_loss": 0.1, "guard_images": 1},
        {"interpolation_max_loss": 0.1, "split": "caption"},
        {"warm_up": 1.0},
        {"schedule": "square"},
        {"threads": 0},
        {"steps": 0},
        {"betas": (0.9, 1.0)},
        {"betas": (0.9, float("nan"))},
        {"seed": -1},
        {"seed": 2**63},
        {"frozen": ()},
        {"split": "pair"},
        {"split": "caption", "seed": 2**32},
        {"logit_scale_max": 0.0},
        {"patience": 0},
        {"patience": 1, "val_share": 0.0, "keep": "last"},
    ],
)
def test_contradictions_are_refused_in_one_line(wrong: dict[str, Any]) -> None:
    with pytest.raises(TrainerError, match="train settings: ") as caught:
        TrainSettings(**wrong)
    assert "\n" not in caught.value.message


def test_conclip_takes_a_pool_without_replay() -> None:
    assert TrainSettings(objective="conclip", replay_pool="x").replay_share == 0


def test_an_unknown_setting_is_named() -> None:
    with pytest.raises(TrainerError, match="unknown key learning_rate"):
        TrainSettings.from_dict({"learning_rate": 1})


def test_a_run_folder_is_made_once(tmp_path: Path) -> None:
    config = RunConfig(model="m", export="e", pictures={"s": ("a", "b")}, cache="c", settings=TrainSettings(steps=3))
    create_run(tmp_path / "r", config)
    assert read_config(tmp_path / "r") == config
    with pytest.raises(TrainerError, match="exists"):
        create_run(tmp_path / "r", config)
    with pytest.raises(TrainerError, match="is not a run folder"):
        read_config(tmp_path)


@pytest.mark.parametrize("content", [b'{"format": ' + b"[" * 200_000, b"\xff", b"[1]", b'{"format": []}', b"9" * 9_999])
def test_a_config_that_is_none_is_one_clear_error(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "config.json").write_bytes(content)
    with pytest.raises(TrainerError, match=r"^config\.json is damaged: .+$"):
        read_config(tmp_path)


def test_an_older_config_is_read(tmp_path: Path) -> None:
    """device and save_pth are younger than the format."""
    values = json.loads(RunConfig(model="m", export="e", cache="c").to_text())
    del values["device"], values["save_pth"]
    config = RunConfig.from_text(json.dumps(values))
    assert (config.device, config.save_pth) == ("cpu", False)


def test_a_config_with_a_key_of_a_later_version_is_read(tmp_path: Path) -> None:
    content = json.loads(RunConfig(model="m", export="e", cache="c").to_text())
    assert RunConfig.from_text(json.dumps(content | {"later": 1})) == RunConfig(model="m", export="e", cache="c")
    content["settings"]["later"] = 1
    with pytest.raises(TrainerError, match="train settings: unknown key later"):
        RunConfig.from_text(json.dumps(content))


@pytest.mark.parametrize("left", ["folder", "file", "link"])
def test_a_taken_name_is_refused(tmp_path: Path, left: str) -> None:
    folder = tmp_path / "r"
    {"folder": folder.mkdir, "file": folder.touch, "link": lambda: folder.symlink_to("nowhere")}[left]()
    with pytest.raises(TrainerError, match="exists already"):
        create_run(folder, RunConfig(model="m", export="e", cache="c"))
    assert [path.name for path in tmp_path.iterdir()] == ["r"]


def test_a_full_disk_leaves_no_husk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Else the name is taken by something that can neither be begun again nor resumed."""
    config, folder = RunConfig(model="m", export="e", cache="c"), tmp_path / "runs" / "r"

    def full(handle: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    match = "cannot be written: No space left"
    with monkeypatch.context() as patch, pytest.raises(TrainerError, match=match) as caught:
        patch.setattr(os, "fsync", full)
        create_run(folder, config)
    assert "\n" not in caught.value.message
    assert not list((tmp_path / "runs").iterdir())
    create_run(folder, config)
    assert read_config(folder) == config


def test_more_threads_than_cores_are_refused_for_a_new_run() -> None:
    """The settings themselves are valid: a run folder may come from a larger machine."""
    cores = available_cores()
    check_threads(TrainSettings())
    check_threads(TrainSettings(threads=cores))
    with pytest.raises(RunRefused, match=f"threads = {cores + 1}, and this process may use {cores} cores"):
        check_threads(TrainSettings(threads=cores + 1))


def test_non_finite_numbers_are_refused() -> None:
    for values in (
        {"lr": float("inf")},
        {"lr": 1e300},
        {"clip_norm": float("nan")},
        {"weight_decay": float("inf")},
    ):
        with pytest.raises(TrainerError, match="must be finite"):
            TrainSettings.from_dict(values)
    with pytest.raises(TrainerError, match=r"lr = 1000.*: a number is expected"):
        TrainSettings.from_dict({"lr": 10**400})
    with pytest.raises(TrainerError, match="image tower cannot be trained"):
        TrainSettings(frozen=("ln_final.",))
    TrainSettings(frozen=("visual",), seed=2**63 - 1)
