"""negwb.toml: what can be set, with its defaults; read strictly, so that a typing error is told and not ignored."""

from __future__ import annotations

import shlex
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from workbench.errors import UsageError
from workbench.toml_edit import folder_line, value_line

if TYPE_CHECKING:
    from curation_db.lint import LintSettings
    from workbench.generation.settings import GenerateSettings

TEMPLATE = """\
# A workspace of negwb. Every setting is optional; what stands here is its default.

[pictures]
# Folders in which a source's pictures are looked for, relative to this file; `negwb import --pictures` adds to them.
# coco = ["../coco/train2014"]
# follow_links = true         # also open links that leave these folders

[curate]
order = "conflict"          # first: conflict, threshold, lint, rare-cue, rare-concept, random, oldest, or a sum
                            # of them such as "0.7*conflict + 0.3*lint"
overlap = "1"               # people per new candidate: "1", "3", or "2+1" (a third only when two differ);
                            # those that are there: negwb queue overlap
audit_rate = 0.1            # share of new candidates kept for the blind audit
audit_share = 0.1           # share of served cards that come from the audit
gold_share = 0.1            # share of served cards whose answer is known, where there are any: negwb gold
blind = false               # never show what the judges say
images = "auto"             # auto, kitty, sixel, halfcell, none
viewer = ""                 # shows pictures outside on o, as in "feh --scale-down"; empty: what the system has
theme = "negwb-dark"        # negwb-dark, negwb-light, or any theme of Textual

[curate.keys]
# Other keys for an action, by its id as the help shows it:
# accept = "a,enter"

[lint]
# Rules that are off, by the names that `negwb lint --rules` explains:
# off = ["over-frequent"]
# frequent_share = 0.02     # a concept denied in a larger share of the candidates is over-frequent ...
# frequent_count = 50       # ... if that many deny it
# most_tokens = 77
# across_pictures = true    # whether a near-duplicate may stand on another picture

[progress.targets]
# What the accepted ones should look like, as Progress shows it: a benchmark's own spread by its name ("none": no
# target), or shares of your own: of cue, position, type or concept.
cue = "negrefcocog"         # or as in: { no = 0.4, not = 0.3, without = 0.2 }
position = "negrefcocog"

[browse.views]
# Views saved in the browse room (W), as lines that can be typed there:
# doubtful = "is:conflict state:open sort:conflict"

# Who proposes captions and who judges them, by the names of engines below:
# [generate]
# proposer = "llama"
# judges = ["llava", "annotations"]   # "annotations": objects and sibling captions in the record
# rule = "mean"               # when judges call a concept present: mean, any, all, official (the published rule)
# mix = "balanced"            # cues and positions that are asked for: balanced, negrefcocog, free

# [engines.llama]
# kind = "openai"             # openai, transformers, clip, scripted, or a plug-in's
# url = "http://localhost:8000/v1"
# key_env = "MY_API_KEY"      # the environment variable with the key; keys never stand here
# [engines.llava]
# kind = "transformers"
# model = "llava-hf/llava-v1.6-mistral-7b-hf"

[train]
# A recipe of your own, by the names of a run's config.json; what is not said is the published one:
# lr = 1e-6
# batch = 512
# epochs = 15
"""


@dataclass(frozen=True, slots=True)
class CurateSettings:
    """The table [curate]."""

    order: str = "conflict"
    """The queue's ordering policy."""
    overlap: str = "1"
    """People per candidate, fixed in each candidate when it is created."""
    audit_rate: float = 0.1
    """Share of new candidates kept for the audit."""
    audit_share: float = 0.1
    """Share of served cards that come from the audit."""
    gold_share: float = 0.1
    """Share of served cards whose answer is known."""
    blind: bool = False
    """Never show what the judges say."""
    images: str = "auto"
    """How pictures are drawn: auto, kitty, sixel, halfcell, none."""
    theme: str = "negwb-dark"
    """Name of a Textual theme."""
    keys: Mapping[str, str] = field(default_factory=dict)
    """Action id to keys, comma-separated."""
    viewer: str = ""
    """The program that shows a picture outside the terminal, with its arguments; empty: what the system has."""


DEFAULT_TARGETS: Mapping[str, Any] = MappingProxyType({"cue": "negrefcocog", "position": "negrefcocog"})
_TABLES = ("pictures", "curate", "lint", "progress", "browse", "train", "generate", "engines")
_FOLLOW_LINKS = "follow_links"
_CHOICES = {"images": ("auto", "kitty", "sixel", "halfcell", "none")}
_SHARES = ("audit_rate", "audit_share", "gold_share")
_OWN_THEMES = ("negwb-dark", "negwb-light")
_KINDS = {str: 'text in quotes, as in "1"', float: "a number", bool: "true or false", dict: "a table"}
_MEND = "mend the file, or compare it with one from: negwb init"


