"""Configuration of a training: the recipe (`TrainSettings`), its inputs (`RunConfig`), and their JSON.

The defaults are the published NegationCLIP recipe, except that the split is by image and that images are decoded as a
card shows them (`decode = "published"` differs for 16-bit, transparent, rotated and cut-off images only). Does not
import torch, because screens and commands read and write these files.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any, Literal

from curation_db.atomic_write import replace_file
from curation_db.foreign_json import JsonError, parse_json
from curation_db.validation import ValidationError, setting, validate
from trainers.errors import RunRefused, TrainerError
from trainers.run_files import VALIDATION_KEYS, Criterion, create_whole

FORMAT = 1
"""Format version of config.json; raised when an older reader would misread it."""
Schedule = Literal["constant", "cosine"]
Keep = Literal["best", "last"]
Split = Literal["image", "caption"]
Objective = Literal["info_nce", "conclip"]
Precision = Literal["fp32", "bf16", "fp16"]
Decode = Literal["as-shown", "published"]
"""The values of `features.image_decoding.Decoding`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainSettings:
    """How to train; two runs with equal settings, data, model and thread count end with equal bytes."""

    lr: float = setting(1e-6, "highest learning rate")
    weight_decay: float = setting(0.01, "applied to every trained weight, biases, LayerNorm and logit_scale too")
    betas: tuple[float, float] = setting((0.9, 0.999), "of AdamW")
    batch: int = setting(512, "pairs in one step")
    micro_batch: int | None = setting(
        None,
        "most texts whose activations are in memory at a time; the loss is still that of the whole batch, for one more "
        "forward pass; unset: all",
    )
    precision: Precision = setting(
        "fp32",
        "matrix products of the text tower in training steps: fp32, bf16, or fp16 (GPU only); features, loss, weights "
        "and validation stay fp32",
    )
    epochs: int = setting(15, "passes over the training set")
    steps: int | None = setting(None, "optimizer steps; replaces epochs")
    schedule: Schedule = setting("constant", "learning rate after the warm-up: constant, or cosine, which ends at 0")
    warm_up: float = setting(0.0, "share of the steps in which the learning rate rises linearly")
    clip_norm: float | None = setting(None, "max gradient norm")
    frozen: tuple[str, ...] = setting(
        ("visual.", "ln_final."),
        'parameter-name prefixes to freeze; "visual." is required, "logit_scale" can be added',
    )
    lora_rank: int | None = setting(
        None,
        "train LoRA adapters of this rank on the text tower in place of its own weights; needs peft; unset: none",
    )
    lora_alpha: float = setting(16.0, "LoRA: factor lora_alpha / lora_rank on the product of an adapter's matrices")
    lora_targets: tuple[str, ...] = setting(
        (), 'LoRA: names of the layers with adapters, as in ["attn", "c_fc"]; empty: all linear and attention layers'
    )
    objective: Objective = setting(
        "info_nce",
        "loss: info_nce, or conclip, which adds for each pair an image that shows the denied concept, with its caption",
    )
    same_image_mask: bool = setting(False, "captions of one image are not negatives of each other")
    replay_share: float = setting(
        0.0, "share of affirmative captions in a batch; negated captions alone flip the sign of the text"
    )
    replay_pool: str | None = setting(
        None,
        "a pool.jsonl of images with affirmative captions; unset: the human captions of the training set; conclip uses "
        "both",
    )
    hard_pictures: int = setting(
        0, "further negatives for each negated text: images that the base model retrieves for it"
    )
    false_captions: bool = setting(
        False,
        "further negatives for each image: original captions with the absent concept added, where a pair denies one",
    )
    anchor_weight: float = setting(
        0.0, "weight of the penalty on drift from the base text embeddings, on affirmative captions"
    )
    interpolation: float = setting(1.0, "saved weights: base + this * (tuned - base), against forgetting")
    interpolation_max_loss: float | None = setting(
        None,
        "choose the largest interpolation, in steps of 0.1 and at most the one above, at which affirmative R@1 of the "
        "guard loses at most this share in both directions, as in 0.02; unset: no choice",
    )
    logit_scale_max: float | None = setting(
        None, "upper limit of exp(logit_scale), applied after each step; CLIP was trained with 100"
    )
    val_share: float = setting(0.2, "share of the images, or of the captions, for validation")
    split: Split = setting(
        "image",
        "what is split: image, by a keyed hash; or caption, as published: captions of one image are on both sides",
    )
    keep: Keep = setting("best", "which weights are saved: best (by the criterion) or last")
    criterion: Criterion = setting(
        "loss",
        "validation result that keep = best and patience compare: loss, masked_loss (captions of one image are not "
        "negatives of each other) or recall_at_1 (text to image)",
    )
    patience: int | None = setting(
        None, "epochs without a better validation after which the training stops early; unset: never"
    )
    guard_images: int = setting(
        5000, "validation images whose original captions are retrieved at each epoch, to show what is lost; 0: none"
    )
    decode: Decode = setting(
        "as-shown", "images as a card shows them (upright, 16 bits scaled ...), or as the published code reads them"
    )
    max_unusable: float = setting(
        0.05, "largest share of missing or unreadable images, which are left out; above it the training is refused"
    )
    seed: int = setting(42, "random seed")
    threads: int | None = setting(
        None, "threads of torch; unset: torch decides, and a resumed run uses the same number"
    )
    """The last bits of the weights depend on it."""
    log_every: int = setting(10, "steps between two lines of the log of the run")
    checkpoint_every: int = setting(100, "steps between two checkpoints")
    keep_checkpoints: int = setting(2, "newest checkpoints that stay; an older one replaces a damaged one")

    def __post_init__(self) -> None:
        for holds, message in _rules(self):
            if not holds:
                raise TrainerError(f"train settings: {message}")

    def to_dict(self) -> dict[str, Any]:
        return json.loads(json.dumps(asdict(self)))  # type: ignore[no-any-return]  # tuples become lists

    @classmethod
    def from_dict(cls, settings: Mapping[str, Any]) -> TrainSettings:
        """Parse the result of `to_dict`.

        Raises:
            TrainerError: unknown key, wrong type, or settings that contradict each other.
        """
        try:
            validate(dict(settings), cls)
        except ValidationError as error:
            raise TrainerError(f"train settings: {error.problems[0]}") from error
        # Not the validated values: they have 1.0 for 1, which would change the fingerprint of a resumed run.
        values: dict[str, Any] = {
            name: tuple(value) if isinstance(value, list) else value for name, value in settings.items()
        }
        return cls(**values)


