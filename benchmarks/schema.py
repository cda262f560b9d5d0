"""What stands in the files that a benchmark leaves: every key with what it means, and the check of what was read.

Torch-free and pure. A file from outside is hostile: what passes `misfit_of_result` and `misfit_of_item` has every key,
of its type, finite and in its range, so whoever shows it need not ask again.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from datetime import datetime
from typing import Any, Final, NotRequired, TypedDict

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


class Guess(TypedDict):
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
    baselines: dict[str, Guess]
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


_PLAIN: Final[dict[str, type | tuple[type, ...]]] = {
    "str": str,
    "int": int,
    "float": (int, float),
    "bool": bool,
    "int | None": (int, type(None)),
}
_NESTED: Final = {"TaskFacts": TaskFacts, "ModelFacts": ModelFacts, "ProtocolFacts": ProtocolFacts}
_SHARES: Final[dict[str, type]] = {"dict[str, Score]": Score, "dict[str, Guess]": Guess}
_OPTIONAL: Final = "NotRequired["
_ROUNDING: Final = 1e-6
"""By which a share may differ from correct / n."""


def misfit_of_result(told: object) -> str:
    """The first key of `told`, the content of a result file, that cannot be; empty where all are sound."""
    return _misfit(told, Result) or next(_beyond(told), "")  # type: ignore[arg-type]  # the first says that it is one


def misfit_of_item(told: object) -> str:
    """The same of a line of the file of items."""
    return _misfit(told, ItemRow)


def _misfit(told: object, schema: type) -> str:
    """The first key of `told` that is not what `schema` (a TypedDict) says; empty where all are. More keys are fine."""
    if not isinstance(told, dict):
        return "an object is expected"
    for key, annotation in schema.__annotations__.items():
        wanted = getattr(annotation, "__forward_arg__", str(annotation))
        if wanted.startswith(_OPTIONAL):
            if key not in told:
                continue
            wanted = wanted.removeprefix(_OPTIONAL).removesuffix("]")
        problem = _misfit_of(told[key], wanted) if key in told else "missing"
        if problem:
            return f"{key}: {problem}"
    return ""


def _misfit_of(value: object, wanted: str) -> str:
    if wanted in _NESTED:
        return _misfit(value, _NESTED[wanted])
    if wanted.startswith("dict"):
        if not isinstance(value, dict):
            return "an object is expected"
        shares = value.items() if wanted in _SHARES else ()
        return next((f"{name}: {why}" for name, score in shares if (why := _misfit_of_share(score, wanted))), "")
    if wanted.startswith("list"):
        return "" if isinstance(value, list) else "a list is expected"
    sound = isinstance(value, _PLAIN[wanted]) and (wanted == "bool" or not isinstance(value, bool))
    return "" if sound and _finite(value) else f"{wanted} is expected, not {value!r:.60}"


def _finite(value: object) -> bool:
    return not isinstance(value, float) or math.isfinite(value)


def _misfit_of_share(score: object, wanted: str) -> str:
    """Of a share: beside its types, whether it can be one."""
    problem = _misfit(score, _SHARES[wanted])
    if problem:
        return problem
    told: Mapping[str, Any] = score  # type: ignore[assignment]  # it has passed as one
    if not 0 <= told["correct"] <= told["n"] or told["n"] < 1:
        return f"{told['correct']} of {told['n']} is no share"
    low, value, high = (told[key] for key in ("low", "value", "high"))
    if abs(value - told["correct"] / told["n"]) > _ROUNDING or not -_ROUNDING <= low <= value <= high <= 1 + _ROUNDING:
        return f"value: {value} ({low} to {high}) is not {told['correct']} of {told['n']}"
    return ""


def _beyond(told: Result) -> Iterator[str]:
    """What has its type and still cannot be."""
    items = told["task"]["items"]
    if not told["metrics"]:
        yield "metrics: there is none"
    if not 0 <= told["task"]["chance"] <= 1:
        yield f"task: chance: {told['task']['chance']} is no share"
    for kind, scores in (("metrics", told["metrics"]), ("baselines", told["baselines"])):
        for name, score in scores.items():
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
