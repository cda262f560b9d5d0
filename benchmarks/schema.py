"""What stands in the files that a benchmark leaves: every key with what it means, and the check of what was read.

Torch-free and pure. A file from outside is hostile: what passes `misfit_of_result` and `misfit_of_item` has every key,
of its type, finite and in its range, so whoever shows it need not ask again.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from datetime import datetime
from typing import Any, Final, NotRequired, TypedDict, cast

SCHEMA: Final = 1
"""Of the result files; raised when an older reader would misread them."""
NO_CUE: Final = "no cue"
"""The cue of a text without one. No word, so that no cue is like it: "none" is one, as in "none of them"."""


class TaskFacts(TypedDict):
    """What was asked."""

    name: str
    """By which it was asked for: negrefcocog, or the stem of the JSON file."""
    version: str
    """Of the task's rules."""
    kind: str
    """regions or retrieval"""
    dataset_sha256: str
    """Of the bytes of the file with the items."""
    pictures_sha256: str
    """Over `sha256  name` lines of the pictures used, sorted by name."""
    pictures_folder: NotRequired[str]
    """Where they lay when it was run. A hint for finding them again, and no part of what was asked."""
    items: int
    """How many questions."""
    images: int
    """Distinct pictures."""
    chance: float
    """Share that a fair guess gets right, 0..1."""


class ModelFacts(TypedDict):
    """Who answered."""

    name: str
    """For people: the label it was run under."""
    hash: str
    """Of all weights and the config."""
    visual_hash: str
    """Of the image tower and its preprocessing."""
    arch: str
    """open_clip's name of it: ViT-B-32."""
    activation: str
    """gelu or quickgelu: the wrong one costs accuracy silently."""
    precision: str
    """Of the weights and of the sums: fp32, bf16."""
    device: str
    """Of torch, on which it ran: cpu, cuda."""
    details: dict[str, Any]
    """All that the model says about itself."""


class ProtocolFacts(TypedDict):
    """By which rule."""

    name: str
    """official or strict"""
    seed: int
    """Of the shuffle under strict."""
    allow_nan: bool
    """Whether strict counted NaN as wrong instead of stopping."""


class Score(TypedDict):
    """A share of right answers."""

    correct: int
    """How many answers are right."""
    n: int
    """Of how many."""
    value: float
    """correct / n, 0..1"""
    low: float
    """Lower end of its 95 % Wilson interval, 0..1."""
    high: float
    """Upper end."""


class GuessShare(TypedDict):
    """What a blind guess is right about on average; see `benchmarks.protocols.blind_credit`."""

    correct: float
    """Expected: an item on which it cannot tell k boxes apart counts 1/k, as for whoever then flips a coin."""
    n: int
    """Of how many."""
    value: float
    """correct / n, 0..1"""
    low: float
    """Lower end of the 95 % Wilson interval of correct, rounded, of n."""
    high: float
    """Upper end."""
    ties: NotRequired[int]
    """Items on which it cannot tell; all of them where it has nothing to go by. Absent in older files."""


class Result(TypedDict):
    """One result file."""

    schema: int
    """`SCHEMA`"""
    run: str
    """The file's name without .json."""
    created: str
    """UTC, ISO 8601."""
    seconds: float
    """From the first feature to the last judgement; with a warm cache, little."""
    task: TaskFacts
    """What was asked."""
    model: ModelFacts
    """Who answered."""
    protocol: ProtocolFacts
    """By which rule the answers were judged."""
    metrics: dict[str, Score]
    """The first is the headline: accuracy, or recall_at_1 (then recall_at_5)."""
    baselines: dict[str, GuessShare]
    """What guesses from the boxes alone reach under the same protocol."""
    ties: int
    """Items whose highest score is shared."""
    nan: int
    """Items with a score that is NaN."""
    versions: dict[str, str]
    """Of negwb, python and the libraries that decide about numbers."""
    items_sha256: str
    """Of the file of items beside it."""


