"""`negwb audit`: the negation in a corpus of captions, and the difference between two corpora."""

from __future__ import annotations

import json
import shutil
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from workbench.errors import ExitCode, UsageError

if TYPE_CHECKING:
    from curation_db.corpus_audit.part_result import AuditOptions
    from curation_db.corpus_audit.parts import Part
    from curation_db.corpus_audit.run import CorpusResult
    from workbench.workspace.layout import Workspace

_EPILOG = """\b
Examples:
  negwb audit                                       the captions of this workspace
  negwb audit captions_train2014.json
  negwb audit laion/ --html audit.html              all shards of a folder
  negwb audit 'cc12m/{00000..01242}.tar' --processes 8 --state audit-state
  negwb audit https://host/part-00000.parquet --column TEXT
  negwb audit captions.txt.gz --json > captions.audit.json
  negwb audit --candidates --check-images 200       do the images show what the captions deny?
  negwb audit --check-images 200 --judge clip       the same, with the base model in place of the judges
  negwb audit diff laion.audit.json cc12m.audit.json

\b
Formats: COCO and other JSON, JSONL, CSV, TSV, Parquet, WebDataset, plain text with one caption on each line; also
compressed (gz, zst, bz2, xz). In a workspace, or with --state, a stopped audit continues where it was stopped.

\b
Exit code 0: all rows are captions or empty; 1: some rows or files are no captions; 2: nothing can be read;
5: there is no caption.
"""
_DIFF: Final = "diff"
_EACH: Final = 2
_PIPE_WIDTH: Final = 120


def register(app: typer.Typer) -> None:
    app.command(epilog=_EPILOG)(audit)


def audit(
    context: typer.Context,
    sources: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="[SOURCE... | diff A B]",
            help="Files, folders, patterns or addresses; or diff and two results of --json.",
            show_default="the workspace",
        ),
    ] = None,
    data_format: Annotated[
        str | None,
        typer.Option(
            "--format",
            "-f",
            metavar="FORMAT",
            help="text, json, jsonl, csv, tsv, parquet or webdataset.",
            show_default="by name and content",
        ),
    ] = None,
    column: Annotated[
        str | None,
        typer.Option(metavar="NAME", help="Column or field with the captions.", show_default="by the usual names"),
    ] = None,
    no_header: Annotated[
        bool, typer.Option("--no-header", help="The first line of a CSV or TSV file is data: columns have numbers.")
    ] = False,
    candidates: Annotated[
        bool, typer.Option("--candidates", help="Audit the candidates of the workspace instead of its captions.")
    ] = False,
    processes: Annotated[
        int | None, typer.Option(min=1, max=512, help="Number of processes.", show_default="one for each core")
    ] = None,
    state: Annotated[
        Path | None,
        typer.Option(metavar="FOLDER", help="Where to keep finished parts.", show_default="cache of the workspace"),
    ] = None,
    samples: Annotated[int, typer.Option(min=0, max=1000, help="Captions for reading, for each cue.")] = 3,
    seed: Annotated[int, typer.Option(help="Seed of the samples.")] = 0,
    check_images: Annotated[
        int, typer.Option(min=0, metavar="N", help="Ask judges whether images of N captions show what these deny.")
    ] = 0,
    judge: Annotated[
        list[str] | None,
        typer.Option(
            metavar="ENGINE",
            help="Judge for --check-images, or clip (the base model) or clip:MODEL; repeatable.",
            show_default="as in negwb.toml",
        ),
    ] = None,
    pictures: Annotated[
        Path | None,
        typer.Option(metavar="FOLDER", help="Folder of the images for --check-images.", show_default="of the source"),
    ] = None,
    words: Annotated[bool, typer.Option("--words", help="Print the whole word list, with exceptions.")] = False,
    html: Annotated[Path | None, typer.Option(metavar="FILE", help="Write the result as one HTML file.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object; the input of diff.")] = False,
) -> None:
    """Count the negation in a corpus of captions: by cue, class of word, position and target, with intervals.

    The corpus is read as a stream in constant memory. The words that are counted are printed with the result, and
    published rates stand beside it.
    """
    from curation_db.corpus_audit.collector import SampleSizes
    from curation_db.corpus_audit.part_result import AuditOptions
    from curation_db.importing.rows import InputError

    if sources and sources[0] == _DIFF:
        _diff(sources[1:], as_json=as_json)
        return
    sizes = SampleSizes(per_cue=samples, absent=check_images, seed=seed)
    options = AuditOptions(sizes=sizes, column=column, header=not no_header)
    workspace = _workspace(context.obj, required=not sources or check_images > 0)
    if check_images and workspace is not None:
        _check_judges(workspace, judge or [])
    try:
        parts = _parts(sources or [], _form(data_format), workspace, candidates=candidates)
        result = _audited(parts, options, processes, _state_folder(state, workspace))
    except InputError as error:
        raise UsageError(error.message, hint=error.hint) from None
    from curation_db.corpus_audit.audit_report import report_json
    from curation_db.language.sanitize import display_text

    texts = "candidates" if candidates else "captions"
    report = report_json(result, source=display_text(_name(sources or [], workspace), limit=300), texts=texts)
    if check_images and workspace is not None:
        folders = [pictures] if pictures is not None else _folders(parts)
        report["image_check"] = _image_check(workspace, result, folders, judge or [])
    _finish(report, words=words, samples=samples, html=html, as_json=as_json)


