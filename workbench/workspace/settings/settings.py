"""The settings of negwb.toml with their defaults and help. Unknown names and wrong types are errors."""

from __future__ import annotations

import shlex
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, TypeVar

from curation_db.validation import ValidationError, closest, setting, validate, validate_field
from workbench.errors import UsageError
from workbench.workspace.own_commands import OwnCommand, is_name
from workbench.workspace.settings.choices import ImageMode, PanelChoice
from workbench.workspace.settings.errors import SettingProblem, SettingsError, line_of_problem, settings_error
from workbench.workspace.settings.toml_file import parse_toml, read_toml_text

if TYPE_CHECKING:
    from curation_db.lint.linter import LintSettings
    from workbench.workspace.settings.generation import GenerateSettings

FOLLOW_LINKS_HELP = "open links that leave the image folders"
AUTO_THEME = "auto"
OWN_THEMES = ("negwb-dark", "negwb-light", AUTO_THEME)
"""Themes that need no check by Textual."""


def _order(value: str) -> str:
    from curation_db.queue.ordering import Policy  # noqa: PLC0415 -- 0.1 s, only where the file has an order

    try:
        Policy.parse(value)
    except ValueError as error:
        return str(error)
    return ""


def _overlap(value: str) -> str:
    from curation_db.events.state import Overlap  # noqa: PLC0415

    try:
        Overlap.parse(value)
    except ValueError:
        return 'annotators per candidate: "1", another number up to "99", or "2+1" (a third only when two differ)'
    return ""


def _viewer(value: str) -> str:
    try:
        shlex.split(value)
    except ValueError as error:
        return f"{error}; a program and its arguments, as in: feh --scale-down"
    return ""


@dataclass(frozen=True, slots=True)
class CurateSettings:
    order: str = setting(
        "conflict",
        "which cards come first: conflict, threshold, lint, rare-cue, rare-concept, random, oldest, mistaken, or a "
        'weighted sum such as "0.7*conflict + 0.3*lint"',
        check=_order,
    )
    overlap: str = setting(
        "1",
        'annotators per new candidate: "1", "3", or "2+1" (a third only when two differ); for existing candidates: '
        "negwb queue overlap",
        check=_overlap,
    )
    audit_rate: float = setting(
        0.1, "share of new candidates reserved for the blind audit; fixed at import", at_least=0, at_most=1
    )
    audit_share: float = setting(0.1, "share of served cards that come from the audit", at_least=0, at_most=1)
    gold_share: float = setting(
        0.1, "share of served cards whose answer is known, if there are any: negwb gold", at_least=0, at_most=1
    )
    blind: bool = setting(False, "never show the verdicts of the judges")
    images: str = setting(
        "auto",
        "how images are drawn: auto, kitty, sixel, halfcell, none; auto asks the terminal",
        choices=tuple(map(str, ImageMode)),
    )
    theme: str = setting(
        AUTO_THEME, "colours: auto (light or dark as the terminal), negwb-dark, negwb-light, or any theme of Textual"
    )
    keys: Mapping[str, str] = field(default_factory=dict)
    """Action id to keys, comma-separated."""
    viewer: str = setting(
        "", 'the program that o opens an image with, as in "feh --scale-down"; empty: the system\'s', check=_viewer
    )
    panels: Mapping[str, PanelChoice] = field(default_factory=dict)
    """Annotator to the choice for the panel below the image; the app writes it."""
    probe: float = setting(
        0.0, "share of accepts after which two short questions check the answer, such as 0.1", at_least=0, at_most=1
    )
    goal: int = setting(0, "decisions to reach in a session, shown with a bar; 0: none", at_least=0)


@dataclass(frozen=True, slots=True)
class ExportSettings:
    blind_limit: float = setting(
        0.6,
        "how often a classifier of the text alone may pick the true caption of an export with false ones, as an upper "
        "bound at 95 %",
        at_least=0.5,
        at_most=1,
        example="0.6",
    )


DEFAULT_TARGETS: Mapping[str, Any] = MappingProxyType({"cue": "negrefcocog", "position": "negrefcocog"})
_TABLES = ("pictures", "curate", "commands", "lint", "progress", "browse", "export", "train", "generate", "engines")
_MODEL, _REPORT_TO, _RECIPE = "model", "report_to", "recipe"
RECIPE_HELP = "a recipe of negwb train --recipes, or a .toml file; the settings of [train] override it"
_FOLLOW_LINKS = "follow_links"
_Folders = dict[str, str | tuple[str, ...]]
T = TypeVar("T")
_FIX_HINT = "correct the file, or compare it with one from: negwb init"


