"""Schema of result files: the meaning of every key, and the checks of files that are read.

A content without `result_problem` and `item_problem` has every key with the right type, finite and in range, so that
its readers need no further checks. Does not import torch.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any, Final, NotRequired, TypedDict, cast

from benchmarks.twins import images_right, texts_right

SCHEMA: Final = 1
"""Version of the result files; incremented if an older reader would misread them."""
NO_CUE: Final = "no cue"
"""The cue of a text without one. It has two words, so that no cue equals it: "none" is a cue, as in "none of them"."""


class TaskFacts(TypedDict):
    """The task."""

    name: str
    """negrefcocog, or the stem of the JSON file."""
    version: str
    """Version of the task's code."""
    kind: str
    """regions, captions, retrieval, caption_retrieval, twins, classification, judged, text_to_image or segmentation"""
    dataset_sha256: str
    """SHA-256 of the file with the items."""
    pictures_sha256: str
    """SHA-256 of the lines `sha256  name` of the images used, sorted by name."""
    pictures_folder: NotRequired[str]
    """Folder of the images during the run; used only to find the images again. A relative one is in the workspace."""
    items: int
    """Number of items."""
    images: int
    """Number of distinct images."""
    chance: float
    """Expected share of right answers of a random choice, 0..1."""
    subsets: NotRequired[dict[str, list[str]]]
    """Subset with a score of its own, to the cut and the value of its items."""
    templates: NotRequired[str]
    """Name of the templates of the prompts, and their number: "openai-imagenet (80)"."""
    reference: NotRequired[str]
    """Hash of the model that the others are compared with on this task: the pipeline's own text encoder."""


class ModelFacts(TypedDict):
    """The model."""

    name: str
    """The label of the run."""
    hash: str
    """Hash of all weights and the config."""
    visual_hash: str
    """Hash of the image tower and its preprocessing."""
    arch: str
    """open_clip's name of the architecture: ViT-B-32."""
    activation: str
    """gelu or quickgelu: the wrong one lowers accuracy without an error."""
    precision: str
    """Precision of the weights and of the computation: fp32, bf16."""
    device: str
    """Device of torch: cpu, cuda."""
    normalisation: NotRequired[str]
    """What is done to the features before they are compared; absent in older files."""
    details: dict[str, Any]
    """The whole description of the model."""


class ProtocolFacts(TypedDict):
    """The protocol."""

    name: str
    """official or strict"""
    seed: int
    """Seed of the shuffle under strict."""
    allow_nan: bool
    """Whether strict counted NaN as wrong instead of raising an error."""


class Score(TypedDict):
    """A share of right answers."""

    correct: int
    """Number of right answers."""
    n: int
    """Number of items."""
    value: float
    """correct / n, 0..1"""
    low: float
    """Lower end of the 95 % Wilson interval, 0..1; of a text_to_image task that of a bootstrap over its texts, where it
    is lower."""
    high: float
    """Upper end."""


class GuessShare(TypedDict):
    """The expected score of a baseline; see `benchmarks.protocols.baseline_credit`."""

    correct: float
    """Expected number of right answers: an item with a tie of k boxes counts 1/k if one of them is right."""
    n: int
    """Number of items."""
    value: float
    """correct / n, 0..1"""
    low: float
    """Lower end of the 95 % Wilson interval of correct, rounded, of n."""
    high: float
    """Upper end."""
    ties: NotRequired[int]
    """Number of items with a tie. Absent in older files."""


class BalancedScore(TypedDict):
    """The mean of the accuracies of groups of items, each with the same weight."""

    cut: str
    """The items of a group have the same value of this cut: class, or attribute_state of an attribute task."""
    value: float
    """Mean over the groups, 0..1: balanced accuracy."""
    groups: dict[str, float]
    """Accuracy of each group, 0..1, by the value of the cut."""


