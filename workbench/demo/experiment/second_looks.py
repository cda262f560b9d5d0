"""The demo's second looks: how many wrong pairs are among those with the lowest margins under the trained model.

The pairs are all that the simulated judges passed, so the errors are those of the judges: the scripted annotator, who
knows the truth, accepts no wrong pair. Folds and steps are few, to save time.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from curation_db.enums import Kind
from curation_db.exporting.manifest import read_items
from curation_db.queue.margins import PairMargin
from curation_db.stats.intervals import LEVEL, Interval
from curation_db.storage.store import open_store
from trainers.errors import RunRefused, TrainerError
from trainers.run_files import TrainingStatus, read_run, take_lock
from trainers.settings import read_config
from workbench.demo.simulation.annotator import Decisions
from workbench.jobs.training.margins import CrossValidation, prepare_folds, read_margins, store_run_margins
from workbench.workspace.layout import Workspace

FOLDS, STEPS = 2, 100
LOOKS = 100
_RESAMPLES = 1000


@dataclass(frozen=True, slots=True)
class SecondLookShares:
    """Wrong pairs that the first looks find, in the order of the margins and in random order.

    Shares are of all wrong pairs, from 0 to 1, with 95 % intervals.
    """

    pairs: int
    errors: int
    looks: int
    errors_seen: int
    """Wrong pairs among the `looks` lowest margins."""
    mistaken: Interval
    """Share in the order of the margins; the interval is a bootstrap over images."""
    random: Interval
    """Expected share in random order; the interval covers the order."""

    def figures(self) -> dict[str, Any]:
        """Return the fields of the demo's JSON; shares in percent."""
        shares = {
            name: {"mean": _percent(each.estimate), "low": _percent(each.low), "high": _percent(each.high)}
            for name, each in (("mistaken", self.mistaken), ("random", self.random))
        }
        return {"pairs": self.pairs, "errors": self.errors, "looks": self.looks, "found": self.errors_seen, **shares}

    def line(self) -> str:
        """Return the result in one line."""
        ours, chance = (
            f"{100 * each.estimate:.0f} % ({100 * each.low:.0f} to {100 * each.high:.0f})"
            for each in (self.mistaken, self.random)
        )
        return (
            f"Second looks: {self.errors:,} of the {self.pairs:,} pairs that the simulated judges passed are wrong. "
            f"{self.looks} looks find {ours} of them in the order mistaken, {chance} in random order."
        )


def _percent(share: float) -> float:
    return round(100 * share, 1)


def look_again(
    workspace: Workspace, run: Path, truth: Decisions, progress: Callable[[str, int, int], None]
) -> SecondLookShares | None:
    """Measure the margins of the run's pairs, store them in the record, and compare them with the truth.

    Returns:
        None: there are too few images for the folds, or no pair is wrong.

    Raises:
        TrainerError: a training failed.
    """
    try:
        validation = prepare_folds(
            workspace, run.name, folds=FOLDS, steps=min(STEPS, int(read_run(run).result["kept_step"]))
        )
        for number, fold in enumerate(validation.folds):
            _train(fold)
            progress("cross-validating the margins", number + 1, len(validation.folds))
    except RunRefused:
        return None
    margins = read_margins(validation)
    _store(workspace, validation, margins)
    images = {(item.source, item.key): item.image_key for item in read_items(Path(read_config(run).export))}
    wrong = [truth[each.key][0] is Kind.REJECT for each in margins]
    if not any(wrong):
        return None
    return compare([each.margin for each in margins], wrong, [images[each.source, each.key] for each in margins])


def _train(fold: Path) -> None:
    """Train a fold in this process, which has imported torch for the exam; a child process would import it again."""
    from trainers.loop.finetune import run_training  # noqa: PLC0415

    if read_run(fold).status is TrainingStatus.DONE:
        return
    lock = take_lock(fold)
    if lock is None:
        raise TrainerError(f"another process trains {fold}", hint="wait for its end")
    with lock:
        run_training(fold)


def _store(workspace: Workspace, validation: CrossValidation, margins: Sequence[PairMargin]) -> None:
    with open_store(workspace.database) as store:
        store_run_margins(store, validation, margins)


def compare(
    margins: Sequence[float], wrong: Sequence[bool], images: Sequence[str], *, looks: int = LOOKS
) -> SecondLookShares:
    """Compare the order of the margins with random order.

    Args:
        margins: margin of each pair.  (N,)
        wrong: whether the pair is wrong; at least one is.  (N,)
        images: image of each pair.  (N,)
    """
    order = np.argsort(np.array(margins), kind="stable")
    errors = np.array(wrong)[order]
    _, image_of = np.unique(np.array(images)[order], return_inverse=True)
    looks, total = min(looks, len(errors)), int(errors.sum())
    errors_seen = int(errors[:looks].sum())
    rng, shares = np.random.default_rng(0), []
    count = int(image_of.max()) + 1
    for _ in range(_RESAMPLES):
        weights = rng.multinomial(count, np.full(count, 1 / count))[image_of]  # how often each pair is drawn
        looked = np.clip(looks - (np.cumsum(weights) - weights), 0, weights)
        if all_errors := (weights * errors).sum():
            shares.append((looked * errors).sum() / all_errors)
    low, high = np.quantile(shares, [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
    mistaken = Interval(errors_seen / total, float(low), float(high))
    return SecondLookShares(len(errors), total, looks, errors_seen, mistaken, chance(len(errors), total, looks))


def chance(pairs: int, errors: int, looks: int) -> Interval:
    """Return the expected share of the errors that `looks` random pairs hold, with the 95 % interval.

    The number is hypergeometric: `looks` draws without replacement.
    """
    ways, at_most, quantiles = math.comb(pairs, looks), 0, []
    for number in range(errors + 1):
        at_most += math.comb(errors, number) * math.comb(pairs - errors, looks - number) if number <= looks else 0
        quantiles.append(at_most / ways)
    low, high = (
        next(number for number, below in enumerate(quantiles) if below >= level)
        for level in ((1 - LEVEL) / 2, (1 + LEVEL) / 2)
    )
    return Interval(looks / pairs, low / errors, high / errors)
