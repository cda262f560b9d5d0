"""Operations on a workspace that commands, screens and the demo share: import, freeze, run benchmarks.

Each function imports what it needs when it is called, so that a command does not load the modules of the others.
"""

from __future__ import annotations

import os
import shlex
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from workbench.errors import NegwbError, NothingToDo, UsageError

if TYPE_CHECKING:
    from benchmarks.corrections.kind import CorrectionKind
    from benchmarks.judged import ImageJudge
    from benchmarks.protocols import Protocol
    from benchmarks.results import StoredResult
    from benchmarks.scoring import TextImageEncoder
    from benchmarks.task import Task
    from benchmarks.training_overlap import TrainingImages
    from curation_db.exporting.manifest import Manifest
    from curation_db.exporting.selection import ExportFilter
    from curation_db.importing.image_check import ImageChecker
    from curation_db.importing.pipeline import ImportPlan
    from curation_db.importing.report import ImportReport
    from workbench.console.progress_bars import Step
    from workbench.workspace.layout import Workspace
    from workbench.workspace.models import Model
    from workbench.workspace.settings.settings import Settings

BENCHMARKS = "benchmarks"
"""Folder of a workspace with NAME/ for each registered or frozen benchmark and NAME.json for each other own task."""
RESULTS = "results"
_QUIET_S = 1.0
"""A shorter export shows no progress bar."""


def measured_name(workspace: Workspace, wanted: str) -> str:
    """Return the name that results have for a model: "base" is named as its weights are.

    A model whose own name is "base" comes first.
    """
    from benchmarks.results import list_results  # noqa: PLC0415
    from workbench.workspace.models import BASE, find_model  # noqa: PLC0415

    if wanted != BASE:
        return wanted
    named = {stored.result["model"]["name"] for stored in list_results(workspace.root / RESULTS).results}
    return wanted if wanted in named else find_model(workspace, wanted).label


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
    stopped: Callable[[], None] = lambda: None,
) -> tuple[ImportReport, Path | None]:
    """Import `path` into the record of the workspace.

    Args:
        data_format: A value of `curation_db.importing.formats.Format`; None: by the content.
        source: Source of the images; None: as the file says.
        pictures: Folder of the images. It is added to negwb.toml.
        mapping: FIELD=COLUMN for the columns of a table.
        generator: Generator of the candidates; None: as the file says.
        annotations: The file with the answers of VQAv2.
        strip_prefixes: Removed from the beginning of image names.
        header: Whether the first line of a CSV or TSV file names the columns.
        splits: Splits of a Karpathy file; empty: all.
        stopped: Called when Ctrl-C ends the import after it has begun; the batches before are stored.

    Returns:
        The report, and the file that lists the refused rows, if there are any.

    Raises:
        UsageError: The file or an argument is wrong. Nothing was written.
        RecordError: The record cannot be written. The batches before are stored.
    """
    from curation_db.importing.formats import Format  # noqa: PLC0415
    from curation_db.importing.pipeline import make_plan  # noqa: PLC0415
    from curation_db.importing.rows import InputError  # noqa: PLC0415
    from curation_db.importing.tables.columns import parse_mapping  # noqa: PLC0415
    from curation_db.review.candidates import Intake  # noqa: PLC0415
    from workbench.workspace.settings.settings import read_settings  # noqa: PLC0415

    settings = read_settings(workspace.settings)
    form = None if data_format is None else Format(data_format)
    try:
        plan = make_plan(
            path,
            form=form,
            source=source,
            generator=generator,
            mapping=parse_mapping(mapping),
            intake=Intake(overlap=settings.curate.overlap, audit_rate=settings.curate.audit_rate),
            annotations=annotations,
            strip_prefixes=strip_prefixes,
            follow_links=settings.follow_links,
            header=header,
            splits=splits,
        )
        folder = pictures or (plan.path if plan.path.is_dir() else None)
        if folder is not None and not folder.is_dir():
            raise UsageError(f"no such folder: {folder}")
        return _run_import(workspace, plan, settings, folder, stopped)
    except InputError as error:
        raise UsageError(error.message, hint=error.hint) from error
    except OSError as error:
        raise UsageError(f"{error.filename or path}: {error.strerror or error}") from error


