"""Fine-tuning of a text tower on an export: from a run folder's config.json to its model, with resume.

On one machine and one version of torch, the weights depend on settings, pairs, image content, pool, base model and
thread count alone: a run that was killed and resumed ends with the same bytes as an uninterrupted one, and it resumes
with the thread count of its start. Two things depend on the hardware: the last bits of a GPU, and those of features
that were cached under another thread count. Progress is reported through the files of the run folder only.
"""

from __future__ import annotations

import copy
import errno
import math
import shutil
import time
from collections.abc import Callable, Generator, Mapping, Sequence
from contextlib import closing
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from curation_db.atomic_write import replace_file, replacing, sync
from curation_db.exporting.manifest import MANIFEST_FILE
from curation_db.language.sanitize import first_line
from trainers.data.counterparts import counterparts_of
from trainers.data.data_checks import report_checks, report_negatives
from trainers.data.hard_images import hard_images_of
from trainers.data.training_data import fingerprint, load, tables
from trainers.errors import ModelRefused, RunRefused, TrainerError
from trainers.features.image_decoding import Decoding
from trainers.features.image_features import ImageFeatures
from trainers.interrupts import Interrupted, Stop
from trainers.loop.batches import BatchSource, TrainingBatch, learning_rate
from trainers.loop.checkpoints import (
    FOLDER,
    CheckpointState,
    load_best,
    load_checkpoint,
    put_weights,
    resume,
    save_best,
    save_checkpoint,
    saved_threads,
    saving,
)
from trainers.loop.interpolation import alpha_grid, choose_alpha, interpolate, sweep
from trainers.loop.objectives import con_clip, drift, info_nce, same_image, same_image_across
from trainers.loop.text_encoding import TextEncoder, distinct_rows
from trainers.loop.validation import Validation, Validator
from trainers.margins import finish_fold
from trainers.models.clip_model import ClipModel
from trainers.models.loading import load_model
from trainers.models.lora import Adapters, adapted_layers
from trainers.models.routed import RoutedClipModel, route_models
from trainers.models.routed_folder import TUNED, save_routed
from trainers.models.saving import check_can_save, save_hf, save_model, save_pth
from trainers.models.text_tower import TextTower
from trainers.run_files import (
    DONE,
    EXPORT_MANIFEST,
    FAILED,
    GUARD_IMAGE_TO_TEXT,
    GUARD_TEXT_TO_IMAGE,
    INTERPOLATION,
    WARNING,
    RunWriter,
    is_better,
    read_base_validation,
    read_saved_steps,
)
from trainers.settings import RunConfig, TrainSettings, check_precision, check_threads, read_config, recipe_line
from trainers.tracking.environment import describe_environment

__all__ = ["Interrupted", "Stop", "Trainer", "TrainingRun", "run_training", "trained_weights"]

HF_FOLDER = "hf"
"""Folder of a run with the model for transformers."""
ADAPTER_FOLDER = "adapter"
"""Folder of a run with its LoRA adapters in peft's format."""
_FIRST_SHARE, _FIRST_STEPS, _RECENT, _NEAR_CHANCE = 0.1, 20, 10, 0.98
"""Condition of the warning about a loss that stays at chance; see `TrainingRun._warn_at_chance`."""
_DIVERGED_HINT = "start a new run with a smaller lr, or with clip_norm"


def trained_weights(model: nn.Module, frozen: Sequence[str]) -> dict[str, nn.Parameter]:
    """Return the weights to train; set `requires_grad = False` on all others."""
    names = tuple(part for name in frozen for part in (name, f"text.{name}"))
    for name, value in model.named_parameters():
        value.requires_grad_(not name.startswith(names))
    return {name: value for name, value in model.named_parameters() if value.requires_grad}


