"""`negwb config`: show the settings in force, check negwb.toml, print its JSON Schema."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping
from collections.abc import Set as AbstractSet
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from workbench.errors import ExitCode, UsageError

if TYPE_CHECKING:
    from workbench.workspace.layout import Workspace
    from workbench.workspace.settings.catalog import ListedSetting
    from workbench.workspace.settings.errors import SettingProblem

_EPILOG = """\b
Examples:
  negwb config show                        every setting: its value, and where it is set
  negwb config show --changed --json       only those that differ from their default
  negwb config validate                    a line for each problem; the exit code is 2 if there is one
  negwb config schema > negwb.schema.json  for editors; in the first line of negwb.toml: #:schema ./negwb.schema.json
"""

config = typer.Typer(help="Show and check the settings of negwb.toml.", epilog=_EPILOG, no_args_is_help=True)
_ENVIRONMENT = "environment variable"


def register(app: typer.Typer) -> None:
    config.command("show", epilog=_EPILOG)(show_settings)
    config.command("validate", epilog=_EPILOG)(validate)
    config.command("schema", epilog=_EPILOG)(print_schema)
    app.add_typer(config, name="config")


def show_settings(
    context: typer.Context,
    changed: Annotated[bool, typer.Option("--changed", help="Leave out settings with their default.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """Show every setting in force: its value, and the line or environment variable that sets it.

    Keys in addresses and headers are not printed.
    """
    from workbench.console.tables import Listing, show
    from workbench.workspace.layout import find_workspace

    workspace = find_workspace(context.obj)
    rows = [row for row in _rows(workspace, context.obj) if not (changed and row["text"] == row["default"])]
    if as_json:
        typer.echo(json.dumps({"file": str(workspace.settings), "settings": rows}, ensure_ascii=False))
        return
    cells = [(row["name"], row["text"], _place(row)) for row in rows]
    show([Listing("Settings", ("setting", "value", "set by"), cells, left=3)])


def _rows(workspace: Workspace, option: Path | None) -> Iterator[dict[str, Any]]:
    from workbench.workspace.keymap import ActionMap
    from workbench.workspace.settings.catalog import list_engines, list_settings
    from workbench.workspace.settings.settings import read_settings
    from workbench.workspace.settings.toml_file import read_toml_text

    settings, text = read_settings(workspace.settings), read_toml_text(workspace.settings)
    yield _row_of_workspace(workspace, option)
    listed = list_settings(settings, text, ActionMap(settings.curate.keys))
    engines = list_engines(settings, text)
    summaries = {f"engines.{name}" for name in settings.generate.engines}
    for each in (*(row for row in listed if row.name not in summaries), *engines):
        yield _row(each)
        if each.name.endswith(".key_env") and each.content:
            yield _row_of_key(each)


def _row(each: ListedSetting) -> dict[str, Any]:
    source = "default" if each.line is None else "file"
    content = {"value": _as_json(each.content), "text": each.value, "default": each.default}
    return {"name": each.name, **content, "source": source, "line": each.line, "variable": None, "help": each.help}


def _row_of_workspace(workspace: Workspace, option: Path | None) -> dict[str, Any]:
    variable = None if option is not None or not os.environ.get("NEGWB_WORKSPACE") else "NEGWB_WORKSPACE"
    source = _ENVIRONMENT if variable else "option" if option is not None else "current folder"
    return _without_default("workspace", str(workspace.root), source, variable, "The folder of the workspace.")


def _row_of_key(each: ListedSetting) -> dict[str, Any]:
    """Return whether the environment has the key of an engine, but not the key."""
    name, text = each.name.removesuffix("_env"), "set" if os.environ.get(each.content) else "not set"
    return _without_default(name, text, _ENVIRONMENT, each.content, "The API key; it is not printed.")


def _without_default(name: str, value: str, source: str, variable: str | None, help_text: str) -> dict[str, Any]:
    content = {"value": value, "text": value, "default": "", "source": source, "line": None, "variable": variable}
    return {"name": name, **content, "help": help_text}


def _place(row: Mapping[str, Any]) -> str:
    if row["source"] == "file":
        return f"line {row['line']}"
    return f"${row['variable']}" if row["source"] == _ENVIRONMENT else str(row["source"])


def _as_json(value: Any) -> Any:
    if isinstance(value, AbstractSet):
        return sorted(map(str, value))
    if isinstance(value, Mapping):
        return {name: _as_json(each) for name, each in value.items()}
    return [_as_json(each) for each in value] if isinstance(value, list | tuple) else value


def validate(
    context: typer.Context,
    file: Annotated[
        Path | None, typer.Argument(help="The file to check.", show_default="negwb.toml of the workspace")
    ] = None,
) -> None:
    """Check the settings: print a line for each problem, as FILE:LINE: PROBLEM; exit with 2 if there is one."""
    from curation_db.language.sanitize import counted, display_text
    from workbench.workspace.layout import find_workspace
    from workbench.workspace.settings.settings import find_problems

    path = file if file is not None else find_workspace(context.obj).settings
    problems = find_problems(path) or list(_problems_of_theme(path))
    for line, problem in problems:
        hint = f" ({problem.hint})" if problem.hint else ""
        typer.echo(display_text(f"{path}:{line}: {problem.message}{hint}"))
    if problems:
        typer.echo(f"negwb: {counted(len(problems), 'problem')}", err=True)
        raise typer.Exit(ExitCode.USAGE)
    typer.echo("negwb: no problem", err=True)


def _problems_of_theme(path: Path) -> Iterator[tuple[int, SettingProblem]]:
    from workbench.workspace.settings.errors import SettingProblem, line_of_problem
    from workbench.workspace.settings.settings import OWN_THEMES, read_settings
    from workbench.workspace.settings.toml_file import read_toml_text

    theme = read_settings(path).curate.theme
    if theme in OWN_THEMES:
        return
    from workbench.tui.themes import check_theme  # 0.2 s, only for themes of Textual

    try:
        check_theme(theme, path)
    except UsageError as error:
        problem = SettingProblem(("curate", "theme"), f"[curate] theme = {theme!r}", error.hint)
        yield line_of_problem(problem, read_toml_text(path)) or 1, problem


def print_schema() -> None:
    """Print the JSON Schema of negwb.toml (draft 7), with which editors complete and check the file."""
    from workbench.workspace.settings.schema import settings_schema

    typer.echo(json.dumps(settings_schema(), indent=2))
