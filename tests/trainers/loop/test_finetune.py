"""A training ends with the same bytes whether it was killed or not, and open_clip loads its model."""

from __future__ import annotations

import json
import random
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import open_clip
import pytest
import torch
from PIL import Image
from support.clip_models import draw_pictures, freeze, tiny_config, zero_block
from torch.nn.functional import cross_entropy

from curation_db.exporting.manifest import ExportItem
from trainers.data.dataset import write_pool
from trainers.data.training_data import load, tables
from trainers.errors import TrainerError
from trainers.features.image_features import ImageFeatures
from trainers.loop.batches import BatchSource
from trainers.loop.finetune import Interrupted, run_training, trained_weights
from trainers.models.loading import load_model
from trainers.run_files import METRICS, RunWriter, TrainingStatus, checkpoints_of, read_metrics, read_run
from trainers.settings import Precision, RunConfig, TrainSettings, create_run

STEPS = 40


@pytest.fixture(scope="session")
def pool(corpus: Path) -> Path:
    """A replay pool of ten images."""
    paths = draw_pictures(corpus / "pool", 10, seed=9)
    write_pool(corpus / "pool" / "pool.jsonl", [(path.name, ("a dog", "a cat with a hat")) for path in paths])
    return corpus / "pool" / "pool.jsonl"


@pytest.fixture(scope="session")
def rich(corpus: Path, pool: Path) -> RunConfig:
    """A recipe that uses everything that has a state or an order."""
    # fmt: off
    return tiny_config(
        corpus, steps=STEPS, schedule="cosine", warm_up=0.1, clip_norm=1.0, replay_share=0.5, replay_pool=str(pool),
        same_image_mask=True, hard_pictures=5, anchor_weight=0.5, interpolation=0.9, micro_batch=5,
    )
    # fmt: on