class Trainer:
    """A training in memory: weights, optimizer, and the training step."""

    def __init__(
        self, model: ClipModel, feed: BatchSource, validator: Validator | None, settings: TrainSettings
    ) -> None:
        self.model, self.feed, self.settings = model, feed, settings
        self._validator = validator
        self.contrast = torch.tensor(float("nan"))
        """Contrastive part of the newest loss."""
        self._base_encoder = self._encoder_of(copy.deepcopy(model.text_tower)) if settings.anchor_weight else None
        self.adapters = Adapters(model.model, settings) if settings.lora_rank is not None else None
        self.weights = trained_weights(model.model, settings.frozen) if self.adapters is None else self.adapters.weights
        if not self.weights:
            raise TrainerError("no weight is left to train: all are frozen")
        self.base = {name: value.detach().clone() for name, value in self.weights.items()}
        self._encoder = self._encoder_of(model.text_tower)
        self._scaler = torch.amp.GradScaler(model.device.type, enabled=settings.precision == "fp16")
        self.optimizer = torch.optim.AdamW(
            self.weights.values(), lr=settings.lr, betas=settings.betas, weight_decay=settings.weight_decay
        )

    def _encoder_of(self, tower: TextTower) -> TextEncoder:
        return TextEncoder(tower, micro_batch=self.settings.micro_batch, precision=self.settings.precision)

    def learn(self, batch: TrainingBatch, step: int) -> float:
        """Take `step` (from 0) on this batch; return its loss. A loss that is not finite changes no weight."""
        self.optimizer.param_groups[0]["lr"] = learning_rate(self.settings, step, self.feed.steps)
        self.optimizer.zero_grad(set_to_none=True)
        loss = self.backward(batch).item()
        if not math.isfinite(loss):
            return loss
        if self.settings.clip_norm is not None:
            self._scaler.unscale_(self.optimizer)
            torch.nn.utils.clip_grad_norm_(self.weights.values(), self.settings.clip_norm)
        self._scaler.step(self.optimizer)  # without fp16, this is `optimizer.step()`
        self._scaler.update()
        self._clamp_logit_scale()
        return loss

    @torch.no_grad()
    def _clamp_logit_scale(self) -> None:
        scale = self.model.model.logit_scale
        if self.settings.logit_scale_max is not None and scale.requires_grad:
            scale.clamp_(max=math.log(self.settings.logit_scale_max))

    def backward(self, batch: TrainingBatch) -> Tensor:
        """Add the gradients of the loss of this batch to the weights; return the loss.

        With `precision` = "fp16", the gradients are scaled.
        """
        ids, places = distinct_rows(batch.all_ids)
        return self._encoder.gradients_through(
            ids, lambda texts: self._loss(batch, _at(texts, places)), self._scaler.scale
        )

    @property
    def scaler_state(self) -> dict[str, float] | None:
        """State of the gradient scaler, for a checkpoint; None where there is none."""
        return self._scaler.state_dict() or None

    def restore_scaler(self, state: Mapping[str, float] | None) -> None:
        if state:
            self._scaler.load_state_dict(dict(state))

    def loss(self, batch: TrainingBatch) -> Tensor:
        ids, places = distinct_rows(batch.all_ids)
        return self._loss(batch, _at(self._encoder.encode(ids), places))

    def _loss(self, batch: TrainingBatch, encoded: Tensor) -> Tensor:
        """Return the loss of features for the rows of `batch.all_ids`."""
        rows = len(batch.ids)
        texts = encoded[:rows]
        loss = self._contrast(batch, texts, None if batch.false_ids is None else encoded[rows:])
        self.contrast = loss.detach()
        if self._base_encoder is None or not batch.replay:
            return loss
        ids, places = distinct_rows(batch.ids[-batch.replay :])
        before = _at(self._base_encoder.encode_parts(ids), places)
        return loss + self.settings.anchor_weight * drift(texts[-batch.replay :], before)

    def _contrast(self, batch: TrainingBatch, texts: Tensor, false_texts: Tensor | None) -> Tensor:
        device, scale = self.model.device, self.model.model.logit_scale.exp()
        hard, no_hard = (None if value is None else value.to(device) for value in (batch.hard, batch.no_hard))
        images, mask = batch.images.to(device), self._mask(batch.image_ids.to(device), batch.replay)
        if self.settings.objective == "conclip":
            return con_clip(images, texts, scale, affirmed=batch.replay, mask=mask)
        return info_nce(images, texts, scale, mask=mask, hard=hard, no_hard=no_hard, false_texts=false_texts)

    def chance_loss(self, batch: TrainingBatch) -> float:
        """Return the contrastive loss of a model that gives all pairs the same score: ln N where nothing is masked."""
        size = len(batch.ids)
        hard = None if batch.hard is None else torch.zeros(*batch.hard.shape[:2], 1)
        mask = self._mask(batch.image_ids, batch.replay)
        same, scale = torch.zeros(size, 1), torch.tensor(1.0)
        if self.settings.objective == "conclip":
            return con_clip(same, same, scale, affirmed=batch.replay, mask=mask).item()
        false_texts = None if batch.false_ids is None else torch.zeros(len(batch.false_ids), 1)
        return info_nce(same, same, scale, mask=mask, hard=hard, no_hard=batch.no_hard, false_texts=false_texts).item()

    def _mask(self, image_ids: Tensor, replay: int) -> Tensor | None:
        """Return the pairs that are not negatives: a replayed caption is true of the image of a negated text."""
        if self.settings.same_image_mask:
            return same_image(image_ids)
        return same_image_across(image_ids, replay) if replay else None

    def validate(self) -> Validation | None:
        """Return the validation of the present weights; None without validation pairs."""
        return None if self._validator is None else self._validator.measure(self.model)

    @torch.no_grad()
    def check_sound(self) -> None:
        """Check the trained weights.

        Raises:
            TrainerError: a weight, or a feature of a training text, is not finite.
        """
        for name, value in self.weights.items():
            if not torch.isfinite(value).all():
                raise TrainerError(f"the training diverged: {name} is not finite", hint=_DIVERGED_HINT)
        texts = self.model.text_tower(self.feed.batch(0).ids[:16].to(self.model.device))
        if not torch.isfinite(texts).all():
            raise TrainerError("the training diverged: the features of texts are not finite", hint=_DIVERGED_HINT)

    def merge_adapters(self) -> None:
        """End the training of adapters: `weights` and `base` are then the weights of the layers that had them."""
        if self.adapters is not None:
            self.weights, self.base = self.adapters.merge()

    def interpolate(self, alpha: float) -> None:
        """Replace the trained weights by base + alpha * (trained - base)."""
        if alpha != 1:
            put_weights(self.weights, interpolate(self.base, self.weights, alpha))

    def check_guard(self) -> None:
        """Check that the recipe's choice of alpha has images to compare.

        Raises:
            RunRefused: alpha is chosen on the guard, which has fewer than two images.
        """
        if self.settings.interpolation_max_loss is not None and self.guard_images < 2:
            counts = f"the validation images with original captions are {self.guard_images}"
            hint = "use an export with captions, a larger val_share, or interpolation without interpolation_max_loss"
            raise RunRefused(f"interpolation_max_loss compares 2 images or more, and {counts}", hint=hint)

    @property
    def guard_images(self) -> int:
        return 0 if self._validator is None else self._validator.guard_images

    def guard_curve(self) -> Generator[tuple[float, tuple[float, float]], None, None]:
        """Yield alpha with the guard's R@1 (text to image, image to text) of the weights interpolated by it.

        The trained weights are in place again when the iteration ends or is given up.
        """
        validator = self._validator
        tuned = {name: value.detach().clone() for name, value in self.weights.items()}

        def score(weights: Mapping[str, Tensor]) -> tuple[float, float]:
            put_weights(self.weights, weights)
            guard = None if validator is None else validator.guard(self.model)
            assert guard is not None  # by `check_guard`
            return guard

        try:
            yield from sweep(self.base, tuned, alpha_grid(self.settings.interpolation), score)
        finally:
            put_weights(self.weights, tuned)


