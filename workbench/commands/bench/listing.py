"""`negwb bench list`: the known benchmarks, and whether their files are in the workspace."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated, Any

import typer

from workbench.workspace.operations import (
    BENCHMARKS,
    find_task,
    own_tasks,
    unknown_task,
)

if TYPE_CHECKING:
    from workbench.workspace.layout import Workspace

EPILOG = """\b
Examples:
  negwb bench list
  negwb bench list negrefcocog ccneg                     with what their scores do not show
  negwb bench list --json
"""


def list_command(
    context: typer.Context,
    names: Annotated[
        list[str] | None,
        typer.Argument(metavar="[TASK]...", help="Only these, with their caveats.", show_default="all"),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object, with the caveats of each.")] = False,
) -> None:
    """List the benchmarks and whether their files are in the workspace."""
    from workbench.console.tables import Listing, show
    from workbench.workspace.layout import find_workspace

    rows = list_tasks(find_workspace(context.obj), names)
    if as_json:
        typer.echo(json.dumps({"tasks": rows}))
        return
    cells = [
        (row["name"], f"{row['items']:,}" if row["items"] else "", row["state"], row["summary"] or row["folder"])
        for row in rows
    ]
    listings = [Listing("Benchmarks", ("name", "items", "files", "about"), cells, left=4)]
    caveats = [(row["name"], caveat) for row in rows for caveat in row["caveats"]] if names else []
    if caveats:
        listings.append(Listing("Caveats", ("name", "what a score does not show"), caveats, left=2))
    show(listings)


def list_tasks(workspace: Workspace, names: Sequence[str] | None = None) -> list[dict[str, Any]]:
    """Return the known benchmarks and the workspace's own ones, as `--json` prints them.

    Args:
        names: Only these, in this order; None: all.

    Raises:
        UsageError: There is no task of one of the names.
    """
    from benchmarks.registry import entries

    known = entries()
    every = [*known, *(name for name in own_tasks(workspace) if name not in known)]
    if unknown := [name for name in names or () if name not in every]:
        raise unknown_task(unknown[0], every)
    rows = []
    for name in dict.fromkeys(names or every):
        entry = known.get(name)
        summary, caveats = (entry.summary, entry.caveats) if entry else _own_facts(workspace, name)
        row = _task_row(workspace, name, entry.folder if entry else name, summary)
        rows.append({**row, "caveats": list(caveats)})
    return rows


def _own_facts(workspace: Workspace, name: str) -> tuple[str, tuple[str, ...]]:
    """Return what a frozen benchmark was made of, and its caveats; nothing for other tasks and damaged benchmarks."""
    from benchmarks.errors import BenchError
    from benchmarks.frozen.folder import is_frozen, read_frozen

    folder = workspace.root / BENCHMARKS / name
    if not is_frozen(folder):
        return "", ()
    try:
        frozen = read_frozen(folder)
    except BenchError:
        return "", ()
    return f"from the record at event {frozen.manifest.get('event_seq')}; sha256 {frozen.sha256[:12]}", frozen.caveats


def _task_row(workspace: Workspace, name: str, folder_name: str, summary: str) -> dict[str, Any]:
    from benchmarks.errors import BenchError

    folder = workspace.root / BENCHMARKS / folder_name
    row: dict[str, Any] = {"name": name, "summary": summary, "folder": str(folder), "items": 0}
    try:
        task = find_task(workspace, name)
    except BenchError as error:
        exists = folder.is_dir() or not summary
        return {**row, "ready": False, "state": error.message if exists else "not fetched", "missing_pictures": None}
    missing = len(task.missing_pictures())
    state = f"{missing:,} of {len(task.images):,} images missing" if missing else "ready"
    return {
        **row,
        "folder": str(task.pictures),
        "items": len(task.items),
        "ready": not missing,
        "state": state,
        "missing_pictures": missing,
    }