@dataclass(frozen=True, slots=True)
class Settings:
    """All of negwb.toml."""

    pictures: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    """Source name to folders, relative to the workspace or absolute."""
    curate: CurateSettings = field(default_factory=CurateSettings)
    targets: Mapping[str, Any] = field(default_factory=lambda: DEFAULT_TARGETS)
    """Trait to a benchmark's name or to shares, as `curation_db.targets.resolve_target` takes them."""
    views: Mapping[str, str] = field(default_factory=dict)
    """[browse.views]: name to the line of a view."""
    train: Mapping[str, Any] = field(default_factory=dict)
    """Of `trainers.settings.TrainSettings`: the workspace's own defaults; its paths are relative to the workspace."""
    lint: LintSettings | None = None
    """Which rules of the lint are asked, and where the counted ones begin; None: as they come."""
    generating: GenerateSettings | None = None
    """[generate] and [engines]; None: nothing is told there."""
    follow_links: bool = False
    """Whether a picture may be a link that leaves its picture folder."""

    @property
    def generate(self) -> GenerateSettings:
        """[generate] and [engines], with their defaults."""
        if self.generating is not None:
            return self.generating
        from workbench.generation.settings import GenerateSettings  # noqa: PLC0415 -- most commands need none

        return GenerateSettings()


def read_settings(path: Path) -> Settings:
    """The settings in `path`.

    Raises:
        UsageError: not readable as TOML, an unknown name, or a value of the wrong kind.
    """
    return parse(read_text(path), path)


def read_text(path: Path) -> str:
    """The file's text with the line ends that it has."""
    try:
        return path.read_bytes().decode("utf-8")
    except OSError as error:
        raise UsageError(f"{path}: {error.strerror or error}", hint="see that you may read it") from error
    except UnicodeDecodeError as error:
        raise UsageError(f"{path}: {error}", hint=_MEND) from error


def parse(text: str, path: Path) -> Settings:
    try:
        told = tomllib.loads(text)
    except (ValueError, RecursionError) as error:  # beside TOML's own: a number of 5,000 digits, brackets without end
        raise UsageError(f"{path}: {error}", hint=_MEND) from error
    follow_links = _follow_links(told, path)
    unknown = sorted(told.keys() - {*_TABLES, _FOLLOW_LINKS})
    if unknown:
        raise UsageError(f"{path}: unknown table [{unknown[0]}]", hint=f"known: {', '.join(_TABLES)}")
    return Settings(
        _pictures(told.get("pictures", {}), path),
        _curate(told.get("curate", {}), path),
        _targets(told.get("progress", {}), path),
        _views(told.get("browse", {}), path),
        _train(told, path),
        _lint(told.get("lint", {}), path),
        _generate(told, path),
        follow_links,
    )


def _follow_links(told: Mapping[str, Any], path: Path) -> bool:
    """`follow_links`, in [pictures] or before the first table; a list there is the folders of a source of that name."""
    found = [told[_FOLLOW_LINKS]] if _FOLLOW_LINKS in told else []
    pictures = told.get("pictures", {})
    if isinstance(pictures, dict) and not isinstance(pictures.get(_FOLLOW_LINKS, []), list | str):
        found.append(pictures[_FOLLOW_LINKS])
    for value in found:
        if not isinstance(value, bool):
            raise UsageError(f"{path}: {_FOLLOW_LINKS} = {value!r}", hint=f"what is expected: {_KINDS[bool]}")
    return any(found)


def _pictures(told: Any, path: Path) -> dict[str, tuple[str, ...]]:
    folders: dict[str, tuple[str, ...]] = {}
    for source, listed in _table(told, "pictures", path).items():
        if source == _FOLLOW_LINKS and isinstance(listed, bool):
            continue
        named = [listed] if isinstance(listed, str) else listed
        if not isinstance(named, list) or not all(isinstance(folder, str) for folder in named):
            hint = f"write it as in: {folder_line(source, ['../coco/train2014'])}"
            raise UsageError(f"{path}: [pictures] {source} = {listed!r}: a list of folders is expected", hint=hint)
        if any("\0" in folder for folder in named):
            raise UsageError(f"{path}: [pictures] {source} = {listed!r}", hint="no folder has \\u0000 in its name")
        folders[source] = tuple(named)
    return folders


def _views(told: Any, path: Path) -> dict[str, str]:
    browse = _table(told, "browse", path)
    if other := sorted(browse.keys() - {"views"}):
        raise UsageError(f"{path}: [browse] has no setting {other[0]!r}", hint="known: views")
    views = _table(browse.get("views", {}), "browse.views", path)
    for name, line in views.items():
        if not isinstance(line, str):
            hint = f"write it as in: {value_line(name, 'state:open')}"
            raise UsageError(f"{path}: [browse.views] {name} = {line!r}: a line is expected", hint=hint)
    return views


def _curate(told: Any, path: Path) -> CurateSettings:
    known = {item.name for item in fields(CurateSettings)}
    table = _table(told, "curate", path)
    for name, value in table.items():
        if name not in known:
            raise UsageError(f"{path}: [curate] has no setting {name!r}", hint=f"known: {', '.join(sorted(known))}")
        check(name, value, path)
    return CurateSettings(**table)


