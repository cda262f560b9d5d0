"""Fine-tunes a text tower on a frozen set: from a run folder's config.json to its model, through any interruption.

On one machine and one version of torch, the weights depend on settings, pairs, pictures' content, pool, base model and
thread count alone: a run that was killed and resumed ends with the bytes of one that was not, and goes on with the
threads it began with. Two things are left to the hardware: a GPU's last bits, and those of features that were put into
the cache under another thread count. Progress is told through the run folder's files only.
"""

from __future__ import annotations

import copy
import errno
import shutil
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from curation_db.atomic_write import replacing, sync
from trainers.batches import BatchSource, Table, TrainingBatch, rate
from trainers.checkpoints import (
    FOLDER,
    CheckpointPaths,
    load_best,
    load_checkpoint,
    save_best,
    save_checkpoint,
    saved_threads,
    saving,
)
from trainers.clip_models import ClipModel, load_model, save_model, save_pth
from trainers.errors import TrainerError
from trainers.feature_store import ImageFeatures
from trainers.interrupts import Interrupted, Stop
from trainers.objectives import drift, info_nce, same_image
from trainers.run_files import DONE, FAILED, RunWriter
from trainers.settings import RunConfig, TrainSettings, read_config
from trainers.training_data import Tables, fingerprint, load, tables

__all__ = ["Interrupted", "Stop", "Trainer", "TrainingRun", "run_training", "trained_weights"]

_SMALLER = "a smaller lr, or clip_norm, in a new run"


def trained_weights(model: nn.Module, frozen: Sequence[str]) -> dict[str, nn.Parameter]:
    """The weights that are trained; all others get `requires_grad = False`."""
    names = tuple(part for name in frozen for part in (name, f"text.{name}"))
    for name, value in model.named_parameters():
        value.requires_grad_(not name.startswith(names))
    return {name: value for name, value in model.named_parameters() if value.requires_grad}