def _check_judges(workspace: Workspace, judges: list[str]) -> None:
    """Check before the audit that the judges exist."""
    from workbench.demo.engine_kinds import register_demo_engines
    from workbench.jobs.benchmarks.judge import judge_plan

    register_demo_engines()
    judge_plan(workspace, judges)


def _folders(parts: list[Part]) -> list[Path]:
    return list(dict.fromkeys(Path(part.path).parent for part in parts if not part.is_remote and not part.table))


def _image_check(
    workspace: Workspace, result: CorpusResult, folders: list[Path], judges: list[str]
) -> dict[str, Any] | None:
    """Return the result of the look at images; None if no image can be looked at."""
    from workbench.console.progress_bars import step_bars
    from workbench.jobs.benchmarks.judge import open_judge
    from workbench.jobs.caption_image_check import ask, find_images, score_judge

    found = find_images(workspace, result.total.absent or (), folders)
    if not found.asked:
        why = ", ".join(f"{count:,} times {reason}" for reason, count in found.left_out.items())
        hint = f": {why}; name their folder: --pictures FOLDER" if why else ""
        typer.echo(f"negwb: no caption that denies an object has an image to look at{hint}", err=True)
        return None
    with (
        step_bars(lines=True) as report_step,
        open_judge(workspace, judges, notify=lambda line: typer.echo(f"negwb: {line}", err=True)) as judge,
    ):
        return ask(workspace, found, judge, report_step, scored=score_judge(judge.plan))


def _workspace(named: Path | None, *, required: bool) -> Workspace | None:
    from workbench.workspace.layout import NoWorkspace, find_workspace

    try:
        return find_workspace(named)
    except NoWorkspace:
        if required:
            raise
        return None


def _form(named: str | None) -> Any:
    from curation_db.corpus_audit.parts import SourceForm

    forms = [form for form in SourceForm if form is not SourceForm.RECORD]
    if named is None:
        return None
    if named not in forms:
        raise UsageError(f"there is no format {named!r}", hint=f"known: {', '.join(forms)}")
    return SourceForm(named)


def _parts(sources: list[str], form: Any, workspace: Workspace | None, *, candidates: bool) -> list[Part]:
    from curation_db.corpus_audit.parts import parts_of

    if sources and candidates:
        raise UsageError("--candidates is for the workspace", hint="leave out the source")
    if sources:
        return [part for source in dict.fromkeys(sources) for part in parts_of(source, form=form)]
    from curation_db.corpus_audit.readers.record import CANDIDATES, CAPTIONS, record_parts
    from curation_db.storage.store import open_read_only

    assert workspace is not None
    with open_read_only(workspace.database) as store:
        return record_parts(store, CANDIDATES if candidates else CAPTIONS)


def _name(sources: list[str], workspace: Workspace | None) -> str:
    if sources:
        return sources[0] if len(sources) == 1 else f"{sources[0]} and {len(sources) - 1} more"
    return "" if workspace is None else workspace.root.name


def _state_folder(named: Path | None, workspace: Workspace | None) -> Path | None:
    if named is not None:
        _check_state(named)
        return named
    return None if workspace is None else workspace.cache / "audit"


