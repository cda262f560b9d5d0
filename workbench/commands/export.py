"""`negwb export`: freeze what people accepted into a folder that trainers read."""

from __future__ import annotations

import json
import shlex
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated, Any

import typer

from curation_db.enums import State

if TYPE_CHECKING:
    from curation_db.exporting.manifest import Manifest
    from workbench.workspace.layout import Workspace
    from workbench.workspace.picture_folders import Missing, PictureFolders

_BENCHMARK_MIX = "negrefcocog"
"""The mix that is the benchmark's own (`generation.recipe.Mix`)."""
_EPILOG = """\b
Examples:
  negwb export                          the next free name, all formats
  negwb export round-2 --format coco    one format
  negwb export --at 1204                as things stood at event 1204
  negwb export bad --state rejected     what people threw out, with reasons
  negwb export --without-hasty          without what was decided too fast to have been seen
"""


class DataFormat(StrEnum):
    """What can be asked for; items.jsonl and manifest.json are always there."""

    COCO = "coco"
    JSONL = "jsonl"
    ALL = "all"


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command(epilog=_EPILOG)(export)


def export(
    context: typer.Context,
    name: Annotated[
        str | None, typer.Argument(help="Name of the export.", show_default="the next free one like set-001")
    ] = None,
    data_format: Annotated[
        DataFormat,
        typer.Option("--format", "-f", help="coco: COCO + updated_caption; jsonl: one pair a line; all: both."),
    ] = DataFormat.ALL,
    at: Annotated[
        int | None,
        typer.Option(
            min=0, metavar="EVENT", help="Freeze the record as this event left it.", show_default="as it is now"
        ),
    ] = None,
    state: Annotated[
        list[State] | None,
        typer.Option(
            metavar="STATE",
            help=f"Which pairs go in; may be given several times: {', '.join(State)}.",
            show_default="accepted",
        ),
    ] = None,
    edits: Annotated[
        bool, typer.Option(help="Whether texts that people wrote go in, or only what was proposed.")
    ] = True,
    hasty: Annotated[
        bool,
        typer.Option(
            "--with-hasty/--without-hasty",
            help="Whether pairs go in of which a decision came sooner than 0.4 s after the card.",
        ),
    ] = True,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object instead of the path.")] = False,
) -> None:
    """Freeze the accepted pairs into exports/NAME, for training.

    The folder is written whole or not at all and is never changed afterwards. Equal events give equal bytes.
    """
    from curation_db.exporting.manifest import read_items
    from workbench.workspace.layout import find_workspace
    from workbench.workspace.operations import freeze_set
    from workbench.workspace.picture_folders import missing_of

    workspace = find_workspace(context.obj)
    folders = _picture_folders(workspace)  # before the set is there: the settings may be broken
    states = tuple(state or (State.ACCEPTED,))
    formats = None if data_format is DataFormat.ALL else (data_format.value,)
    manifest = freeze_set(workspace, name, formats=formats, at=at, states=states, edits=edits, hasty=hasty)
    path = workspace.exports / manifest.name
    missing = missing_of(read_items(path), folders)
    told = {**export_json(workspace, manifest), "missing_pictures": missing.count}
    typer.echo(json.dumps(told) if as_json else str(path))
    typer.echo("\n".join([_summary(manifest), *_missing_lines(missing)]), err=True)


def _picture_folders(workspace: Workspace) -> PictureFolders:
    from workbench.workspace.picture_folders import PictureFolders
    from workbench.workspace.settings import read_settings

    settings = read_settings(workspace.settings)
    return PictureFolders(workspace.root, settings.pictures, follow_links=settings.follow_links)


def _missing_lines(missing: Missing) -> list[str]:
    from curation_db.language.sanitize import display_text

    if not missing.count:
        return []
    source, name = (display_text(text, limit=200) for text in (missing.source, missing.file_name))
    return [
        f"       {missing.count:,} of {missing.pictures:,} pictures are not in the picture folders, the first is"
        f" {source}/{name}: their pairs cannot be trained on",
        f"       say where they are: negwb import FILE --source {shlex.quote(source)} --pictures FOLDER,"
        " or [pictures] in negwb.toml",
    ]


def export_json(workspace: Workspace, manifest: Manifest) -> dict[str, Any]:
    """The export as `--json` prints it."""
    from dataclasses import asdict

    return {
        "name": manifest.name,
        "path": str(workspace.exports / manifest.name),
        "event": manifest.event_seq,
        "selection": dict(manifest.selection),
        "counts": asdict(manifest.counts),
        "files": sorted(manifest.files),
        "export_sha256": manifest.export_sha256,
    }


def _summary(manifest: Manifest) -> str:
    from curation_db.language.sanitize import counted

    counts = manifest.counts
    lines = [
        f"negwb: froze {counted(counts.pairs, 'pair')} over {counted(counts.images, 'picture')} as {manifest.name}"
        f" (event {manifest.event_seq}, {', '.join(sorted(manifest.files))})",
        f"       export_sha256 {manifest.export_sha256}",
    ]
    if counts.without_caption:
        lines.append(f"       {counts.without_caption:,} without the original caption (null in JSONL, empty in COCO)")
    if counts.without_file_name:
        lines.append(f"       {counts.without_file_name:,} whose picture has no file name: they cannot be trained on")
    if asked := counts.by_mix.get(_BENCHMARK_MIX):
        pairs = counted(asked, "pair")
        lines.append(
            f"       {pairs} asked for with the cues and positions of NegRefCOCOg: it favours what learns from them"
        )
    return "\n".join(lines)
