"""`negwb export`: freeze the accepted pairs into a folder that the trainer reads."""

from __future__ import annotations

import json
import shlex
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated, Any

import typer

from curation_db.enums import Reason, State

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from curation_db.exporting.manifest import Manifest
    from workbench.workspace.layout import Workspace
    from workbench.workspace.picture_folders import MissingImages

_BENCHMARK_MIX = "negrefcocog"
"""The `generation.recipe.Mix` with the cues and positions of the benchmark."""
_EPILOG = """\b
Examples:
  negwb export                          the next free name, all formats
  negwb export round-2 --format coco    one format
  negwb export --at 1204                the record as of event 1204
  negwb export bad --state rejected     the rejected pairs, with reasons
  negwb export all --state accepted --state rejected --reason present   and those rejected for one reason
  negwb export --without-hasty          without decisions made too fast to have read the card
  negwb export --with-benchmarks        also on images of the benchmarks from `negwb bench make`
  negwb export --strict ...             refuse a set with false captions whose text gives them away
"""


class DataFormat(StrEnum):
    """Values of --format; items.jsonl and manifest.json are always written."""

    COCO = "coco"
    JSONL = "jsonl"
    ALL = "all"


def register(app: typer.Typer) -> None:
    app.command(epilog=_EPILOG)(export)


def export(
    context: typer.Context,
    name: Annotated[
        str | None, typer.Argument(help="Name of the export.", show_default="the next free one like set-001")
    ] = None,
    data_format: Annotated[
        DataFormat,
        typer.Option("--format", "-f", help="coco: COCO + updated_caption; jsonl: one pair per line; all: both."),
    ] = DataFormat.ALL,
    at: Annotated[
        int | None,
        typer.Option(
            min=0, metavar="EVENT", help="Freeze the record as of this event.", show_default="the newest event"
        ),
    ] = None,
    state: Annotated[
        list[State] | None,
        typer.Option(
            metavar="STATE",
            help=f"State of the pairs to include, repeatable: {', '.join(State)}.",
            show_default="accepted",
        ),
    ] = None,
    edits: Annotated[bool, typer.Option(help="Include texts that annotators edited, or only proposed texts.")] = True,
    hasty: Annotated[
        bool,
        typer.Option(
            "--with-hasty/--without-hasty",
            help="Include pairs with a decision made less than 0.4 s after the card was shown.",
        ),
    ] = True,
    reason: Annotated[
        list[Reason] | None,
        typer.Option(
            metavar="REASON",
            help=f"Of the rejected pairs include those with this reason, repeatable: {', '.join(Reason)}.",
            show_default="any",
        ),
    ] = None,
    auto: Annotated[
        bool,
        typer.Option("--with-auto/--without-auto", help="Include pairs that a policy accepted and no person decided."),
    ] = True,
    with_benchmarks: Annotated[
        bool,
        typer.Option(
            "--with-benchmarks", help="Include pairs on images of the benchmarks that `negwb bench make` froze."
        ),
    ] = False,
    strict: Annotated[
        bool,
        typer.Option("--strict", help="Write nothing if a blind classifier picks the true captions ([export])."),
    ] = False,
    names: Annotated[
        bool, typer.Option("--names", help="Write the names of annotators instead of pseudonyms.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object instead of the path.")] = False,
) -> None:
    """Freeze the accepted pairs into exports/NAME, for training.

    The folder is written completely or not at all and never changes afterwards. Equal events give equal bytes.
    Pairs on images of benchmarks from `negwb bench make` are left out, so that models can be evaluated on them.
    Rejected pairs give false captions: a classifier of the text alone then must not be able to pick the true ones.
    Annotators have pseudonyms, which only this record can resolve, unless --names is given.
    """
    from curation_db.exporting.manifest import read_items
    from curation_db.exporting.selection import ExportFilter
    from workbench.errors import UsageError
    from workbench.reports.exports.gate import check_export, check_json, check_lines, refuse
    from workbench.workspace.held_out import all_images, images_by_benchmark, pairs_by_benchmark
    from workbench.workspace.layout import find_workspace
    from workbench.workspace.operations import freeze_set
    from workbench.workspace.picture_folders import PictureFolders, missing_images
    from workbench.workspace.settings import read_settings

    workspace = find_workspace(context.obj)
    settings = read_settings(workspace.settings)  # before the export exists: the settings may be invalid
    folders = PictureFolders(workspace.root, settings.pictures, follow_links=settings.follow_links)
    if problem := settings.checks.counter.problem():
        typer.echo(f"negwb: {problem}", err=True)
    states = tuple(state or (State.ACCEPTED,))
    if reason and State.REJECTED not in states:
        raise UsageError("--reason needs --state rejected: other pairs have no reason")
    benchmarks = images_by_benchmark(workspace)
    held_out = frozenset[tuple[str, str]]() if with_benchmarks else all_images(benchmarks)
    selection = ExportFilter(
        states,
        edits=edits,
        hasty=hasty,
        reasons=tuple(reason or ()),
        auto=auto,
        held_out=held_out,
        benchmarks=with_benchmarks,
    )
    formats = None if data_format is DataFormat.ALL else (data_format.value,)
    check = (lambda folder: refuse(check_export(workspace, settings, folder))) if strict else (lambda folder: None)
    manifest = freeze_set(workspace, name, formats=formats, at=at, selection=selection, names=names, check=check)
    path = workspace.exports / manifest.name
    checked = check_export(workspace, settings, path)
    missing = missing_images(read_items(path), folders)
    inside = pairs_by_benchmark(read_items(path), benchmarks)
    report = {
        **export_json(workspace, manifest),
        **check_json(checked),
        "missing_pictures": missing.count,
        "held_out_images": len(held_out),
        "benchmark_pairs": inside,
    }
    typer.echo(json.dumps(report) if as_json else str(path))
    lines = [_summary(manifest), *_benchmark_lines(sorted(benchmarks), len(held_out), inside), *_missing_lines(missing)]
    lines += [f"       {line}" for line in check_lines(checked)]
    typer.echo("\n".join(lines), err=True)