def _at(features: Tensor, places: Tensor | None) -> Tensor:
    """Return the features of all texts from those of the distinct ones.  (U, D) -> (N, D)"""
    return features if places is None else features[places.to(features.device)]


class TrainingRun:
    """Runs a training and writes its folder."""

    def __init__(self, folder: Path, trainer: Trainer, stop: Stop, *, fingerprint: str) -> None:
        self._folder, self._trainer, self._stop = folder, trainer, stop
        self._writer = RunWriter(folder)
        self._fingerprint = fingerprint
        self._began = time.monotonic()
        self._recent: list[tuple[float, float]] = []
        """Contrastive loss and loss of chance of the steps that `_warn_at_chance` compares."""
        self._state = CheckpointState(
            0, 0.0, fingerprint=fingerprint, threads=torch.get_num_threads(), steps=trainer.feed.steps
        )

    def train(self) -> CheckpointState:
        """Take all remaining steps.

        Raises:
            Interrupted: `stop` returned True; the state is saved.
            TrainerError: the training diverged, or a file cannot be written.
        """
        trainer, settings = self._trainer, self._trainer.settings
        self._validate_base()
        saved = load_checkpoint(
            self._folder,
            trainer.weights,
            trainer.optimizer,
            fingerprint=self._fingerprint,
            needs_best=settings.keep == "best",
            warn=lambda line: self._writer.log(f"{WARNING}{line}"),
        )
        self._state = saved or self._state
        trainer.restore_scaler(self._state.scaler)
        self._writer.forget_after(self._state.step)
        if saved:
            self._writer.log(f"resumed at step {saved.step} of {trainer.feed.steps}")
        started, pairs = self._state, 0
        for step in range(started.step, trainer.feed.steps):
            if self._has_no_progress():
                self._writer.log(f"stopped early after step {step}: patience = {settings.patience}")
                break
            batch = trainer.feed.batch(step)
            loss = trainer.learn(batch, step)
            pairs += len(batch.ids)  # the last batch of an epoch may be shorter
            seconds = started.seconds + time.monotonic() - self._began
            self._state = replace(self._state, step=step + 1, seconds=seconds)
            self._after_step(loss, pairs / max(1e-9, seconds - started.seconds))
            self._warn_at_chance(batch)
            if self._stop():
                self._save()
                self._writer.log(f"stopped at step {step + 1} of {trainer.feed.steps}")
                raise Interrupted
            if (step + 1) % settings.checkpoint_every == 0:
                self._save()
        if settings.interpolation_max_loss is not None:
            self._save()  # a signal during the choice of alpha must not cost a step
        return self._state

    def _validate_base(self) -> None:
        """Log the validation of the base model as step 0, unless an earlier attempt has done so."""
        if read_base_validation(self._folder) or (validation := self._trainer.validate()) is None:
            return
        row = {"step": 0, "steps": self._trainer.feed.steps, "epoch": 0, **validation.to_row()}
        _check_finite(row, "before the first step")
        self._writer.metrics(row)

    def _has_no_progress(self) -> bool:
        """Return whether the last `patience` epochs gave no better validation; depends on the state alone."""
        patience, state = self._trainer.settings.patience, self._state
        if patience is None or state.best_step is None:
            return False
        return state.step - state.best_step >= patience * self._trainer.feed.order.per_epoch

    def _warn_at_chance(self, batch: TrainingBatch) -> None:
        """Log one warning where the loss stays at that of chance over the first part of the run.

        The condition: after 10 % of the steps, and 20 steps or more, the mean contrastive loss of the last 10 steps is
        at least 98 % of the mean loss of chance, ln(batch) without mask.
        """
        at = max(_FIRST_STEPS, math.ceil(_FIRST_SHARE * self._trainer.feed.steps))
        if not at - _RECENT < self._state.step <= at:
            return
        self._recent.append((self._trainer.contrast.item(), self._trainer.chance_loss(batch)))
        if self._state.step < at:
            return
        loss, chance = (sum(values) / len(self._recent) for values in zip(*self._recent, strict=True))
        if loss >= _NEAR_CHANCE * chance:
            line = f"after {at:,} steps the loss is still that of chance: {loss:.3f}, with ln(batch) = {chance:.3f}"
            hint = "the model does not tell the pairs apart: check lr, images and texts"
            self._writer.log(f"{WARNING}{line}; {hint}")

    def _save(self) -> None:
        """Save a checkpoint.

        Raises:
            TrainerError: a weight is not finite; the checkpoint before it stays.
        """
        trainer, keep = self._trainer, self._trainer.settings.keep_checkpoints
        for name, value in trainer.weights.items():
            if not torch.isfinite(value).all():
                raise self._diverged(f"{name} is not finite")
        state = replace(self._state, scaler=trainer.scaler_state)
        save_checkpoint(self._folder, state, trainer.weights, trainer.optimizer, keep=keep)

    def _after_step(self, loss: float, pairs_per_s: float) -> None:
        if not np.isfinite(loss):
            raise self._diverged(f"the loss is {loss}")
        feed, settings, step = self._trainer.feed, self._trainer.settings, self._state.step
        ends = step % feed.order.per_epoch == 0 or step == feed.steps
        if not ends and step % settings.log_every:
            return
        row = {"step": step, "steps": feed.steps, "epoch": feed.order.epoch(step - 1), "loss": loss}
        validation = self._trainer.validate() if ends else None
        if validation is not None:
            row |= validation.to_row()
        row["lr"] = self._trainer.optimizer.param_groups[0]["lr"]
        row["logit_scale"] = float(self._trainer.model.model.logit_scale.detach())
        row |= {"pairs_per_s": round(pairs_per_s, 1), "seconds": round(self._state.seconds, 3)}
        _check_finite(row, f"at step {step}")
        if validation is not None:
            self._update_best(validation.value(settings.criterion))
        self._writer.metrics(row)

    def _diverged(self, what: str) -> TrainerError:
        """Return the error of a step whose result is not finite; it names the state that is left."""
        saved, message = read_saved_steps(self._folder), f"the training diverged: {what} at step {self._state.step:,}"
        if saved is None:
            return TrainerError(message, hint=_DIVERGED_HINT)
        hint = f"{_DIVERGED_HINT}; {resume(self._folder)} repeats the steps after {saved[0]:,}"
        return TrainerError(f"{message}; the state of step {saved[0]:,} is saved", hint=hint)

    def _update_best(self, value: float) -> None:
        settings = self._trainer.settings
        if is_better(settings.criterion, value, self._state.best_value):
            self._state = replace(self._state, best_value=value, best_step=self._state.step)
            if settings.keep == "best":
                save_best(self._folder, self._state.step, self._trainer.weights)


