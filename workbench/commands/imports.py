"""`negwb import`: captions, candidates and pictures of other people's files into the record."""

from __future__ import annotations

import json
import shlex
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from curation_db.importing.formats import Format
from workbench.errors import ExitCode

if TYPE_CHECKING:
    from curation_db.importing.report import ImportReport

_EPILOG = """\b
Examples:
  negwb import captions_train2014.json --pictures ../coco/train2014
  negwb import negationclip_captions_train2014.json
  negwb import v2_OpenEnded_mscoco_train2014_questions.json    answered with no
  negwb import COCO_val_mcq_llama3.1_rephrased.csv             the right options
  negwb import annotations.jsonl --map image=image_path --map candidate=hard_negatives
  negwb import checked.csv --map gold=answer    people are tested on these: accept, reject, or why
  negwb import pairs.tsv --no-header --map caption=1 --map image=2
  negwb import my-photos/               pictures with name.txt beside name.jpg, or metadata.jsonl
  negwb import dataset_coco.json --split test
  negwb import export.json --strip-prefix /data/upload/    names below the folder

\b
Exit code 0: all rows are in; 1: some were refused or lack their picture (they
are listed in the workspace's rejects folder); 2: the file cannot be imported;
5: there is nothing in it.
"""


_MAX_HINTS = 5
"""Hints that are shown; all of them stand in the list of refused rows."""


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command(name="import", epilog=_EPILOG)(import_command)


def import_command(
    context: typer.Context,
    path: Annotated[Path, typer.Argument(metavar="FILE_OR_FOLDER", help="What to import.")],
    data_format: Annotated[
        Format | None, typer.Option("--format", "-f", help="The file's format.", show_default="told by its content")
    ] = None,
    source: Annotated[
        str | None,
        typer.Option(
            metavar="NAME",
            help="Whose pictures these are.",
            show_default="coco, the source that has them, or the file's name",
        ),
    ] = None,
    pictures: Annotated[
        Path | None, typer.Option(metavar="FOLDER", help="Where the pictures are; remembered in negwb.toml.")
    ] = None,
    mapping: Annotated[
        list[str] | None,
        typer.Option(
            "--map",
            metavar="FIELD=COLUMN",
            help="What a column of a table is, by its name, or in CSV and TSV by its number; FIELD is image, image_id, "
            "caption, candidate, concept, id or gold (the known answer).",
        ),
    ] = None,
    no_header: Annotated[
        bool, typer.Option("--no-header", help="The first line of a CSV or TSV file is a row: name columns by number.")
    ] = False,
    generator: Annotated[
        str | None,
        typer.Option(metavar="NAME", help="Who proposed the candidates.", show_default="told by the file"),
    ] = None,
    annotations: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="VQAv2's answers, if they are not beside its questions."),
    ] = None,
    strip_prefix: Annotated[
        list[str] | None,
        typer.Option(
            metavar="PREFIX",
            help="What to take away from the beginning of pictures' names; of several the first that fits.",
        ),
    ] = None,
    split: Annotated[
        list[str] | None,
        typer.Option(metavar="NAME", help="Take only this split of a file of Karpathy's; may be given several times."),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object on stdout.")] = False,
) -> None:
    """Import captions, candidates and questions: COCO, NegationCLIP, SugarCrepe, VQAv2, NegBench, tables, folders.

    Good rows go in, every bad one is listed. Importing a file again changes nothing.
    """
    from workbench.workspace.layout import find_workspace
    from workbench.workspace.operations import import_into

    workspace = find_workspace(context.obj)
    done = import_into(
        workspace,
        path,
        data_format=data_format,
        source=source,
        pictures=pictures,
        mapping=tuple(mapping or ()),
        generator=generator,
        annotations=annotations,
        strip_prefixes=tuple(strip_prefix or ()),
        header=not no_header,
        splits=tuple(split or ()),
        stopped=_print_stopped,
    )
    _print_report(*done, as_json=as_json)
    if done[0].empty:
        raise typer.Exit(ExitCode.NOTHING_TO_DO)
    raise typer.Exit(ExitCode.OK if done[0].flawless else ExitCode.UNEXPECTED)


def _print_stopped() -> None:
    typer.echo("negwb: stopped; whole batches are in, the same command goes on from there", err=True)


def _print_report(report: ImportReport, rejects: Path | None, *, as_json: bool) -> None:
    """The summary on stderr; for scripts, one object on stdout."""
    from curation_db.language.sanitize import counted

    if as_json:
        typer.echo(json.dumps({**report.as_json(), "rejects": str(rejects) if rejects else None}))
    typer.echo(f"negwb: {report.summary()}", err=True)
    if report.columns:
        columns = ", ".join(f"{name} = {column}" for name, column in sorted(report.columns.items()))
        typer.echo(f"       columns: {_safe_text(columns)}  (change with --map)", err=True)
    if report.unused:
        others = ", ".join(f"{column} (--map {name}={column} takes it)" for column, name in report.unused.items())
        typer.echo(f"       columns not used: {_safe_text(others)}", err=True)
    if report.unsought_pictures:
        told = f"{counted(report.unsought_pictures, 'picture')} not found: no picture folder"
        typer.echo(f"       {told}; give --pictures {_safe_text(_guessed_folder(report))}", err=True)
    for hint, count in report.hints.most_common(_MAX_HINTS):
        typer.echo(f"       for {counted(count, 'row')}: {_safe_text(hint)}", err=True)
    if rejects is not None:
        typer.echo(f"       listed in {_safe_text(str(rejects))}", err=True)


def _guessed_folder(report: ImportReport) -> str:
    """Where the pictures seem to be: beside the file, by the names that stand in it."""
    beside = Path(report.file).parent
    try:
        found = bool(report.first_unsought) and (beside / report.first_unsought).is_file()
    except OSError:  # a name that can be no file's, or a folder that is not ours to look into
        found = False
    return shlex.quote(str(beside)) if found else "FOLDER"


def _safe_text(text: str) -> str:
    from curation_db.language.sanitize import display_text

    return display_text(text, limit=500)
