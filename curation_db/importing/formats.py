"""The formats of import files. Imports only the standard library, so the command line reads it at no cost."""

from __future__ import annotations

from enum import StrEnum


class Format(StrEnum):
    COCO = "coco"
    INSTANCES = "instances"
    NEGATIONCLIP = "negationclip"
    SUGARCREPE = "sugarcrepe"
    VQA = "vqa"
    KARPATHY = "karpathy"
    FLICKR = "flickr"
    NEGBENCH_RETRIEVAL = "negbench-retrieval"
    NEGBENCH_MCQ = "negbench-mcq"
    JSON = "json"
    JSONL = "jsonl"
    CSV = "csv"
    TSV = "tsv"
    NEGWB = "negwb"
    FOLDER = "folder"


COCO_SHAPED = frozenset(
    {Format.COCO, Format.INSTANCES, Format.NEGATIONCLIP, Format.SUGARCREPE, Format.VQA, Format.KARPATHY}
)
"""The images of these formats belong to the source COCO unless the command names another one."""
NEGBENCH = frozenset({Format.NEGBENCH_RETRIEVAL, Format.NEGBENCH_MCQ})
"""Tables with fixed columns."""