@pytest.fixture(scope="session")
def straight(rich: RunConfig, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An uninterrupted run."""
    folder = tmp_path_factory.mktemp("runs") / "straight"
    create_run(folder, rich)
    run_training(folder)
    return folder


def _weights(folder: Path) -> bytes:
    return (folder / "model" / "open_clip_model.safetensors").read_bytes()


def _without_times(folder: Path) -> list[dict[str, Any]]:
    return [{k: v for k, v in row.items() if k not in ("seconds", "pairs_per_s")} for row in read_metrics(folder)]


def _wait_for_step(folder: Path, step: int, process: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + 60
    while read_run(folder).step < step:
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < deadline
        time.sleep(0.002)


_SLOW = """
import itertools, sys, time
from pathlib import Path
from trainers.__main__ import main
from trainers.loop.finetune import Trainer

hold, learn, steps = Path(sys.argv[2]), Trainer.learn, itertools.count(1)

def slowly(self, batch, step):
    time.sleep(0.03)
    if next(steps) > 5:
        while hold.exists():
            time.sleep(0.01)
    return learn(self, batch, step)

Trainer.learn = slowly
sys.exit(main([sys.argv[1]]))
"""


def _start(folder: Path, *, hold: Path = Path("none")) -> subprocess.Popen[bytes]:
    """A child that takes 30 ms per step, so that a kill lands in the middle; before its sixth it waits for `hold`."""
    return subprocess.Popen([sys.executable, "-c", _SLOW, str(folder), str(hold)], stderr=subprocess.PIPE)


@pytest.mark.timeout(300)
@pytest.mark.long
@pytest.mark.parametrize(("precision", "damaged"), [("fp32", False), ("fp32", True), ("bf16", False)])
def test_killed_at_three_random_steps_it_ends_with_the_same_bytes(
    rich: RunConfig, tmp_path: Path, precision: Precision, damaged: bool
) -> None:
    """With `damaged`, each kill also loses a block of the newest checkpoint."""
    config = replace(rich, settings=replace(rich.settings, precision=precision))
    straight, folder = tmp_path / "straight", tmp_path / "killed"
    create_run(straight, config)
    run_training(straight)
    create_run(folder, config)
    for step in sorted(random.Random().sample(range(1, STEPS - 5), 3)):
        process = _start(folder)
        _wait_for_step(folder, step, process)
        process.kill()
        process.communicate()
        assert process.returncode == -signal.SIGKILL
        assert read_run(folder).status is TrainingStatus.STOPPED
        saved = list(checkpoints_of(folder).values())
        if damaged and len(saved) > 1:
            zero_block(saved[0])
    with (folder / METRICS).open("ab") as file:
        file.write(b'{"step": 39, "lo')
    process = _start(folder)
    assert process.communicate()[1] == b""
    assert process.returncode == 0
    assert _weights(folder) == _weights(straight)
    assert _without_times(folder) == _without_times(straight)
    assert read_run(folder).status is TrainingStatus.DONE


@pytest.mark.long
def test_a_signal_saves_the_state_and_exits_130(rich: RunConfig, straight: Path, tmp_path: Path) -> None:
    hold = tmp_path / "hold"
    hold.touch()
    folder = tmp_path / "stopped"
    create_run(folder, rich)
    process = _start(folder, hold=hold)
    _wait_for_step(folder, 4, process)
    second = subprocess.run([sys.executable, "-m", "trainers", str(folder)], capture_output=True, check=False)
    assert (second.returncode, b"another process" in second.stderr) == (2, True)
    process.send_signal(signal.SIGINT)
    hold.unlink()
    process.communicate()
    assert process.returncode == 130
    assert checkpoints_of(folder)
    run_training(folder)
    assert _weights(folder) == _weights(straight)


def test_stopping_at_every_step_changes_nothing(rich: RunConfig, straight: Path, tmp_path: Path) -> None:
    folder = tmp_path / "often"
    create_run(folder, rich)
    for _ in range(5):
        with pytest.raises(Interrupted):
            run_training(folder, stop=lambda: True)
    run_training(folder)
    assert _weights(folder) == _weights(straight)


def test_what_is_frozen_stays_and_the_rest_moves(straight: Path, rich: RunConfig) -> None:
    before, after = load_model(rich.model), load_model(str(straight / "model"))
    assert before.visual_hash == after.visual_hash
    moved = {
        name
        for (name, one), other in zip(before.model.state_dict().items(), after.model.state_dict().values(), strict=True)
        if not torch.equal(one, other)
    }
    assert moved == set(trained_weights(before.model, rich.settings.frozen))
    assert "logit_scale" in moved
    assert not any(name.startswith(("visual.", "ln_final.")) for name in moved)


def test_run_folder_files_describe_the_run(straight: Path) -> None:
    rows = read_metrics(straight)
    assert [row["step"] for row in rows] == list(range(STEPS + 1))
    assert {"step", "steps", "epoch", "loss", "lr", "logit_scale", "pairs_per_s", "seconds"} <= rows[1].keys()
    assert "val_loss" in rows[-1]
    done = json.loads((straight / "done.json").read_text())
    assert done["steps"] == STEPS
    assert done["model"]["model_hash"] == load_model(str(straight / "model")).model_hash
    assert done["criterion"] == "loss"
    assert done["best_value"] == min(row["val_loss"] for row in rows[1:] if "val_loss" in row)


def test_the_best_epoch_is_kept(corpus: Path, tmp_path: Path) -> None:
    create_run(tmp_path / "r", tiny_config(corpus, epochs=3, lr=3e-2))
    done = run_training(tmp_path / "r")
    _, *rows = read_metrics(tmp_path / "r")
    losses = {row["step"]: row["val_loss"] for row in rows if "val_loss" in row}
    assert len(losses) == 3
    assert done["kept_step"] == min(losses, key=lambda step: losses[step])


def test_a_second_training_reads_no_pixel(corpus: Path, tmp_path: Path) -> None:
    for name in ("a", "b"):
        create_run(tmp_path / name, tiny_config(corpus, steps=2))
        run_training(tmp_path / name)
    assert "features computed 0" in (tmp_path / "b" / "log.txt").read_text()
    assert _weights(tmp_path / "a") == _weights(tmp_path / "b")


def test_another_recipe_does_not_resume(rich: RunConfig, corpus: Path, tmp_path: Path) -> None:
    folder = tmp_path / "r"
    create_run(folder, rich)
    with pytest.raises(Interrupted):
        run_training(folder, stop=lambda: True)
    (folder / "config.json").write_text(tiny_config(corpus, steps=STEPS).to_text())
    with pytest.raises(TrainerError, match="changed since"):
        run_training(folder)


def test_a_failure_is_reported_in_one_line(corpus: Path, tmp_path: Path) -> None:
    from trainers.__main__ import main

    create_run(tmp_path / "r", RunConfig(model=str(tmp_path), export=str(corpus / "export"), cache=str(tmp_path / "c")))
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        assert main([str(tmp_path / "r")]) == 6
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
    state = read_run(tmp_path / "r")
    assert (state.status, "open_clip_config.json" in state.result["message"]) == (TrainingStatus.FAILED, True)


@pytest.mark.long  # 20 s: 600 MB of weights, written three times
def test_vit_b_32_from_an_openai_file_is_trained_and_loads_in_open_clip(tmp_path: Path) -> None:
    torch.manual_seed(0)
    base = open_clip.create_model("ViT-B-32-quickgelu").eval()
    torch.save(base.state_dict(), tmp_path / "base.pth")
    paths = draw_pictures(tmp_path / "pictures", 4)
    texts = ["a dog with no hat", "no cat", "a tree without a ball", "nothing red"]
    items = [
        ExportItem(key=t, source="s", image_key=p.name, file_name=p.name, text=t)
        for p, t in zip(paths, texts, strict=True)
    ]
    freeze(tmp_path / "export", items)
    settings = TrainSettings(steps=1, batch=4, lr=1e-4, val_share=0, keep="last")
    config = RunConfig(
        model=f"quickgelu:{tmp_path / 'base.pth'}",
        export=str(tmp_path / "export"),
        pictures={"s": (str(tmp_path / "pictures"),)},
        cache=str(tmp_path / "cache"),
        save_pth=True,
        settings=settings,
    )
    create_run(tmp_path / "r", config)
    done = run_training(tmp_path / "r")
    assert (done["model"]["arch"], done["model"]["activation"]) == ("ViT-B-32", "quickgelu")
    ours = load_model(str(tmp_path / "r" / "model"))
    theirs = open_clip.create_model("ViT-B-32-quickgelu", pretrained=str(tmp_path / "r" / "model.pth")).eval()
    ids, picture = open_clip.get_tokenizer("ViT-B-32")(texts), Image.open(paths[0])
    with torch.inference_mode():
        expected = theirs.encode_text(ids, normalize=True)
        before = base.encode_text(ids, normalize=True)
        image = theirs.encode_image(ours.preprocess(picture)[None], normalize=True)
        torch.testing.assert_close(ours.encode_texts(texts), expected, atol=2e-6, rtol=0)
        torch.testing.assert_close(ours.encode_images([picture]), image, atol=2e-6, rtol=0)
    assert (expected - before).abs().max() > 1e-3
    local = open_clip.create_model(f"local-dir:{tmp_path / 'r' / 'model'}").eval()
    with torch.inference_mode():  # equal weights under the other activation would say something else
        torch.testing.assert_close(local.encode_text(ids, normalize=True), expected, atol=2e-6, rtol=0)
    assert all(
        torch.equal(a, b) for a, b in zip(local.state_dict().values(), theirs.state_dict().values(), strict=True)
    )


def test_own_captions_are_not_negatives_of_the_texts_of_their_image(corpus: Path, tmp_path: Path) -> None:
    """Without same_image_mask, too; with one batch of all images, an unmasked loss has ln 2 as its floor."""
    config = tiny_config(corpus, steps=1, batch=96, replay_share=0.5, val_share=0, keep="last")
    losses = {}
    for name, settings in {"own": {}, "masked": {"same_image_mask": True}, "published": {"replay_share": 0.0}}.items():
        folder = tmp_path / name
        create_run(folder, replace(config, settings=replace(config.settings, **settings)))
        run_training(folder)
        losses[name] = read_metrics(folder)[-1]["loss"]
    assert len(set(losses.values())) == 3
    assert losses["own"] == pytest.approx(_own_caption_loss(config), abs=1e-5)


def _own_caption_loss(config: RunConfig) -> float:
    """The first loss, with the mask written out: replayed rows against negated rows of the same image."""
    model = load_model(config.model)
    store = ImageFeatures(Path(config.cache), model)
    writer = RunWriter(Path(config.cache))
    data = load(config, store, writer, lambda: False)
    read = tables(data, model, store, writer, lambda: False)
    batch = BatchSource(read.train, read.pool, config.settings).batch(0)
    negated = len(batch.ids) - batch.replay
    assert (negated, batch.replay) == (48, 24)
    with torch.no_grad():
        logits = model.model.logit_scale.exp() * batch.images @ model.text_tower(batch.ids).T
    for row in range(len(logits)):
        for column in range(len(logits)):
            if (row < negated) != (column < negated) and batch.image_ids[row] == batch.image_ids[column]:
                logits[row, column] = float("-inf")
    target = torch.arange(len(logits))
    return float((cross_entropy(logits, target) + cross_entropy(logits.T, target)) / 2)
