"""`negwb apply ris`: referring segmentation with the text tower of a run."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from benchmarks.segmentation.choices import Route, Subset
from workbench.commands.bench.run import ProtocolChoice
from workbench.errors import ExitCode, UsageError
from workbench.jobs.benchmarks.segmentation import ORIGINAL

if TYPE_CHECKING:
    from collections.abc import Sequence

EPILOG = """\b
Examples:
  negwb apply ris phrasecut --model base --model run-001     masks of CLIPSeg, negated and other phrases
  negwb apply ris refcocog --route proposals                 without a trained decoder: SAM proposes, CLIP ranks
  negwb apply ris phrasecut --subset all --most 500          a fixed sample, the same for every model
  negwb apply ris my-regions/ --clipseg ../clipseg           a folder with the files of PhraseCut or RefCOCOg
  negwb report                                               mIoU, oIoU, differences; the masks of each item

\b
Files: benchmarks/phrasecut has refer_test.json, image_data_split.json and images/; benchmarks/refcocog has refs(umd).p,
instances.json and train2014/. The pickle is read without running anything in it.
Exit code 1: some rows of the data set are bad and were left out; the results of the others are stored.
"""
_MOST_PROBLEMS = 5
"""Bad rows that are named."""


def ris(
    context: typer.Context,
    data: Annotated[str, typer.Argument(metavar="DATA", help="phrasecut, refcocog, or a folder with their files.")],
    split: Annotated[str, typer.Option(metavar="SPLIT", help="Split of the data set: test, val, train.")] = "test",
    subsets: Annotated[
        list[Subset] | None,
        typer.Option(
            "--subset",
            help="Phrases to score: negated, affirmed (the others), or all; repeatable.",
            show_default="negated and affirmed",
        ),
    ] = None,
    most: Annotated[
        int | None, typer.Option(min=1, metavar="N", help="Score at most N phrases of each subset, a fixed sample.")
    ] = None,
    models: Annotated[
        list[str] | None,
        typer.Option(
            "--model",
            metavar="MODEL",
            help="base, a finished run, a folder, a .pth file, NAME:PRETRAINED, or original for the text tower of "
            "CLIPSeg itself; repeatable.",
            show_default="original (route clipseg), base and the newest finished run",
        ),
    ] = None,
    routes: Annotated[
        list[Route] | None,
        typer.Option(
            "--route",
            help="clipseg: CLIPSeg with the text tower of the model. proposals: masks proposed by SAM, ranked by the "
            "model. Repeatable.",
            show_default="clipseg",
        ),
    ] = None,
    clipseg: Annotated[
        str, typer.Option(metavar="MODEL", help="CLIPSeg: a folder, or a downloaded model of the Hugging Face hub.")
    ] = "CIDAS/clipseg-rd64-refined",
    threshold: Annotated[
        float, typer.Option(min=0.01, max=0.99, help="CLIPSeg: probability above which a pixel is in the mask.")
    ] = 0.5,
    sam: Annotated[
        str, typer.Option(metavar="MODEL", help="Model that proposes masks: a folder, or a downloaded one of the hub.")
    ] = "facebook/sam-vit-base",
    points: Annotated[int, typer.Option(min=1, metavar="N", help="Proposals: points per side of the grid.")] = 32,
    quality: Annotated[float, typer.Option(help="Proposals: least quality by the model's own estimate.")] = 0.88,
    stability: Annotated[float, typer.Option(min=0, max=1, help="Proposals: least stability of a mask.")] = 0.95,
    pictures: Annotated[
        Path | None, typer.Option(metavar="FOLDER", help="Folder of the images, if not in that of the data set.")
    ] = None,
    protocol: Annotated[
        ProtocolChoice, typer.Option(help="Scoring rule: the published one, the strict one, or both.")
    ] = ProtocolChoice.BOTH,
    allow_nan: Annotated[bool, typer.Option("--allow-nan", help="Strict rule: count NaN scores as wrong.")] = False,
    device: Annotated[str, typer.Option(help="Torch device: cpu, cuda.")] = "cpu",
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """Segment what each phrase describes, and score the masks: mIoU, oIoU, precision at an IoU of 0.5 to 0.9.

    Results are new files in results/, as of `negwb bench run`, with both masks of each item. Masks, proposals and
    features are in cache/ as soon as they are computed: a stopped run continues.
    """
    from trainers.segmentation.proposal_settings import ProposalSettings
    from workbench.commands.bench.run import default_models, print_model, print_results, protocols_of
    from workbench.jobs.benchmarks.segmentation import RouteSettings, load_data, segment
    from workbench.workspace.layout import find_workspace
    from workbench.workspace.models import find_model, require_torch

    workspace = find_workspace(context.obj)
    chosen = list(dict.fromkeys(routes or [Route.CLIPSEG]))
    names = list(dict.fromkeys(models or [ORIGINAL, *default_models(workspace)]))
    if Route.CLIPSEG not in chosen:
        if models and ORIGINAL in names:
            raise UsageError(f"{ORIGINAL} is the text tower of CLIPSeg", hint="add --route clipseg, or leave it out")
        names = [name for name in names if name != ORIGINAL]
    selected = [None if name == ORIGINAL else find_model(workspace, name) for name in names]
    # before torch is loaded: a wrong name, a bad file or missing weights are reported at once
    parts = load_data(
        workspace,
        data,
        split,
        list(dict.fromkeys(subsets or (Subset.NEGATED, Subset.AFFIRMED))),
        pictures=pictures,
        most=most,
    )
    require_torch()
    settings = RouteSettings(
        routes=chosen,
        clipseg=clipseg,
        threshold=threshold,
        sam=sam,
        proposals=ProposalSettings(points, pred_iou_thresh=quality, stability_score_thresh=stability),
    )
    settings.check()
    stored = segment(
        workspace,
        parts,
        selected,
        settings,
        protocols=protocols_of(protocol, allow_nan),
        device=device,
        started=print_model,
        warn=lambda line: typer.echo(f"negwb: warning: {_safe_text(line)}", err=True),
    )
    problems = list(dict.fromkeys(problem.text for part in parts for problem in part.problems))
    print_results(workspace, stored, as_json=as_json, more={"left_out": problems})
    if problems:
        _print_problems(problems)
        raise typer.Exit(ExitCode.UNEXPECTED)


def _print_problems(problems: Sequence[str]) -> None:
    """Print the first bad rows on stderr."""
    from curation_db.language.sanitize import counted

    typer.echo(f"negwb: {counted(len(problems), 'row')} left out; the others are scored", err=True)
    for line in problems[:_MOST_PROBLEMS]:
        typer.echo(f"       {_safe_text(line)}", err=True)
    if len(problems) > _MOST_PROBLEMS:
        typer.echo(f"       and {len(problems) - _MOST_PROBLEMS:,} more; all of them: --json", err=True)


def _safe_text(text: str) -> str:
    from curation_db.language.sanitize import display_text

    return display_text(text, limit=500)
