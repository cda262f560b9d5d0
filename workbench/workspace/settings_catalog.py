"""Every setting of negwb.toml as a list: its value, its default, what it is for, and the line in which it is set."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from workbench.workspace.choices import ImageMode
from workbench.workspace.settings import FOLLOW_LINKS_HELP, CurateSettings, Settings, read_settings
from workbench.workspace.settings_writer import CHANGEABLE
from workbench.workspace.toml_edit import line_of

if TYPE_CHECKING:
    from curation_db.lint.linter import LintSettings
    from workbench.workspace.keymap import ActionMap

TARGETS: Final = {
    "cue": "The share that each negation word should have among the accepted, or a benchmark whose shares they are.",
    "position": "Where in the text the negation word should stand: beginning, middle, end.",
    "type": "What should be denied: absence, action, attribute, relation, other.",
    "concept": "Shares of single concepts among the accepted.",
}
_ORDERS: Final[Mapping[str, str]] = {
    "conflict": "where the judges disagree",
    "threshold": "where the judges are least sure",
    "lint": "where the checks found something",
    "rare-cue": "what says no in a rare way",
    "rare-concept": "what denies a rare thing",
    "random": "in any order, always the same",
    "oldest": "as it came in",
}
_IMAGES: Final[Mapping[str, str]] = {
    ImageMode.AUTO: "the best that the terminal can",
    ImageMode.KITTY: "kitty's graphics: kitty, Ghostty, WezTerm",
    ImageMode.SIXEL: "sixel graphics: foot, xterm, Windows Terminal",
    ImageMode.HALFCELL: "half blocks in colour, in any terminal",
    ImageMode.NONE: "no pictures",
}


@dataclass(frozen=True, slots=True)
class ListedSetting:
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


def read_listed(path: Path, actions: ActionMap | None = None) -> tuple[Settings, list[ListedSetting]]:
    """The settings in `path`, and their list.

    Raises:
        UsageError: as `read_settings`.
    """
    settings = read_settings(path)
    return settings, listed(settings, path.read_bytes().decode("utf-8"), actions)


def listed(settings: Settings, text: str, actions: ActionMap | None = None) -> list[ListedSetting]:
    """`settings`, which stand in `text`; the keys of `actions` (as at the start) are listed where it is told."""
    from curation_db.lint.linter import DEFAULTS, LintSettings  # noqa: PLC0415
    from trainers.settings import TrainSettings  # noqa: PLC0415 -- most commands read no recipe

    own, usual = settings.curate, CurateSettings()
    rows = [
        ListedSetting(
            f"curate.{name}",
            _said(getattr(own, name)),
            _said(getattr(usual, name)),
            help_text,
            line_of(text, "curate", name),
        )
        for name, help_text in help_of(CurateSettings).items()
    ]
    rows += [_folder(source, folders, text) for source, folders in settings.pictures.items()]
    if settings.follow_links:
        line = line_of(text, "pictures", "follow_links")
        rows.append(ListedSetting("pictures.follow_links", "true", "false", sentence(FOLLOW_LINKS_HELP), line))
    rows += _under("lint", _checks(settings.lint or DEFAULTS), _checks(DEFAULTS), help_of(LintSettings), text)
    rows += _under("progress.targets", settings.targets, dict(Settings().targets), TARGETS, text)
    rows += _generating(settings, text)
    recipe = TrainSettings().to_dict()
    rows += _under("train", {**recipe, **settings.train}, recipe, help_of(TrainSettings), text)
    return rows + (_keys(own.keys, actions, text) if actions is not None else [])


def help_of(kind: type[Any]) -> dict[str, str]:
    """The help of every key of a table, from the metadata of the dataclass that the table is read into."""
    return {each.name: sentence(each.metadata["help"]) for each in fields(kind) if "help" in each.metadata}


def sentence(text: str) -> str:
    """A help text with a capital letter and a full stop."""
    ended = text if text.endswith(("...", ".")) else f"{text}."
    return ended[:1].upper() + ended[1:]


def choices(name: str) -> list[Choice]:
    """The values of `order` or `images`. The values of `theme` are known to the screen."""
    return [Choice(str(value), says) for value, says in {"order": _ORDERS, "images": _IMAGES}[name].items()]


def can_change(name: str) -> bool:
    """Whether the app itself changes the setting with this full name."""
    table, _, key = name.partition(".")
    return table == "curate" and key in CHANGEABLE


def _folder(source: str, folders: tuple[str, ...], text: str) -> ListedSetting:
    says = "Folders in which the pictures of this source are looked for; negwb import --pictures adds to them."
    return ListedSetting(f"pictures.{source}", _said(list(folders)), "", says, line_of(text, "pictures", source))


def _under(
    table: str, now: Mapping[str, Any], usual: Mapping[str, Any], says: Mapping[str, str], text: str
) -> list[ListedSetting]:
    top = table.split(".")
    told = _within(tomllib.loads(text), top)
    return [
        ListedSetting(
            f"{table}.{name}",
            _said(now.get(name)),
            _said(usual.get(name)),
            meaning,
            line_of(text, *top, name) if name in told else None,
        )
        for name, meaning in says.items()
    ]


def _generating(settings: Settings, text: str) -> list[ListedSetting]:
    usual, own = Settings().generate, settings.generate
    help_texts = help_of(type(usual))
    now, then = ({name: getattr(each, name) for name in help_texts} for each in (own, usual))
    rows = _under("generate", now, then, help_texts, text)
    for name, engine in settings.generate.engines.items():
        what, line = f"{engine.kind} {engine.url or engine.model}".strip(), line_of(text, "engines", name, "kind")
        rows.append(ListedSetting(f"engines.{name}", what, "", "An engine: what answers questions to a model.", line))
    return rows


def _checks(told: LintSettings) -> dict[str, Any]:
    return {name: sorted(told.off) if name == "off" else getattr(told, name) for name in help_of(type(told))}


def _within(told: Mapping[str, Any], path: list[str]) -> Mapping[str, Any]:
    for name in path:
        told = told.get(name, {})
    return told


def _keys(own: Mapping[str, str], actions: ActionMap, text: str) -> list[ListedSetting]:
    rows = []
    for action in actions.all_actions:
        line = line_of(text, "curate", "keys", action.id) if action.id in own else None
        usual = " ".join(actions.default_caps(action))
        rows.append(ListedSetting(f"curate.keys.{action.id}", actions.caps(action), usual, action.help, line))
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
