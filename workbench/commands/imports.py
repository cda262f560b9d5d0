"""`negwb import`: captions, candidates and pictures of other people's files into the record."""

from __future__ import annotations

import json
import os
import shlex
from collections.abc import Callable
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from workbench.errors import ExitCode, UsageError

if TYPE_CHECKING:
    from curation_db.importing.image_check import Pictures
    from curation_db.importing.pipeline import Plan
    from curation_db.importing.report import ImportReport
    from workbench.paths import Workspace
    from workbench.settings import Settings

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


_MOST_HINTS = 5
"""Hints that are shown; all of them stand in the list of refused rows."""


class FileFormat(StrEnum):
    """What `--format` takes; the values are those of `curation_db.importing.detect.Format`."""

    COCO = "coco"
    INSTANCES = "instances"
    NEGATIONCLIP = "negationclip"
    SUGARCREPE = "sugarcrepe"
    VQA = "vqa"
    KARPATHY = "karpathy"
    FLICKR = "flickr"
    NEGBENCH_RETRIEVAL = "negbench-retrieval"
    NEGBENCH_MCQ = "negbench-mcq"
    JSON = "json"
    JSONL = "jsonl"
    CSV = "csv"
    TSV = "tsv"
    NEGWB = "negwb"
    FOLDER = "folder"


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command(name="import", epilog=_EPILOG)(import_command)