def _lint(told: Any, path: Path) -> LintSettings | None:
    table = _table(told, "lint", path)
    if not table:
        return None
    from curation_db.errors import RecordError  # noqa: PLC0415 -- most workspaces leave the rules as they are
    from curation_db.lint import lint_settings  # noqa: PLC0415

    try:
        return lint_settings(table)
    except RecordError as error:
        raise UsageError(f"{path}: {error.message}", hint=error.hint) from error


def _generate(told: Mapping[str, Any], path: Path) -> GenerateSettings | None:
    if not (told.get("generate") or told.get("engines")):
        return None
    from workbench.generation.settings import generate_settings  # noqa: PLC0415 -- most workspaces say nothing there

    return generate_settings(told.get("generate", {}), told.get("engines", {}), str(path))


def _table(told: Any, name: str, path: Path) -> dict[str, Any]:
    if not isinstance(told, dict):
        raise UsageError(f"{path}: {name} = {told!r}: a table is expected", hint=f"begin it with the line [{name}]")
    return told


def _targets(told: Any, path: Path) -> Mapping[str, Any]:
    from curation_db.targets import resolve_target  # noqa: PLC0415

    table = _table(told, "progress", path)
    if unknown := sorted(table.keys() - {"targets"}):
        raise UsageError(f"{path}: [progress] has no setting {unknown[0]!r}", hint="known: targets")
    targets = _table(table.get("targets", {}), "progress.targets", path)
    for trait, target in targets.items():
        try:
            resolve_target(trait, target)
        except ValueError as error:
            hint = "write it as in: cue = { no = 0.4, not = 0.3, without = 0.2 }"
            raise UsageError(f"{path}: [progress.targets] {error}", hint=hint) from error
    return MappingProxyType({**DEFAULT_TARGETS, **targets})


def _train(told: Mapping[str, Any], path: Path) -> Mapping[str, Any]:
    from trainers.errors import TrainerError  # noqa: PLC0415 -- most commands read no recipe
    from trainers.settings import TrainSettings  # noqa: PLC0415

    recipe = told.get("train", {})
    if not isinstance(recipe, dict):
        raise UsageError(f"{path}: [train] must be a table")
    if recipe:
        try:
            TrainSettings.from_dict(recipe)
        except TrainerError as error:
            raise UsageError(f"{path}: [train]: {error.message}", hint=error.hint) from error
    return recipe


def check(name: str, value: Any, path: Path) -> None:
    kind = type(getattr(CurateSettings(), name))
    if not (type(value) is kind or (kind is float and type(value) is int)):
        raise UsageError(f"{path}: [curate] {name} = {value!r}", hint=f"what is expected: {_KINDS[kind]}")
    if name == "keys":
        _check_keys(value, path)
    elif problem := _allowed(name, value):
        raise UsageError(f"{path}: [curate] {name} = {value!r}", hint=problem)


def _allowed(name: str, value: Any) -> str:
    """What is allowed, where `value` is not; else nothing."""
    if name in _CHOICES and value not in _CHOICES[name]:
        return f"one of: {', '.join(_CHOICES[name])}"
    if name in _SHARES and not 0 <= value <= 1:
        return "a share from 0 to 1"
    if name in _PARSED:
        return _PARSED[name](value)
    if name == "theme" and value not in _OWN_THEMES:
        from workbench.tui.themes import known  # noqa: PLC0415 -- 0.2 s that the house's own themes need not cost

        return "" if value in known() else f"one of: {', '.join(known())}"
    return ""


def _order(value: str) -> str:
    from curation_db.ordering import Policy  # noqa: PLC0415 -- 0.1 s, only where an order is told

    try:
        Policy.parse(value)
    except ValueError as error:
        return str(error)
    return ""


def _viewer(value: str) -> str:
    try:
        shlex.split(value)
    except ValueError as error:
        return f"{error}; a program and its arguments, as in: feh --scale-down"
    return ""


def _overlap(value: str) -> str:
    from curation_db.fold import Overlap  # noqa: PLC0415

    try:
        Overlap.parse(value)
    except ValueError:
        return 'people per candidate: "1", another number up to "99", or "2+1" (a third only when two differ)'
    return ""


_PARSED = {"overlap": _overlap, "order": _order, "viewer": _viewer}
"""What is wrong with a text that has a grammar of its own; nothing where it is well."""


def _check_keys(keys: Mapping[str, Any], path: Path) -> None:
    for action, told in keys.items():
        if not isinstance(told, str):
            hint = f'keys in quotes, with commas between, as in: {action} = "a,f5"'
            raise UsageError(f"{path}: [curate.keys] {action} = {told!r}", hint=hint)
    if keys:
        from workbench.tui.actions import ActionMap  # noqa: PLC0415 -- most people keep the keys

        try:
            ActionMap(keys)
        except UsageError as error:
            raise UsageError(f"{path}: {error.message}", hint=error.hint) from error