def _benchmark_lines(names: Sequence[str], held_out: int, inside: Mapping[str, int]) -> list[str]:
    from curation_db.language.sanitize import counted, display_text

    if held_out:
        listed = display_text(", ".join(names), limit=200)
        return [f"       without the {counted(held_out, 'image')} of the benchmarks from the record: {listed}"]
    return [
        f"       warning: {counted(pairs, 'pair')} on images of the benchmark {display_text(name)}:"
        " a model trained on this export has seen them, so its score there is no measurement"
        for name, pairs in inside.items()
    ]


def _missing_lines(missing: MissingImages) -> list[str]:
    from curation_db.language.sanitize import display_text

    if not missing.count:
        return []
    source, name = (display_text(text, limit=200) for text in (missing.source, missing.file_name))
    return [
        f"       {missing.count:,} of {missing.pictures:,} images are not in the image folders (first:"
        f" {source}/{name}): their pairs cannot be trained on",
        f"       set the folder: negwb import FILE --source {shlex.quote(source)} --pictures FOLDER,"
        " or [pictures] in negwb.toml",
    ]


def export_json(workspace: Workspace, manifest: Manifest) -> dict[str, Any]:
    from dataclasses import asdict

    return {
        "name": manifest.name,
        "path": str(workspace.exports / manifest.name),
        "event": manifest.event_seq,
        "selection": dict(manifest.selection),
        "named": manifest.named,
        "text_limit": dict(manifest.text_limit),
        "counts": asdict(manifest.counts),
        "files": sorted(manifest.files),
        "export_sha256": manifest.export_sha256,
    }


def _summary(manifest: Manifest) -> str:
    from curation_db.language.sanitize import counted

    counts = manifest.counts
    lines = [
        f"negwb: froze {counted(counts.pairs, 'pair')} of {counted(counts.images, 'image')} as {manifest.name}"
        f" (event {manifest.event_seq}, {', '.join(sorted(manifest.files))})",
        f"       export_sha256 {manifest.export_sha256}",
    ]
    if counts.without_caption:
        lines.append(f"       {counts.without_caption:,} without the original caption (null in JSONL, empty in COCO)")
    if counts.without_file_name:
        lines.append(f"       {counts.without_file_name:,} without a file name of the image: they cannot be trained on")
    if counts.too_long:
        most = f"{manifest.text_limit['most_tokens']} tokens that the model reads ({manifest.text_limit['tokenizer']})"
        lines.append(f"       {counts.too_long:,} have more than the {most}: the rest of their text is not trained on")
    if count := counts.by_mix.get(_BENCHMARK_MIX):
        pairs = counted(count, "pair")
        lines.append(
            f"       {pairs} generated with NegRefCOCOg's cues and positions: training on them favours that benchmark"
        )
    return "\n".join(lines)
