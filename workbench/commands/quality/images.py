"""`negwb images`: near-duplicate images of the record, and benchmark images that look like images of the record."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Annotated, Any

import typer

from workbench.console.progress_bars import step_bars
from workbench.console.tables import Listing, show
from workbench.errors import NothingToDo

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from benchmarks.task import Task
    from curation_db.search.families import ImageGroup
    from workbench.workspace.image_signatures import BenchmarkMatch, SignedImages
    from workbench.workspace.layout import Workspace

_EPILOG = """\b
Examples:
  negwb images duplicates                      groups of images that look the same, with their candidates
  negwb images duplicates --json | jq .candidates
  negwb browse 'near:139'                      candidates of image 139 and of its near-duplicates
  negwb browse 'family:1204'                   candidates that repeat candidate 1204 on such images
  negwb images benchmarks                      images of all benchmarks here that are in the record under another name
  negwb images benchmarks negrefcocog --json
The first pass decodes all images, some 3 ms each; it may be interrupted and continues where it ended.
"""

images = typer.Typer(
    no_args_is_help=True, help="Find images that look the same, also in another size or encoding.", epilog=_EPILOG
)


def register(app: typer.Typer) -> None:
    images.command("duplicates", epilog=_EPILOG)(duplicates)
    images.command("benchmarks", epilog=_EPILOG)(benchmarks)
    app.add_typer(images, name="images")


def duplicates(
    context: typer.Context,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object per group and line.")] = False,
) -> None:
    """List groups of near-duplicate images of the record.

    Two images are near-duplicates if they differ in size, encoding or a few details only. A group may be a chain of
    near-duplicates.
    """
    from curation_db.language.sanitize import counted
    from curation_db.search.families import groups_of_images
    from curation_db.storage.store import open_read_only
    from workbench.workspace.layout import find_workspace

    workspace = find_workspace(context.obj)
    signed = _refreshed(workspace)
    with open_read_only(workspace.database) as store, store.read() as connection:
        groups = groups_of_images(connection)
    if as_json:
        for group in groups:
            typer.echo(json.dumps(_group_json(group), ensure_ascii=False))
        return
    if groups:
        headers = ("group", "image", "file", "candidates")
        show([Listing("Near-duplicate images", headers, list(_group_rows(groups)), left=3, grouped=True)])
    more = sum(len(group.images) - 1 for group in groups)
    _note(
        f"{counted(len(groups), 'group')} of near-duplicates; {more:,} of {signed.images:,} images repeat another one"
    )


def benchmarks(
    context: typer.Context,
    tasks: Annotated[
        list[str] | None, typer.Argument(metavar="[TASK]...", help="Benchmarks.", show_default="all that are here")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object per image and line.")] = False,
) -> None:
    """List images of benchmarks that look like an image of the record.

    An image is found under another name, in another size or encoding. A model that is trained on it has seen the
    benchmark; negwb bench run counts such images.
    """
    from curation_db.language.sanitize import counted
    from workbench.workspace.image_signatures import benchmark_matches
    from workbench.workspace.layout import find_workspace

    workspace = find_workspace(context.obj)
    chosen = list(_tasks(workspace, tasks))
    if not chosen:
        raise NothingToDo("there is no benchmark with images here", hint="fetch one: negwb bench list")
    _refreshed(workspace)
    matches: list[BenchmarkMatch] = []
    with step_bars(lines=True) as bars:
        for task in chosen:
            matches += benchmark_matches(workspace, task, bars)
    if as_json:
        for match in matches:
            typer.echo(json.dumps(match._asdict(), ensure_ascii=False))
        return
    if matches:
        rows = [(match.task, match.image, match.source, match.key) for match in matches]
        headers = ("benchmark", "image", "source", "image of the record")
        show([Listing("Benchmark images in the record", headers, rows, left=4, grouped=True)])
    seen = len({(match.task, match.image) for match in matches})
    total = sum(len(task.images) for task in chosen)
    where = f"{seen:,} of {counted(total, 'image')} of {counted(len(chosen), 'benchmark')}"
    _note(f"{where} look like an image of the record")


def _refreshed(workspace: Workspace) -> SignedImages:
    """Compute the missing signatures of the record's images, and name those without one."""
    from curation_db.language.sanitize import counted
    from curation_db.storage.store import open_read_only
    from workbench.workspace.image_signatures import locator, refresh_record
    from workbench.workspace.settings.settings import read_settings

    settings = read_settings(workspace.settings)
    with open_read_only(workspace.database) as store, step_bars(lines=True) as bars:
        signed = refresh_record(store, locator(workspace, settings), bars)
    if not signed.images:
        raise NothingToDo("the record has no image with a file name")
    if signed.without_file:
        _note(f"{signed.without_file:,} of {signed.images:,} images have no file in the image folders; not compared")
    if signed.unusable:
        _note(f"{counted(signed.unusable, 'image file')} cannot be decoded; not compared")
    return signed


def _tasks(workspace: Workspace, names: Sequence[str] | None) -> Iterator[Task]:
    """Yield the named benchmarks, or all whose files are here."""
    from benchmarks.errors import BenchError
    from benchmarks.registry import entries
    from workbench.workspace.operations import find_task, own_tasks

    if names:
        yield from (find_task(workspace, name) for name in names)
        return
    for name in [*entries(), *own_tasks(workspace)]:
        try:
            task = find_task(workspace, name)
        except BenchError:
            continue  # not fetched
        if task.images:
            yield task


def _group_json(group: ImageGroup) -> dict[str, Any]:
    return {
        "images": [image._asdict() for image in group.images],
        "candidates": sum(image.candidates for image in group.images),
    }


def _group_rows(groups: Sequence[ImageGroup]) -> Iterator[tuple[str, ...]]:
    for number, group in enumerate(groups, 1):
        for image in group.images:
            yield (f"{number:,}", f"{image.source} {image.key}", image.file_name, f"{image.candidates:,}")


def _note(line: str) -> None:
    typer.echo(f"negwb: {line}", err=True)