@dataclass(frozen=True, slots=True)
class _Browse:
    views: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class _Progress:
    targets: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Settings:
    """The content of negwb.toml."""

    pictures: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    """Source name to folders, relative to the workspace or absolute."""
    curate: CurateSettings = field(default_factory=CurateSettings)
    targets: Mapping[str, Any] = field(default_factory=lambda: DEFAULT_TARGETS)
    """Trait to a benchmark's name or to shares, as `curation_db.stats.targets.resolve_target` takes them."""
    views: Mapping[str, str] = field(default_factory=dict)
    """[browse.views]: name to filter line."""
    export: ExportSettings = field(default_factory=ExportSettings)
    commands: tuple[OwnCommand, ...] = ()
    """[commands]: the annotator's own."""
    train: Mapping[str, Any] = field(default_factory=dict)
    """[train]: fields of `trainers.settings.TrainSettings`; paths are relative to the workspace."""
    lint: LintSettings | None = None
    """[lint]; None: the defaults."""
    generating: GenerateSettings | None = None
    """[generate] and [engines]; None: both are empty."""
    base_model: str = ""
    """[train] model: the model that the first training starts from, or "demo"; empty: CLIP."""
    follow_links: bool = False
    """Whether an image may be a link that leaves its image folder."""
    report_to: tuple[str, ...] = ()
    """[train] report_to: trackers of `trainers.tracking.names`."""
    recipe: str = ""
    """[train] recipe: a name or an absolute path, as for `read_recipe`; empty: the published recipe, split by image."""

    @property
    def checks(self) -> LintSettings:
        """[lint], with its defaults and the token limit of [train] model."""
        if self.lint is not None:
            return self.lint
        from curation_db.lint.linter import DEFAULTS  # noqa: PLC0415 -- most commands need none

        return DEFAULTS

    @property
    def generate(self) -> GenerateSettings:
        """[generate] and [engines], with their defaults."""
        if self.generating is not None:
            return self.generating
        from workbench.workspace.settings.generation import GenerateSettings  # noqa: PLC0415 -- most commands need none

        return GenerateSettings()


def read_settings(path: Path) -> Settings:
    """Read the settings of the file `path`.

    Raises:
        UsageError: The file is not TOML, has an unknown name, or has a value that is not allowed.
    """
    return parse(read_toml_text(path), path)


def parse(text: str, path: Path) -> Settings:
    tables = parse_toml(text, str(path), hint=_FIX_HINT)
    file = _File(path, text)
    _check_names(tables, file)
    return Settings(**{name: read() for name, read in _readers(tables, file).items()})


def find_problems(path: Path) -> list[tuple[int, SettingProblem]]:
    """Return all problems of the file `path` with their lines, in the order of the lines; `parse` raises the first.

    Raises:
        UsageError: The file cannot be read.
    """
    text = read_toml_text(path)
    file = _File(path, text)
    try:
        tables = parse_toml(text, "", hint="")
    except UsageError as error:
        return [(_line_of_toml_error(text), SettingProblem((), error.message.removeprefix(": ")))]
    found: dict[SettingProblem, None] = {}
    readers: list[Callable[[], Any]] = [partial(_check_names, tables, file), *_readers(tables, file).values()]
    for read in readers:
        try:
            read()
        except SettingsError as error:
            found.update(dict.fromkeys(error.problems))
    return sorted(((line_of_problem(each, text) or 1, each) for each in found), key=lambda located: located[0])


def _line_of_toml_error(text: str) -> int:
    """Return the line in which TOML's syntax is violated; the exception of Python's parser has no line."""
    import tomlkit  # noqa: PLC0415
    from tomlkit.exceptions import ParseError  # noqa: PLC0415

    try:
        tomlkit.parse(text)
    except ParseError as error:
        return error.line
    except (ValueError, RecursionError):
        pass
    return 1


def _check_names(tables: Mapping[str, Any], file: _File) -> None:
    known = {*_TABLES, _FOLLOW_LINKS}
    problems = []
    for name in sorted(tables.keys() - known):
        near = closest(name, _TABLES)
        hint = f"{f'did you mean [{near}]? ' if near else ''}known: {', '.join(_TABLES)}"
        problems.append(SettingProblem((name,), f"unknown table [{name}]", hint))
    if problems:
        raise SettingsError(problems, f"{file.path}:", file.text)


def _readers(tables: Mapping[str, Any], file: _File) -> dict[str, Callable[[], Any]]:
    """Return for each field of `Settings` the function that reads it."""
    train = tables.get("train", {})
    return {
        "follow_links": partial(_follow_links, tables, file),
        "pictures": partial(_pictures, tables.get("pictures", {}), file),
        "curate": partial(_curate, tables.get("curate", {}), file),
        "commands": partial(_commands, tables, file),
        "targets": partial(_targets, tables.get("progress", {}), file),
        "views": partial(_views, tables.get("browse", {}), file),
        "export": partial(_export, tables.get("export", {}), file),
        "train": partial(_train, tables, file),
        "lint": partial(_lint, tables, file),
        "generating": partial(_generate, tables, file),
        "base_model": partial(_base_model, train, file),
        "report_to": partial(_report_to, train, file),
        "recipe": partial(_recipe, train, file),
    }


