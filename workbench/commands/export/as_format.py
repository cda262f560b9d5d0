"""`negwb export-as`: write a frozen export in the format of another training program."""

from __future__ import annotations

import json
from contextlib import contextmanager
from enum import StrEnum
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from workbench.errors import ExitCode, NegwbError, NothingToDo, UsageError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from curation_db.exporting.blind_gate import HardNegatives
    from workbench.export_formats.derive import DerivedSet
    from workbench.reports.exports.gate import ExportCheck

_EPILOG = """\b
Examples:
  negwb export-as csv set-001                         the table of open_clip_train: filepath, title
  negwb export-as csv set-001 --hard-negatives        and a caption that is false of the image
  negwb export-as webdataset set-001 --split train=0.9,val=0.1
  negwb export-as parquet set-001 --out ~/sets/no     load_dataset("parquet", data_dir="sets/no")
  negwb export-as imagefolder set-001                 images and metadata.jsonl

\b
Reversed pairs, in which the negated text is the false one, need an export with the rejected texts:
  negwb export both --state accepted --state rejected --reason present
  negwb export-as csv both --hard-negatives --balance --strict
"""


class TargetFormat(StrEnum):
    """Keys of `workbench.export_formats.derive.FORMATS`."""

    CSV = "csv"
    WEBDATASET = "webdataset"
    PARQUET = "parquet"
    IMAGEFOLDER = "imagefolder"


def register(app: typer.Typer) -> None:
    app.command("export-as", epilog=_EPILOG)(export_as)


def export_as(
    context: typer.Context,
    target: Annotated[
        TargetFormat,
        typer.Argument(
            metavar="FORMAT",
            help="csv: open_clip_train; webdataset: TAR shards; parquet, imagefolder: HF datasets.",
        ),
    ],
    name: Annotated[str, typer.Argument(metavar="NAME", help="Frozen export: its name in exports/, or a folder.")],
    out: Annotated[
        Path | None, typer.Option(metavar="FOLDER", help="The new folder.", show_default="derived/NAME-FORMAT")
    ] = None,
    hard_negatives: Annotated[
        bool,
        typer.Option(
            "--hard-negatives",
            help="Add a caption that is false of the image; with rejected pairs (present), also reversed pairs.",
        ),
    ] = False,
    split: Annotated[
        str | None,
        typer.Option(metavar="NAME=SHARE,...", help="Divide by image, as in train=0.9,val=0.1.", show_default="train"),
    ] = None,
    seed: Annotated[int, typer.Option(help="Seed of the split and of --balance.")] = 0,
    balance: Annotated[
        bool,
        typer.Option(
            "--balance", help="Leave negatives out until as many pairs are reversed as not; the true texts stay."
        ),
    ] = False,
    strict: Annotated[
        bool,
        typer.Option("--strict", help="Write nothing if a blind classifier picks the true captions ([export])."),
    ] = False,
    shard_rows: Annotated[
        int, typer.Option("--shard-pairs", min=1, help="The most pairs of a file (webdataset, parquet).")
    ] = 10_000,
    image_paths: Annotated[
        bool, typer.Option("--image-paths", help="parquet: paths of the images instead of their content.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object instead of the path.")] = False,
) -> None:
    """Write a frozen export in the format of another training program.

    Images are copied byte for byte; csv refers to them by absolute paths. All pairs of an image, and of equal images,
    are in one split. Pairs whose image is missing or damaged are left out and listed; the exit code is then 1.
    With hard negatives, a classifier of the text alone must not be able to pick the true captions. In a set without
    reversed pairs it can, because all true captions are negated.
    """
    from workbench import version
    from workbench.console.progress_bars import step_bars
    from workbench.export_formats.derive import derive
    from workbench.export_formats.splits import WHOLE, parse_splits
    from workbench.export_formats.writers import FormatOptions
    from workbench.installation import install_command
    from workbench.jobs.training.runs import find_export
    from workbench.reports.exports.gate import check_lines, check_pairs, gate_json, refuse
    from workbench.workspace.layout import find_workspace
    from workbench.workspace.picture_folders import ListedFolders, PictureFolders
    from workbench.workspace.settings.settings import read_settings

    if (balance or strict) and not hard_negatives:
        raise UsageError("--balance and --strict are for sets with false captions", hint="add --hard-negatives")
    if image_paths and target is not TargetFormat.PARQUET:
        raise UsageError(f"--image-paths is for parquet, not for {target}")
    if target is TargetFormat.PARQUET and find_spec("pyarrow") is None:
        raise UsageError("parquet needs pyarrow", hint=install_command("exports"))
    workspace = find_workspace(context.obj)
    settings = read_settings(workspace.settings)
    folders = PictureFolders(workspace.root, settings.pictures, follow_links=settings.follow_links)
    export = find_export(workspace, name)
    folder = (workspace.derived / f"{export.name}-{target}" if out is None else out.expanduser()).absolute()
    checks: list[ExportCheck] = []

    def check(negatives: HardNegatives) -> None:
        checks.append(check_pairs(settings, negatives))
        if strict:
            refuse(checks[-1])

    with _as_errors(folder), step_bars(lines=True) as bars:
        derived = derive(
            export,
            folder,
            target,
            ListedFolders(folders).locate,
            tool_version=version(),
            options=FormatOptions(hard_negatives, balance, shard_rows, image_paths),
            splits=WHOLE if split is None else parse_splits(split),
            seed=seed,
            progress=lambda done, total: bars("writing pairs", done, total),
            check=check,
        )
    report = {"path": str(folder), "format": target, "export_sha256": derived.export_sha256, **derived.counts()}
    gates = [each.gate for each in checks if each.gate is not None]
    report["gate"] = gate_json(gates[0]) if gates else None
    typer.echo(json.dumps({**report, "files": sorted(derived.files)}) if as_json else str(folder))
    lines = _summary(derived, target, hard_negatives=hard_negatives)
    lines += [f"       {line}" for each in checks for line in check_lines(each)]
    if not balance and any(not gate.passes and gate.balanced for gate in gates):
        lines.append("       --balance writes as many reversed pairs as others")
    typer.echo("\n".join(lines), err=True)
    if derived.skipped:
        raise typer.Exit(ExitCode.UNEXPECTED)


