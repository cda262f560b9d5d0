"""Records of Every Eval Ever 0.3 (github.com/evaleval/every_eval_ever): a log per result, a line per item and metric.

The schemas are `eval.schema.json` and `instance_level_eval.schema.json` of that project. They are closed: an unknown
key is an error, and all values of `details` and `metadata` are texts. A file is named by a UUID of version 4, which is
derived from the result, so that the same result always has the same file.
"""

from __future__ import annotations

import hashlib
import json
import math
import uuid
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from benchmarks.analysis.comparison import ComparisonRow
from benchmarks.results import StoredResult
from benchmarks.schema import QUESTION_ACCURACY, ItemRow, Score, answers_of_metric, twin_options
from workbench.reports.publish.cautions import Caution
from workbench.reports.publish.models import PublishedModel, portable_name

VERSION: Final = "0.3.0"
"""Version of the schemas."""
_RECALL = "recall_at_"
_LEVEL = 0.95


@dataclass(frozen=True, slots=True, kw_only=True)
class Record:
    """One result as a log and the lines of its items."""

    model: PublishedModel
    row: ComparisonRow
    stored: StoredResult
    cautions: Sequence[Caution]
    dataset: str | None = None
    """Name of its data set on the Hugging Face Hub."""

    @property
    def time(self) -> str:
        """Time of the evaluation in seconds since 1970."""
        return f"{datetime.fromisoformat(self.stored.result['created']).timestamp():.6f}"

    @property
    def id(self) -> str:
        return f"{self.evaluation}/{self.model.id}/{self.time}"

    @property
    def evaluation(self) -> str:
        return f"{portable_name(self.row.task)}.{self.row.protocol}"

    @property
    def path(self) -> str:
        """Path of the log, without its suffix, from the folder that has `data/`."""
        result = self.stored.result
        identity = "\0".join((self.id, self.model.hash, result["task"]["dataset_sha256"], result["items_sha256"]))
        name = uuid.UUID(bytes=hashlib.sha256(identity.encode()).digest()[:16], version=4)
        return f"data/{portable_name(self.row.task)}/{self.model.id}/{name}"

    @property
    def samples_path(self) -> str:
        return f"{self.path}_samples.jsonl"

    def result_id(self, metric: str) -> str:
        return f"{self.id}#{metric}"


def evaluation_log(record: Record, *, samples_sha256: str, samples: int) -> dict[str, Any]:
    """Return the log of a result.

    Args:
        samples_sha256: Hash of the file of its `instances`.
        samples: Number of lines of that file.
    """
    result, model = record.stored.result, record.model
    return {
        "schema_version": VERSION,
        "evaluation_id": record.id,
        "evaluation_timestamp": result["created"],
        "retrieved_timestamp": record.time,
        "source_metadata": {
            "source_name": "negwb",
            "source_type": "evaluation_run",
            "source_organization_name": model.developer if model.run else "unnamed user of negwb",
            "evaluator_relationship": "first_party" if model.run else "third_party",
        },
        "eval_library": {
            "name": "negwb",
            "version": result["versions"].get("negwb", "unknown"),
            "additional_details": dict(sorted(result["versions"].items())),
        },
        "model_info": _model_info(record),
        "evaluation_results": [_metric(record, name, score) for name, score in result["metrics"].items()],
        "detailed_evaluation_results": {
            "format": "jsonl",
            "file_path": record.samples_path,
            "hash_algorithm": "sha256",
            "checksum": samples_sha256,
            "total_rows": samples,
        },
    }


def _model_info(record: Record) -> dict[str, Any]:
    facts = record.stored.result["model"]
    engine = {"name": "open_clip"}
    if version := record.stored.result["versions"].get("open_clip_torch"):
        engine["version"] = version
    return {
        "name": record.model.name,
        "id": record.model.id,
        "developer": record.model.developer,
        "inference_engine": engine,
        "additional_details": {
            "deployment_type": "self_deployed",
            "model_availability": "open_weights" if record.model.is_on_hub else "unknown",
            **{key: facts[key] for key in ("hash", "visual_hash", "arch", "activation", "precision", "device")},
        },
    }


def _metric(record: Record, name: str, score: Score) -> dict[str, Any]:
    n, value = score["n"], score["value"]
    return {
        "evaluation_result_id": record.result_id(name),
        "evaluation_name": record.evaluation,
        "source_data": _source(record),
        "evaluation_timestamp": record.stored.result["created"],
        "metric_config": _metric_config(record, name),
        "score_details": {
            "score": value,
            "details": _details(record, name, score),
            "uncertainty": {
                "standard_error": {"value": math.sqrt(value * (1 - value) / n), "method": "analytic"},
                "confidence_interval": {
                    "lower": score["low"],
                    "upper": score["high"],
                    "confidence_level": _LEVEL,
                    "method": "Wilson",
                },
                "num_samples": n,
            },
        },
    }


def _source(record: Record) -> dict[str, Any]:
    task = record.stored.result["task"]
    details = {key: task[key] for key in ("version", "kind", "dataset_sha256", "pictures_sha256")}
    source = {"dataset_name": task["name"], "additional_details": details}
    if record.dataset is None:
        return {**source, "source_type": "other"}
    return {**source, "source_type": "hf_dataset", "hf_repo": record.dataset, "samples_number": task["items"]}