def import_command(
    context: typer.Context,
    path: Annotated[Path, typer.Argument(metavar="FILE_OR_FOLDER", help="What to import.")],
    data_format: Annotated[
        FileFormat | None, typer.Option("--format", "-f", help="The file's format.", show_default="told by its content")
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
    from workbench.paths import find_workspace  # noqa: PLC0415

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
    )
    _tell(*done, as_json=as_json)
    if done[0].empty:
        raise typer.Exit(ExitCode.NOTHING_TO_DO)
    raise typer.Exit(ExitCode.OK if done[0].flawless else ExitCode.UNEXPECTED)


def import_into(
    workspace: Workspace,
    path: Path,
    *,
    data_format: str | None = None,
    source: str | None = None,
    pictures: Path | None = None,
    mapping: tuple[str, ...] = (),
    generator: str | None = None,
    annotations: Path | None = None,
    strip_prefixes: tuple[str, ...] = (),
    header: bool = True,
    splits: tuple[str, ...] = (),
) -> tuple[ImportReport, Path | None]:
    """Import `path` into the workspace's record; returns what was done and where the refused rows are listed.

    Raises:
        UsageError: the file or the call is off; nothing was written.
        RecordError: the record cannot be written; the batches before are in.
    """
    from curation_db.importing.detect import Format  # noqa: PLC0415
    from curation_db.importing.pipeline import make_plan  # noqa: PLC0415
    from curation_db.importing.rows import InputError  # noqa: PLC0415
    from curation_db.importing.tables.columns import stated  # noqa: PLC0415
    from workbench.settings import read_settings  # noqa: PLC0415

    settings = read_settings(workspace.settings)
    form = None if data_format is None else Format(data_format)
    try:
        intake = _intake(settings)
        plan = make_plan(
            path,
            form=form,
            source=source,
            generator=generator,
            mapping=stated(mapping),
            intake=intake,
            annotations=annotations,
            strip_prefixes=strip_prefixes,
            follow_links=settings.follow_links,
            header=header,
            splits=splits,
        )
        return _run(workspace, plan, settings, _picture_folder(plan, pictures))
    except InputError as error:
        raise UsageError(error.message, hint=error.hint) from error
    except OSError as error:
        raise UsageError(f"{error.filename or path}: {error.strerror or error}") from error


def _intake(settings: Settings) -> Any:
    from curation_db.candidates import Intake  # noqa: PLC0415

    return Intake(overlap=settings.curate.overlap, audit_rate=settings.curate.audit_rate)


def _picture_folder(plan: Plan, told: Path | None) -> Path | None:
    """The folder to remember: as told, or the imported folder itself."""
    folder = told or (plan.path if plan.path.is_dir() else None)
    if folder is not None and not folder.is_dir():
        raise UsageError(f"no such folder: {folder}")
    return folder


def _run(workspace: Workspace, plan: Plan, settings: Settings, folder: Path | None) -> tuple[ImportReport, Path | None]:
    from curation_db.importing.compression import plain_name  # noqa: PLC0415
    from curation_db.importing.pipeline import import_file, settled  # noqa: PLC0415
    from curation_db.importing.report import RejectsFile  # noqa: PLC0415
    from curation_db.store import open_store  # noqa: PLC0415
    from workbench.commands.progress import step_bars  # noqa: PLC0415

    with (
        open_store(workspace.database) as store,
        RejectsFile(workspace.rejects, plain_name(plan.path).stem, str(plan.path)) as rejects,
        step_bars() as tell,
    ):
        plan = settled(store, plan)
        pictures = _pictures(workspace, plan, settings, folder)
        try:
            report = import_file(store, plan, pictures=pictures, tell=rejects, progress=_in_percent(tell))
        except KeyboardInterrupt:
            typer.echo("negwb: stopped; whole batches are in, the same command goes on from there", err=True)
            raise
        return report, rejects.path


def _in_percent(tell: Callable[[str, int, int], None]) -> Callable[[str, int, int], None]:
    """Bytes say nothing to a person; where the total is unknown, the count does."""
    from curation_db.importing.pipeline import READING  # noqa: PLC0415

    def progress(stage: str, done: int, total: int) -> None:
        if stage == READING and total:
            tell(f"{READING}, percent", min(done * 100 // total, 100), 100)
        else:
            tell(stage, done, total or done)

    return progress


def _pictures(workspace: Workspace, plan: Plan, settings: Settings, folder: Path | None) -> Pictures:
    """How pictures are looked for; a folder that was told is remembered first."""
    from curation_db.importing.image_check import NO_PICTURES, Pictures  # noqa: PLC0415
    from curation_db.importing.path_suffixes import Tails  # noqa: PLC0415
    from workbench.pictures import Listed, PictureFolders  # noqa: PLC0415
    from workbench.settings import read_settings  # noqa: PLC0415
    from workbench.settings_edit import add_picture_folder  # noqa: PLC0415

    sources = plan.sources or (plan.source,)
    if folder is not None:
        for source in sources:
            add_picture_folder(workspace.settings, source, _as_written(folder, workspace.root))
        settings = read_settings(workspace.settings)
    folders = PictureFolders(workspace.root, settings.pictures, follow_links=settings.follow_links)
    known = tuple(dict.fromkeys(each for source in sources for each in folders.folders(source)))
    if not known:
        return NO_PICTURES
    return Pictures(
        Listed(folders).locate,
        every=folder is not None,
        tail=Tails(known).of,
        is_link_outside=folders.leaves_by_link,
    )


def _as_written(folder: Path, root: Path) -> str:
    """The folder relative to the workspace where it is inside or beside it, so that both can be moved together."""
    whole = folder.resolve()
    near = Path(os.path.relpath(whole, root.resolve()))
    return near.as_posix() if near.parts.count("..") <= 2 else whole.as_posix()


def _tell(report: ImportReport, rejects: Path | None, *, as_json: bool) -> None:
    """The summary on stderr; for scripts, one object on stdout."""
    from curation_db.text import counted  # noqa: PLC0415

    if as_json:
        typer.echo(json.dumps({**report.as_json(), "rejects": str(rejects) if rejects else None}))
    typer.echo(f"negwb: {report.summary()}", err=True)
    if report.columns:
        columns = ", ".join(f"{name} = {column}" for name, column in sorted(report.columns.items()))
        typer.echo(f"       columns: {_shown(columns)}  (change with --map)", err=True)
    if report.unused:
        others = ", ".join(f"{column} (--map {name}={column} takes it)" for column, name in report.unused.items())
        typer.echo(f"       columns not used: {_shown(others)}", err=True)
    if report.unsought_pictures:
        told = f"{counted(report.unsought_pictures, 'picture')} not found: no picture folder"
        typer.echo(f"       {told}; give --pictures {_shown(_guessed_folder(report))}", err=True)
    for hint, count in report.hints.most_common(_MOST_HINTS):
        typer.echo(f"       for {counted(count, 'row')}: {_shown(hint)}", err=True)
    if rejects is not None:
        typer.echo(f"       listed in {_shown(str(rejects))}", err=True)


def _guessed_folder(report: ImportReport) -> str:
    """Where the pictures seem to be: beside the file, by the names that stand in it."""
    beside = Path(report.file).parent
    try:
        found = bool(report.first_unsought) and (beside / report.first_unsought).is_file()
    except OSError:  # a name that can be no file's, or a folder that is not ours to look into
        found = False
    return shlex.quote(str(beside)) if found else "FOLDER"


def _shown(text: str) -> str:
    from curation_db.text import display_text  # noqa: PLC0415

    return display_text(text, limit=500)
