"""Text-to-image: pictures from a child process, which needs the memory of a GPU, then answers of a judge, then results.

The child writes each picture as it is made, and answers of judges are stored in the record as they arrive, so the same
command continues a stopped run.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, Final

from benchmarks.errors import BenchError
from benchmarks.text_to_image.job import EncoderSpec, PictureJob, PictureSet, write_job
from curation_db.foreign_json import JsonError, parse_json
from workbench.console import interruption
from workbench.errors import UsageError
from workbench.installation import install_hint
from workbench.jobs.process import end_all, tail
from workbench.workspace.layout import Workspace
from workbench.workspace.models import Model, base_of, find_run, require_torch

if TYPE_CHECKING:
    from benchmarks.judged import ImageJudge
    from benchmarks.results import StoredResult
    from benchmarks.text_to_image.prompt_sets import PromptSet

FOLDER: Final = "results/t2i"
"""Folder of the pictures in the workspace; they belong to the results, whose items show them."""
JUDGING: Final = "answers of the judge"
"""Stage of the progress."""
_INTERRUPTED: Final = 130
_TAIL_LINES: Final = 200

Progress = Callable[[str, int, int], None]


def require_diffusers() -> None:
    """Check that torch and diffusers are installed.

    Raises:
        UsageError: One of them is missing.
    """
    import importlib.util  # noqa: PLC0415

    require_torch()
    if importlib.util.find_spec("diffusers") is None:
        raise UsageError("text-to-image needs diffusers", hint=install_hint("apply"))


def encoder_specs(workspace: Workspace, models: Sequence[Model], alphas: Sequence[float]) -> list[EncoderSpec]:
    """Return the text encoders of the models, each at every alpha; no alphas: the models as they are.

    Raises:
        UsageError: An alpha is not in (0, 1], or a model that has no base is interpolated.
    """
    if not alphas:
        return [EncoderSpec(label=model.label, model=model.spec) for model in models]
    specs = []
    for model in models:
        base = base_of(model)
        if base is None:
            raise UsageError(
                f"{model.label} was not trained from a base, so it has no alpha",
                hint="name a finished run" if find_run(workspace, model.label) is None else "",
            )
        for alpha in alphas:
            if not 0 < alpha <= 1:
                raise UsageError(f"--alpha must be above 0 and at most 1, not {alpha:g}", hint="0 is the base model")
            label = model.label if alpha == 1 else f"{model.label}-alpha-{alpha:g}"
            specs.append(EncoderSpec(label=label, model=model.spec, base=base.spec, alpha=alpha))
    return specs


def make_pictures(job: PictureJob, *, progress: Progress, warn: Callable[[str], None]) -> PictureSet:
    """Make the missing pictures of a job in a child process.

    Raises:
        BenchError: They cannot be made; those so far are stored.
        KeyboardInterrupt: The child or this process was interrupted.
    """
    with tempfile.TemporaryDirectory(prefix="negwb-t2i-") as name:
        path, log = Path(name) / "job.json", Path(name) / "output.txt"
        write_job(path, job)
        with log.open("wb") as output:
            command = [sys.executable, "-P", "-m", "benchmarks.text_to_image", str(path)]
            child = subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=output, start_new_session=True
            )
            try:
                with interruption.raised():
                    assert child.stdout is not None
                    made = _follow(child.stdout, progress, warn)
                    code = child.wait()
            except BaseException:
                with interruption.shielded():
                    end_all([child])
                raise
        if code == _INTERRUPTED:
            raise KeyboardInterrupt
        if made is None:
            last = next((line.strip() for line in reversed(tail(log, _TAIL_LINES)) if line.strip()), "")
            how = f"was killed by signal {-code}" if code < 0 else f"ended with code {code}"
            hint = "the pictures so far are stored; the same command continues"
            raise BenchError(f"the process that makes the pictures {how}" + (f": {last}" if last else ""), hint=hint)
        return made


def _follow(lines: Any, progress: Progress, warn: Callable[[str], None]) -> PictureSet | None:
    """Pass on the lines of the child until it closes its output, and return the pictures; None: it did not finish.

    Raises:
        BenchError: The child reports an error.
    """
    import msgspec  # noqa: PLC0415

    stream: BinaryIO = lines
    for line in stream:
        try:
            content = parse_json(line)
        except JsonError:  # the last line of a killed child
            continue
        if "progress" in content:
            stage, done, total = content["progress"]
            progress(stage, done, total)
        elif "warning" in content:
            warn(content["warning"])
        elif "error" in content:
            raise BenchError(content["error"], hint=content["hint"])
        elif "pictures" in content:
            return msgspec.convert(content["pictures"], PictureSet)
    return None


def judge_pictures(
    workspace: Workspace,
    prompts: PromptSet,
    job: PictureJob,
    pictures: PictureSet,
    judge: ImageJudge,
    *,
    progress: Progress,
    seconds: float = 0.0,
) -> list[StoredResult]:
    """Ask the judge about the pictures and add a result for each text encoder, the original's first.

    Args:
        seconds: Time that the pictures took.

    Raises:
        BenchError: A question has no answer; nothing is added.
    """
    from benchmarks import results  # noqa: PLC0415
    from benchmarks.text_to_image.scoring import judged_results  # noqa: PLC0415
    from workbench.workspace.operations import RESULTS  # noqa: PLC0415

    started = time.perf_counter()
    judged = judged_results(prompts, job, pictures, judge, lambda done, total: progress(JUDGING, done, total))
    took = round(seconds + time.perf_counter() - started, 3)
    stored = []
    for result, rows in judged:
        result["seconds"] = took
        result["task"]["pictures_folder"] = f"{FOLDER}/{pictures.group}"
        stored.append(results.write(workspace.root / RESULTS, result, rows))
    return stored
