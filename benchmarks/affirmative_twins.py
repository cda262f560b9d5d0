"""The rule that a figure on denied phrases never stands alone: which task is its affirmative twin.

Training that flips the sign of the text wins the phrases that deny and loses the same phrases affirmed, so each figure
on the first needs the other beside it, or the words that it was not run. Pure; reports, screens and commands ask here.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from benchmarks.schema import NO_CUE

DENIED, AFFIRMED = "-negref", "-affirm"
"""How the names of a pair of tasks end: demo-negref asks what demo-affirm asks, with a "no"."""
NOT_RUN: Final = "not run"
"""In place of the figure: the task has a twin, but this model was not asked it by this rule."""
NO_TWIN: Final = "no twin"
"""In place of the figure: nobody made one, as for NegRefCOCOg."""


def twin_name(task: str) -> str | None:
    """The task that asks the same affirmed; None where there is none by that rule."""
    return task.removesuffix(DENIED) + AFFIRMED if task.endswith(DENIED) else None


def denies(task: str, cues: Iterable[str]) -> bool:
    """Whether the task is about denied phrases: its name says so, or most of its items (a cue each, or `NO_CUE`) do."""
    if task.endswith((DENIED, AFFIRMED)):
        return task.endswith(DENIED)
    told = [cue != NO_CUE for cue in cues]
    return 2 * sum(told) > len(told)


def in_place(task: str) -> str:
    """What stands where the twin's figure is missing."""
    return NOT_RUN if twin_name(task) else NO_TWIN


def advice(task: str) -> str:
    """What to run beside a task whose twin was not measured, and why."""
    twin = twin_name(task)
    if twin:
        return f"{twin} was not run: without it, a flipped sign looks like success; run: negwb bench run {twin}"
    return (
        "no affirmative twin: a flipped sign would look like success; "
        "run a task of affirmed phrases or a retrieval beside it"
    )
