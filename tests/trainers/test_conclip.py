"""The objective `conclip` in a training: a plain loop over strings and image files has the same losses."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import open_clip
import pytest
import torch
from PIL import Image
from support.clip_models import draw_pictures, freeze, make_tiny, tiny_config

from curation_db.exporting.manifest import ExportItem
from trainers.data.dataset import EpochOrder, TrainingPair, write_pool
from trainers.data.training_data import load
from trainers.errors import RunRefused
from trainers.features.image_features import ImageFeatures
from trainers.loop.finetune import run_training
from trainers.models.loading import load_model
from trainers.models.saving import save_model
from trainers.run_files import LOG, WARNING, RunWriter, read_metrics
from trainers.settings import RunConfig, create_run

STEPS = 6
THINGS = ("hat", "ball", "cup")


def item_of(number: int, path: Path, denied: str, caption: str) -> ExportItem:
    # fmt: off
    return ExportItem(
        key=f"c{number}", source="src", image_key=path.name, file_name=path.name, text=f"a dog without a {denied}",
        caption=caption, concept=denied,
    )
    # fmt: on


@pytest.fixture(scope="module")
def config(tmp_path_factory: pytest.TempPathFactory) -> RunConfig:
    """Each image has a caption that names one thing, and two pairs that deny the other things."""
    root = tmp_path_factory.mktemp("conclip")
    paths = draw_pictures(root / "pictures", 9)
    items = [
        item_of(2 * n + turn, path, THINGS[(n + 1 + turn) % 3], f"animal {n} with a {THINGS[n % 3]}")
        for n, path in enumerate(paths)
        for turn in range(2)
    ]
    freeze(root / "export", items)
    save_model(make_tiny(context_length=77), root / "model")
    # fmt: off
    return tiny_config(
        root, steps=STEPS, batch=5, lr=1e-4, weight_decay=0.2, keep="last", objective="conclip", frozen=("visual.",),
    )
    # fmt: on


def plain_losses(config: RunConfig, scratch: Path) -> list[float]:
    """The losses of CoN-CLIP's loop with open_clip alone, which encodes every image and all positions again."""
    loaded = load(config, ImageFeatures(scratch, load_model(config.model)), RunWriter(scratch), lambda: False)
    order = EpochOrder(len(loaded.train), config.settings.batch, config.settings.seed, drop_last=True)
    model, preprocess = open_clip.create_model_from_pretrained(f"local-dir:{config.model}")
    tokenizer = open_clip.get_tokenizer(f"local-dir:{config.model}")

    def encode(paths: list[Path], texts: list[str]) -> tuple[torch.Tensor, torch.Tensor]:
        with torch.no_grad():
            images = model.encode_image(torch.stack([preprocess(Image.open(path)) for path in paths]), normalize=True)
        return images, model.encode_text(tokenizer(texts), normalize=True)

    captions = {pair.path: pair.caption or "" for pair in loaded.train}

    def counterpart(pair: TrainingPair) -> Path:
        naming = [path for path, caption in captions.items() if pair.concept in caption.split() and path != pair.path]
        images, text = encode(naming, [pair.text])
        return naming[int((images @ text[0]).argmax())]

    others = [counterpart(pair) for pair in loaded.train]
    model.visual.requires_grad_(False)
    trained = [weight for weight in model.parameters() if weight.requires_grad]
    optimizer = torch.optim.AdamW(trained, lr=config.settings.lr, weight_decay=0.2)
    losses = []
    for step in range(STEPS):
        rows = order.rows(step).tolist()
        pairs, shown = [loaded.train[row] for row in rows], list(dict.fromkeys(others[row] for row in rows))
        paths, count = [*shown, *(pair.path for pair in pairs)], len(shown)
        images, texts = encode(paths, [*(captions[path] for path in shown), *(pair.text for pair in pairs)])
        logits = model.logit_scale.exp() * images @ texts.T
        for row in range(len(paths)):
            for column in range(len(paths)):
                if (row < count) != (column < count) and paths[row] == paths[column]:
                    logits[row, column] = float("-inf")
        target = torch.arange(len(paths))
        parts = ((logits[:count], target[:count]), (logits.T[:count], target[:count]), (logits[count:], target[count:]))
        loss = sum((torch.nn.functional.cross_entropy(*part) for part in parts), torch.tensor(0.0)) / 3
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    return losses


def test_the_losses_are_those_of_a_plain_loop(config: RunConfig, tmp_path: Path) -> None:
    create_run(tmp_path / "r", config)
    done = run_training(tmp_path / "r")
    losses = [row["loss"] for row in read_metrics(tmp_path / "r") if row["step"]]
    assert losses == pytest.approx(plain_losses(config, tmp_path / "scratch"), rel=1e-5)
    pairs = done["data"]["train"]["pairs"]
    counts = done["data"]["counterparts"]
    assert (counts["pairs"], counts["with_counterpart"]) == (pairs, pairs)
    assert f"{pairs} of {pairs} training pairs have a counterpart" in (tmp_path / "r" / LOG).read_text()
    assert done["validation"]["val_loss"] != done["validation_base"]["val_loss"]


def test_counterparts_come_from_the_pool_too(config: RunConfig, tmp_path: Path) -> None:
    """The pool alone names the denied thing."""
    paths = draw_pictures(tmp_path / "pool", 3, seed=9)
    write_pool(tmp_path / "pool" / "pool.jsonl", [(path.name, ("a cat with a tie", "a dog")) for path in paths])
    items = [item_of(n, path, "tie" if n % 4 == 0 else "sofa", "") for n, path in enumerate(paths_of(config))]
    freeze(tmp_path / "second", items)
    settings = replace(
        config.settings, same_image_mask=True, val_share=0.0, replay_pool=str(tmp_path / "pool" / "pool.jsonl")
    )
    create_run(tmp_path / "r", replace(config, export=str(tmp_path / "second"), settings=settings))
    done = run_training(tmp_path / "r")
    assert done["data"]["counterparts"]["with_counterpart"] == 3
    assert done["data"]["pool"]["pictures"] == 3
    line = "3 of 9 training pairs have a counterpart, on"
    log = (tmp_path / "r" / LOG).read_text()
    assert any(WARNING in each and line in each and "replay_pool" in each for each in log.splitlines())


def paths_of(config: RunConfig) -> list[Path]:
    [folder] = config.pictures["src"]
    return sorted(Path(folder).iterdir())


def test_pairs_without_a_counterpart_are_refused(config: RunConfig, tmp_path: Path) -> None:
    items = [item_of(n, path, "sofa", "a dog") for n, path in enumerate(paths_of(config))]
    freeze(tmp_path / "second", items)
    create_run(tmp_path / "r", replace(config, export=str(tmp_path / "second")))
    with pytest.raises(RunRefused, match="no caption names a concept") as refused:
        run_training(tmp_path / "r")
    assert "replay_pool" in refused.value.hint


def test_a_loss_at_chance_is_named(config: RunConfig, tmp_path: Path) -> None:
    config = replace(config, settings=replace(config.settings, steps=20, lr=1e-12))
    create_run(tmp_path / "r", config)
    run_training(tmp_path / "r")
    [warning] = [line for line in (tmp_path / "r" / LOG).read_text().splitlines() if "that of chance" in line]
    assert WARNING in warning
