"""`negwb apply t2i`: Stable Diffusion with the text encoder of a run."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Sequence
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated, Any

import typer

from workbench.commands.options import BlindJudgesOption, JudgeCostOption, JudgeRequestsOption, JudgesOption
from workbench.errors import UsageError

if TYPE_CHECKING:
    from pathlib import Path

    from benchmarks.results import StoredResult
    from benchmarks.text_to_image.job import PictureJob, PictureSet
    from benchmarks.text_to_image.prompt_sets import PromptSet
    from workbench.console.progress_bars import Step
    from workbench.workspace.layout import Workspace

EPILOG = """\b
Examples:
  negwb apply t2i --pipeline ../stable-diffusion-v1-4 --device cuda --judge llava
  negwb apply t2i --model run-001 --alpha 0.5 --alpha 1           also between base and run (WiSE-FT)
  negwb apply t2i mine.csv --seeds 4                              four pictures for each prompt of your own
  negwb apply t2i --pictures-only                                 no judge: only the pictures and their grid

\b
The run has to be a ViT-L/14 of CLIP, the text encoder of Stable Diffusion 1.x. Each prompt gets the same noise with
the pipeline's own text encoder and with the run's. A judge answers two questions on each picture: is the subject
there, is the negated thing there. Neg Score is the share of pictures without the negated thing, "both" the share of
those that also show the subject. The safety checker is off. After Ctrl-C or a kill the same command continues.
"""
_SIZE_STEP = 8
_HALF_CELLS = 36
"""Columns of a picture in half cells, which is half as many lines high."""


class PrecisionChoice(StrEnum):
    FP32 = "fp32"
    FP16 = "fp16"
    BF16 = "bf16"


def t2i(
    context: typer.Context,
    prompts: Annotated[
        str, typer.Argument(metavar="[SET]", help="A prompt set or its file; see: negwb apply prompts.")
    ] = "everyday",
    models: Annotated[
        list[str] | None,
        typer.Option(
            "--model",
            metavar="MODEL",
            help="A finished run, a folder, a .pth file, or NAME:PRETRAINED; repeatable.",
            show_default="the newest finished run",
        ),
    ] = None,
    alphas: Annotated[
        list[float] | None,
        typer.Option(
            "--alpha", metavar="ALPHA", help="Share of the trained weights, base + ALPHA * (run - base); repeatable."
        ),
    ] = None,
    pipeline: Annotated[
        str,
        typer.Option(
            metavar="PATH", help="Stable Diffusion 1.x: a folder, or a repository in the cache of the Hugging Face hub."
        ),
    ] = "CompVis/stable-diffusion-v1-4",
    seeds: Annotated[
        int, typer.Option(min=1, metavar="N", help="Pictures for each prompt, with seeds 0 to N - 1.")
    ] = 1,
    steps: Annotated[int, typer.Option(min=1, help="Steps of the pipeline's scheduler.")] = 50,
    guidance: Annotated[float, typer.Option(min=0, help="Scale of the classifier-free guidance.")] = 7.5,
    size: Annotated[
        int | None, typer.Option(min=_SIZE_STEP, help="Pixels of a side.", show_default="that of the pipeline")
    ] = None,
    judges: JudgesOption = None,
    pictures_only: Annotated[bool, typer.Option("--pictures-only", help="Ask no judge, and add no result.")] = False,
    allow_blind: BlindJudgesOption = False,
    max_requests: JudgeRequestsOption = None,
    max_cost: JudgeCostOption = None,
    device: Annotated[str, typer.Option(help="Torch device: cpu, cuda.")] = "cpu",
    precision: Annotated[PrecisionChoice, typer.Option(help="Precision of the pipeline.")] = PrecisionChoice.FP32,
    batch: Annotated[int, typer.Option(min=1, help="Pictures that are made at once.")] = 1,
    show: Annotated[int, typer.Option(min=0, metavar="N", help="Prompts whose pictures the terminal shows.")] = 3,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """Make pictures of negated prompts with the text encoder of a run and with the original one, and let a judge count
    what they show.

    The pictures are in results/t2i, the result is one of a benchmark: negwb report compares it with the original.
    """
    from benchmarks.text_to_image.job import PictureJob, Sampling
    from benchmarks.text_to_image.pipeline_folder import find_pipeline
    from benchmarks.text_to_image.prompt_sets import read_prompt_set
    from workbench.console.progress_bars import step_bars
    from workbench.jobs.benchmarks.text_to_image import FOLDER, encoder_specs, make_pictures, require_diffusers
    from workbench.workspace.layout import find_workspace
    from workbench.workspace.models import find_model

    workspace = find_workspace(context.obj)
    if size is not None and size % _SIZE_STEP:
        raise UsageError(f"--size must be a multiple of {_SIZE_STEP}, not {size}")
    if precision is PrecisionChoice.FP16 and device == "cpu":
        raise UsageError("--precision fp16 needs a GPU", hint="on a CPU use fp32 or bf16")
    chosen = read_prompt_set(prompts)
    selected = [find_model(workspace, spec) for spec in dict.fromkeys(models or _newest_run(workspace))]
    require_diffusers()
    find_pipeline(pipeline)  # before anything is loaded: a missing file is reported at once
    judging = None if pictures_only else _Judging(workspace, judges or (), allow_blind, max_requests, max_cost)
    job = PictureJob(
        pipeline=pipeline,
        encoders=tuple(encoder_specs(workspace, selected, list(dict.fromkeys(alphas or ())))),
        texts=tuple(prompt.text for prompt in chosen.prompts),
        seeds=tuple(range(seeds)),
        sampling=Sampling(steps=steps, guidance=guidance, size=size),
        device=device,
        precision=precision.value,
        batch=batch,
        folder=str(workspace.root / FOLDER),
    )
    started = time.perf_counter()
    with step_bars(lines=True) as bars:
        made = make_pictures(job, progress=bars, warn=_warn)
        grid = _write_grid(job, chosen, made)
        seconds = time.perf_counter() - started
        stored = [] if judging is None else judging.results(chosen, job, made, bars, seconds)
    if as_json:
        typer.echo(json.dumps(_as_json(workspace, job, made, grid, stored)))
        return
    _show_pictures(workspace, job, made, show)
    _print(workspace, made, grid, stored)


def _newest_run(workspace: Workspace) -> list[str]:
    from workbench.workspace.models import finished_runs

    if not (runs := finished_runs(workspace)):
        raise UsageError("there is no finished run", hint="train one (negwb train), or name a model: --model MODEL")
    return [runs[-1].name]


class _Judging:
    """The judge of the command line, checked before the pictures are made."""

    def __init__(
        self,
        workspace: Workspace,
        judges: Sequence[str],
        allow_blind: bool,
        max_requests: int | None,
        max_cost: float | None,
    ) -> None:
        from workbench.demo.engine_kinds import register_demo_engines
        from workbench.generation.budget import Budget
        from workbench.jobs.benchmarks.judge import judge_plan

        register_demo_engines()
        judge_plan(workspace, judges, allow_blind=allow_blind)
        self._workspace, self._judges, self._allow_blind = workspace, judges, allow_blind
        self._budget = Budget(max_requests=max_requests, max_cost=max_cost)

    def results(
        self, prompts: PromptSet, job: PictureJob, made: PictureSet, bars: Step, seconds: float
    ) -> list[StoredResult]:
        from workbench.jobs.benchmarks.judge import open_judge
        from workbench.jobs.benchmarks.text_to_image import judge_pictures

        with open_judge(
            self._workspace,
            self._judges,
            allow_blind=self._allow_blind,
            budget=self._budget,
            notify=lambda line: typer.echo(f"negwb: {_safe(line)}", err=True),
        ) as judge:
            return judge_pictures(self._workspace, prompts, job, made, judge, progress=bars, seconds=seconds)


def _sheet(job: PictureJob, made: PictureSet, most: int | None = None, side: int = 160, across: int | None = 1) -> Any:
    from pathlib import Path

    from benchmarks.text_to_image.job import picture_name
    from workbench.images.contact_sheet import SheetRow, contact_sheet

    folder = Path(job.folder) / made.group
    rows = [
        SheetRow(
            text if len(job.seeds) == 1 else f"{text} (seed {seed})",
            [folder / picture_name(encoder.hash, text, seed) for encoder in made.encoders],
        )
        for text, seed in job.each()
    ]
    return contact_sheet([encoder.label for encoder in made.encoders], rows[:most], side=side, across=across)


def _write_grid(job: PictureJob, prompts: PromptSet, made: PictureSet) -> Path:
    """Write the pictures of all prompts side by side, and return the file."""
    import hashlib
    import io
    from pathlib import Path

    from curation_db.atomic_write import replace_file

    parts = [prompts.sha256, *map(str, job.seeds), *(encoder.hash for encoder in made.encoders)]
    key = hashlib.sha256("\0".join(parts).encode()).hexdigest()[:8]
    content = io.BytesIO()
    _sheet(job, made, across=None).save(content, "PNG")
    path = Path(job.folder) / made.group / f"grid-{key}.png"
    replace_file(path, content.getvalue())
    return path


def _show_pictures(workspace: Workspace, job: PictureJob, made: PictureSet, count: int) -> None:
    """Show the pictures of the first prompts in the terminal, the original's left."""
    if not count or not sys.stdout.isatty():
        return
    from rich.console import Console

    from workbench.images.inline import inline_graphics, inline_half_cells
    from workbench.images.terminal_graphics import choose_protocol
    from workbench.workspace.settings.settings import read_settings

    protocol = choose_protocol(read_settings(workspace.settings).curate.images)
    console = Console()
    if protocol == "none" or console.no_color:
        return
    sheet = _sheet(job, made, count * len(job.seeds), side=240)
    if protocol in {"kitty", "sixel"}:
        sys.stdout.write(inline_graphics(sheet, console.width, protocol))
        sys.stdout.flush()
        return
    console.print(" | ".join(_safe(encoder.label) for encoder in made.encoders), markup=False, highlight=False)
    for text, seed in list(job.each())[: count * len(job.seeds)]:
        console.print(_safe(text), markup=False, highlight=False)
        columns = min(console.width, _HALF_CELLS * len(made.encoders))
        console.print(inline_half_cells(_row_image(job, made, text, seed), columns), end="")


