"""Generates the pictures of a job: with the pipeline's own text encoder first, then with each of the others.

Every picture is written as soon as it is made, under a name that says what determines it. Those that exist are not made
again. All text encoders are loaded and checked before the first picture.
"""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import torch
from PIL import Image
from PIL.PngImagePlugin import PngInfo
from torch import Tensor
from transformers import CLIPTextModel

from benchmarks.errors import BenchError
from benchmarks.text_to_image.job import EncoderFacts, EncoderSpec, PictureJob, PictureSet, group_name, picture_name
from benchmarks.text_to_image.pipeline import TextToImage, encoder_hash, load_pipeline
from benchmarks.text_to_image.pipeline_folder import find_pipeline
from curation_db.atomic_write import replace_file
from trainers.alpha_sweep import InterpolatedModel
from trainers.models.clip_model import ClipModel
from trainers.models.hf_text_encoder import text_encoder
from trainers.models.loading import load_model

Progress = Callable[[str, int, int], None]
"""Called with the stage, the number done and the total."""
PICTURES, MODELS = "pictures", "text encoders"
"""Stages of the progress."""


class _Encoder(NamedTuple):
    label: str
    hash: str
    encoder: CLIPTextModel
    described: dict[str, Any]


def generate(job: PictureJob, *, progress: Progress, warn: Callable[[str], None]) -> PictureSet:
    """Make the missing pictures of a job and return what all of them are.

    Raises:
        BenchError: The pipeline cannot be loaded, or a text encoder does not fit it.
        TrainerError: A model cannot be loaded or interpolated.
    """
    pipeline = load_pipeline(find_pipeline(job.pipeline), device=job.device, precision=job.precision)
    encoders = [_own(pipeline), *_encoders(job, pipeline, progress, warn)]
    folder = Path(job.folder) / (group := group_name(pipeline.hash, job))
    missing = {
        encoder.hash: [each for each in job.each() if not (folder / picture_name(encoder.hash, *each)).is_file()]
        for encoder in encoders
    }
    total = len(missing) * job.pictures
    done = total - sum(map(len, missing.values()))
    progress(PICTURES, done, total)
    original = pipeline.hidden_states(job.texts)
    facts = []
    for encoder in encoders:
        with pipeline.text_encoder(encoder.encoder):
            drift = _drift(pipeline.hidden_states(job.texts), original)
            wanted = missing.pop(encoder.hash, [])  # another encoder may have the same weights
            for batch in (wanted[start : start + job.batch] for start in range(0, len(wanted), job.batch)):
                for each, image in zip(batch, _pictures(pipeline, batch, job), strict=True):
                    _write(folder / picture_name(encoder.hash, *each), image, encoder.label, *each)
                done += len(batch)
                progress(PICTURES, done, total)
        facts.append(EncoderFacts(label=encoder.label, hash=encoder.hash, model=encoder.described, drift=drift))
    with Image.open(folder / picture_name(encoders[0].hash, *next(job.each()))) as first:
        size = first.width
    return PictureSet(
        pipeline=job.pipeline,
        pipeline_hash=pipeline.hash,
        group=group,
        size=size,
        encoders=tuple(facts),
        cut=pipeline.count_cut(job.texts),
        limit=pipeline.tokens,
    )


def _own(pipeline: TextToImage) -> _Encoder:
    config = pipeline.original.config
    described = {
        "arch": f"CLIP text encoder, width {config.hidden_size}, {config.num_hidden_layers} layers",
        "activation": str(config.hidden_act).replace("_", ""),
        "model_hash": pipeline.original_hash,
        "context_length": int(config.max_position_embeddings),
    }
    return _Encoder(f"{Path(pipeline.name).name} (original)", pipeline.original_hash, pipeline.original, described)