def _check_finite(row: Mapping[str, float], when: str) -> None:
    if not_finite := [name for name, value in row.items() if not np.isfinite(value)]:
        name = not_finite[0]
        raise TrainerError(f"the training diverged: {name} is {row[name]} {when}", hint=_DIVERGED_HINT)


def run_training(folder: Path, *, stop: Stop = lambda: False) -> dict[str, Any]:
    """Train or resume the run in `folder`; return the content of done.json.

    Raises:
        Interrupted: `stop` returned True; the state is saved.
        TrainerError: the run cannot be trained; the message has the reason.
    """
    config = read_config(folder)
    (folder / FAILED).unlink(missing_ok=True)
    try:
        return _run(folder, config, stop)
    except OSError as error:
        if error.errno not in (errno.ENOSPC, errno.EDQUOT):
            raise
        hint = f"free disk space, then run: negwb train --resume {folder.name}"
        raise TrainerError(f"the training {folder.name} cannot continue: {error.strerror}", hint=hint) from error


def _run(folder: Path, config: RunConfig, stop: Stop) -> dict[str, Any]:
    writer, settings = RunWriter(folder), config.settings
    if config.recipe is not None:
        writer.log(recipe_line(config.recipe, settings))
    if read_saved_steps(folder) is None:
        check_threads(settings)
    check_precision(settings, config.device)
    if threads := settings.threads or saved_threads(folder):
        torch.set_num_threads(threads)
    torch.manual_seed(settings.seed)
    model = load_for_training(config)
    _check_bf16(settings, model.device)
    for line in [*model.warnings, *check_can_save(model, pth=config.save_pth, hf=config.save_hf)]:
        writer.log(f"{WARNING}{line}")
    if not model.text_tower.trims:
        writer.log(f"each text is encoded at its full {model.context_length} positions: trimming changes this tower")
    if settings.lora_rank is not None:
        adapted_layers(model.model, settings)  # refused before any image is encoded
    store = ImageFeatures(Path(config.cache), model, Decoding(settings.decode))
    writer.environment(describe_environment(config.device, Path()))
    data = load(config, store, writer, stop)
    manifest = (Path(config.export) / MANIFEST_FILE).read_bytes()
    replace_file(folder / EXPORT_MANIFEST, manifest, only_writer=True)
    result = {"export_sha256": data.export_sha256, "base": model.describe(), "data": data.summary}
    run_fingerprint = fingerprint(settings, data, model, torch.get_num_threads())
    loaded = tables(
        data, model, store, writer, stop, guard_images=settings.guard_images, false_captions=settings.false_captions
    )
    hard = hard_images_of(settings, model, data, loaded)
    counterparts = counterparts_of(settings, model, data, loaded)
    feed = BatchSource(loaded.train, loaded.pool, settings, hard, counterparts)
    data.summary.update(report_negatives(feed, hard, settings, writer, counterparts))
    data.summary.update(report_checks((*data.train, *data.val), feed, model, settings, writer))
    # the pairs of a fold are measured once, after the last step
    validator = None if loaded.val is None or config.fold else Validator(loaded.val, loaded.guard, settings)
    trainer = Trainer(model, feed, validator, settings)
    trainer.check_guard()
    if trainer.adapters is not None:
        writer.log(trainer.adapters.describe())
    state = TrainingRun(folder, trainer, stop, fingerprint=run_fingerprint).train()
    if config.fold is not None:
        return finish_fold(folder, trainer, state, result, data.val, store.features)
    return _finish(folder, config, trainer, state, result, stop)