def _row_image(job: PictureJob, made: PictureSet, text: str, seed: int) -> Any:
    """Return the pictures of one prompt side by side, without text, which half cells cannot show."""
    from pathlib import Path

    from PIL import Image

    from benchmarks.text_to_image.job import picture_name
    from workbench.images.decode import load_thumbnail

    side, gap = 240, 8
    row = Image.new("RGB", (len(made.encoders) * (side + gap) - gap, side), (128, 128, 128))
    for place, encoder in enumerate(made.encoders):
        path = Path(job.folder) / made.group / picture_name(encoder.hash, text, seed)
        image = load_thumbnail(path, (side, side)).image
        if image is not None:
            row.paste(image.resize((side, side), Image.Resampling.NEAREST), (place * (side + gap), 0))
    return row


def _as_json(
    workspace: Workspace, job: PictureJob, made: PictureSet, grid: Path, stored: Sequence[StoredResult]
) -> dict[str, Any]:
    from dataclasses import asdict

    from benchmarks.results import list_results
    from workbench.reports.benchmark_report import result_json
    from workbench.workspace.operations import RESULTS

    known = list_results(workspace.root / RESULTS).results
    return {
        "pictures": {**asdict(made), "folder": job.folder, "grid": str(grid), "count": job.pictures},
        "results": [result_json(each, known) for each in stored],
    }