def _check_state(folder: Path) -> None:
    """Check before the audit that results can be kept in the folder.

    Raises:
        UsageError: It is a file, or cannot be written.
    """
    import os

    from curation_db.language.sanitize import display_text

    try:
        folder.mkdir(parents=True, exist_ok=True)
        problem = "" if os.access(folder, os.W_OK | os.X_OK) else "it is not writable"
    except (FileExistsError, NotADirectoryError):
        problem = "it is a file, or below one"
    except OSError as error:
        problem = error.strerror or type(error).__name__
    if problem:
        name = display_text(str(folder), limit=200)
        raise UsageError(f"--state {name}: {problem}", hint="name a folder that can be written")


def _audited(parts: list[Part], options: AuditOptions, processes: int | None, state: Path | None) -> CorpusResult:
    from curation_db.corpus_audit.run import audit_corpus
    from workbench.console.progress_bars import step_bars

    fetcher: Any = None
    if any(part.is_remote for part in parts):
        from workbench.jobs.corpus_fetch import HttpFetcher

        fetcher = HttpFetcher()
    unit, scale = ("files", 1) if fetcher else ("rows", 1) if any(part.table for part in parts) else ("MB", 1_000_000)
    number = processes or _cores()
    try:
        with step_bars(lines=True) as report_step:
            return audit_corpus(
                parts,
                options,
                processes=number,
                state=state,
                fetcher=fetcher,
                progress=lambda done, total: report_step(f"{unit} read", done // scale, -(-total // scale)),
            )
    except KeyboardInterrupt:
        if state is None:
            typer.echo("negwb: with --state FOLDER a stopped audit continues", err=True)
        raise


def _cores() -> int:
    import os

    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _finish(report: dict[str, Any], *, words: bool, samples: int, html: Path | None, as_json: bool) -> None:
    """Print and write the report, and end with its exit code."""
    from curation_db.language.sanitize import display_text
    from workbench.console.tables import show
    from workbench.reports import corpus_audit

    if html is not None:
        from curation_db.atomic_write import replace_file
        from workbench.reports.html.corpus_audit import audit_page

        replace_file(html, audit_page(report))
    if as_json:
        typer.echo(json.dumps(report))
    else:
        listings = [corpus_audit.rate_listing(report), corpus_audit.target_listing(report)]
        listings += [*corpus_audit.image_check_listings(report), *corpus_audit.published_listings(report)]
        if samples and report["samples"]:
            listings.append(corpus_audit.sample_listing(report, samples))
        show(listings)
        width = shutil.get_terminal_size().columns if sys.stdout.isatty() else _PIPE_WIDTH
        for line in corpus_audit.word_lines(report, full=words, width=width):
            typer.echo(display_text(line, limit=2_000))
    if report["resumed"]:
        typer.echo(f"negwb: {report['resumed']:,} of {report['parts']:,} parts were audited before", err=True)
    for line in (bad := corpus_audit.bad_row_lines(report)):
        typer.echo(f"negwb: {display_text(line, limit=500)}", err=True)
    if not report["captions"]:
        raise typer.Exit(ExitCode.NOTHING_TO_DO)
    raise typer.Exit(ExitCode.UNEXPECTED if bad else ExitCode.OK)


def _diff(files: list[str], *, as_json: bool) -> None:
    from curation_db.corpus_audit.audit_report import read_report
    from curation_db.corpus_audit.comparison import compare, comparison_json
    from curation_db.importing.rows import InputError
    from workbench.console.tables import show
    from workbench.reports.corpus_audit import difference_listing

    if len(files) != _EACH:
        raise UsageError("diff needs two results", hint="negwb audit diff A.json B.json, each from negwb audit --json")
    for file in files:
        if not Path(file).is_file():
            raise UsageError(f"there is no file {file}")
    try:
        (first, ours), (second, theirs) = (read_report(Path(file)) for file in files)
    except InputError as error:
        raise UsageError(error.message, hint=error.hint) from None
    differences = compare(ours, theirs)
    if as_json:
        typer.echo(json.dumps(comparison_json(differences, first, second)))
        return
    if not differences:
        raise UsageError("one of the corpora has no caption")
    show([difference_listing(differences, first, second)])