@dataclass(frozen=True, slots=True)
class _File:
    """Converts the tables of a file, and finds the lines of their problems."""

    path: Path
    text: str

    def convert(self, value: object, kind: type[T], *table: str) -> T:
        try:
            return validate(value, kind, path=table)
        except ValidationError as error:
            raise self.error(error) from error

    def error(self, error: ValidationError) -> SettingsError:
        return settings_error(error, f"{self.path}:", self.text)

    def refusal(self, path: tuple[str, ...], message: str, hint: str = "") -> SettingsError:
        """Return the error of one wrong key or table."""
        return SettingsError([SettingProblem(path, message, hint)], f"{self.path}:", self.text)


def _follow_links(tables: Mapping[str, Any], file: _File) -> bool:
    """Return `follow_links` of [pictures] or of the top level; a list in [pictures] is a source of that name."""
    values: dict[tuple[str, ...], Any] = {}
    if _FOLLOW_LINKS in tables:
        values[_FOLLOW_LINKS,] = tables[_FOLLOW_LINKS]
    pictures = tables.get("pictures", {})
    if isinstance(pictures, dict) and not isinstance(pictures.get(_FOLLOW_LINKS, []), list | str):
        values["pictures", _FOLLOW_LINKS] = pictures[_FOLLOW_LINKS]
    for path, value in values.items():
        if not isinstance(value, bool):
            raise file.refusal(path, f"{_FOLLOW_LINKS} = {value!r}", "expected: true or false")
    return any(values.values())


def _pictures(table: Any, file: _File) -> dict[str, tuple[str, ...]]:
    if isinstance(table, dict) and isinstance(table.get(_FOLLOW_LINKS), bool):
        table = {source: folders for source, folders in table.items() if source != _FOLLOW_LINKS}
    folders: dict[str, tuple[str, ...]] = {}
    for source, paths in file.convert(table, _Folders, "pictures").items():
        folders[source] = (paths,) if isinstance(paths, str) else paths
        if any("\0" in folder for folder in folders[source]):
            hint = "the name of a folder cannot have \\u0000"
            raise file.refusal(("pictures", source), f"[pictures] {source} = {paths!r}", hint)
    return folders


def _views(table: Any, file: _File) -> Mapping[str, str]:
    return file.convert(table, _Browse, "browse").views


def _export(table: Any, file: _File) -> ExportSettings:
    return file.convert(table, ExportSettings, "export")


def _curate(table: Any, file: _File) -> CurateSettings:
    problems: list[SettingProblem] = []
    settings = CurateSettings()
    try:
        settings = file.convert(table, CurateSettings, "curate")
    except SettingsError as error:
        problems += error.problems
    keys = table.get("keys") if isinstance(table, dict) else None
    if keys and not any(each.path[:2] == ("curate", "keys") for each in problems):
        from workbench.workspace.keymap import ActionMap  # noqa: PLC0415 -- most workspaces keep the default keys

        try:
            ActionMap(keys)
        except UsageError as error:
            problems.append(SettingProblem(("curate", "keys"), error.message, error.hint))
    if problems:
        raise SettingsError(problems, f"{file.path}:", file.text)
    return settings


def _commands(tables: Mapping[str, Any], file: _File) -> tuple[OwnCommand, ...]:
    table = tables.get("commands", {})
    if table == {}:
        return ()
    parsed = file.convert(table, dict[str, OwnCommand], "commands")
    for name in parsed:
        if not is_name(name):
            hint = "use small letters, digits and -, at most 32"
            raise file.refusal(("commands", name), f"[commands.{name}]: {name!r} is no name for a command", hint)
    commands = tuple(replace(command, name=name) for name, command in parsed.items())
    from workbench.workspace.keymap import ActionMap  # noqa: PLC0415

    curate = tables.get("curate", {})
    try:
        keys = _curate(curate, file).keys
    except SettingsError:  # reported as a problem of [curate]
        keys = {}
    for end in range(1, len(commands) + 1):
        try:
            ActionMap(keys, commands=commands[:end])
        except UsageError as error:
            raise file.refusal(("commands", commands[end - 1].name, "key"), error.message, error.hint) from error
    return commands


