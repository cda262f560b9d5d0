"""`negwb export`: freeze the accepted pairs into a folder that the trainer reads."""

from __future__ import annotations

import json
import shlex
from dataclasses import replace
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated, Any

import typer

from curation_db.enums import Reason, State

if TYPE_CHECKING:
    from collections.abc import Mapping

    from curation_db.exporting.manifest import Manifest
    from workbench.workspace.held_out import BenchmarkImages
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
  negwb export --query 'cue:no source:coco'   those that match a query of negwb browse
  negwb export --min-votes 2 --min-agreement 1   two people or more, and all agree
  negwb export --person ana --policy accept      decided by ana or by a policy
  negwb export --again set-001          the selection of an earlier export, now
  negwb export --with-benchmarks        also on images of benchmarks
  negwb export --strict ...             refuse a set with false captions whose text gives them away
  negwb export verify set-001           the same as negwb export-verify; also as, card, croissant, paper
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
    query: Annotated[
        str | None,
        typer.Option("--query", "-q", metavar="QUERY", help="Include pairs that match a query of negwb browse."),
    ] = None,
    min_votes: Annotated[
        int, typer.Option(min=0, metavar="N", help="Include pairs with so many accepts and rejects.")
    ] = 0,
    min_agreement: Annotated[
        float,
        typer.Option(min=0.0, max=1.0, metavar="SHARE", help="Include pairs whose votes agree with the state so far."),
    ] = 0.0,
    person: Annotated[
        list[str] | None,
        typer.Option(metavar="NAME", help="Include pairs that this annotator decided, repeatable.", show_default="any"),
    ] = None,
    policy: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME[@VERSION]", help="Include pairs that this policy decided, repeatable.", show_default="any"
        ),
    ] = None,
    again: Annotated[
        str | None,
        typer.Option("--again", metavar="EXPORT", help="Repeat the selection of an export; no other filter."),
    ] = None,
    with_benchmarks: Annotated[
        bool,
        typer.Option(
            "--with-benchmarks",
            "--keep-benchmark-images",
            help="Include pairs on images of benchmarks, those in benchmarks/ of the workspace.",
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
    Pairs on images of benchmarks are left out, so that models can be evaluated on them: of all tasks whose files are in
    benchmarks/ of the workspace. Equal images are found by content, number of COCO, or file name.
    Rejected pairs give false captions: a classifier of the text alone then must not be able to pick the true ones.
    Annotators have pseudonyms, which only this record can resolve, unless --names is given.
    """
    from curation_db.exporting.manifest import read_items
    from workbench.commands.export.selection import ChosenPairs, selection_again, selection_of
    from workbench.console.progress_bars import step_bars
    from workbench.reports.exports.gate import check_export, check_json, check_lines, refuse
    from workbench.workspace.held_out import benchmark_images, pairs_by_benchmark
    from workbench.workspace.layout import find_workspace
    from workbench.workspace.operations import freeze_set
    from workbench.workspace.picture_folders import PictureFolders, missing_images
    from workbench.workspace.settings.settings import read_settings

    workspace = find_workspace(context.obj)
    settings = read_settings(workspace.settings)  # before the export exists: the settings may be invalid
    folders = PictureFolders(workspace.root, settings.pictures, follow_links=settings.follow_links)
    if problem := settings.checks.counter.problem():
        typer.echo(f"negwb: {problem}", err=True)
    chosen = ChosenPairs(
        tuple(state or ()),
        tuple(reason or ()),
        edits,
        hasty,
        auto,
        query or "",
        min_votes,
        min_agreement,
        tuple(person or ()),
        tuple(policy or ()),
    )
    selection = selection_again(workspace, again, chosen) if again is not None else selection_of(workspace, chosen, at)
    with step_bars() as bars:
        benchmarks = benchmark_images(workspace, lambda done, total: bars("reading benchmarks", done, total))
    selection = replace(selection, benchmarks=True) if with_benchmarks else benchmarks.without(selection)
    formats = None if data_format is DataFormat.ALL else (data_format.value,)
    check = (lambda folder: refuse(check_export(workspace, settings, folder))) if strict else (lambda folder: None)
    manifest = freeze_set(
        workspace,
        name,
        formats=formats,
        at=at,
        selection=selection,
        names=names,
        benchmarks=None if with_benchmarks else benchmarks.facts(),
        check=check,
    )
    path = workspace.exports / manifest.name
    checked = check_export(workspace, settings, path)
    missing = missing_images(read_items(path), folders)
    inside = pairs_by_benchmark(read_items(path), benchmarks.by_task)
    report = {
        **export_json(workspace, manifest),
        **check_json(checked),
        "missing_pictures": missing.count,
        "held_out_images": len(selection.held_out),
        "benchmark_pairs": inside,
    }
    typer.echo(json.dumps(report) if as_json else str(path))
    lines = [_summary(manifest), *_left_out_lines(manifest)]
    lines += [*_benchmark_lines(benchmarks, inside, kept=with_benchmarks), *_missing_lines(missing)]
    lines += [f"       {line}" for line in check_lines(checked)]
    typer.echo("\n".join(lines), err=True)


def _left_out_lines(manifest: Manifest) -> list[str]:
    """Return one line about candidates in the requested states that other conditions left out."""
    from workbench.reports.exports.statements import OTHER_STATE, omitted

    found = {text: count for text, count in omitted(manifest).items() if text != OTHER_STATE}
    return [f"       left out: {', '.join(f'{count:,} {text}' for text, count in found.items())}"] if found else []


def _benchmark_lines(benchmarks: BenchmarkImages, inside: Mapping[str, int], *, kept: bool) -> list[str]:
    from curation_db.language.sanitize import counted, display_text

    if kept:
        return [
            f"       warning: {counted(pairs, 'pair')} on images of the benchmark {display_text(name)}:"
            " a model trained on this export has seen them, so its score there is no measurement"
            for name, pairs in inside.items()
        ]
    shared = {name: len(images) for name, images in benchmarks.by_task.items() if images}
    lines = []
    if shared:
        listed = ", ".join(f"{display_text(name)} {count:,}" for name, count in shared.items())
        images = counted(len(benchmarks.images), "image")
        lines.append(f"       without the {images} of the record that benchmarks use: {listed}")
    if benchmarks.unknown:
        tasks = counted(len(benchmarks.unknown), "registered task")
        folders = display_text(", ".join(benchmarks.unknown_folders), limit=400)
        lines.append(f"       not checked, because their files are not in benchmarks/: {tasks} of {folders};")
        lines.append("       fetch those that you will use before you export: negwb bench fetch TASK")
    return lines


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
        "left_out": dict(manifest.left_out),
        "benchmarks": dict(manifest.benchmarks),
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
