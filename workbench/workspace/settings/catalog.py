"""List of all settings of negwb.toml: value, default, help, and the line that sets it."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from workbench.workspace.settings.choices import ImageMode
from workbench.workspace.settings.engines import EngineSettings
from workbench.workspace.settings.server_address import plain_url
from workbench.workspace.settings.settings import (
    FOLLOW_LINKS_HELP,
    RECIPE_HELP,
    CurateSettings,
    ExportSettings,
    Settings,
    read_settings,
)
from workbench.workspace.settings.toml_edit import line_of
from workbench.workspace.settings.toml_file import read_toml_text
from workbench.workspace.settings.writer import CHANGEABLE

if TYPE_CHECKING:
    from curation_db.lint.linter import LintSettings
    from workbench.workspace.keymap import ActionMap
    from workbench.workspace.own_commands import OwnCommand

TARGETS: Final = {
    "cue": "Intended share of each negation cue among the accepted candidates, or a benchmark whose shares to use.",
    "position": "Intended shares of the position of the cue: beginning, middle, end.",
    "type": "Intended shares of the negation types: absence, action, attribute, relation, other.",
    "concept": "Intended shares of single concepts among the accepted candidates.",
}
_ORDERS: Final[Mapping[str, str]] = {
    "conflict": "cards on which the judges disagree",
    "threshold": "cards on which the judges are least sure",
    "lint": "cards with lint findings",
    "rare-cue": "cards with a rare negation cue",
    "rare-concept": "cards that negate a rare concept",
    "random": "a fixed random order",
    "oldest": "in the order of import",
    "mistaken": "accepted pairs that a trained model doubts (negwb mistaken)",
}
_IMAGES: Final[Mapping[str, str]] = {
    ImageMode.AUTO: "the best protocol of the terminal",
    ImageMode.KITTY: "kitty's graphics: kitty, Ghostty, WezTerm",
    ImageMode.SIXEL: "sixel graphics: foot, xterm, Windows Terminal",
    ImageMode.HALFCELL: "half blocks in colour, in any terminal",
    ImageMode.NONE: "no images",
}


class Applies(StrEnum):
    """When a change of a setting has an effect."""

    AT_ONCE = "at once"
    NEXT_START = "next start"
    NEXT_IMPORT = "next import"
    NEXT_RUN = "next run"
    """Of generation or training, each of which is a process of its own."""


_APPLIES: Final[Mapping[str, Applies]] = {
    "curate.theme": Applies.AT_ONCE,
    "curate.overlap": Applies.NEXT_IMPORT,
    "curate.audit_rate": Applies.NEXT_IMPORT,
    "generate": Applies.NEXT_RUN,
    "engines": Applies.NEXT_RUN,
    "train": Applies.NEXT_RUN,
}
"""By full name or by table; all others apply from the next start."""


@dataclass(frozen=True, slots=True)
class ListedSetting:
    name: str
    """With its table, such as curate.order."""
    value: str
    default: str
    help: str
    line: int | None
    """Line of negwb.toml; None: the default is in force."""

    @property
    def applies(self) -> Applies:
        """When a change in negwb.toml has an effect on the app."""
        return _APPLIES.get(self.name) or _APPLIES.get(self.name.partition(".")[0], Applies.NEXT_START)

    content: Any = None
    """The value as JSON has it."""


@dataclass(frozen=True, slots=True)
class Choice:
    """An allowed value of a setting."""

    value: str
    help: str


def read_setting_list(path: Path, actions: ActionMap | None = None) -> tuple[Settings, list[ListedSetting]]:
    """Read the settings of the file `path`; return them and their list.

    Raises:
        UsageError: As for `read_settings`.
    """
    settings = read_settings(path)
    return settings, list_settings(settings, read_toml_text(path), actions)


def list_settings(settings: Settings, text: str, actions: ActionMap | None = None) -> list[ListedSetting]:
    """List `settings`.

    Args:
        text: The content of negwb.toml.
        actions: The key map, whose keys are listed too.
    """
    from curation_db.lint.linter import DEFAULTS, LintSettings  # noqa: PLC0415
    from trainers.recipes.recipe import read_recipe  # noqa: PLC0415
    from trainers.settings import TrainSettings  # noqa: PLC0415 -- most commands read no recipe

    current, default = settings.curate, CurateSettings()
    rows = [
        ListedSetting(
            f"curate.{name}",
            _value_text(getattr(current, name)),
            _value_text(getattr(default, name)),
            help_text,
            line_of(text, "curate", name),
            getattr(current, name),
        )
        for name, help_text in help_of(CurateSettings).items()
    ]
    rows += [_folder(source, folders, text) for source, folders in settings.pictures.items()]
    if settings.follow_links:
        line = line_of(text, "pictures", "follow_links")
        rows.append(ListedSetting("pictures.follow_links", "true", "false", sentence(FOLLOW_LINKS_HELP), line, True))
    rows += [_command(each, text) for each in settings.commands]
    checks, default_checks = _checks(settings.lint or DEFAULTS), _checks(DEFAULTS)
    if line_of(text, "lint", "most_tokens") is None:  # the limit of the model to be trained
        default_checks["most_tokens"] = checks["most_tokens"]
    rows += _under("lint", checks, default_checks, help_of(LintSettings), text)
    rows += _under("progress.targets", settings.targets, dict(Settings().targets), TARGETS, text)
    rows += _under("export", asdict(settings.export), asdict(ExportSettings()), help_of(ExportSettings), text)
    rows += _generating(settings, text)
    rows += _training(settings, text)
    recipe = TrainSettings().to_dict() | (dict(read_recipe(settings.recipe).settings) if settings.recipe else {})
    rows += _under("train", {**recipe, **settings.train}, recipe, help_of(TrainSettings), text)
    return rows + (_keys(current.keys, actions, text) if actions is not None else [])


def help_of(kind: type[Any]) -> dict[str, str]:
    """Return the help of each key of a table, from the metadata of its dataclass."""
    return {each.name: sentence(each.metadata["help"]) for each in fields(kind) if "help" in each.metadata}


def sentence(text: str) -> str:
    """Return a help text with a capital letter and a full stop."""
    ended = text if text.endswith(("...", ".")) else f"{text}."
    return ended[:1].upper() + ended[1:]


def choices(name: str) -> list[Choice]:
    """Return the values of `order` or `images`. The screen knows those of `theme`."""
    return [Choice(str(value), text) for value, text in {"order": _ORDERS, "images": _IMAGES}[name].items()]


def can_change(name: str) -> bool:
    """Return whether the app can change the setting with this full name."""
    table, _, key = name.partition(".")
    return table == "curate" and key in CHANGEABLE


def _folder(source: str, folders: tuple[str, ...], text: str) -> ListedSetting:
    help_text = "Folders with the images of this source; negwb import --pictures adds to them."
    line = line_of(text, "pictures", source)
    return ListedSetting(f"pictures.{source}", _value_text(list(folders)), "", help_text, line, list(folders))


def _command(command: OwnCommand, text: str) -> ListedSetting:
    content = {"key": command.key, "run": command.run, "help": command.help}
    help_text = sentence(command.help or "A command of your own, on a card.")
    line = line_of(text, "commands", command.name, "run")
    return ListedSetting(f"commands.{command.name}", f"{command.key}: {command.run}", "", help_text, line, content)


def _training(settings: Settings, text: str) -> list[ListedSetting]:
    """List the settings of [train] that are not part of a recipe."""
    reports = list(settings.report_to)
    return [
        ListedSetting(f"train.{name}", _value_text(value), "–", help_text, line_of(text, "train", name), value)
        for name, value, help_text in (
            ("model", settings.base_model or None, "The model to start from; unset: OpenAI's ViT-B/32."),
            ("recipe", settings.recipe or None, sentence(RECIPE_HELP)),
            ("report_to", reports or None, "Trackers that show the metrics; see negwb train --report-to."),
        )
    ]


def _under(
    table: str, current: Mapping[str, Any], default: Mapping[str, Any], help_texts: Mapping[str, str], text: str
) -> list[ListedSetting]:
    path = table.split(".")
    parsed: Any = tomllib.loads(text)
    for key in path:
        parsed = parsed.get(key, {})
    return [
        ListedSetting(
            f"{table}.{name}",
            _value_text(current.get(name)),
            _value_text(default.get(name)),
            help_text,
            line_of(text, *path, name) if name in parsed else None,
            current.get(name),
        )
        for name, help_text in help_texts.items()
    ]


def _generating(settings: Settings, text: str) -> list[ListedSetting]:
    default, current = Settings().generate, settings.generate
    help_texts = help_of(type(default))
    values, defaults = ({name: getattr(each, name) for name in help_texts} for each in (current, default))
    rows = _under("generate", values, defaults, help_texts, text)
    for name, engine in settings.generate.engines.items():
        what = f"{engine.kind} {plain_url(engine.url) or engine.model}".strip()
        line = line_of(text, "engines", name, "kind")
        help_text = "An engine: a model that proposes or judges captions."
        rows.append(ListedSetting(f"engines.{name}", what, "", help_text, line, what))
    return rows


def list_engines(settings: Settings, text: str) -> list[ListedSetting]:
    """List every setting of the engines, without keys in addresses and headers."""
    rows = []
    for name, engine in settings.generate.engines.items():
        defaults = EngineSettings(kind=engine.kind)
        for each, help_text in help_of(EngineSettings).items():
            value, line = _without_keys(each, getattr(engine, each)), line_of(text, "engines", name, each)
            default = _value_text(getattr(defaults, each)) if each != "kind" else ""
            full = f"engines.{name}.{each}"
            is_set = value != getattr(defaults, each) or each == "kind"
            rows.append(ListedSetting(full, _value_text(value), default, help_text, line if is_set else None, value))
    return rows


def _without_keys(name: str, value: Any) -> Any:
    """Return the value of an engine's setting; a secret in it is replaced by "…"."""
    if name == "url":
        return plain_url(value)
    if name == "urls":
        return tuple(map(plain_url, value))
    if name in ("headers", "query"):
        return {key: each if each.startswith("$") else "…" for key, each in value.items()}
    return value


def _checks(lint: LintSettings) -> dict[str, Any]:
    return {name: sorted(lint.off) if name == "off" else getattr(lint, name) for name in help_of(type(lint))}


def _keys(own: Mapping[str, str], actions: ActionMap, text: str) -> list[ListedSetting]:
    from workbench.workspace.keymap import OWN_GROUP  # noqa: PLC0415

    rows = []
    for action in (each for each in actions.all_actions if each.group != OWN_GROUP):
        line = line_of(text, "curate", "keys", action.id) if action.id in own else None
        default = " ".join(actions.default_caps(action))
        keys = ",".join(actions.keys(action))
        rows.append(ListedSetting(f"curate.keys.{action.id}", actions.caps(action), default, action.help, line, keys))
    return sorted(rows, key=lambda row: row.line is None)  # keys that negwb.toml sets come first


def _value_text(value: Any) -> str:
    """Return a value for display, similar to TOML."""
    if value is None:
        return "–"
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, Mapping):
        parts = (f"{name} {_value_text(each)}" for name, each in value.items())
        return ", ".join(parts) or "none"
    if isinstance(value, list | tuple):
        return ", ".join(map(str, value))
    return f"{value:g}" if isinstance(value, float) else str(value)