class JudgeFacts(TypedDict):
    """The judge of a judged task, and the shares of its answers that are no metric of the task."""

    id: str
    """Hash of everything that determines its answers; a part of the data set's hash."""
    name: str
    """Engine of the workspace; several are joined by " + "."""
    models: list[str]
    """Model of each engine."""
    prompt: str
    """Version of the prompt."""
    simulated: bool
    """Whether a script answers, not a model."""
    blind: bool
    """Whether a probe proved that an engine does not see images."""
    questions: int
    """Number of distinct questions about an image."""
    unclear: int
    """Number of these whose answer is neither yes nor no; they count as wrong."""
    shares: dict[str, Score]
    """average_of_5: right images of all retrieved ones, with a bootstrap interval over texts; negation_where_scene: the
    negation is right, of the first images with the right scene (absent if there is none)."""


class TextFacts(TypedDict):
    """What the model reads of the texts; see `benchmarks.text_limit`."""

    limit: int
    """The most tokens that the model reads, with those that its tokenizer adds."""
    tokenizer: str
    """clip, a vocabulary file, or the name of a tokenizer of the Hugging Face hub."""
    texts: int
    """Number of distinct texts."""
    cut: int
    """Number of texts with more tokens."""
    cut_negations: int
    """Of these, those with a cue, or a part of what it denies, behind the limit."""


class OverlapFacts(TypedDict):
    """Images of the benchmark that the model was trained on; see `benchmarks.training_overlap`."""

    runs: list[str]
    """Runs of the training, the last one first."""
    training_images: int
    """Number of images of the training."""
    images: int
    """Number of images of the benchmark that the training had."""
    by_id: int
    """Of these, those with an equal id: the number of an image of COCO, or the file name if the content is unknown."""
    by_content: int
    """Those whose files are equal."""
    items: int
    """Number of items with such an image."""
    alike: NotRequired[int]
    """Number of further images that look like a training image; missing: looks were not compared."""
    alike_items: NotRequired[int]
    """Number of items with an image that looks like a training image."""


class JudgedImage(TypedDict):
    """A retrieved image and the judge's answers."""

    sha256: str
    """Of the file."""
    scene: bool | None
    """Answer to the question about the rest of the text, right if true; null: unclear."""
    denied: bool | None
    """Answer to the question about the denied thing, right if false; null: unclear."""
    p_scene: float | None
    """Probability of yes; null: unclear."""
    p_denied: float | None
    """Probability of yes."""
    counts: bool
    """False if the image counts as wrong for a tie or NaN, whatever the answers."""


class IouScore(TypedDict):
    """A score of masks, with its 95 % bootstrap interval over images."""

    value: float
    """0..1"""
    low: float
    """Lower end."""
    high: float
    """Upper end."""


class SegmentationFacts(TypedDict):
    """How the masks of a segmentation task were predicted, and their scores; see `benchmarks.segmentation`."""

    route: str
    """clipseg: CLIPSeg with the text tower of the model; proposals: proposed masks, ranked by the model."""
    name: str
    """Folder or name of the CLIPSeg model, or of the model that proposes masks."""
    settings: dict[str, Any]
    """Everything but the evaluated model that the masks depend on; a part of the data set's hash."""
    inclusive: bool
    """Whether an IoU of exactly a threshold counts as right."""
    mean_iou: IouScore
    """mIoU: mean over the items."""
    overall_iou: IouScore
    """oIoU: sum of all intersections over the sum of all unions."""
    blind: dict[str, list[float]]
    """mIoU and oIoU of masks that do not depend on the image or phrase."""
    empty: int
    """Number of predicted masks without a pixel."""
    warnings: list[str]
    """Why the masks may mean nothing, one line each."""


class MaskFacts(TypedDict):
    """The true and the predicted mask of an item of a segmentation task."""

    size: list[int]
    """Height and width."""
    true: str
    """Run lengths as COCO's text (`benchmarks.segmentation.masks`)."""
    predicted: str
    """In the same form."""
    intersection: int
    """Number of pixels in both."""
    union: int
    """Number of pixels in at least one."""
    nan: bool
    """Whether a score behind the predicted mask is NaN."""


