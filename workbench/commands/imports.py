"""`negwb import`: import captions, candidates and questions from files into the record."""

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
  negwb import v2_OpenEnded_mscoco_train2014_questions.json    questions answered with no
  negwb import COCO_val_mcq_llama3.1_rephrased.csv             the correct options
  negwb import annotations.jsonl --map image=image_path --map candidate=hard_negatives
  negwb import checked.csv --map gold=answer    known answers: accept, reject, or the reason
  negwb import pairs.tsv --no-header --map caption=1 --map image=2
  negwb import my-photos/               images with name.txt beside name.jpg, or metadata.jsonl
  negwb import dataset_coco.json --split test
  negwb import export.json --strip-prefix /data/upload/    make file names relative

\b
Exit code 0: all rows are imported; 1: some rows were rejected or have no image
(see the rejects folder of the workspace); 2: the file cannot be imported;
5: the file has no rows.
"""


_MAX_HINTS = 5
"""Hints to print; the list of rejected rows has all of them."""


def register(app: typer.Typer) -> None:
    app.command(name="import", epilog=_EPILOG)(import_command)


def import_command(
    context: typer.Context,
    path: Annotated[Path, typer.Argument(metavar="FILE_OR_FOLDER", help="File or folder to import.")],
    data_format: Annotated[
        Format | None,
        typer.Option(
            "--format",
            "-f",
            metavar="FORMAT",
            help=f"File format: {', '.join(Format)}.",
            show_default="detected from the content",
        ),
    ] = None,
    source: Annotated[
        str | None,
        typer.Option(
            metavar="NAME",
            help="Source of the images.",
            show_default="coco, the source that has these images, or the file's name",
        ),
    ] = None,
    pictures: Annotated[
        Path | None, typer.Option(metavar="FOLDER", help="Folder of the images; stored in negwb.toml.")
    ] = None,
    mapping: Annotated[
        list[str] | None,
        typer.Option(
            "--map",
            metavar="FIELD=COLUMN",
            help="Column of a table for a field; in CSV and TSV a column may be a number. FIELD is image, image_id, "
            "caption, candidate, concept, id or gold (the known answer).",
        ),
    ] = None,
    no_header: Annotated[
        bool, typer.Option("--no-header", help="The first line of a CSV or TSV file is data: columns have numbers.")
    ] = False,
    generator: Annotated[
        str | None,
        typer.Option(metavar="NAME", help="Generator of the candidates.", show_default="read from the file"),
    ] = None,
    annotations: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="VQAv2 answers, if not beside the questions."),
    ] = None,
    strip_prefix: Annotated[
        list[str] | None,
        typer.Option(
            metavar="PREFIX",
            help="Prefix to remove from image file names, repeatable; the first match applies.",
        ),
    ] = None,
    split: Annotated[
        list[str] | None,
        typer.Option(metavar="NAME", help="Import only this split of a Karpathy file; repeatable."),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object on stdout.")] = False,
) -> None:
    """Import captions, candidates and questions: COCO, NegationCLIP, SugarCrepe, VQAv2, NegBench, tables, folders.

    Valid rows are imported, every invalid one is listed. Importing a file again changes nothing.
    """
    from workbench.workspace.layout import find_workspace
    from workbench.workspace.operations import import_into

    workspace = find_workspace(context.obj)
    report, rejects = import_into(
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
    _print_report(report, rejects, as_json=as_json)
    if report.empty:
        raise typer.Exit(ExitCode.NOTHING_TO_DO)
    raise typer.Exit(ExitCode.OK if report.flawless else ExitCode.UNEXPECTED)


def _print_stopped() -> None:
    typer.echo("negwb: stopped; complete batches are imported, the same command continues from there", err=True)


def _print_report(report: ImportReport, rejects: Path | None, *, as_json: bool) -> None:
    """Print the summary on stderr, and with `as_json` one object on stdout."""
    from curation_db.language.sanitize import counted

    if as_json:
        typer.echo(json.dumps({**report.as_json(), "rejects": str(rejects) if rejects else None}))
    typer.echo(f"negwb: {report.summary()}", err=True)
    if report.columns:
        columns = ", ".join(f"{name} = {column}" for name, column in sorted(report.columns.items()))
        typer.echo(f"       columns: {_safe_text(columns)}  (change with --map)", err=True)
    if report.unused:
        others = ", ".join(f"{column} (use it: --map {name}={column})" for column, name in report.unused.items())
        typer.echo(f"       columns not used: {_safe_text(others)}", err=True)
    if report.unsought_pictures:
        images = counted(report.unsought_pictures, "image")
        folder = _safe_text(_guessed_folder(report))
        typer.echo(f"       {images} not found: no image folder is set; add --pictures {folder}", err=True)
    for hint, count in report.hints.most_common(_MAX_HINTS):
        typer.echo(f"       for {counted(count, 'row')}: {_safe_text(hint)}", err=True)
    if rejects is not None:
        typer.echo(f"       listed in {_safe_text(str(rejects))}", err=True)


def _guessed_folder(report: ImportReport) -> str:
    """Return the file's folder if the first image of the file is in it, else the placeholder FOLDER."""
    folder = Path(report.file).parent
    try:
        is_beside = bool(report.first_unsought) and (folder / report.first_unsought).is_file()
    except OSError:  # an invalid file name, or a folder without permission
        is_beside = False
    return shlex.quote(str(folder)) if is_beside else "FOLDER"


def _safe_text(text: str) -> str:
    from curation_db.language.sanitize import display_text

    return display_text(text, limit=500)