def load_for_training(config: RunConfig) -> ClipModel:
    """Load the model and encode one text: a device can exist and not compute.

    Raises:
        ModelRefused: the model cannot be loaded, or does not run on the device.
    """
    try:
        model = load_model(config.model, device=config.device)
        model.encode_texts(["a"])
    except (ImportError, RuntimeError) as error:
        message = f"the model {config.model} does not run on the device {config.device}: {first_line(error)}"
        raise ModelRefused(message, hint="cpu always works") from error
    if isinstance(model, RoutedClipModel):
        hint = f"train its tuned part, and route the result again: --model {TUNED}{model.name}"
        raise ModelRefused(
            f"the model {model.name} is routed: it has two text towers, and cannot be trained", hint=hint
        )
    return model


def _check_bf16(settings: TrainSettings, device: torch.device) -> None:
    """Refuse bf16 on a GPU that emulates it."""
    if (
        settings.precision == "bf16"
        and device.type == "cuda"
        and not torch.cuda.is_bf16_supported(including_emulation=False)
    ):
        raise RunRefused(f"the GPU {device} does not compute in bf16", hint="use precision = fp16 or fp32")


def _finish(
    folder: Path, config: RunConfig, trainer: Trainer, state: CheckpointState, result: dict[str, Any], stop: Stop
) -> dict[str, Any]:
    if config.settings.keep == "best" and state.best_step is not None:
        load_best(folder, state.best_step, trainer.weights)
    trained = sum(value.numel() for value in trainer.weights.values())
    trainer.merge_adapters()
    alpha = config.settings.interpolation
    if config.settings.interpolation_max_loss is not None:
        trainer.check_sound()
        result["interpolation"] = choice = _choose_interpolation(folder, trainer, stop)
        alpha = choice["alpha"]
    trainer.interpolate(alpha)
    trainer.check_sound()
    if (validation := trainer.validate()) is not None:  # of the saved weights, which may be interpolated
        result["validation_base"] = read_base_validation(folder)
        result["validation"] = validation.to_row()
        _check_finite(result["validation"], "after the last step")
    model = trainer.model
    if config.routed:
        model = route_models(_same_base(config, result["base"]["model_hash"]), model, name=str(folder / "model"))
    with saving(folder / "model", run=folder.name):
        if (adapters := trainer.adapters) is not None:
            _save_folder(folder / ADAPTER_FOLDER, lambda draft: adapters.save(draft, share=alpha))
        _save_models(folder, trainer.model, model, pth=config.save_pth, hf=config.save_hf)
    result |= {
        "steps": state.step,
        "stopped_early": state.step < trainer.feed.steps,
        "seconds": round(state.seconds, 3),
        "threads": torch.get_num_threads(),
        "criterion": config.settings.criterion,
        "best_value": state.best_value,
        "best_step": state.best_step,
        "kept_step": state.best_step if config.settings.keep == "best" and state.best_step else state.step,
        "trained": trained,
        "model": model.describe(),
    }
    RunWriter(folder).end(DONE, result)
    shutil.rmtree(folder / FOLDER, ignore_errors=True)
    return result


