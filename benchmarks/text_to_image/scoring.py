"""Results of text-to-image: what a judge answers about the pictures of each text encoder. Does not import torch.

An item is a prompt with a seed. Its picture is right if it shows the subject and not the negated thing (`both`). The
Neg Score is the share of pictures without the negated thing, whatever else they show: noise has 100 %. The question
accuracy is that of TIFA (Hu et al., ICCV 2023), the share of questions with the right answer, with two questions for
each picture instead of TIFA's generated ones. An unclear answer is wrong.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Final, NamedTuple

from benchmarks.judged import ImageAnswer, ImageJudge, ImageQuestion, ReportAnswers
from benchmarks.runner import versions
from benchmarks.schema import (
    NO_CUE,
    PICTURE_METRICS,
    QUESTION_ACCURACY,
    SCHEMA,
    ItemRow,
    JudgedImage,
    JudgeFacts,
    ModelFacts,
    Result,
    Score,
    picture_right,
)
from benchmarks.task import slices_of
from benchmarks.text_to_image.job import EncoderFacts, PictureJob, PictureSet, picture_name
from benchmarks.text_to_image.prompt_sets import NegatedPrompt, PromptSet
from curation_db.exporting.manifest import file_facts
from curation_db.stats.intervals import cluster_bootstrap, wilson

VERSION: Final = "1"
KIND: Final = "text_to_image"
PREFIX: Final = "t2i-"
"""Before the name of the prompt set, in the name of the task."""
_QUESTIONS: Final = 2


class JudgedResult(NamedTuple):
    result: Result
    rows: list[ItemRow]


class _Picture(NamedTuple):
    name: str
    sha256: str


def judged_results(
    prompts: PromptSet, job: PictureJob, pictures: PictureSet, judge: ImageJudge, progress: ReportAnswers
) -> list[JudgedResult]:
    """Ask the judge about all pictures of all text encoders, and return a result for each, the original's first.

    Each distinct question about a distinct picture is asked once, so equal pictures have equal answers.

    Raises:
        BenchError: A question has no answer.
    """
    folder = Path(job.folder) / pictures.group
    files = {
        name: _Picture(name, file_facts(folder / name).sha256)
        for encoder in pictures.encoders
        for name in (picture_name(encoder.hash, *each) for each in job.each())
    }
    by_text = {prompt.text: prompt for prompt in prompts.prompts}
    asked = {
        ImageQuestion(folder / files[name].name, files[name].sha256, question)
        for encoder in pictures.encoders
        for text, seed in job.each()
        for name in [picture_name(encoder.hash, text, seed)]
        for question in (by_text[text].subject, by_text[text].denied)
    }
    distinct = {(question.sha256, question.text): question for question in sorted(asked)}
    questions = sorted(distinct.values(), key=lambda question: (question.sha256, question.text))
    answered = judge.ask(questions, progress)
    answers = {(question.sha256, question.text): answer for question, answer in zip(questions, answered, strict=True)}
    unclear = sum(answer.yes is None for answer in answered)
    facts: JudgeFacts = {**judge.facts, "questions": len(questions), "unclear": unclear, "shares": {}}
    return [_result(encoder, by_text, prompts, job, pictures, files, answers, facts) for encoder in pictures.encoders]


def _result(
    encoder: EncoderFacts,
    by_text: dict[str, NegatedPrompt],
    prompts: PromptSet,
    job: PictureJob,
    pictures: PictureSet,
    files: dict[str, _Picture],
    answers: dict[tuple[str, str], ImageAnswer],
    judge: JudgeFacts,
) -> JudgedResult:
    original = pictures.encoders[0]
    rows = []
    for text, seed in job.each():
        shown = dict.fromkeys(picture_name(each.hash, text, seed) for each in (encoder, original))
        rows.append(_row(by_text[text], seed, [files[name] for name in shown], answers))
    model: ModelFacts = {
        "name": encoder.label,
        "hash": str(encoder.model["model_hash"]),
        "visual_hash": str(encoder.model.get("visual_hash", "")),
        "arch": str(encoder.model["arch"]),
        "activation": str(encoder.model["activation"]),
        "precision": job.precision,
        "device": job.device,
        "details": {
            **encoder.model,
            "pipeline": pictures.pipeline,
            "text_encoder": encoder.hash,
            "drift": encoder.drift,
            "steps": job.sampling.steps,
            "guidance": job.sampling.guidance,
            "size": pictures.size,
        },
    }
    names = [files[picture_name(encoder.hash, *each)] for each in job.each()]
    lines = "".join(f"{each.sha256}  {each.name}\n" for each in sorted(names))
    result: Result = {
        "schema": SCHEMA,
        "run": "",
        "created": datetime.now(UTC).isoformat(timespec="microseconds"),
        "seconds": 0.0,
        "task": {
            "name": PREFIX + prompts.name,
            "version": VERSION,
            "kind": KIND,
            "dataset_sha256": _identity(prompts, job, pictures, judge),
            "pictures_sha256": hashlib.sha256(lines.encode()).hexdigest(),
            "pictures_folder": "",
            "items": len(rows),
            "images": len(names),
            "chance": 0.0,
            "reference": str(original.model["model_hash"]),
        },
        "model": model,
        "protocol": {"name": "strict", "seed": 0, "allow_nan": False},
        "metrics": _metrics(rows),
        "judge": judge,
        "baselines": {},
        "ties": 0,
        "nan": 0,
        "versions": versions(),
        "items_sha256": "",
    }
    return JudgedResult(result, rows)


def _identity(prompts: PromptSet, job: PictureJob, pictures: PictureSet, judge: JudgeFacts) -> str:
    """Return the hash of what two results have to share to be compared: all but the text encoder."""
    sampling = [job.sampling.steps, job.sampling.guidance, pictures.size, sorted(job.seeds)]
    parts = [prompts.sha256, pictures.pipeline_hash, sampling, judge["id"]]
    return hashlib.sha256(json.dumps(parts).encode()).hexdigest()


def _row(
    prompt: NegatedPrompt, seed: int, shown: Sequence[_Picture], answers: dict[tuple[str, str], ImageAnswer]
) -> ItemRow:
    """Return the item of a prompt and seed; `shown` has its picture, and the original's if it is another one."""
    judged: list[JudgedImage] = []
    for picture in shown:
        scene, denied = (answers[picture.sha256, question] for question in (prompt.subject, prompt.denied))
        judged.append(
            {
                "sha256": picture.sha256,
                "scene": scene.yes,
                "denied": denied.yes,
                "p_scene": scene.p,
                "p_denied": denied.p,
                "counts": True,
            }
        )
    slices = slices_of(prompt.text)
    row: ItemRow = {
        "id": f"{prompt.id}-{seed}",
        "image": shown[0].name,
        "text": prompt.text,
        "options": [picture.name for picture in shown],
        "scores": [],
        "pred": 0,
        "target": -1,
        "correct": False,
        "tie": False,
        "rank": None,
        "answers": judged,
        "cue": slices.get("cue", NO_CUE),
        "position": slices.get("position", "none"),
        "cluster": prompt.id,
        "slices": slices,
    }
    right = picture_right(row, "both")
    return {**row, "correct": right, "target": 0 if right else -1}


def _metrics(rows: Sequence[ItemRow]) -> dict[str, Score]:
    clusters = [row["cluster"] for row in rows]
    by_name = {name: [picture_right(row, name) for row in rows] for name in PICTURE_METRICS}
    metrics = {name: _share(right, clusters) for name, right in by_name.items()}
    both = [*by_name["subject"], *by_name["neg_score"]]
    metrics[QUESTION_ACCURACY] = _share(both, clusters * _QUESTIONS)
    return metrics


def _share(right: Sequence[bool], clusters: Sequence[str]) -> Score:
    """Return a share with the Wilson interval, widened to that of a bootstrap over prompts if these have several."""
    correct, n = sum(right), len(right)
    value, interval = correct / n, wilson(correct, n)
    low, high = interval.low, interval.high
    if len(set(clusters)) < n:
        span = cluster_bootstrap([float(each) for each in right], clusters)
        low, high = min(low, span.low), max(high, span.high)
    return {"correct": correct, "n": n, "value": value, "low": min(low, value), "high": max(high, value)}
