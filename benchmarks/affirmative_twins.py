"""Affirmative twin of a task of negated phrases: the task with the same phrases without negation.

Training that flips the sign of the text embedding improves on negated phrases and fails on the same phrases
affirmed. So reports show each score on negated phrases with the score of its twin, or state that the twin was not run.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from benchmarks.schema import NO_CUE
from benchmarks.segmentation.choices import Route

NEGATED_SUFFIX, AFFIRMATIVE_SUFFIX = "-negref", "-affirm"
"""Suffixes of the names of a pair of tasks: demo-negref has the phrases of demo-affirm with a "no"."""
NOT_RUN: Final = "not run"
"""Shown instead of the score: the twin was not run with this model under this protocol."""
NO_TWIN: Final = "no twin"
"""Shown instead of the score: the task has no twin, as NegRefCOCOg."""


def twin_name(task: str) -> str | None:
    """Return the name of the affirmative twin of `task`, or None if the name of `task` has no negated suffix."""
    return task.removesuffix(NEGATED_SUFFIX) + AFFIRMATIVE_SUFFIX if task.endswith(NEGATED_SUFFIX) else None


def is_negated_task(task: str, cues: Iterable[str]) -> bool:
    """Return whether the phrases of a task are negated, by the suffix of its name, else by most of its items.

    Args:
        cues: Negation cue of each item, or `NO_CUE`.
    """
    if task.endswith((NEGATED_SUFFIX, AFFIRMATIVE_SUFFIX)):
        return task.endswith(NEGATED_SUFFIX)
    has_cue = [cue != NO_CUE for cue in cues]
    return 2 * sum(has_cue) > len(has_cue)


def needs_twin(kind: str, task: str, cues: Iterable[str]) -> bool:
    """Return whether a flipped sign would look like success on a task, so that its score needs that of its twin.

    Items of the kind "twins" hold the affirmed phrase beside the denied one, and the main score of "text_to_image"
    counts a picture only if it also shows the subject.

    Args:
        kind: A `benchmarks.task.TaskKind`.
    """
    return kind not in {"twins", "text_to_image"} and is_negated_task(task, cues)


def missing_twin_label(task: str) -> str:
    """Return the text that replaces the missing score of the twin."""
    return NOT_RUN if twin_name(task) else NO_TWIN


def missing_twin_advice(task: str) -> str:
    """Return what to run with a task whose twin was not run, and why."""
    twin = twin_name(task)
    if twin:
        run = f"negwb bench run {twin}"
        for route in Route:  # before the suffix of a segmentation task
            if (name := task.removesuffix(NEGATED_SUFFIX)).endswith(f"-{route}"):
                run = f"negwb apply ris {name.removesuffix(f'-{route}')} --route {route} --subset affirmed"
        return f"{twin} was not run: without it, a flipped sign looks like success; run: {run}"
    return (
        "no affirmative twin: a flipped sign would look like success; "
        "run a task of affirmed phrases or a retrieval task too"
    )
