"""Reports before the first step: sets that cannot teach, the replay that was achieved, hard images that were left out.

A set cannot teach with negations behind the token limit, duplicates, or batches of a few images.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any, Final

from curation_db.language.object_mentions import concept_cue
from curation_db.language.sanitize import counted, display_text, normalised
from trainers.data.counterparts import Counterparts
from trainers.data.dataset import TrainingPair
from trainers.data.hard_images import HardImages
from trainers.loop.batches import BatchSource
from trainers.models.clip_model import ClipModel, Tokenizer
from trainers.run_files import WARNING, RunWriter
from trainers.settings import TrainSettings

_BATCHES: Final = 50
"""Batches in which `same_image_share` counts."""
_FEW_COUNTERPARTS: Final = 0.5
"""Share of pairs with a counterpart below which a warning is due: the others have one part of the loss alone."""
_MANY: Final = 0.1
"""Share of rows with another text of their image from which a warning is due where these are negatives."""


def report_checks(
    pairs: Sequence[TrainingPair], feed: BatchSource, model: ClipModel, settings: TrainSettings, writer: RunWriter
) -> dict[str, Any]:
    """Log what the data cannot teach; return the counts for done.json.

    Args:
        pairs: training and validation pairs.
    """
    cut = cut_negations(pairs, model.tokenizer, model.context_length)
    repeated = repeated_pairs(pairs)
    share = same_image_share(feed)
    if cut:
        first = display_text(pairs[cut[0]].text, limit=200)
        writer.log(
            f"{WARNING}{counted(len(cut), 'text')} of {len(pairs):,} lose the negation, which is behind the limit of "
            f"{model.context_length} tokens; the first is: {first}"
        )
    if repeated:
        first = display_text(pairs[repeated[0]].text, limit=200)
        line = f"{counted(len(repeated), 'pair')} of {len(pairs):,} repeat an image with the same text"
        writer.log(f"{WARNING}{line}; the first is: {first}")
    line = f"{share:.1%} of the rows of a batch have another text of their image in it"
    if settings.same_image_mask:
        writer.log(f"{line}; these are no negatives")
    else:
        more = "; they are negatives of each other: set same_image_mask" if share >= _MANY else ""
        writer.log(f"{WARNING if more else ''}{line}{more}")
    return {
        "cut_negations": len(cut),
        "first_cut_negation": pairs[cut[0]].text if cut else None,
        "repeated_pairs": len(repeated),
        "same_image_share": round(share, 6),
    }


def report_negatives(
    feed: BatchSource,
    hard: HardImages | None,
    settings: TrainSettings,
    writer: RunWriter,
    counterparts: Counterparts | None = None,
) -> dict[str, Any]:
    """Log the replay and the counterparts that were achieved and the hard images that were left out.

    Returns:
        The counts for done.json.
    """
    report: dict[str, Any] = {}
    if counterparts is not None:
        report["counterparts"] = counts = counterparts.summary()
        line = f"{counts['with_counterpart']:,} of {counts['pairs']:,} training pairs have a counterpart"
        few = counts["with_counterpart"] < _FEW_COUNTERPARTS * counts["pairs"]
        more = "; the others miss a caption that names what they deny: set replay_pool" if few else ""
        writer.log(f"{WARNING if few else ''}{line}, on {counts['images']:,} images{more}")
    if (replay := feed.replay_share()) is not None:
        few = replay.rows < replay.wanted_rows
        line = f"a batch replays {replay.rows} affirmative captions in {replay.batch} rows ({replay.share:.0%})"
        more = f", not {replay.wanted_rows} ({settings.replay_share:.0%}): the pool has too few images"
        writer.log(f"{WARNING}{line}{more}" if few else line)
        report["replay"] = {"rows": replay.rows, "batch": replay.batch, "share": round(replay.share, 6)}
    if hard is not None:
        report["hard_images"] = counts = hard.summary()
        writer.log(
            f"{counts['found']:,} of {counts['wanted']:,} hard images; left out because the text may be true of them: "
            f"{hard.by_decision:,} by decisions, {hard.by_words:,} by the words of captions"
        )
    return report


def cut_negations(pairs: Sequence[TrainingPair], tokenizer: Tokenizer, context_length: int) -> list[int]:
    """Return the rows of the pairs whose negation the tokenizer cuts off.

    The last word of a negation is cut off if the tokens of the text up to it do not change without it.
    """
    rows, with_word, without_word = [], [], []
    for row, pair in enumerate(pairs):
        if len(pair.text.encode()) + 2 <= context_length:
            continue  # a token has a byte or more, and 2 tokens mark start and end
        if (cue := concept_cue(pair.text, pair.concept)) is None:
            continue
        end = max(cue.end, cue.concept_span[1] if cue.concept_span else 0)
        rows.append(row)
        with_word.append(pair.text[:end])
        without_word.append(pair.text[: pair.text.rfind(" ", 0, end) + 1])
    if not rows:
        return []
    same = (tokenizer(with_word) == tokenizer(without_word)).all(dim=1)
    return [row for row, is_cut in zip(rows, same.tolist(), strict=True) if is_cut]


def repeated_pairs(pairs: Sequence[TrainingPair]) -> list[int]:
    """Return the rows of the pairs whose image and text an earlier pair has; case and punctuation do not count."""
    seen: set[tuple[str, str]] = set()
    rows = []
    for row, pair in enumerate(pairs):
        key = (pair.image, normalised(pair.text))
        if key in seen:
            rows.append(row)
        seen.add(key)
    return rows


def same_image_share(feed: BatchSource) -> float:
    """Return the share of rows that have another row of their image in the batch, over the first batches."""
    rows = others = 0
    for step in range(min(feed.steps, _BATCHES)):
        images = feed.batch(step).image_ids
        counts = Counter(images.tolist())
        rows += len(images)
        others += sum(count for count in counts.values() if count > 1)
    return others / max(1, rows)