def _lint(tables: Mapping[str, Any], file: _File) -> LintSettings | None:
    """Return [lint] with the tokenizer of [train] model and, without `most_tokens`, with its token limit.

    Both are CLIP's where the configuration of the model is not on this machine.
    """
    table, model = tables.get("lint", {}), _base_model(tables.get("train", {}), file)
    if table == {} and not model:
        return None
    from curation_db.lint.linter import LintSettings  # noqa: PLC0415 -- most workspaces keep the default rules

    settings = file.convert(table, LintSettings, "lint")
    if model:
        from trainers.tokens.token_limit import read_text_limit  # noqa: PLC0415
        from workbench.workspace.models import spec_of_settings  # noqa: PLC0415

        limit = read_text_limit(spec_of_settings(model, file.path.parent), file.path.parent)
        if limit is not None:
            most = settings.most_tokens if "most_tokens" in table else limit.most_tokens
            settings = replace(settings, most_tokens=most, counter=limit.counter)
    return settings


def _generate(tables: Mapping[str, Any], file: _File) -> GenerateSettings | None:
    if not (tables.get("generate") or tables.get("engines")):
        return None
    from workbench.workspace.settings.generation import generate_settings  # noqa: PLC0415 -- most workspaces have none

    return generate_settings(tables.get("generate", {}), tables.get("engines", {}), f"{file.path}:", file.text)


def _targets(table: Any, file: _File) -> Mapping[str, Any]:
    from curation_db.stats.targets import resolve_target  # noqa: PLC0415

    targets = file.convert(table, _Progress, "progress").targets
    for trait, target in targets.items():
        try:
            resolve_target(trait, target)
        except ValueError as error:
            hint = "write it as in: cue = { no = 0.4, not = 0.3, without = 0.2 }"
            raise file.refusal(("progress", "targets", trait), f"[progress.targets] {error}", hint) from error
    return MappingProxyType({**DEFAULT_TARGETS, **targets})


def _base_model(table: Any, file: _File) -> str:
    """Return [train] model, which is not part of the recipe."""
    model = table.get(_MODEL, "") if isinstance(table, dict) else ""
    return file.convert(model, str, "train", _MODEL)


def _train(tables: Mapping[str, Any], file: _File) -> Mapping[str, Any]:
    """Return the settings of [train] that override its recipe; together they must not contradict each other."""
    from trainers.errors import TrainerError  # noqa: PLC0415 -- most commands read no recipe
    from trainers.recipes.recipe import read_recipe  # noqa: PLC0415
    from trainers.settings import TrainSettings  # noqa: PLC0415

    table = tables.get("train", {})
    if not isinstance(table, dict):
        raise file.refusal(("train",), "[train] must be a table")
    recipe = _recipe(table, file)
    settings = {name: value for name, value in table.items() if name not in (_MODEL, _REPORT_TO, _RECIPE)}
    if settings or recipe:
        try:
            TrainSettings.from_dict({**(read_recipe(recipe).settings if recipe else {}), **settings})
        except TrainerError as error:
            wrong = error.__cause__.problems[0].path if isinstance(error.__cause__, ValidationError) else ()
            key = next((part for part in wrong if part in settings), None)  # a recipe may contradict the settings, too
            path = ("train", str(key)) if key is not None else ("train",)
            raise file.refusal(path, f"[train]: {error.message}", error.hint) from error
    return settings


def _recipe(table: Any, file: _File) -> str:
    """Return [train] recipe: a name, or the absolute path of a file, which is relative to the workspace."""
    if not isinstance(table, dict):
        return ""
    recipe = file.convert(table.get(_RECIPE, ""), str, "train", _RECIPE)
    return str(file.path.absolute().parent / recipe) if recipe.endswith(".toml") else recipe


def _report_to(table: Any, file: _File) -> tuple[str, ...]:
    """Return [train] report_to, which is not part of the recipe: a list, or names with commas between."""
    if not isinstance(table, dict) or _REPORT_TO not in table:
        return ()
    from trainers.errors import TrainerError  # noqa: PLC0415
    from trainers.tracking.names import parse_report_to  # noqa: PLC0415

    value = table[_REPORT_TO]
    if not isinstance(value, str) and not (isinstance(value, list) and all(isinstance(name, str) for name in value)):
        hint = 'as in: report_to = ["tensorboard"]'
        raise file.refusal(("train", _REPORT_TO), "[train] report_to must be a list of names", hint)
    try:
        return parse_report_to(value)
    except TrainerError as error:
        raise file.refusal(("train", _REPORT_TO), f"[train] {error.message}", error.hint) from error


def check(name: str, value: object, path: Path) -> None:
    """Check a value for the setting `name` of [curate] in the file `path`.

    Raises:
        UsageError: The value is not allowed.
    """
    try:
        validate_field(value, CurateSettings, name, path=("curate", name))
    except ValidationError as error:
        raise settings_error(error, f"{path}:") from error