def _same_base(config: RunConfig, model_hash: str) -> ClipModel:
    """Load the model that the run started from once more, since the training has changed its weights.

    Raises:
        TrainerError: it cannot be loaded, or its files have changed since the start of the training.
    """
    base = load_for_training(config)
    if base.model_hash != model_hash:
        hint = "restore its files, then resume this run"
        raise TrainerError(f"the base model {config.model} has changed since the training started", hint=hint)
    return base


def _choose_interpolation(folder: Path, trainer: Trainer, stop: Stop) -> dict[str, Any]:
    """Choose alpha on the guard; log the choice, write interpolation.json and return its content.

    Raises:
        Interrupted: `stop` returned True; the checkpoint of the last step is saved.
    """
    writer, max_loss = RunWriter(folder), trainer.settings.interpolation_max_loss
    assert max_loss is not None
    curve = []
    with closing(trainer.guard_curve()) as points:
        for alpha, guard in points:
            curve.append((alpha, guard))
            writer.log(f"interpolation {alpha:g}: affirmative R@1 {guard[0]:.1%}/{guard[1]:.1%}")
            if stop():
                raise Interrupted
    chosen = choose_alpha(curve, max_loss)
    images = trainer.guard_images
    if images * max_loss < 1:
        writer.log(
            f"{WARNING}the guard has {images} images, so each is more than interpolation_max_loss = {max_loss:g}"
        )
    writer.log(f"interpolation {chosen:g} is chosen on the guard, on which no result should be reported")
    names = (GUARD_TEXT_TO_IMAGE, GUARD_IMAGE_TO_TEXT)
    result = {
        "alpha": chosen,
        "max_loss": max_loss,
        "chosen_on": "guard: original captions of the validation images",
        "images": images,
        "curve": [{"alpha": alpha, **dict(zip(names, guard, strict=True))} for alpha, guard in curve],
    }
    writer.end(INTERPOLATION, result)
    return result


def _save_models(folder: Path, trained: ClipModel, model: ClipModel, *, pth: bool, hf: bool) -> None:
    """Write model/ and, where requested, model.pth and hf/; each is whole or absent, also after a power cut.

    Args:
        trained: the model of model.pth and hf/.
        model: the model of model/, which can be routed.
    """
    if pth:
        with replacing(folder / "model.pth", only_writer=True) as draft:
            save_pth(trained, draft)
    if hf:
        _save_folder(folder / HF_FOLDER, lambda draft: save_hf(trained, draft))
    save = partial(save_routed, model) if isinstance(model, RoutedClipModel) else partial(save_model, model)
    _save_folder(folder / "model", save)


def _save_folder(final: Path, save: Callable[[Path], None]) -> None:
    new = final.with_name(f".{final.name}.new")
    try:
        shutil.rmtree(new, ignore_errors=True)
        save(new)
        for path in (*new.rglob("*"), new):
            sync(path)
        shutil.rmtree(final, ignore_errors=True)
        new.rename(final)
        sync(final.parent)
    finally:  # frees the space on a full disk
        shutil.rmtree(new, ignore_errors=True)