def _encoders(
    job: PictureJob, pipeline: TextToImage, progress: Progress, warn: Callable[[str], None]
) -> Iterator[_Encoder]:
    """Load the text encoders of the job. Those of one run that differ in alpha load its weights once."""
    loaded: tuple[EncoderSpec, InterpolatedModel] | None = None
    for number, spec in enumerate(job.encoders):
        progress(MODELS, number, len(job.encoders))
        if spec.alpha is None or spec.base is None:
            model = load_model(spec.model)
        else:
            if loaded is None or (loaded[0].model, loaded[0].base) != (spec.model, spec.base):
                loaded = spec, InterpolatedModel(load_model(spec.base), load_model(spec.model))
            loaded[1].set_alpha(spec.alpha)
            model = loaded[1].model
        encoder = text_encoder(model)
        pipeline.check_fits(encoder, spec.label)
        for line in (*model.warnings, *_tokenizer_warnings(model, pipeline, spec.label, job.texts)):
            warn(line)
        described = {**model.describe(), **({} if spec.alpha is None else {"alpha": spec.alpha})}
        yield _Encoder(spec.label, encoder_hash(encoder), encoder, described)
    progress(MODELS, len(job.encoders), len(job.encoders))


def _tokenizer_warnings(model: ClipModel, pipeline: TextToImage, label: str, texts: tuple[str, ...]) -> Iterator[str]:
    """Yield a warning if the model was trained with other tokens of some texts than the pipeline makes of them.

    Raises:
        BenchError: Most texts have other tokens: the model has another vocabulary.
    """
    ours, theirs = model.tokenizer(list(texts)), pipeline.token_ids(texts)
    end = int(pipeline.original.config.vocab_size) - 1
    differing = [
        text
        for text, *ids in zip(texts, ours, theirs, strict=True)
        if _until_end(ids[0], end) != _until_end(ids[1], end)
    ]
    if 2 * len(differing) > len(texts):
        raise BenchError(
            f"the tokenizer of {label} is not that of {pipeline.name}: {len(differing):,} of {len(texts):,} prompts "
            "have other tokens",
            hint="a text encoder works with the tokenizer that it was trained with only",
        )
    if differing:
        yield f"{label}: {len(differing):,} of {len(texts):,} prompts have other tokens in {pipeline.name}"


def _until_end(ids: Tensor, end: int) -> list[int]:
    """Return the tokens before the first end token; behind it open_clip pads with 0, diffusers with the end token."""
    tokens = [int(token) for token in ids]
    return tokens[: tokens.index(end)] if end in tokens else tokens


def _drift(states: Tensor, original: Tensor) -> float:
    """Return the mean over texts of |states - original| / |original|, over all tokens.  (N, T, width)"""
    distance = (states - original).flatten(1).norm(dim=1) / original.flatten(1).norm(dim=1)
    return round(float(distance.mean()), 6)


def _pictures(pipeline: TextToImage, batch: Sequence[tuple[str, int]], job: PictureJob) -> list[Image.Image]:
    texts, seeds = zip(*batch, strict=True)
    try:
        return pipeline.pictures(texts, seeds, job.sampling)
    except torch.OutOfMemoryError as error:
        hint = "use fewer pictures at once (--batch 1), half precision (--precision fp16), or a smaller --size"
        raise BenchError(f"the device {job.device} has too little memory", hint=hint) from error
    except ValueError as error:  # a size that the pipeline cannot make
        raise BenchError(f"the pipeline {pipeline.name} cannot make the pictures: {error}") from error


def _write(path: Path, image: Image.Image, label: str, text: str, seed: int) -> None:
    """Write a picture as PNG, with the text, the seed and the encoder's name inside."""
    info = PngInfo()
    for key, value in (("prompt", text), ("seed", str(seed)), ("text encoder", label)):
        info.add_itxt(key, value)
    content = io.BytesIO()
    image.save(content, "PNG", pnginfo=info)
    path.parent.mkdir(parents=True, exist_ok=True)
    replace_file(path, content.getvalue())
