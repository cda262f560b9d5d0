"""Texts of each step: negated pairs and replay are separate streams with separate random numbers."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from trainers.data.dataset import epoch_order
from trainers.loop.batches import BatchSource, Table
from trainers.settings import TrainSettings

PICTURES, TEXTS_EACH = 12, 5
POOL_FROM = 1000
"""The token of the pool's first text; a pair's token is its row."""


def table(pictures: int, texts_each: int, first: int) -> Table:
    """Each text is one token, from which its row can be read."""
    count = pictures * texts_each
    return Table(
        torch.eye(PICTURES)[:pictures],
        torch.arange(first, first + count)[:, None],
        torch.arange(count) // texts_each,
        torch.arange(first, first + pictures),
    )


def feed(*, replay: bool = True, seed: int = 42, pool: Table | None = None) -> BatchSource:
    """Six negated rows a step, with or without six that are replayed."""
    settings = TrainSettings(
        batch=12 if replay else 6,
        replay_share=0.5 if replay else 0.0,
        replay_pool="x" if replay else None,
        steps=40,
        seed=seed,
    )
    return BatchSource(
        table(PICTURES, 1, 0), (pool or table(PICTURES, TEXTS_EACH, POOL_FROM)) if replay else None, settings
    )


def negated(of: BatchSource, step: int) -> list[int]:
    batch = of.batch(step)
    return [int(row) for row in batch.ids[: len(batch.ids) - batch.replay, 0]]


def replayed(of: BatchSource, step: int) -> list[int]:
    """Rows of the pool's texts."""
    batch = of.batch(step)
    return [int(row) - POOL_FROM for row in batch.ids[len(batch.ids) - batch.replay :, 0]]


def pictures(of: BatchSource, step: int) -> list[int]:
    return [text // TEXTS_EACH for text in replayed(of, step)]


def test_replay_leaves_the_order_of_the_negated_pairs_alone() -> None:
    without = feed(replay=False)
    for other in (feed(), feed(pool=table(7, TEXTS_EACH, POOL_FROM))):
        assert [negated(other, step) for step in range(8)] == [negated(without, step) for step in range(8)]
    assert negated(without, 0) == [0, 7, 6, 9, 11, 3], "as in every release: a run can be done again"


def test_replay_has_a_stream_of_its_own() -> None:
    """As long as the negated pairs, it is in another order: else each caption would meet its own negation."""
    steps = range(8)
    assert [pictures(feed(), step) for step in steps] != [negated(feed(), step) for step in steps]
    expected = np.concatenate([epoch_order(PICTURES, seed=42, epoch=epoch, stream=1) for epoch in range(4)])
    assert [picture for step in steps for picture in pictures(feed(), step)] == expected.tolist()
    assert pictures(feed(), 0) == [0, 7, 4, 9, 8, 3]


def test_each_epoch_replays_every_picture_once_in_another_order() -> None:
    epochs = [pictures(feed(), step) + pictures(feed(), step + 1) for step in (0, 2, 4)]
    assert [sorted(epoch) for epoch in epochs] == [list(range(PICTURES))] * 3
    assert len({tuple(epoch) for epoch in epochs}) == 3


def test_the_texts_that_are_replayed_change_with_step_and_seed_and_with_nothing_else() -> None:
    one, again, other = feed(), feed(), feed(seed=43)
    steps = range(20)
    assert [replayed(one, step) for step in reversed(steps)] == [replayed(again, step) for step in reversed(steps)]
    assert [replayed(one, step) for step in steps] != [replayed(other, step) for step in steps]
    assert pictures(one, 0) != pictures(other, 0)
    turns, others = ([[text % TEXTS_EACH for text in replayed(of, step)] for step in steps] for of in (one, other))
    assert turns != others, "the seed throws the dice, too"
    assert len({tuple(turn) for turn in turns}) > 15, "not the same turn at each step"
    assert {turn for row in turns for turn in row} == set(range(TEXTS_EACH)), "each text has its turn"


@pytest.mark.parametrize(("images", "rows"), [(12, 6), (6, 6), (4, 4)])
def test_the_share_that_is_replayed_is_known(images: int, rows: int) -> None:
    """A pool with fewer images than the replayed part of a batch cannot fill it."""
    source = feed(pool=table(images, TEXTS_EACH, POOL_FROM))
    achieved = source.replay_share()
    assert achieved is not None
    assert (achieved.rows, achieved.wanted_rows, achieved.batch) == (rows, 6, 6 + rows)
    batch = source.batch(0)
    assert (batch.replay, len(batch.ids)) == (achieved.rows, achieved.batch)
    assert achieved.share == rows / (6 + rows)
    assert feed(replay=False).replay_share() is None


@pytest.mark.parametrize("stream", [0, 1])
def test_the_order_of_an_epoch_is_that_of_every_release(stream: int) -> None:
    known = {0: [1, 2, 4, 0, 5, 3], 1: [3, 5, 0, 1, 4, 2]}
    assert epoch_order(6, seed=42, epoch=3, stream=stream).tolist() == known[stream]