class Result(TypedDict):
    """One result file."""

    schema: int
    """`SCHEMA`"""
    run: str
    """The file's name without .json."""
    created: str
    """UTC, ISO 8601."""
    seconds: float
    """Seconds from the first feature to the last judgement; short if the features are cached."""
    task: TaskFacts
    """The task."""
    model: ModelFacts
    """The model."""
    protocol: ProtocolFacts
    """The protocol."""
    metrics: dict[str, Score]
    """The first is the main metric: accuracy (then texts and images of twins, accuracy_on_SUBSET, or top_5 of more than
    five classes), recall_at_1 (then recall_at_5 and 10), both_at_1 (then the others of `JUDGED_METRICS`), both (then
    the others of `PICTURE_METRICS`, and `QUESTION_ACCURACY`), or precision_at_0.5 (then 0.6 to 0.9): the items whose
    mask has a larger IoU."""
    balanced: NotRequired[BalancedScore]
    """Balanced accuracy, for tasks that define its groups."""
    judge: NotRequired[JudgeFacts]
    """The judge of a judged task."""
    segmentation: NotRequired[SegmentationFacts]
    """Of a segmentation task."""
    texts: NotRequired[TextFacts]
    """Absent in older files, and if the tokenizer of the model is not known."""
    overlap: NotRequired[OverlapFacts]
    """Absent if the model is not from a run of the workspace, or its training images are not known."""
    baselines: dict[str, GuessShare]
    """Expected scores of the baselines under the same protocol."""
    ties: int
    """Number of items with a tie of the highest score."""
    nan: int
    """Number of items with a score that is NaN."""
    versions: dict[str, str]
    """Versions of negwb, Python and the libraries that affect scores."""
    items_sha256: str
    """SHA-256 of the file of items."""


class ItemRow(TypedDict):
    """One line of the file of items."""

    id: str
    """Unique in its task, and equal for equal files: models are paired by it."""
    image: str
    """File name of the image; in a retrieval task, of the right image."""
    text: str
    """The input of the model, including typos."""
    options: list[Any]
    """Boxes [x, y, width, height] or captions, in the file's order; with a gallery the best right and best wrong one;
    for twins {image, box, text}: the first image with both texts, then the second; for a judged task the retrieved
    images; for text_to_image the picture, and that of the original text encoder if it is another one."""
    scores: list[float | None]
    """Cosine similarity of each option, float32; null for NaN. Empty for text_to_image."""
    pred: int | None
    """Index of the chosen option; null if NaN allows no choice."""
    target: int
    """Index of the right option; in a judged task of the first right image, -1: there is none."""
    correct: bool
    """Whether the answer is right under the result's protocol."""
    tie: bool
    """Whether several options have the highest score."""
    rank: int | None
    """Best rank of a right option in the gallery, from 1; null in tasks without a gallery, and in a judged task if no
    retrieved image is right."""
    answers: NotRequired[list[JudgedImage]]
    """Judged and text_to_image tasks: the judge's answers about each option."""
    mask: NotRequired[MaskFacts]
    """Segmentation task: both masks; then `options` and `scores` are empty."""
    cue: str
    """The first negation cue's canonical word, or `NO_CUE`."""
    position: str
    """Position of the cue: beginning, middle or end."""
    cluster: str
    """Items of one cluster are resampled together."""
    slices: dict[str, str]
    """Cut (cue, cue_class, position, length) to the value of this item."""


SUBSET_METRIC: Final = "accuracy_on_"
"""Prefix of the metrics over a subset of the items."""
TOP_5: Final = "top_5"
"""Metric of classification: the right class is one of the five with the highest scores."""
TWIN_METRICS: Final[Mapping[str, Callable[[Sequence[float]], bool]]] = {"texts": texts_right, "images": images_right}
"""Halves of a twins item, by the name of their metric."""
JUDGED: Final[Mapping[str, Callable[[JudgedImage], bool]]] = {
    "both": lambda image: image["counts"] and image["scene"] is True and image["denied"] is False,
    "scene": lambda image: image["counts"] and image["scene"] is True,
    "negation": lambda image: image["counts"] and image["denied"] is False,
}
"""What a judge's answers say of a retrieved image; an unclear answer is wrong."""
JUDGED_METRICS: Final[Mapping[str, tuple[str, int]]] = {
    "both_at_1": ("both", 1),
    "scene_at_1": ("scene", 1),
    "negation_at_1": ("negation", 1),
    "both_in_5": ("both", 5),
    "scene_in_5": ("scene", 5),
}
"""Metric of a judged task to its key in `JUDGED` and the number of retrieved images of which one has to be right."""
PICTURE_METRICS: Final[Mapping[str, str]] = {"both": "both", "neg_score": "negation", "subject": "scene"}
"""Metric of a text_to_image task to its key in `JUDGED`; of the picture alone."""
QUESTION_ACCURACY: Final = "question_accuracy"
"""Metric of text_to_image: the share of all questions, two for each picture, with the right answer, as in TIFA."""
PRECISION_METRIC: Final = "precision_at_"
"""Prefix of the metrics of a segmentation task: the share of items whose IoU is above this threshold."""
_ROUNDING: Final = 1e-6
"""Largest difference of a share from correct / n."""


