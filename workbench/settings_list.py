"""Every setting of negwb.toml as a list: its value, its default, what it is for, and the line in which it is set."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from workbench.settings import CurateSettings, Settings, read_settings
from workbench.settings_edit import CHANGEABLE
from workbench.toml_edit import line_of

if TYPE_CHECKING:
    from curation_db.lint import LintSettings
    from workbench.tui.actions import ActionMap

CURATE: Final = {
    "order": "What comes first: a policy such as conflict, or a sum of them such as 0.7*conflict + 0.3*lint.",
    "overlap": "People per new candidate: 1, 3, or 2+1 (a third only when two differ). Others: negwb queue overlap.",
    "audit_rate": "Share of new candidates kept for the blind audit; fixed in each when it comes in.",
    "audit_share": "Share of served cards that come from the audit.",
    "gold_share": "Share of served cards whose answer is known, where there are any: negwb gold.",
    "blind": "Never show what the judges say.",
    "images": "How pictures are drawn: auto asks the terminal.",
    "theme": "The colours: negwb-dark, negwb-light, or any theme of Textual.",
    "viewer": "The program that shows a picture outside the terminal on o; empty: what the system has.",
}
FOLLOW: Final = "Whether links that leave the picture folders are opened."
LINT: Final = {
    "off": "Rules of the checks that are not asked; negwb lint --rules explains them.",
    "most_tokens": "Longer texts are too-long; CLIP reads 77.",
    "frequent_share": "A concept denied in a larger share of the candidates is over-frequent …",
    "frequent_count": "… if that many candidates deny it.",
    "across_pictures": "Whether a near-duplicate may stand on another picture.",
}
TARGETS: Final = {
    "cue": "The share that each negation word should have among the accepted, or a benchmark whose shares they are.",
    "position": "Where in the text the negation word should stand: beginning, middle, end.",
    "type": "What should be denied: absence, action, attribute, relation, other.",
    "concept": "Shares of single concepts among the accepted.",
}
TRAIN: Final = {
    "lr": "Learning rate, at its highest.",
    "weight_decay": "On everything that is trained.",
    "betas": "Of AdamW.",
    "batch": "Pairs in one step.",
    "epochs": "Passes over the set.",
    "steps": "Optimizer steps instead of epochs.",
    "schedule": "Of the learning rate after the warm-up: constant, or cosine, which ends at nothing.",
    "warm_up": "Share of the steps in which the rate rises.",
    "clip_norm": "The gradient's norm is cut to this.",
    "frozen": "Beginnings of the names of weights that stay as they are.",
    "same_image_mask": "Captions of one picture are no negatives of each other.",
    "replay_share": "Share of a batch that are affirmative captions.",
    "replay_pool": "A file of affirmative captions for that; else the human captions of the set.",
    "hard_pictures": "Further negatives for each text: pictures that the base model takes for right.",
    "anchor_weight": "How much moving away from the base model's texts costs.",
    "interpolation": "The kept model is the base plus this much of what was learned.",
    "val_share": "Share of the pictures that are kept for validation.",
    "keep": "Whose weights are kept: best (by validation loss) or last.",
    "seed": "Of everything random.",
    "threads": "Of torch.",
    "log_every": "Steps between two lines of the run's log.",
    "checkpoint_every": "Steps between two checkpoints.",
}
GENERATE: Final = {
    "proposer": "The engine that proposes concepts and rewrites captions.",
    "judges": "The engines that judge, with :present or :acceptable where asked only that; annotations: the record.",
    "prompts_p1": "The prompts of P1 (object absence): a set of the house, or a file.",
    "prompts_p2": "The prompts of P2 (questions that people answered with no).",
    "rule": "When the judges together call a concept present: mean, any, all, or official (the published rule).",
    "threshold": "Of the mean of P(present), from which on a concept counts as present.",
    "attempts": "Concepts that are tried for a caption until one is not in the picture.",
    "rewrites": "Rewrites that are asked for until the checks find nothing serious.",
    "mix": "Cues and positions that are asked for: balanced, negrefcocog, free.",
    "unclear": "What becomes of a concept that no judge could tell: keep (a person decides) or drop.",
    "prior": "Whether judges are also asked about a blank picture: off, store, correct.",
    "least_label_mass": "With less probability on yes and no together, an answer is unclear.",
    "seed": "Of everything that is drawn.",
}
_ORDERS: Final = {
    "conflict": "where the judges disagree",
    "threshold": "where the judges are least sure",
    "lint": "where the checks found something",
    "rare-cue": "what says no in a rare way",
    "rare-concept": "what denies a rare thing",
    "random": "in any order, always the same",
    "oldest": "as it came in",
}
_IMAGES: Final = {
    "auto": "the best that the terminal can",
    "kitty": "kitty's graphics: kitty, Ghostty, WezTerm",
    "sixel": "sixel graphics: foot, xterm, Windows Terminal",
    "halfcell": "half blocks in colour, in any terminal",
    "none": "no pictures",
}


@dataclass(frozen=True, slots=True)
class Listed:
    """One setting."""

    name: str
    """With its table: curate.order."""
    value: str
    default: str
    says: str
    line: int | None
    """In which it stands in negwb.toml; None: its default holds."""


@dataclass(frozen=True, slots=True)
class Choice:
    """A value that can be chosen."""

    value: str
    says: str


def read_listed(path: Path, actions: ActionMap | None = None) -> tuple[Settings, list[Listed]]:
    """The settings in `path`, and their list.

    Raises:
        UsageError: as `read_settings`.
    """
    settings = read_settings(path)
    return settings, listed(settings, path.read_bytes().decode("utf-8"), actions)


def listed(settings: Settings, text: str, actions: ActionMap | None = None) -> list[Listed]:
    """`settings`, which stand in `text`; the keys of `actions` (as at the start) are listed where it is told."""
    from curation_db.lint import DEFAULTS  # noqa: PLC0415
    from trainers.settings import TrainSettings  # noqa: PLC0415 -- most commands read no recipe

    own, usual = settings.curate, CurateSettings()
    rows = [
        Listed(f"curate.{each.name}", _said(getattr(own, each.name)), _said(getattr(usual, each.name)),
               CURATE[each.name], line_of(text, "curate", each.name))
        for each in fields(CurateSettings) if each.name != "keys"
    ]  # fmt: skip
    rows += [_folder(source, folders, text) for source, folders in settings.pictures.items()]
    if settings.follow_links:
        line = line_of(text, "pictures", "follow_links")
        rows.append(Listed("pictures.follow_links", "true", "false", FOLLOW, line))
    rows += _under("lint", _checks(settings.lint or DEFAULTS), _checks(DEFAULTS), LINT, text)
    rows += _under("progress.targets", settings.targets, dict(Settings().targets), TARGETS, text)
    rows += _generating(settings, text)
    recipe = TrainSettings().to_dict()
    rows += _under("train", {**recipe, **settings.train}, recipe, TRAIN, text)
    return rows + (_keys(own.keys, actions, text) if actions is not None else [])


def choices(name: str) -> list[Choice]:
    """What one of `settings.CHANGEABLE` can be."""
    if name == "theme":
        from workbench.tui.themes import known  # noqa: PLC0415

        return [Choice(theme, "the house's own" if theme.startswith("negwb-") else "Textual's") for theme in known()]
    table = {"order": _ORDERS, "images": _IMAGES}[name]
    return [Choice(value, says) for value, says in table.items()]


def can_change(name: str) -> bool:
    """Whether the app itself changes the setting with this full name."""
    table, _, key = name.partition(".")
    return table == "curate" and key in CHANGEABLE


def _folder(source: str, folders: tuple[str, ...], text: str) -> Listed:
    says = "Folders in which the pictures of this source are looked for; negwb import --pictures adds to them."
    return Listed(f"pictures.{source}", _said(list(folders)), "", says, line_of(text, "pictures", source))


def _under(
    table: str, now: Mapping[str, Any], usual: Mapping[str, Any], says: Mapping[str, str], text: str
) -> list[Listed]:
    top = table.split(".")
    told = _within(tomllib.loads(text), top)
    return [
        Listed(f"{table}.{name}", _said(now.get(name)), _said(usual.get(name)), meaning,
               line_of(text, *top, name) if name in told else None)
        for name, meaning in says.items()
    ]  # fmt: skip


def _generating(settings: Settings, text: str) -> list[Listed]:
    usual = Settings().generate
    now = {name: getattr(settings.generate, name) for name in GENERATE}
    rows = _under("generate", now, {name: getattr(usual, name) for name in GENERATE}, GENERATE, text)
    for name, engine in settings.generate.engines.items():
        what, line = f"{engine.kind} {engine.url or engine.model}".strip(), line_of(text, "engines", name, "kind")
        rows.append(Listed(f"engines.{name}", what, "", "An engine: what answers questions to a model.", line))
    return rows


def _checks(told: LintSettings) -> dict[str, Any]:
    return {name: sorted(told.off) if name == "off" else getattr(told, name) for name in LINT}


def _within(told: Mapping[str, Any], path: list[str]) -> Mapping[str, Any]:
    for name in path:
        told = told.get(name, {})
    return told


def _keys(own: Mapping[str, str], actions: ActionMap, text: str) -> list[Listed]:
    rows = []
    for action in actions.every:
        line = line_of(text, "curate", "keys", action.id) if action.id in own else None
        usual = " ".join(actions.usual_caps(action))
        rows.append(Listed(f"curate.keys.{action.id}", actions.caps(action), usual, action.says, line))
    return sorted(rows, key=lambda row: row.line is None)  # one's own first


def _said(value: Any) -> str:
    """As a person reads it, near to how TOML writes it."""
    if value is None:
        return "–"
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, Mapping):
        return ", ".join(f"{name} {share:g}" for name, share in value.items()) or "none"
    if isinstance(value, list | tuple):
        return ", ".join(map(str, value))
    return f"{value:g}" if isinstance(value, float) else str(value)
