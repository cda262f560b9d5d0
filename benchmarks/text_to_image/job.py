"""What is to be generated: pipeline, text encoders, texts and seeds; and the names of the picture files. No torch.

A picture is stored under everything that determines it, so a stopped run continues, and another prompt set, seed or
run only adds files: GROUP/ENCODER/TEXT-SEED.png, where GROUP stands for pipeline, sampling, precision and device.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Literal

from benchmarks.errors import BenchError
from curation_db.atomic_write import replace_file

Precision = Literal["fp32", "fp16", "bf16"]
_HASH: Final = 12
"""Characters of a hash in a file name."""
_WORDS: Final = 40
"""Characters of a text in a file name."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Sampling:
    """How a picture is made of a text."""

    steps: int = 50
    """Steps of the pipeline's own scheduler."""
    guidance: float = 7.5
    """Scale of the classifier-free guidance."""
    size: int | None = None
    """Width and height in pixels, a multiple of 8; None: that of the pipeline."""


@dataclass(frozen=True, slots=True, kw_only=True)
class EncoderSpec:
    """A text encoder to use instead of the pipeline's own."""

    label: str
    """Name in reports."""
    model: str
    """The argument of `trainers.models.loading.load_model`."""
    base: str | None = None
    """The model that it was trained from; needed with alpha."""
    alpha: float | None = None
    """Share of the trained weights (WiSE-FT): base + alpha * (model - base); None: the model as it is."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PictureJob:
    pipeline: str
    """Folder or repository, as for `find_pipeline`."""
    encoders: tuple[EncoderSpec, ...]
    """Beside the pipeline's own."""
    texts: tuple[str, ...]
    seeds: tuple[int, ...]
    sampling: Sampling
    device: str
    precision: Precision
    batch: int
    """Pictures that are made at once."""
    folder: str
    """Folder of the groups."""

    @property
    def pictures(self) -> int:
        """Number of pictures of one text encoder."""
        return len(self.texts) * len(self.seeds)

    def each(self) -> Iterator[tuple[str, int]]:
        """Yield text and seed of each picture."""
        yield from ((text, seed) for text in self.texts for seed in self.seeds)


@dataclass(frozen=True, slots=True, kw_only=True)
class EncoderFacts:
    """A text encoder whose pictures are complete."""

    label: str
    hash: str
    """Of the weights and configuration of the text encoder alone."""
    model: dict[str, Any]
    """`ClipModel.describe()`; of the pipeline's own encoder its architecture."""
    drift: float
    """Mean over the texts of the relative distance of the hidden states of all tokens from those of the original."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PictureSet:
    """The pictures of a job."""

    pipeline: str
    """As named in the job."""
    pipeline_hash: str
    group: str
    """Folder of the pictures below that of the job."""
    size: int
    """Width and height of a picture."""
    encoders: tuple[EncoderFacts, ...]
    """The pipeline's own first."""
    cut: int
    """Number of texts that the pipeline cuts at its token limit."""
    limit: int
    """Number of tokens that it reads."""


def group_name(pipeline_hash: str, job: PictureJob) -> str:
    """Return the name of the folder for everything that determines a picture but text encoder, text and seed."""
    sampling = job.sampling
    size = f"{sampling.size}px" if sampling.size else "own-size"
    device = job.device.partition(":")[0]
    parts = (pipeline_hash[:_HASH], f"{sampling.steps}steps", f"guidance{sampling.guidance:g}", size)
    return "-".join([*parts, job.precision, device])


def picture_name(encoder_hash: str, text: str, seed: int) -> str:
    """Return the file of a picture below its group, with some words of the text for people who read the folder."""
    words = re.sub(r"[^a-z0-9]+", "-", text.lower()).strip("-")[:_WORDS].rstrip("-") or "text"
    digest = hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:_HASH]
    return f"{encoder_hash[:_HASH]}/{words}-{digest}-{seed}.png"


def write_job(path: Path, job: PictureJob) -> None:
    import msgspec  # noqa: PLC0415  # 25 ms, only for the process that generates

    replace_file(path, msgspec.json.encode(job))


def read_job(path: Path) -> PictureJob:
    """Read a job.

    Raises:
        BenchError: The file is missing or not a job.
    """
    import msgspec  # noqa: PLC0415

    try:
        return msgspec.json.decode(path.read_bytes(), type=PictureJob)
    except (OSError, msgspec.MsgspecError) as error:
        raise BenchError(f"{path} is not a job: {error}") from error