def _print(workspace: Workspace, made: PictureSet, grid: Path, stored: Sequence[StoredResult]) -> None:
    from benchmarks.results import list_results
    from workbench.console.number_format import percent
    from workbench.console.tables import Listing, show
    from workbench.reports.benchmark_report import judge_lines
    from workbench.reports.picture_scores import picture_listings, stored_scores
    from workbench.reports.trust.judge_errors import measured_errors
    from workbench.workspace.operations import RESULTS

    rows = [(each.label, percent(each.drift), each.hash[:12]) for each in made.encoders]
    title = "Text encoders, with the distance (drift) of their hidden states from the original's"
    listings = [Listing(title, ("text encoder", "drift %", "folder"), rows, about=str(made.pipeline))]
    if stored:
        errors = measured_errors(workspace, list_results(workspace.root / RESULTS).results)
        listings += picture_listings(stored_scores(stored), errors)
    show(listings)
    if made.cut:
        _warn(f"{made.cut:,} prompts have more than {made.limit} tokens: the pipeline does not read the rest")
    for line in judge_lines(stored):
        typer.echo(f"negwb: {_safe(line)}", err=True)
    typer.echo(f"negwb: pictures side by side: {grid}", err=True)
    if stored:
        typer.echo("negwb: to compare with the original, with intervals: negwb report", err=True)


def _warn(line: str) -> None:
    typer.echo(f"negwb: warning: {_safe(line)}", err=True)


def _safe(text: str) -> str:
    from curation_db.language.sanitize import display_text

    return display_text(text, limit=500)