def _not_in_conclip(s: TrainSettings) -> str:
    """Return the settings that add rows which the objective `conclip` has no place for."""
    return ", ".join(name for name in ("replay_share", "hard_pictures", "false_captions") if getattr(s, name))


_MAX_NUMBER = 1e30
_FROZEN = 'frozen must have "visual.": images are encoded once, so the image tower cannot be trained'


def _finite(value: float | None) -> bool:
    """Return whether a number fits into float32; JSON and TOML allow NaN, infinities and larger numbers."""
    return value is None or -_MAX_NUMBER <= value <= _MAX_NUMBER  # false for nan


def _rules(s: TrainSettings) -> tuple[tuple[bool, str], ...]:
    """Return conditions that must hold, each with the message for a violation."""
    numbers = (
        "lr",
        "weight_decay",
        "warm_up",
        "clip_norm",
        "logit_scale_max",
        "replay_share",
        "anchor_weight",
        "interpolation",
        "lora_alpha",
        "interpolation_max_loss",
        "val_share",
        "max_unusable",
    )
    not_finite = [name for name in numbers if not _finite(getattr(s, name))]
    return (
        (not not_finite, f"{', '.join(not_finite)} must be finite and at most 1e30"),
        (s.lr > 0, "lr must be positive"),
        (s.weight_decay >= 0, "weight_decay must not be negative"),
        (len(s.betas) == 2 and all(0 <= beta < 1 for beta in s.betas), "betas are two numbers in [0, 1)"),
        (s.batch >= 2, "batch must be 2 or more: the loss compares pairs"),
        (s.micro_batch is None or s.micro_batch >= 1, "micro_batch must be 1 or more"),
        (s.precision in ("fp32", "bf16", "fp16"), "precision is fp32, bf16 or fp16"),
        (s.epochs >= 1 and (s.steps is None or s.steps >= 1), "epochs and steps must be 1 or more"),
        (s.schedule in ("constant", "cosine"), "schedule is constant or cosine"),
        (0 <= s.warm_up < 1, "warm_up is a share of the steps, in [0, 1)"),
        (s.clip_norm is None or s.clip_norm > 0, "clip_norm must be positive"),
        (0 <= s.replay_share < 1, "replay_share must be in [0, 1): the rest of the batch is negated"),
        (round(s.batch * s.replay_share) < s.batch, "replay_share leaves no room for negated captions"),
        (
            s.replay_pool is None or s.replay_share > 0 or s.objective == "conclip",
            "replay_pool without replay_share or objective = conclip",
        ),
        (s.lora_rank is None or s.lora_rank >= 1, "lora_rank must be 1 or more"),
        (s.lora_alpha > 0, "lora_alpha must be positive"),
        (s.lora_rank is not None or not s.lora_targets, "lora_targets without lora_rank"),
        (s.objective in ("info_nce", "conclip"), "objective is info_nce or conclip"),
        (
            s.objective != "conclip" or not _not_in_conclip(s),
            f"objective = conclip adds rows of its own: {_not_in_conclip(s)} must be 0 or false",
        ),
        (s.hard_pictures >= 0, "hard_pictures must not be negative"),
        (s.anchor_weight >= 0, "anchor_weight must not be negative"),
        (s.anchor_weight == 0 or s.replay_share > 0, "anchor_weight needs affirmative captions: set replay_share"),
        (0 < s.interpolation <= 1, "interpolation must be in (0, 1]"),
        *_rules_of_the_choice(s),
        (0 <= s.val_share < 1, "val_share must be in [0, 1)"),
        (s.logit_scale_max is None or s.logit_scale_max > 0, "logit_scale_max must be positive"),
        (s.split in ("image", "caption"), "split is image or caption"),
        (s.split == "image" or s.seed < 2**32, "split = caption needs a seed below 2^32, the range of numpy"),
        (s.keep in ("best", "last"), "keep is best or last"),
        (s.criterion in VALIDATION_KEYS, f"criterion is {', '.join(VALIDATION_KEYS)}"),
        (s.guard_images >= 0, "guard_images must not be negative"),
        (s.patience is None or s.patience >= 1, "patience must be 1 or more"),
        (s.patience is None or s.val_share > 0, "patience needs a val_share above 0"),
        (s.decode in ("as-shown", "published"), "decode is as-shown or published"),
        (0 <= s.max_unusable <= 1, "max_unusable must be in [0, 1]"),
        (s.keep_checkpoints >= 1, "keep_checkpoints must be 1 or more"),
        (s.keep == "last" or s.val_share > 0, "keep = best needs a val_share above 0"),
        (0 <= s.seed < 2**63, "seed must be in [0, 2^63), the range of torch"),
        (any("visual.".startswith(name) for name in s.frozen), _FROZEN),
        (s.threads is None or s.threads >= 1, "threads must be 1 or more"),
        (s.log_every >= 1 and s.checkpoint_every >= 1, "log_every and checkpoint_every must be 1 or more"),
    )