class ItemRow(TypedDict):
    """One line of the file of items."""

    id: str
    """Unique in its task, and the same for the same file: models are paired by it."""
    image: str
    """File name of the picture; in a retrieval task, of the right one."""
    text: str
    """What the model read, typos included."""
    options: list[Any]
    """Boxes [x, y, width, height] in the file's order; of a retrieval item [the right picture, the best other]."""
    scores: list[float | None]
    """Cosine similarity of each option, float32; null for NaN."""
    pred: int | None
    """Index of the chosen option; null where NaN leaves no choice."""
    target: int
    """Index of the right option."""
    correct: bool
    """Right under the result's protocol."""
    tie: bool
    """The highest score is shared."""
    rank: int | None
    """Of the right picture in the gallery, from 1; null for regions."""
    cue: str
    """The first cue's canonical word, or `NO_CUE`."""
    position: str
    """beginning, middle or end: where that cue stands."""
    cluster: str
    """Items of one cluster are resampled together."""
    slices: dict[str, str]
    """Every cut this item belongs to: cue, cue_class, position, length."""


_ROUNDING: Final = 1e-6
"""By which a share may differ from correct / n."""


def misfit_of_result(told: object) -> str:
    """The first key of `told`, the content of a result file, that cannot be; empty where all are sound."""
    return _misfit(told, Result) or next(_beyond(cast("Result", told)), "")


def misfit_of_item(told: object) -> str:
    """The same of a line of the file of items."""
    return _misfit(told, ItemRow)


def _misfit(content: object, schema: type) -> str:
    """The first key of `content` that is not what `schema` (a TypedDict) says; empty where all are. More keys are fine.

    msgspec alone accepts a row in 12 us; the validator, which names the key, needs 340 us and is asked on errors only.
    """
    import msgspec  # noqa: PLC0415 -- 25 ms that a command without results does not pay

    from curation_db.validation import ProblemKind, ValidationError, validate  # noqa: PLC0415

    try:
        msgspec.convert(content, schema)
    except msgspec.ValidationError as refusal:
        try:
            validate(content, schema, unknown_keys=True)
        except ValidationError as error:
            problem = error.problems[0]
            missing = problem.kind is ProblemKind.MISSING
            reason = "missing" if missing else f"{problem.expected} is expected, not {problem.shown}"
            return ": ".join((*map(str, problem.path), reason))
        return str(refusal)
    return ""


def _misfit_of_share(share: Score | GuessShare) -> str:
    """Why the figures of a share contradict each other; empty where they agree."""
    correct, n = share["correct"], share["n"]
    if not 0 <= correct <= n or n < 1:
        return f"{correct} of {n} is no share"
    low, value, high = share["low"], share["value"], share["high"]
    if abs(value - correct / n) > _ROUNDING or not -_ROUNDING <= low <= value <= high <= 1 + _ROUNDING:
        return f"value: {value} ({low} to {high}) is not {correct} of {n}"
    return ""


def _beyond(told: Result) -> Iterator[str]:
    """What has its type and still cannot be."""
    items = told["task"]["items"]
    if not math.isfinite(told["seconds"]):
        yield f"seconds: a finite number is expected, not {told['seconds']}"
    if not told["metrics"]:
        yield "metrics: there is none"
    if not 0 <= told["task"]["chance"] <= 1:
        yield f"task: chance: {told['task']['chance']} is no share"
    shares: tuple[tuple[str, Mapping[str, Score | GuessShare]], ...] = (
        ("metrics", told["metrics"]),
        ("baselines", told["baselines"]),
    )
    for kind, scores in shares:
        for name, score in scores.items():
            if problem := _misfit_of_share(score):
                yield f"{kind}: {name}: {problem}"
            if score["n"] != items:
                yield f"{kind}: {name}: of {score['n']}, but the task has {items} items"
    for name, count in (("ties", told["ties"]), ("nan", told["nan"])):
        if not 0 <= count <= items:
            yield f"{name}: {count} of {items} items"
    try:
        if datetime.fromisoformat(told["created"]).tzinfo is None:
            yield f"created: {told['created']!r:.60} has no time zone"
    except ValueError:
        yield f"created: {told['created']!r:.60} is no time"


def disagreement(told: Result, rows: list[ItemRow]) -> str:
    """Where a result says other than its items do; empty where they agree.

    The items are checked by their hash, so they count: a headline that does not follow from them is not believed.
    """
    if len(rows) != told["task"]["items"]:
        return f"{len(rows)} items instead of {told['task']['items']}"
    if len({row["id"] for row in rows}) < len(rows):
        return "two items have the same id"
    for name, score in told["metrics"].items():
        _, at, depth = name.partition("recall_at_")
        if at and depth.isdecimal():
            right = sum(row["rank"] is not None and row["rank"] <= int(depth) for row in rows)
        else:
            right = sum(row["correct"] for row in rows)
        if right != score["correct"]:
            return f"{name} says {score['correct']} right, its items say {right}"
    return ""