def _metric_config(record: Record, name: str) -> dict[str, Any]:
    is_recall = name.startswith(_RECALL)
    plain = is_recall or name == "accuracy"
    return {
        "evaluation_description": f"{record.row.task} under the {record.row.protocol} protocol of negwb",
        "metric_id": name if plain else f"negwb.{portable_name(name)}",
        "metric_name": name.replace("_", " "),
        "metric_kind": "recall" if is_recall else "accuracy",
        "metric_unit": "proportion",
        **({"metric_parameters": {"k": int(name.removeprefix(_RECALL))}} if is_recall else {}),
        "lower_is_better": False,
        "score_type": "continuous",
        "min_score": 0.0,
        "max_score": 1.0,
    }


def _details(record: Record, metric: str, score: Score) -> dict[str, str]:
    result, row = record.stored.result, record.row
    details = {
        "protocol": row.protocol,
        "correct": str(score["correct"]),
        "n": str(score["n"]),
        "chance": str(result["task"]["chance"]),
        "ties": str(result["ties"]),
        "nan": str(result["nan"]),
    }
    if metric != row.metric:
        return details
    details |= {f"blind baseline: {name}": str(share["value"]) for name, share in result["baselines"].items()}
    if row.segmentation is not None:
        ious = (("mIoU", row.segmentation.mean_iou), ("oIoU", row.segmentation.overall_iou))
        details |= {name: f"{iou.estimate} ({iou.low} to {iou.high})" for name, iou in ious}
    if row.base is not None:
        difference = row.base.difference
        details |= {
            "difference from base": str(difference.estimate),
            "difference from base, lower": str(difference.low),
            "difference from base, upper": str(difference.high),
            "p (McNemar, Holm)": str(row.base.p_corrected),
        }
    return details | {f"caution: {caution.kind}": caution.text for caution in record.cautions}


def instances(record: Record) -> Iterator[dict[str, Any]]:
    """Yield a line for each item of each metric.

    Raises:
        BenchError: The file of items was changed.
    """
    rows = record.stored.items()
    for metric in record.stored.result["metrics"]:
        if metric == QUESTION_ACCURACY:
            continue  # it counts each item twice, once for each question
        for row, right in answers_of_metric(record.stored.result, rows, metric):
            yield _instance(record, metric, row, right=right)


def _instance(record: Record, metric: str, row: ItemRow, *, right: bool) -> dict[str, Any]:
    kind = record.stored.result["task"]["kind"]
    choices = [option if isinstance(option, str) else json.dumps(option) for option in row["options"]]
    raw, reference = _question(kind, row), _reference(row, choices)
    digest = json.dumps({"raw": raw, "reference": reference}, sort_keys=True, separators=(",", ":"))
    pred = row["pred"]
    answer = choices[pred] if pred is not None and 0 <= pred < len(choices) else ""
    return {
        "schema_version": VERSION,
        "evaluation_id": record.id,
        "model_id": record.model.id,
        "evaluation_name": record.evaluation,
        "evaluation_result_id": record.result_id(metric),
        "sample_id": row["id"],
        "sample_hash": hashlib.sha256(digest.encode()).hexdigest(),
        "interaction_type": "single_turn",
        "input": {"raw": raw, "reference": reference, "choices": choices},
        "output": {"raw": ["NaN" if score is None else str(score) for score in row["scores"]]},
        "answer_attribution": [
            {
                "turn_idx": 0,
                "source": "output.raw",
                "extracted_value": answer,
                "extraction_method": _method(record),
                "is_terminal": True,
            }
        ],
        "evaluation": {"score": float(right), "is_correct": right},
        "error": "a score is NaN" if None in row["scores"] else None,
        "metadata": _metadata(row),
    }


def _method(record: Record) -> str:
    if facts := record.stored.result.get("segmentation"):
        route = f"route {facts['route']}, {record.row.protocol} protocol of negwb"
        return f"overlap of the predicted and the true mask, {route}"
    judge = record.stored.result.get("judge")
    judged = f"; the image is judged by {judge['name']} ({', '.join(judge['models'])})" if judge else ""
    if record.stored.result["task"]["kind"] == "text_to_image":
        return f"a picture is generated for the text, {record.row.protocol} protocol of negwb{judged}"
    return f"highest cosine similarity, {record.row.protocol} protocol of negwb{judged}"


def _question(kind: str, row: ItemRow) -> str:
    """Return what the model is asked, without the right answer."""
    if kind in ("retrieval", "judged", "text_to_image"):
        return f"text: {row['text']}"
    if kind in ("captions", "caption_retrieval", "classification"):
        return f"image: {row['image']}"
    if pairs := twin_options(row):
        images = _distinct(json.dumps([pair["image"], pair["box"]]) for pair in pairs)
        return "\n".join([*(f"image: {each}" for each in images), *(f"text: {pair['text']}" for pair in pairs[:2])])
    return f"image: {row['image']}\ntext: {row['text']}"


def _distinct(texts: Iterable[str]) -> list[str]:
    return list(dict.fromkeys(texts))


def _reference(row: ItemRow, choices: Sequence[str]) -> list[str]:
    """Return the right choices: those of twins are each image with its own text."""
    if twin_options(row):
        return [choices[0], choices[3]]
    return [choices[row["target"]]] if 0 <= row["target"] < len(choices) else []


def _metadata(row: ItemRow) -> dict[str, str]:
    facts = {"image": row["image"], "text": row["text"], "cluster": row["cluster"], "tie": str(row["tie"]).lower()}
    if row["rank"] is not None:
        facts["rank"] = str(row["rank"])
    return facts | {f"slice: {cut}": str(value) for cut, value in row["slices"].items()}