def balanced_score(rows: Sequence[ItemRow], cut: str) -> BalancedScore:
    """Return the mean accuracy over the values of `cut`; items without the cut do not count."""
    right: dict[str, list[bool]] = {}
    for row in rows:
        if cut in row["slices"]:
            right.setdefault(row["slices"][cut], []).append(row["correct"])
    groups = {value: sum(each) / len(each) for value, each in right.items()}
    return {"cut": cut, "value": math.fsum(groups.values()) / max(1, len(groups)), "groups": groups}


def twin_scores(row: ItemRow) -> list[float]:
    """Return the four scores of a twins item; four NaN where there are more or fewer."""
    scores = [math.nan if score is None else score for score in row["scores"]]
    return scores if len(scores) == 4 else [math.nan] * 4


def twin_options(row: ItemRow) -> list[dict[str, Any]]:
    """Return the four pairs of image and text of a twins item; empty for other items."""
    pairs = [option for option in row["options"] if isinstance(option, dict)]
    keys = {"image", "box", "text"}
    return pairs if len(pairs) == 4 and all(pair.keys() >= keys for pair in pairs) else []


def judged_right(row: ItemRow, metric: str) -> bool:
    """Return whether a row of a judged task is right by a metric of `JUDGED_METRICS`."""
    part, depth = JUDGED_METRICS[metric]
    return any(map(JUDGED[part], row.get("answers", [])[:depth]))


def picture_right(row: ItemRow, metric: str) -> bool:
    """Return whether a row of a text_to_image task is right by a metric of `PICTURE_METRICS`."""
    return any(map(JUDGED[PICTURE_METRICS[metric]], row.get("answers", [])[:1]))


def iou_of(row: ItemRow) -> float:
    """Return the IoU of a row of a segmentation task, 0..1; 0 for other rows."""
    mask = row.get("mask")
    return mask["intersection"] / mask["union"] if mask and mask["intersection"] else 0.0


def captions_of(row: ItemRow) -> list[str]:
    """Return the options of a row if they are captions; those of retrieval and judged tasks are names of images."""
    options = [text for text in row["options"] if isinstance(text, str)]
    return [] if options[:1] == [row["image"]] or "answers" in row else options


def result_problem(content: object) -> str:
    """Return the first invalid key of a result file, with the reason; "" if the content is valid."""
    return _schema_problem(content, Result) or next(_value_problems(cast("Result", content)), "")


def item_problem(content: object) -> str:
    """Return the first invalid key of a line of the file of items, with the reason; "" if the line is valid."""
    return _schema_problem(content, ItemRow)


def _schema_problem(content: object, schema: type) -> str:
    """Return the first key of `content` that violates `schema` (a TypedDict); "" if none does. Other keys are ignored.

    msgspec accepts a row in 12 us; the validator, which names the key, needs 340 us and is called for errors only.
    """
    import msgspec  # noqa: PLC0415 -- 25 ms, which commands without results do not need

    from curation_db.validation import ProblemKind, ValidationError, validate  # noqa: PLC0415

    try:
        msgspec.convert(content, schema)
    except msgspec.ValidationError as refusal:
        try:
            validate(content, schema, unknown_keys=True)
        except ValidationError as error:
            problem = error.problems[0]
            missing = problem.kind is ProblemKind.MISSING
            reason = "missing" if missing else f"expected {problem.expected}, got {problem.shown}"
            return ": ".join((*map(str, problem.path), reason))
        return str(refusal)
    return ""