def _rules_of_the_choice(s: TrainSettings) -> tuple[tuple[bool, str], ...]:
    """Return the rules of `interpolation_max_loss`, which compares models on captions that no step has used."""
    name, chooses = "interpolation_max_loss", s.interpolation_max_loss is not None
    return (
        (s.interpolation_max_loss is None or 0 <= s.interpolation_max_loss < 1, f"{name} is a share, in [0, 1)"),
        (not chooses or (s.val_share > 0 and s.guard_images > 1), f"{name} needs val_share and guard_images"),
        (not chooses or s.split == "image", f"{name} needs split = image: by caption, the guard's images are trained"),
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class AppliedRecipe:
    """The recipe that a run was created with. A record: the training reads `RunConfig.settings` alone."""

    name: str
    summary: str
    source: str = ""
    settings: Mapping[str, Any]
    """The content of the recipe."""
    overridden: Mapping[str, str] = field(default_factory=dict)
    """Settings of the run that differ from the recipe, each with the origin of its value."""


def recipe_line(recipe: AppliedRecipe, settings: TrainSettings) -> str:
    """Return one line with the recipe's name and the settings that override it."""
    values = settings.to_dict()
    overridden = ", ".join(
        f"{name} = {json.dumps(values.get(name))} ({origin})" for name, origin in recipe.overridden.items()
    )
    return f"recipe {recipe.name}: {recipe.summary}" + (f"; overridden: {overridden}" if overridden else "")


def available_cores() -> int:
    """Return the number of cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def check_threads(settings: TrainSettings) -> None:
    """Check that the threads of a new run have cores; a run of another machine can be read with any number.

    Raises:
        RunRefused: there are more threads than cores, which makes a training slow without any gain.
    """
    cores = available_cores()
    if settings.threads is not None and settings.threads > cores:
        raise RunRefused(
            f"train settings: threads = {settings.threads}, and this process may use {cores} cores",
            hint=f"use at most {cores}",
        )


def check_precision(settings: TrainSettings, device: str) -> None:
    """Check that the device computes in the precision of the settings, as far as its kind shows.

    Raises:
        RunRefused: half precision on a device where it is not supported or not exact enough.
    """
    kind = device.partition(":")[0]
    supported = {"fp32": True, "bf16": kind in ("cpu", "cuda"), "fp16": kind == "cuda"}
    if not supported[settings.precision]:
        hint = "use bf16 or fp32" if kind == "cpu" else "use fp32"
        raise RunRefused(f"train settings: precision = {settings.precision} on the device {device}", hint=hint)


@dataclass(frozen=True, slots=True)
class Fold:
    """One of several equal parts of the images, from 1 to `of`."""

    number: int
    of: int

    def __post_init__(self) -> None:
        if not 1 <= self.number <= self.of or self.of < 2:
            raise TrainerError(f"fold {self.number} of {self.of}: 2 folds or more, numbered from 1")


@dataclass(frozen=True, slots=True, kw_only=True)
class RunConfig:
    """config.json of a run folder: the complete input of `python -m trainers`."""

    model: str
    """Model spec of `models.loading.load_model`."""
    export: str
    pictures: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    """Image folders by source."""
    follow_links: bool = False
    """Whether an image may be a link that leaves its folder."""
    cache: str
    """Folder of the feature store."""
    device: str = "cpu"
    save_pth: bool = False
    """Whether to save the model as an openai-style state dict, too."""
    save_hf: bool = False
    """Whether to save the model as a CLIPModel folder of transformers, too."""
    report_to: tuple[str, ...] = ()
    """Trackers that show the metrics (`tracking.names.TrackerName`); the training does not depend on them."""
    routed: bool = False
    """Whether to save the base and the trained model as one routed model; model.pth and hf/ are the trained one."""
    settings: TrainSettings = field(default_factory=TrainSettings)
    recipe: AppliedRecipe | None = None
    """None: the run was created without --recipe."""
    fold: Fold | None = None
    """Fold of a cross-validation: the run trains on the images outside it, measures the margins of the pairs in it
    (`trainers.margins`), and saves no model."""

    def to_text(self) -> str:
        """Return the content of config.json."""
        pictures = {source: list(folders) for source, folders in sorted(self.pictures.items())}
        values = {"format": FORMAT, "model": self.model, "export": self.export, "pictures": pictures}
        if self.follow_links:
            values["follow_links"] = True
        if self.routed:
            values["routed"] = True
        values |= {
            "cache": self.cache,
            "device": self.device,
            "save_pth": self.save_pth,
            "save_hf": self.save_hf,
        }
        if self.report_to:
            values["report_to"] = list(self.report_to)
        values["settings"] = self.settings.to_dict()
        if self.recipe is not None:
            values["recipe"] = asdict(self.recipe)
        if self.fold is not None:
            values["fold"] = asdict(self.fold)
        return json.dumps(values, indent=2) + "\n"

    @classmethod
    def from_text(cls, text: str | bytes) -> RunConfig:
        """Parse the content of config.json.

        Raises:
            TrainerError: the content is damaged or of a newer negwb.
        """
        try:
            content = parse_json(text)
        except JsonError as error:
            raise TrainerError(f"config.json is damaged: {error}") from error
        if not isinstance(content, dict) or type(content.get("format")) is not int:
            raise TrainerError("config.json is damaged: it has no format")
        if content["format"] > FORMAT:
            raise TrainerError(f"config.json was written by a newer negwb (format {content['format']})")
        known = {item.name for item in fields(cls)}  # later versions of the same format may add keys
        values = {name: value for name, value in content.items() if name in known}
        if isinstance(values.get("settings"), dict):
            values["settings"] = TrainSettings.from_dict(values["settings"])
        try:
            return validate(values, cls)
        except ValidationError as error:
            raise TrainerError(f"config.json is damaged: {error.problems[0]}") from error


def read_config(folder: Path) -> RunConfig:
    """Read the configuration of the run in `folder`.

    Raises:
        TrainerError: config.json is missing or damaged.
    """
    try:
        return RunConfig.from_text((folder / "config.json").read_bytes())
    except OSError as error:
        raise TrainerError(f"{folder} is not a run folder: {error.strerror} (config.json)") from error


def write_config(folder: Path, config: RunConfig) -> None:
    """Replace the configuration of a run that has not started, atomically."""
    replace_file(folder / "config.json", config.to_text(), only_writer=True)


def create_run(folder: Path, config: RunConfig) -> None:
    """Create the run folder of a new training with its config.json, atomically.

    Raises:
        TrainerError: the folder exists, or it cannot be written.
    """
    create_whole(folder, lambda new: write_config(new, config), hint="choose another name, or resume this run")