class Trainer:
    """One training in memory: weights, optimizer, and one step after the other."""

    def __init__(self, model: ClipModel, feed: BatchSource, val: Table | None, settings: TrainSettings) -> None:
        self.model, self.feed, self.val, self.settings = model, feed, val, settings
        self.weights = trained_weights(model.model, settings.frozen)
        if not self.weights:
            raise TrainerError("nothing is left to train: everything is frozen")
        self.base = {name: value.detach().clone() for name, value in self.weights.items()}
        self._base_tower = copy.deepcopy(model.text_tower) if settings.anchor_weight else None
        self.optimizer = torch.optim.AdamW(
            self.weights.values(), lr=settings.lr, betas=settings.betas, weight_decay=settings.weight_decay
        )

    def learn(self, batch: TrainingBatch, step: int) -> float:
        """Take `step` (from 0) on this batch; returns its loss."""
        self.optimizer.param_groups[0]["lr"] = rate(self.settings, step, self.feed.steps)
        loss = self.loss(batch)
        self.optimizer.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]
        if self.settings.clip_norm is not None:
            torch.nn.utils.clip_grad_norm_(self.weights.values(), self.settings.clip_norm)
        self.optimizer.step()
        return loss.item()

    def loss(self, batch: TrainingBatch) -> Tensor:
        """The objective over one batch."""
        device = self.model.device
        texts = self.model.text_tower(batch.ids.to(device))
        loss = self._contrast(batch, texts)
        if self._base_tower is None or not batch.replay:
            return loss
        with torch.no_grad():
            before = self._base_tower(batch.ids[-batch.replay :].to(device))
        return loss + self.settings.anchor_weight * drift(texts[-batch.replay :], before)

    def _contrast(self, batch: TrainingBatch, texts: Tensor) -> Tensor:
        device = self.model.device
        mask = same_image(batch.pictures.to(device)) if self.settings.same_image_mask else None
        scale = self.model.model.logit_scale.exp()
        hard = None if batch.hard is None else batch.hard.to(device)
        return info_nce(batch.images.to(device), texts, scale, mask=mask, hard=hard)

    @torch.no_grad()
    def val_loss(self) -> float | None:
        """Mean over the validation pairs, each batch weighted by its rows; none without validation pairs."""
        if self.val is None or not len(self.val.ids):
            return None
        rows = np.arange(len(self.val.ids))
        batches = [self.val.take(part) for part in np.array_split(rows, -(-len(rows) // self.settings.batch))]
        device = self.model.device
        losses = [self._contrast(b, self.model.text_tower(b.ids.to(device))).item() * len(b.ids) for b in batches]
        return sum(losses) / len(rows)

    @torch.no_grad()
    def check_sound(self) -> None:
        """Refuse weights that no model can have.

        Raises:
            TrainerError: a weight, or the feature of a text that was trained on, is not finite.
        """
        for name, value in self.weights.items():
            if not torch.isfinite(value).all():
                raise TrainerError(f"the training diverged: {name} is not finite", hint=_SMALLER)
        texts = self.model.text_tower(self.feed.batch(0).ids[:16].to(self.model.device))
        if not torch.isfinite(texts).all():
            raise TrainerError("the training diverged: the features of texts are not finite", hint=_SMALLER)

    @torch.no_grad()
    def interpolate(self) -> None:
        """Move the trained weights back towards the base model by what the settings say."""
        if self.settings.interpolation == 1:
            return
        for name, value in self.weights.items():
            value.copy_(torch.lerp(self.base[name], value, self.settings.interpolation))


class TrainingRun:
    """A training with its folder."""

    def __init__(self, folder: Path, trainer: Trainer, stop: Stop, *, fingerprint: str) -> None:
        self._folder, self._trainer, self._stop = folder, trainer, stop
        self._writer = RunWriter(folder)
        self._fingerprint = fingerprint
        self._began = time.monotonic()
        self._place = CheckpointPaths(
            0, 0.0, fingerprint=fingerprint, threads=torch.get_num_threads(), steps=trainer.feed.steps
        )

    def train(self) -> CheckpointPaths:
        """All steps from where the run was; Interrupted when asked to stop."""
        trainer, settings = self._trainer, self._trainer.settings
        found = load_checkpoint(self._folder, trainer.weights, trainer.optimizer, fingerprint=self._fingerprint)
        self._place = found or self._place
        self._writer.forget_after(self._place.step)
        if found:
            self._writer.say(f"resumed at step {found.step} of {trainer.feed.steps}")
        started, pairs = self._place, 0
        for step in range(started.step, trainer.feed.steps):
            batch = trainer.feed.batch(step)
            loss = trainer.learn(batch, step)
            pairs += len(batch.ids)  # the last batch of an epoch may be shorter
            seconds = started.seconds + time.monotonic() - self._began
            self._place = replace(self._place, step=step + 1, seconds=seconds)
            self._after_step(loss, pairs / max(1e-9, seconds - started.seconds))
            if self._stop():
                self._save()
                self._writer.say(f"stopped at step {step + 1} of {trainer.feed.steps}")
                raise Interrupted
            if (step + 1) % settings.checkpoint_every == 0:
                self._save()
        return self._place

    def _save(self) -> None:
        save_checkpoint(self._folder, self._place, self._trainer.weights, self._trainer.optimizer)

    def _after_step(self, loss: float, pairs_per_s: float) -> None:
        if not np.isfinite(loss):
            raise TrainerError(f"the loss is {loss} at step {self._place.step}", hint=_SMALLER)
        feed, settings, step = self._trainer.feed, self._trainer.settings, self._place.step
        ends = step % feed.order.per_epoch == 0 or step == feed.steps
        if not ends and step % settings.log_every:
            return
        row = {"step": step, "steps": feed.steps, "epoch": feed.order.epoch(step - 1), "loss": loss}
        val_loss = self._trainer.val_loss() if ends else None
        if val_loss is not None:
            row["val_loss"] = val_loss
        row["lr"] = self._trainer.optimizer.param_groups[0]["lr"]
        row["logit_scale"] = float(self._trainer.model.model.logit_scale.detach())
        row |= {"pairs_per_s": round(pairs_per_s, 1), "seconds": round(self._place.seconds, 3)}
        if wild := [name for name, value in row.items() if not np.isfinite(value)]:
            raise TrainerError(f"the training diverged: {wild[0]} is {row[wild[0]]} at step {step}", hint=_SMALLER)
        if val_loss is not None:
            self._remember(val_loss)
        self._writer.metrics(row)

    def _remember(self, val_loss: float) -> None:
        if self._place.best_loss is None or val_loss < self._place.best_loss:
            self._place = replace(self._place, best_loss=val_loss, best_step=self._place.step)
            if self._trainer.settings.keep == "best":
                save_best(self._folder, self._trainer.weights)


def run_training(folder: Path, *, stop: Stop = lambda: False) -> dict[str, Any]:
    """Train or resume the run in `folder`; returns what done.json says.

    Raises:
        Interrupted: `stop` said so; the state is saved.
        TrainerError: it cannot be done.
    """
    config = read_config(folder)
    (folder / FAILED).unlink(missing_ok=True)
    try:
        return _run(folder, config, stop)
    except OSError as error:
        if error.errno not in (errno.ENOSPC, errno.EDQUOT):
            raise
        hint = f"free space, then: negwb train --resume {folder.name}"
        raise TrainerError(f"the training {folder.name} cannot go on: {error.strerror}", hint=hint) from error


def _run(folder: Path, config: RunConfig, stop: Stop) -> dict[str, Any]:
    writer, settings = RunWriter(folder), config.settings
    if threads := settings.threads or saved_threads(folder):
        torch.set_num_threads(threads)
    torch.manual_seed(settings.seed)
    model = load_model(config.model, device=config.device)
    store = ImageFeatures(Path(config.cache), model)
    materials = load(config, store, writer, stop)
    told = {"export_sha256": materials.export_sha256, "base": model.describe(), "data": materials.told}
    print_of = fingerprint(settings, materials, model, torch.get_num_threads())
    trainer = _trainer(settings, model, tables(materials, model, store, writer, stop))
    place = TrainingRun(folder, trainer, stop, fingerprint=print_of).train()
    return _finish(folder, config, trainer, place, told)


def _trainer(settings: TrainSettings, model: ClipModel, read: Tables) -> Trainer:
    deaf = model.text_tower.encode_all(read.train.ids) if settings.hard_pictures else None
    return Trainer(model, BatchSource(read.train, read.pool, settings, base_texts=deaf), read.val, settings)


def _finish(
    folder: Path, config: RunConfig, trainer: Trainer, place: CheckpointPaths, told: dict[str, Any]
) -> dict[str, Any]:
    if config.settings.keep == "best" and place.best_step is not None:
        load_best(folder, trainer.weights)
    trainer.interpolate()
    trainer.check_sound()
    with saving(folder / "model", run=folder.name):
        _save_models(folder, trainer.model, pth=config.save_pth)
    told |= {
        "steps": place.step,
        "seconds": round(place.seconds, 3),
        "threads": torch.get_num_threads(),
        "best_val_loss": place.best_loss,
        "kept_step": place.best_step if config.settings.keep == "best" and place.best_step else place.step,
        "trained": sum(value.numel() for value in trainer.weights.values()),
        "model": trainer.model.describe(),
    }
    RunWriter(folder).end(DONE, told)
    shutil.rmtree(folder / FOLDER, ignore_errors=True)
    return told


def _save_models(folder: Path, model: ClipModel, *, pth: bool) -> None:
    """model/, and with `pth` model.pth: each whole or not there, also after a power cut."""
    new, final = folder / ".model.new", folder / "model"
    try:
        shutil.rmtree(new, ignore_errors=True)
        save_model(model, new)
        for path in new.iterdir():
            sync(path)
        sync(new)
        if pth:
            with replacing(folder / "model.pth", only_writer=True) as draft:
                save_pth(model, draft)
        shutil.rmtree(final, ignore_errors=True)
        new.rename(final)
        sync(folder)
    finally:  # on a full disk its space is needed
        shutil.rmtree(new, ignore_errors=True)
