"""Pictures of a job: names, resumption, interpolation, and what is refused before the first picture."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from PIL import Image
from support.clip_models import make_tiny
from support.tiny_diffusion import SIZE, make_pipeline

from benchmarks.errors import BenchError
from benchmarks.text_to_image import generate as generating
from benchmarks.text_to_image.generate import generate
from benchmarks.text_to_image.job import (
    EncoderSpec,
    PictureJob,
    PictureSet,
    Sampling,
    picture_name,
    read_job,
    write_job,
)
from trainers.errors import TrainerError
from trainers.models.hf_text_encoder import text_encoder
from trainers.models.loading import load_model
from trainers.models.saving import save_model

TEXTS = ("a dog with no hat", "a table without a cup")
Make = Callable[..., PictureSet]


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the models base and run, and a pipeline with the text encoder of base."""
    folder = tmp_path_factory.mktemp("models")
    base = make_tiny(seed=1, context_length=77)
    save_model(base, folder / "base")
    run = make_tiny(seed=2, context_length=77)
    run.model.visual.load_state_dict(base.model.visual.state_dict())
    save_model(run, folder / "run")
    make_pipeline(folder / "pipeline", base)
    return folder


@pytest.fixture
def job(models: Path, tmp_path: Path) -> PictureJob:
    return PictureJob(
        pipeline=str(models / "pipeline"),
        encoders=(EncoderSpec(label="run", model=str(models / "run")),),
        texts=TEXTS,
        seeds=(0, 1),
        sampling=Sampling(steps=1, size=SIZE),
        device="cpu",
        precision="fp32",
        batch=3,
        folder=str(tmp_path / "t2i"),
    )


def make(job: PictureJob, warnings: list[str] | None = None, steps: list[Any] | None = None) -> PictureSet:
    return generate(
        job,
        progress=lambda *step: (steps if steps is not None else []).append(step),
        warn=(warnings if warnings is not None else []).append,
    )


def files_of(job: PictureJob, made: PictureSet) -> dict[str, bytes]:
    folder = Path(job.folder) / made.group
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*.png")}


def test_every_encoder_has_a_picture_for_each_text_and_seed(job: PictureJob) -> None:
    steps: list[Any] = []
    made = make(job, steps=steps)
    files = files_of(job, made)
    original, run = made.encoders
    assert (original.label, run.label) == ("pipeline (original)", "run")
    assert files.keys() == {picture_name(each.hash, *at) for each in made.encoders for at in job.each()}
    assert len(set(files.values())) == 8, "text, seed and encoder all matter"
    assert steps[-1] == (generating.PICTURES, 8, 8)
    assert (made.size, made.limit, made.cut) == (SIZE, 77, 0)
    assert original.drift == 0
    assert run.drift > 0.1
    with Image.open(Path(job.folder) / made.group / picture_name(run.hash, TEXTS[0], 1)) as image:
        assert image.text == {"prompt": TEXTS[0], "seed": "1", "text encoder": "run"}


def test_only_missing_pictures_are_made_again(job: PictureJob, monkeypatch: pytest.MonkeyPatch) -> None:
    made = make(job)
    before = files_of(job, made)
    lost = Path(job.folder) / made.group / picture_name(made.encoders[1].hash, TEXTS[1], 0)
    lost.unlink()
    asked: list[Any] = []
    real = generating._pictures
    monkeypatch.setattr(generating, "_pictures", lambda p, batch, j: asked.extend(batch) or real(p, batch, j))
    steps: list[Any] = []
    assert make(job, steps=steps) == made
    assert asked == [(TEXTS[1], 0)]
    assert (generating.PICTURES, 7, 8) in steps, "a continued run starts where the last one ended"
    after = files_of(job, made)
    assert after.keys() == before.keys()
    asked.clear()
    make(replace(job, seeds=(0, 1, 2), texts=(*TEXTS, "a new text")))
    assert len(asked) == 2 * (3 * 3 - 4), "more seeds and texts keep the pictures"


def test_a_batch_that_was_made_is_stored_when_the_next_one_fails(
    job: PictureJob, monkeypatch: pytest.MonkeyPatch
) -> None:
    real, calls = generating._pictures, []

    def second_fails(*arguments: Any) -> Any:
        calls.append(arguments)
        if len(calls) == 2:
            raise KeyboardInterrupt
        return real(*arguments)

    monkeypatch.setattr(generating, "_pictures", second_fails)
    with pytest.raises(KeyboardInterrupt):
        make(job)
    assert len(list(Path(job.folder).rglob("*.png"))) == job.batch
    monkeypatch.setattr(generating, "_pictures", real)
    assert len(files_of(job, make(job))) == 8


@pytest.mark.parametrize(
    "change",
    [
        {"sampling": Sampling(steps=2, size=SIZE)},
        {"sampling": Sampling(steps=1, size=SIZE, guidance=3)},
        {"precision": "bf16"},
    ],
)
def test_other_settings_have_a_folder_of_their_own(job: PictureJob, change: dict[str, Any]) -> None:
    job = replace(job, seeds=(0,), encoders=())
    first, other = make(job), make(replace(job, **change))
    assert first.group != other.group
    assert first.pipeline_hash == other.pipeline_hash
    assert first.encoders[0].hash == other.encoders[0].hash
    names = files_of(job, first)
    assert names.keys() == files_of(job, other).keys()
    assert names != files_of(job, other)