def _share_problem(share: Score | GuessShare) -> str:
    """Return why the values of a share are inconsistent; "" if they are consistent."""
    correct, n = share["correct"], share["n"]
    if not 0 <= correct <= n or n < 1:
        return f"{correct} of {n} is not a share"
    low, value, high = share["low"], share["value"], share["high"]
    if abs(value - correct / n) > _ROUNDING or not -_ROUNDING <= low <= value <= high <= 1 + _ROUNDING:
        return f"value: {value} ({low} to {high}) is not {correct} of {n}"
    return ""


def _optional_problems(result: Result) -> Iterator[str]:
    """Yield the problems of the values that only some results have."""
    if "texts" in result and not 0 <= result["texts"]["cut_negations"] <= result["texts"]["cut"]:
        yield "texts: more texts lose a negation than are cut"
    if "overlap" in result:
        overlap, images = result["overlap"], result["task"]["images"]
        if not 0 <= max(overlap["by_id"], overlap["by_content"]) <= overlap["images"] <= images:
            yield f"overlap: {overlap['images']} of {images} images is impossible"
        if not 0 <= overlap.get("alike", 0) <= images - overlap["images"]:
            yield f"overlap: {overlap.get('alike')} of {images} images alike is impossible"


def _value_problems(result: Result) -> Iterator[str]:
    """Yield the problems of values that have the right type."""
    items = result["task"]["items"]
    if not math.isfinite(result["seconds"]):
        yield f"seconds: expected a finite number, got {result['seconds']}"
    if not result["metrics"]:
        yield "metrics: empty"
    if not 0 <= result["task"]["chance"] <= 1:
        yield f"task: chance: {result['task']['chance']} is not a share"
    shares: tuple[tuple[str, Mapping[str, Score | GuessShare]], ...] = (
        ("metrics", result["metrics"]),
        ("baselines", result["baselines"]),
    )
    for kind, scores in shares:
        for name, score in scores.items():
            if problem := _share_problem(score):
                yield f"{kind}: {name}: {problem}"
            expected = 2 * items if name == QUESTION_ACCURACY else items
            if score["n"] != expected and not (name.startswith(SUBSET_METRIC) and score["n"] < items):
                yield f"{kind}: {name}: n is {score['n']}, but the task has {items} items"
    yield from _optional_problems(result)
    if "segmentation" in result:
        yield from _segmentation_problems(result["segmentation"], items)
    elif result["task"]["kind"] == "segmentation":
        yield "segmentation: missing"
    if "judge" in result:
        problems = ((name, _share_problem(score)) for name, score in result["judge"]["shares"].items())
        yield from (f"judge: shares: {name}: {problem}" for name, problem in problems if problem)
    yield from _count_problems(result)
    try:
        if datetime.fromisoformat(result["created"]).tzinfo is None:
            yield f"created: {result['created']!r:.60} has no time zone"
    except ValueError:
        yield f"created: {result['created']!r:.60} is not a time"


def _segmentation_problems(facts: SegmentationFacts, items: int) -> Iterator[str]:
    for name, score in (("mean_iou", facts["mean_iou"]), ("overall_iou", facts["overall_iou"])):
        low, value, high = score["low"], score["value"], score["high"]
        if not -_ROUNDING <= low <= value <= high <= 1 + _ROUNDING:
            yield f"segmentation: {name}: {value} ({low} to {high}) is not a share"
    for name, values in facts["blind"].items():
        if len(values) != 2 or not all(0 <= value <= 1 for value in values):
            yield f"segmentation: blind: {name}: expected two shares"
    if not 0 <= facts["empty"] <= items:
        yield f"segmentation: empty: {facts['empty']} of {items} items"


def _count_problems(result: Result) -> Iterator[str]:
    items = result["task"]["items"]
    for name, count in (("ties", result["ties"]), ("nan", result["nan"])):
        if not 0 <= count <= items:
            yield f"{name}: {count} of {items} items"