def _run_import(
    workspace: Workspace, plan: ImportPlan, settings: Settings, folder: Path | None, stopped: Callable[[], None]
) -> tuple[ImportReport, Path | None]:
    from curation_db.importing.compression import plain_name  # noqa: PLC0415
    from curation_db.importing.pipeline import import_file, resolve_source  # noqa: PLC0415
    from curation_db.importing.report import RejectsFile  # noqa: PLC0415
    from curation_db.storage.store import open_store  # noqa: PLC0415
    from workbench.console.progress_bars import step_bars  # noqa: PLC0415

    with (
        open_store(workspace.database) as store,
        RejectsFile(workspace.rejects, plain_name(plan.path).stem, str(plan.path)) as rejects,
        step_bars() as bars,
    ):
        plan = resolve_source(store, plan)
        pictures = _pictures(workspace, plan, settings, folder)
        try:
            report = import_file(store, plan, checker=pictures, on_reject=rejects, progress=_in_percent(bars))
        except KeyboardInterrupt:
            stopped()
            raise
        return report, rejects.path


def _in_percent(bars: Step) -> Step:
    """Show the bytes that are read as a percentage; without a total show the count."""
    from curation_db.importing.pipeline import READING  # noqa: PLC0415

    def progress(stage: str, done: int, total: int) -> None:
        if stage == READING and total:
            bars(f"{READING}, percent", min(done * 100 // total, 100), 100)
        else:
            bars(stage, done, total or done)

    return progress


def _pictures(workspace: Workspace, plan: ImportPlan, settings: Settings, folder: Path | None) -> ImageChecker:
    """Return the search for image files; `folder` is added to negwb.toml first."""
    from curation_db.importing.image_check import NO_IMAGE_FOLDERS, ImageChecker  # noqa: PLC0415
    from curation_db.importing.path_suffixes import SuffixIndex  # noqa: PLC0415
    from workbench.workspace.picture_folders import ListedFolders, PictureFolders  # noqa: PLC0415
    from workbench.workspace.settings.settings import read_settings  # noqa: PLC0415
    from workbench.workspace.settings.writer import add_picture_folder  # noqa: PLC0415

    sources = plan.sources or (plan.source,)
    if folder is not None:
        for source in sources:
            add_picture_folder(workspace.settings, source, folder_as_written(folder, workspace.root))
        settings = read_settings(workspace.settings)
    folders = PictureFolders(workspace.root, settings.pictures, follow_links=settings.follow_links)
    paths = tuple(dict.fromkeys(path for source in sources for path in folders.folders(source)))
    if not paths:
        return NO_IMAGE_FOLDERS
    return ImageChecker(
        ListedFolders(folders).locate,
        check_all=folder is not None,
        find_by_suffix=SuffixIndex(paths).find,
        is_link_outside=folders.escapes_by_link,
    )


def folder_as_written(folder: Path, root: Path) -> str:
    """Return the folder relative to the workspace if it is in or near it, so that both can be moved together."""
    whole = folder.resolve()
    near = Path(os.path.relpath(whole, root.resolve()))
    return near.as_posix() if near.parts.count("..") <= 2 else whole.as_posix()


def freeze_set(
    workspace: Workspace,
    name: str | None = None,
    *,
    formats: Sequence[str] | None = None,
    at: int | None = None,
    selection: ExportFilter | None = None,
    names: bool = False,
    benchmarks: Mapping[str, int | None] | None = None,
    check: Callable[[Path], None] = lambda folder: None,
) -> Manifest:
    """Freeze pairs of the workspace into a folder of exports/.

    Args:
        name: Name of the folder; None: the next free one.
        formats: Formats of the data files; None: all.
        at: Sequence number of the event up to which the record is read; None: the last one.
        selection: The pairs, exactly; None: the accepted ones, without those on images of benchmarks.
        benchmarks: For the manifest, as `Manifest.benchmarks`, if `selection` is given.
        names: Write the names of annotators instead of pseudonyms.
        check: Called with the folder before it gets its name; where it raises, nothing is written.

    Raises:
        NothingToDo: No candidate is selected.
        BenchError: The manifest of a frozen benchmark is damaged.
        UsageError: The name is taken or is not a name, or there is no such event.
        NegwbError: The folder cannot be written.
    """
    from curation_db.exporting.freeze import FORMATS, freeze  # noqa: PLC0415
    from curation_db.exporting.selection import ExportFilter, ExportRefused, NothingChosen  # noqa: PLC0415
    from curation_db.storage.store import open_store  # noqa: PLC0415
    from workbench import version  # noqa: PLC0415
    from workbench.console.progress_bars import step_bars  # noqa: PLC0415
    from workbench.workspace.held_out import benchmark_images  # noqa: PLC0415
    from workbench.workspace.settings.settings import read_settings  # noqa: PLC0415

    limit = read_settings(workspace.settings).checks.text_limit
    if selection is None:
        held_out = benchmark_images(workspace)
        selection, benchmarks = held_out.without(ExportFilter()), held_out.facts()
    try:
        with open_store(workspace.database) as store, step_bars() as bars:
            started = time.monotonic()

            def progress(done: int, total: int) -> None:
                if time.monotonic() - started > _QUIET_S:
                    bars("writing pairs", done, total)

            return freeze(
                store,
                workspace.exports,
                name,
                selection=selection,
                tool_version=version(),
                at=at,
                formats=tuple(FORMATS if formats is None else formats),
                limit=limit,
                names=names,
                benchmarks=benchmarks,
                progress=progress,
                check=check,
            )
    except NothingChosen as refused:
        raise NothingToDo(refused.message, hint="decide first: negwb curate  (or see: negwb status)") from refused
    except ExportRefused as refused:
        raise UsageError(refused.message, hint=refused.hint) from refused
    except OSError as error:
        raise NegwbError(f"cannot write {workspace.exports}: {error.strerror or error}") from error


def find_frozen(workspace: Workspace, selection: ExportFilter, event: int, name: str | None = None) -> Manifest | None:
    """Return the intact export `name`, or the first one, that holds `selection` as of `event`.

    Without a name, exports of other versions of negwb are left out, whose files may have another form.
    """
    from curation_db.exporting.manifest import ManifestError, list_exports, read_manifest, verify  # noqa: PLC0415
    from workbench import version  # noqa: PLC0415

    for existing in list_exports(workspace.exports) if name is None else [name]:
        folder = workspace.exports / existing
        try:
            manifest = read_manifest(folder)
        except ManifestError:
            continue
        is_wanted = (manifest.event_seq, manifest.selection) == (event, selection.to_dict())
        if is_wanted and (name is not None or manifest.tool_version == version()) and not verify(folder):
            return manifest
    return None


def find_or_freeze(workspace: Workspace, selection: ExportFilter, event: int) -> Manifest:
    """Return an export of `selection` as of `event` by this version of negwb: an intact existing one, or a new one.

    Pairs on images of benchmarks are left out.

    Raises:
        NothingToDo: No candidate is selected.
    """
    from workbench.workspace.held_out import benchmark_images  # noqa: PLC0415

    held_out = benchmark_images(workspace)
    selection, facts = held_out.without(selection), held_out.facts()
    found = find_frozen(workspace, selection, event)
    return found or freeze_set(workspace, at=event, selection=selection, benchmarks=facts)


def own_tasks(workspace: Workspace) -> list[str]:
    """Return the names of the workspace's own tasks: files, folders with a classes.json, and frozen benchmarks."""
    from benchmarks.frozen.folder import frozen_names  # noqa: PLC0415

    home = workspace.root / BENCHMARKS
    classes = (path.parent.name for path in home.glob("*/classes.json"))
    return sorted({*(path.stem for path in home.glob("*.json")), *classes, *frozen_names(home)})


def find_task(workspace: Workspace, name: str, *, folder: Path | None = None, pictures: Path | None = None) -> Task:
    """Load a task: a registered benchmark, a file or folder in the workspace's benchmarks/, or any JSON file or folder.

    Raises:
        UsageError: There is no such task.
        BenchError: Its files cannot be read.
    """
    from benchmarks.frozen.folder import is_frozen, load_frozen  # noqa: PLC0415
    from benchmarks.registry import entries, task_from_file, task_from_folder  # noqa: PLC0415

    home = workspace.root / BENCHMARKS
    if entry := entries().get(name):
        return _load_known(name, folder or home / entry.folder, pictures, task_arguments(name, folder, pictures))
    for path in (folder or home / name, Path(name)):
        if is_frozen(path):
            if pictures is not None:
                raise UsageError(f"the benchmark {path.name} has its own images", hint="leave out --pictures")
            return load_frozen(path)
    for path in ((folder or home) / f"{name}.json", Path(name)):
        if path.suffix == ".json" and path.is_file():
            return task_from_file(path.stem, path, pictures or path.parent)
    own = (folder or home) / name
    if classes := own if (own / "classes.json").is_file() else Path(name) if Path(name).is_dir() else None:
        return task_from_folder(classes, pictures)
    raise unknown_task(name, [*entries(), *own_tasks(workspace)])


def task_arguments(name: str, folder: Path | None, pictures: Path | None) -> str:
    """Return the command-line arguments for a task with these folders."""
    options = [("--folder", folder), ("--pictures", pictures)]
    return shlex.join([name, *(word for option, path in options if path for word in (option, str(path)))])


def unknown_task(name: str, known: Sequence[str]) -> UsageError:
    import difflib  # noqa: PLC0415

    near = difflib.get_close_matches(name, known, n=1, cutoff=0.5)
    hint = f"did you mean {near[0]}?" if near else f"known: {', '.join(known)}, a .json file, or a folder of classes"
    return UsageError(f"there is no benchmark {name!r}", hint=hint)


def _load_known(name: str, folder: Path, pictures: Path | None, arguments: str) -> Task:
    """Load a registered benchmark; the hints of its errors name the command that fetches these files."""
    from benchmarks.errors import BenchError  # noqa: PLC0415
    from benchmarks.registry import load_task  # noqa: PLC0415

    default, command = f"negwb bench fetch {name}", f"negwb bench fetch {arguments}"
    try:
        task = load_task(name, folder, pictures)
    except BenchError as error:
        if error.fetch_command != default:
            raise
        raise BenchError(error.message, hint=f"fetch it with: {command}", fetch_command=command) from error
    return replace(task, fetch_command=command) if task.fetch_command == default else task


def run_benches(
    workspace: Workspace,
    tasks: Sequence[Task],
    models: Sequence[Model],
    *,
    rules: Sequence[Protocol],
    device: str = "cpu",
    judge: ImageJudge | None = None,
    corrections: Sequence[CorrectionKind] | None = (),
    started: Callable[[Model], None] = lambda model: None,
    warn: Callable[[str], None] = lambda line: None,
) -> list[StoredResult]:
    """Evaluate each model on each task. Each result is stored as soon as it is measured.

    Args:
        judge: Answers the questions of judged tasks.
        corrections: Evaluate each model with these corrections, too. None: for each run among the models, its routing
            and the other corrections of its base, as far as tasks and models allow (`corrected_models`).
        started: Called before a model is loaded.
        warn: Called with each warning about a loaded model or the cache.

    Raises:
        BenchError: A task cannot be run.
        TrainerError: A model cannot be loaded.
    """
    from benchmarks.runner import run_task  # noqa: PLC0415
    from workbench.console.progress_bars import prefixed, step_bars  # noqa: PLC0415
    from workbench.workspace.corrected_models import Corrector, plan_evaluations  # noqa: PLC0415
    from workbench.workspace.training_images import training_images  # noqa: PLC0415

    plan = plan_evaluations(workspace, models, corrections)
    stored: list[StoredResult] = []
    with step_bars(lines=True) as bars:
        corrector = Corrector(workspace, tasks, device, required=corrections is not None, bars=bars, warn=warn)

        def evaluate(encoder: TextImageEncoder, label: str, task: Task, trained_on: TrainingImages | None) -> None:
            stored.extend(
                run_task(
                    encoder,
                    task,
                    results_folder=workspace.root / RESULTS,
                    cache_folder=workspace.cache,
                    protocols=rules,
                    label=label,
                    trained_on=trained_on,
                    judge=judge,
                    progress=prefixed(bars, f"{label}, {task.name}: "),
                    warn=warn,
                )
            )

        for each in corrector.possible(plan):
            started(each.model)
            if (loaded := corrector.load(each)) is None:
                continue
            for line in loaded.warnings:
                warn(line)
            seen = training_images(workspace, each.model, warn, bars)
            for task in tasks if each.measured else ():
                evaluate(loaded, each.model.label, task, seen)
            for kind in each.corrections:
                if (corrected := corrector.correct(kind, each, loaded)) is not None:
                    for task in corrector.tasks_for(kind):
                        evaluate(corrected, f"{each.model.label} + {kind}", task, seen)
    return stored