def test_alpha_interpolates_between_base_and_run(job: PictureJob, models: Path) -> None:
    """Oracle: the weights are mixed by hand, tensor by tensor."""
    spec = EncoderSpec(label="x", model=str(models / "run"), base=str(models / "base"))
    made = make(replace(job, seeds=(0,), encoders=tuple(replace(spec, alpha=alpha) for alpha in (0.25, 1.0))))
    _, quarter, whole = made.encoders
    assert 0 < quarter.drift < whole.drift
    assert quarter.model["alpha"] == 0.25
    mixed = load_model(str(models / "base"))
    tuned = load_model(str(models / "run")).model.state_dict()
    with torch.no_grad():
        for name, value in mixed.model.state_dict().items():
            if value.is_floating_point():
                value.copy_(0.75 * value + 0.25 * tuned[name])
    made_by_hand = text_encoder(mixed).state_dict()
    base = load_model(str(models / "base"))
    interpolated = generating.InterpolatedModel(base, load_model(str(models / "run")))
    interpolated.set_alpha(0.25)
    for name, value in text_encoder(interpolated.model).state_dict().items():
        assert torch.allclose(value, made_by_hand[name], atol=1e-6), name
    assert whole.hash == make(job).encoders[1].hash, "alpha = 1 is the run, and uses its pictures"


def test_an_encoder_with_the_weights_of_the_original_uses_its_pictures(job: PictureJob, models: Path) -> None:
    same = EncoderSpec(label="base", model=str(models / "base"))
    made = make(replace(job, encoders=(same,)))
    assert made.encoders[0].hash == made.encoders[1].hash
    assert len(files_of(job, made)) == job.pictures


def test_another_size_or_vocabulary_is_refused_before_the_first_picture(
    job: PictureJob, models: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    save_model(make_tiny(width=64, context_length=77), tmp_path / "wide")
    good = job.encoders[0]
    with pytest.raises(BenchError, match=r"wide does not fit .*: width 64, not 32"):
        make(replace(job, encoders=(good, EncoderSpec(label="wide", model=str(tmp_path / "wide")))))
    monkeypatch.setattr(generating.TextToImage, "token_ids", lambda self, texts: torch.zeros(len(texts), 77, dtype=int))
    with pytest.raises(BenchError, match=r"the tokenizer of run is not that of .*: 2 of 2 prompts have other tokens"):
        make(job)
    with pytest.raises(TrainerError, match="no model"):
        make(replace(job, encoders=(EncoderSpec(label="x", model="no/where"),)))
    assert not Path(job.folder).exists()


def test_few_other_tokens_are_a_warning(job: PictureJob, monkeypatch: pytest.MonkeyPatch) -> None:
    real = generating.TextToImage.token_ids

    def first_differs(self: Any, texts: Any) -> Any:
        ids = real(self, texts)
        ids[0, 1] += 1
        return ids

    monkeypatch.setattr(generating.TextToImage, "token_ids", first_differs)
    warnings: list[str] = []
    make(replace(job, seeds=(0,)), warnings)
    assert [line for line in warnings if "other tokens" in line] == [
        f"run: 1 of 2 prompts have other tokens in {job.pipeline}"
    ]


def test_texts_over_the_limit_are_counted(job: PictureJob) -> None:
    made = make(replace(job, encoders=(), seeds=(0,), texts=("a dog " * 60, "a cat")))
    assert made.cut == 1


def test_a_job_is_read_as_it_was_written(job: PictureJob, tmp_path: Path) -> None:
    write_job(tmp_path / "job.json", job)
    assert read_job(tmp_path / "job.json") == job
    (tmp_path / "job.json").write_text("{}")
    with pytest.raises(BenchError, match="is not a job"):
        read_job(tmp_path / "job.json")


def start(path: Path) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-m", "benchmarks.text_to_image", str(path)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE)


@pytest.mark.long
def test_a_killed_process_is_continued(job: PictureJob, tmp_path: Path) -> None:
    """The process dies while it makes pictures; the next one makes the rest, and the files are those of a whole run."""
    job = replace(job, batch=1, sampling=Sampling(steps=40, size=SIZE))
    whole = replace(job, folder=str(tmp_path / "whole"))
    expected = files_of(whole, make(whole))
    write_job(tmp_path / "job.json", job)
    for number in (signal.SIGKILL, signal.SIGINT):
        child = start(tmp_path / "job.json")
        assert child.stdout is not None
        for line in child.stdout:
            stage, done, total = json.loads(line)["progress"]
            if stage == generating.PICTURES and 0 < done < total:
                os.kill(child.pid, number)
                break
        child.communicate()
        assert child.returncode in {-signal.SIGKILL, 130}
        assert 0 < len(list(Path(job.folder).rglob("*.png"))) < 8
    child = start(tmp_path / "job.json")
    output, _ = child.communicate()
    assert child.returncode == 0
    made = generating.PictureSet(**json.loads(output.splitlines()[-1])["pictures"])
    assert files_of(job, made) == expected


@pytest.mark.long
def test_the_process_reports_an_error_as_one_line(job: PictureJob, tmp_path: Path) -> None:
    write_job(tmp_path / "job.json", replace(job, pipeline="no/where"))
    output, _ = (child := start(tmp_path / "job.json")).communicate()
    assert child.returncode == 6
    assert json.loads(output)["error"] == "the pipeline no/where is not on this machine"