def items_problem(result: Result, rows: list[ItemRow]) -> str:
    """Return where a result is inconsistent with its items; "" if it is consistent.

    The items are verified by their hash, so a metric that does not follow from the items is an error of the result.
    """
    if len(rows) != result["task"]["items"]:
        return f"{len(rows)} items instead of {result['task']['items']}"
    if len({row["id"] for row in rows}) < len(rows):
        return "two items have the same id"
    if "segmentation" in result and (problem := _mask_problem(result["segmentation"], rows)):
        return problem
    if problem := _metric_problem(result, rows):
        return problem
    balanced = result.get("balanced")
    if balanced and abs(balanced["value"] - balanced_score(rows, balanced["cut"])["value"]) > _ROUNDING:
        return f"balanced accuracy {balanced['value']} does not follow from its items"
    return ""


def _metric_problem(result: Result, rows: Sequence[ItemRow]) -> str:
    """Return which metric does not follow from the items; "" if all do."""
    for name, score in result["metrics"].items():
        answers = answers_of_metric(result, rows, name)
        if len(answers) != score["n"]:
            return f"{name} is over {score['n']} items, its subset has {len(answers)}"
        if (right := sum(good for _, good in answers)) != score["correct"]:
            return f"{name} has {score['correct']} right answers, its items have {right}"
    return ""


def _mask_problem(facts: SegmentationFacts, rows: Sequence[ItemRow]) -> str:
    """Return which item of a segmentation task is invalid, or which score does not follow from the items."""
    for row in rows:
        mask = row.get("mask")
        if mask is None or len(mask["size"]) != 2:
            return f"the item {row['id']} has no mask"
        if not 0 <= mask["intersection"] <= mask["union"] <= mask["size"][0] * mask["size"][1]:
            return f"the item {row['id']} has an impossible overlap"
    masks = [row["mask"] for row in rows]
    mean = math.fsum(map(iou_of, rows)) / max(1, len(rows))
    overall = sum(mask["intersection"] for mask in masks) / max(1, sum(mask["union"] for mask in masks))
    for name, score, value in (("mean", facts["mean_iou"], mean), ("overall", facts["overall_iou"], overall)):
        if abs(score["value"] - value) > _ROUNDING:
            return f"{name} IoU {score['value']} does not follow from its items"
    return ""


def _answers_of_application(result: Result, rows: Sequence[ItemRow], name: str) -> list[tuple[ItemRow, bool]] | None:
    """Return the answers of a metric of text_to_image or segmentation; None for other metrics."""
    if name in PICTURE_METRICS:
        return [(row, picture_right(row, name)) for row in rows]
    if name == QUESTION_ACCURACY:
        return [(row, picture_right(row, part)) for row in rows for part in ("subject", "neg_score")]
    if name.startswith(PRECISION_METRIC) and "segmentation" in result:
        threshold, inclusive = float(name.removeprefix(PRECISION_METRIC)), result["segmentation"]["inclusive"]
        return [(row, (iou := iou_of(row)) > threshold or (inclusive and iou == threshold)) for row in rows]
    return None


def answers_of_metric(result: Result, rows: Sequence[ItemRow], name: str) -> list[tuple[ItemRow, bool]]:
    """Return the items that a metric counts, each with whether it is right by that metric."""
    _, at, depth = ("", "at", "5") if name == TOP_5 else name.partition("recall_at_")
    if name in JUDGED_METRICS:
        return [(row, judged_right(row, name)) for row in rows]
    if (answers := _answers_of_application(result, rows, name)) is not None:
        return answers
    if name in TWIN_METRICS:
        return [(row, TWIN_METRICS[name](twin_scores(row))) for row in rows]
    if at and depth.isdecimal():
        return [(row, row["rank"] is not None and row["rank"] <= int(depth)) for row in rows]
    return [(row, row["correct"]) for row in (rows if name == "accuracy" else _rows_of_subset(result, rows, name))]


def _rows_of_subset(result: Result, rows: Sequence[ItemRow], metric: str) -> list[ItemRow]:
    cut, *values = result["task"].get("subsets", {}).get(metric.removeprefix(SUBSET_METRIC), [""])
    return [row for row in rows if [row["slices"].get(cut)] == values]
