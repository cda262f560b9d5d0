"""Creates a workspace: the folder, the record, the guidelines and the text of negwb.toml. Overwrites nothing."""

from __future__ import annotations

import json
import textwrap
from collections.abc import Iterator, Mapping
from dataclasses import Field, fields
from pathlib import Path
from typing import Any

from curation_db.atomic_write import replace_file
from workbench.errors import NegwbError, UsageError
from workbench.workspace.guidelines import shipped_guidelines
from workbench.workspace.layout import Workspace
from workbench.workspace.settings.settings import DEFAULT_TARGETS, FOLLOW_LINKS_HELP, CurateSettings, ExportSettings

_COMMENT_COLUMN = 28
_WIDTH = 120


def create_workspace(folder: Path) -> Workspace:
    """Make `folder` a workspace; create it where it is missing and keep other files in it.

    Raises:
        UsageError: The folder has a negwb.toml or a record already.
        NegwbError: A file cannot be written.
    """
    workspace = Workspace(folder.absolute())
    for path in (workspace.settings, workspace.database):
        if path.exists():
            raise UsageError(f"{path} exists", hint="a workspace is never overwritten: choose another folder")
    try:
        workspace.root.mkdir(parents=True, exist_ok=True)
        _create_record(workspace.database)
        if not workspace.guidelines.exists():
            replace_file(workspace.guidelines, shipped_guidelines())
            workspace.guidelines.chmod(0o644)
        # Last: a folder with this file is a workspace.
        replace_file(workspace.settings, settings_template())
        workspace.settings.chmod(0o644)
    except OSError as error:
        raise NegwbError(f"cannot create a workspace in {folder}: {error.strerror or error}") from error
    return workspace


def _create_record(path: Path) -> None:
    from curation_db.storage.store import create_store  # noqa: PLC0415 -- takes 0.5 s

    try:
        create_store(path).close()
    except BaseException:
        for suffix in ("", "-wal", "-shm"):
            path.with_name(path.name + suffix).unlink(missing_ok=True)
        raise


# -- negwb.toml -----------------------------------------------------------------------------------------------------


def settings_template() -> str:
    """Return the text of a new negwb.toml, from the fields of the settings classes.

    Defaults are set; examples of other settings are commented out.
    """
    from curation_db.lint.settings import LintSettings  # noqa: PLC0415 -- only when a workspace is created
    from workbench.workspace.settings.generation import GenerateSettings  # noqa: PLC0415

    cue, position = (json.dumps(DEFAULT_TARGETS[trait]) for trait in ("cue", "position"))
    return f"""\
# A workspace of negwb. Every setting is optional; the values in this file are the defaults.

[pictures]
# Folders with the images of a source, relative to this file; `negwb import --pictures` adds to them.
# coco = ["../coco/train2014"]
{_line("# follow_links = true", FOLLOW_LINKS_HELP)}

[curate]
{"".join(_defaults(CurateSettings))}
[curate.keys]
# Other keys for an action, by its id as the help shows it:
# accept = "a,enter"

[commands]
# Shell lines that a key runs on a card; {{id}}, {{caption}}, {{negated}} and {{image}} are one word each:
# exif = {{ key = "ctrl+e", run = "exiftool {{image}}", help = "EXIF data of the image" }}

[lint]
{"".join(_examples(LintSettings))}
[progress.targets]
# Intended shares among the accepted candidates, as Progress shows them: the shares of a benchmark, by its name
# ("none": no target), or your own shares: of cue, position, type or concept.
{_line(f"cue = {cue}", "or as in: { no = 0.4, not = 0.3, without = 0.2 }")}
position = {position}

[browse.views]
# Views saved in Browse (W); each is a line of the filter:
# doubtful = "is:conflict state:open sort:conflict"

[export]
{"".join(_examples(ExportSettings))}
# The engines that propose captions and judge them, by their names below:
# [generate]
{"".join(_examples(GenerateSettings))}
# [engines.llama]
{_engine(kind="openai", url="http://localhost:8000/v1", key_env="MY_API_KEY")}
# [engines.llava]
{_engine(kind="transformers", model="llava-hf/llava-v1.6-mistral-7b-hf", explained=False)}

[train]
# A recipe by its name (negwb train --recipes lists them), as with --recipe; the settings below override it:
# recipe = "negwb"
# Settings by their names in a run's config.json; for all others the values of the recipe hold, or the published ones:
# lr = 1e-6
# batch = 512
# epochs = 15
"""


def _defaults(kind: type[Any]) -> Iterator[str]:
    for each in fields(kind):
        if text := each.metadata.get("help"):
            yield _line(f"{each.name} = {json.dumps(each.default)}", text) + "\n"


def _examples(kind: type[Any]) -> Iterator[str]:
    """Yield the fields with an example, commented out."""
    for each in fields(kind):
        if example := each.metadata.get("example"):
            yield _line(f"# {each.name} = {example}", each.metadata["help"]) + "\n"


def _engine(*, explained: bool = True, **values: str) -> str:
    from workbench.workspace.settings.engines import EngineSettings  # noqa: PLC0415

    settings: Mapping[str, Field[Any]] = {each.name: each for each in fields(EngineSettings)}
    return "\n".join(
        _line(f"# {name} = {json.dumps(value)}", settings[name].metadata["help"] if explained else "")
        for name, value in values.items()
    )


def _line(assignment: str, text: str) -> str:
    """Return an assignment with its comment; further lines of the comment begin in the same column."""
    if not text:
        return assignment
    return textwrap.fill(
        text,
        _WIDTH,
        initial_indent=f"{assignment:<{_COMMENT_COLUMN - 1}} # ",
        subsequent_indent=" " * _COMMENT_COLUMN + "# ",
        break_long_words=False,
        break_on_hyphens=False,
    )