@contextmanager
def _as_errors(folder: Path) -> Iterator[None]:
    """Turn the errors of `derive` into errors of a command."""
    from curation_db.exporting.manifest import ManifestError
    from curation_db.exporting.selection import ExportRefused, NothingChosen

    try:
        yield
    except NothingChosen as refused:
        raise NothingToDo(refused.message, hint=refused.hint) from refused
    except ExportRefused as refused:
        raise UsageError(refused.message, hint=refused.hint) from refused
    except ManifestError as error:
        raise UsageError(str(error)) from error
    except OSError as error:
        raise NegwbError(f"cannot write {folder}: {error.strerror or error}") from error


def _summary(derived: DerivedSet, target: str, *, hard_negatives: bool) -> list[str]:
    from curation_db.language.sanitize import counted, display_text
    from workbench.export_formats.derive import SKIPPED_FILE

    images = derived.images.total()
    lines = [f"negwb: wrote {counted(derived.rows.total(), 'pair')} of {counted(images, 'image')} as {target}"]
    if len(derived.rows) > 1:
        parts = (f"{name} {rows:,} of {derived.images[name]:,}" for name, rows in derived.rows.items())
        lines.append(f"       pairs of images: {', '.join(parts)}")
    if hard_negatives:
        lines.append(f"       {derived.reverse:,} reversed, {derived.without_negative:,} without a false caption")
    if derived.not_true:
        lines.append(f"       left out {counted(derived.not_true, 'pair')} without a text known to be true")
    if derived.skipped:
        first = derived.skipped[0]
        where = display_text(f"{first.source}/{first.file_name or first.image_key}", limit=200)
        lines.append(
            f"       left out {counted(derived.skipped_pairs, 'pair')} of {counted(len(derived.skipped), 'image')}"
            f" that cannot be used, listed in {SKIPPED_FILE} (first: {where}, {first.problem.lower()})"
        )
    return lines
