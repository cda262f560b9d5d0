"""Equal texts are encoded once, a batch in parts has the gradients of the whole batch, and half precision is close."""

from __future__ import annotations

import random
from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from support.clip_models import make_tiny, sentence
from torch import Tensor
from torch.nn import functional

from trainers.data.hard_images import HardImages
from trainers.errors import RunRefused
from trainers.loop.batches import BatchSource, Table, TrainingBatch
from trainers.loop.finetune import Interrupted, Trainer, TrainingRun
from trainers.loop.text_encoding import distinct_rows
from trainers.models.clip_model import ClipModel
from trainers.settings import Precision, TrainSettings, check_precision

IMAGES, PAIRS = 12, 24
ALL_TERMS = {
    "same_image_mask": True,
    "replay_share": 0.5,
    "hard_pictures": 3,
    "anchor_weight": 0.7,
    "false_captions": True,
}


def unit(generator: torch.Generator, *shape: int) -> Tensor:
    return functional.normalize(torch.randn(*shape, generator=generator), dim=-1)


def table(model: ClipModel, texts: list[str], *, first: int = 0, false: bool = False) -> Table:
    """A table with random features; neighbours share an image."""
    generator, rows = torch.Generator().manual_seed(first), torch.arange(len(texts)) * IMAGES // len(texts)
    false_ids = model.tokenizer([f"{text} with a cup" for text in texts]) if false else None
    features = unit(generator, IMAGES, model.embed_dim)
    return Table(features, model.tokenizer(texts), rows, torch.arange(first, first + IMAGES), false_ids)


def make_trainer(*, repeats: bool = True, double: bool = False, **settings: Any) -> Trainer:
    """A trainer of a tiny model on 24 pairs, of which 8 texts occur several times."""
    rng, model = random.Random(5), make_tiny()
    if double:
        model.model.double()
    texts = [f"{number} {sentence(rng)}" for number in range(PAIRS)]
    captions = [f"{number} {sentence(rng)}" for number in range(PAIRS)]
    if repeats:
        texts[16:] = texts[4:12]
        captions = (captions[:8] + texts[:4]) * 2
    values = {"batch": PAIRS, "steps": 4, "lr": 1e-3, "val_share": 0.0, "keep": "last"} | settings
    recipe = TrainSettings(**values)
    pairs, pool = table(model, texts, false=recipe.false_captions), table(model, captions, first=100)
    generator = torch.Generator().manual_seed(3)
    hard = HardImages(unit(generator, 30, model.embed_dim), torch.randint(-1, 30, (PAIRS, 3), generator=generator))
    feed = BatchSource(pairs, pool if recipe.replay_share else None, recipe, hard if recipe.hard_pictures else None)
    trainer = Trainer(model, feed, None, recipe)
    if double:
        trainer.feed = DoubleFeed(feed)  # type: ignore[assignment]
    with torch.no_grad():  # so that drift from the base model has a gradient
        for weight in trainer.weights.values():
            weight.add_(0.02 * torch.randn(weight.shape, generator=generator))
    return trainer


class DoubleFeed:
    """Batches with features of double precision."""

    def __init__(self, feed: BatchSource) -> None:
        self.steps, self._feed = feed.steps, feed

    def batch(self, step: int) -> TrainingBatch:
        batch = self._feed.batch(step)
        hard = None if batch.hard is None else batch.hard.double()
        return replace(batch, images=batch.images.double(), hard=hard)


def gradients(trainer: Trainer, backward: Callable[[TrainingBatch], Tensor]) -> tuple[float, dict[str, Tensor]]:
    trainer.optimizer.zero_grad(set_to_none=True)
    loss = backward(trainer.feed.batch(0)).item()
    return loss, {name: value.grad.clone() for name, value in trainer.weights.items() if value.grad is not None}


def every_row(trainer: Trainer) -> Callable[[TrainingBatch], Tensor]:
    """The loss of the batch with each of its rows encoded, equal or not, at once."""

    def backward(batch: TrainingBatch) -> Tensor:
        loss = trainer._loss(batch, trainer.model.text_tower(batch.all_ids))
        loss.backward()
        return loss

    return backward


def record_rows(trainer: Trainer, monkeypatch: pytest.MonkeyPatch) -> list[Tensor]:
    """The ids of each call of the tower."""
    calls: list[Tensor] = []
    encode = type(trainer.model.text_tower).__call__

    def seen(tower: Any, ids: Tensor) -> Tensor:
        calls.append(ids)
        return encode(tower, ids)

    monkeypatch.setattr(type(trainer.model.text_tower), "__call__", seen)
    return calls


def assert_close(got: dict[str, Tensor], expected: dict[str, Tensor], tolerance: float) -> None:
    assert got.keys() == expected.keys()
    for name, value in expected.items():
        assert (got[name] - value).norm() <= tolerance * value.norm() + tolerance**2, name


class TestDistinctRows:
    def test_they_keep_the_order_of_their_first_occurrence(self) -> None:
        ids = torch.tensor([[5, 1], [2, 2], [5, 1], [0, 9], [2, 2]])
        rows, places = distinct_rows(ids)
        assert rows.tolist() == [[5, 1], [2, 2], [0, 9]]
        assert places is not None
        assert torch.equal(rows[places], ids)

    def test_without_equal_rows_nothing_is_copied(self) -> None:
        ids = torch.tensor([[5, 1], [2, 2]])
        rows, places = distinct_rows(ids)
        assert rows is ids
        assert places is None

    @pytest.mark.parametrize(("rows", "repeats", "kept"), [(40, 4, 36), (41, 4, 41), (32, 2, 32), (5, 1, 4)])
    def test_a_few_equal_rows_change_no_bit(self, rows: int, repeats: int, kept: int) -> None:
        """With less than 10 % of them, as in all batches of the demo, the batch stays as it is."""
        ids = torch.arange(rows)[:, None].clamp(max=rows - 1 - repeats)
        distinct, places = distinct_rows(ids)
        assert (len(distinct), places is None) == (kept, kept == rows)

    def test_columns_of_another_table_are_compared_by_value(self) -> None:
        rows, places = distinct_rows(torch.tensor([[1, 2, 1], [2, 3, 2]])[:, ::2])
        assert (len(rows), places) == (2, None)
        assert len(distinct_rows(torch.tensor([[1, 2, 1], [1, 3, 1]])[:, ::2])[0]) == 1


class TestEqualTextsOnce:
    def test_the_tower_gets_each_text_once(self, monkeypatch: pytest.MonkeyPatch) -> None:
        trainer = make_trainer(**ALL_TERMS)
        batch = trainer.feed.batch(0)
        calls = record_rows(trainer, monkeypatch)
        trainer.backward(batch)
        texts, base = calls
        assert len(texts) == len(texts.unique(dim=0)) == len(batch.all_ids.unique(dim=0)) < len(batch.all_ids)
        assert len(base) == len(batch.ids[-batch.replay :].unique(dim=0))

    def test_loss_and_gradients_are_those_of_every_row(self) -> None:
        trainer = make_trainer(**ALL_TERMS)
        loss, grads = gradients(trainer, trainer.backward)
        expected, expected_grads = gradients(trainer, every_row(trainer))
        assert loss == pytest.approx(expected, rel=1e-7)
        assert_close(grads, expected_grads, 2e-6)
        assert "logit_scale" in grads

    def test_without_equal_texts_the_bits_are_the_same(self) -> None:
        trainer = make_trainer(repeats=False, same_image_mask=True)
        loss, grads = gradients(trainer, trainer.backward)
        expected, expected_grads = gradients(trainer, every_row(trainer))
        assert loss == expected
        assert all(torch.equal(value, expected_grads[name]) for name, value in grads.items())


class TestMicroBatches:
    @pytest.mark.parametrize(("terms", "micro_batch"), [({}, 5), (ALL_TERMS, 5), (ALL_TERMS, 1)])
    def test_the_gradients_are_those_of_the_whole_batch(self, terms: dict[str, Any], micro_batch: int) -> None:
        """In double precision, so that a lost term of 1e-6 would show."""
        whole, parts = (make_trainer(double=True, **terms, micro_batch=size) for size in (None, micro_batch))
        expected, expected_grads = gradients(whole, whole.backward)
        loss, grads = gradients(parts, parts.backward)
        assert loss == pytest.approx(expected, rel=1e-12)
        assert_close(grads, expected_grads, 1e-9)
        assert grads["logit_scale"].abs() > 1e-6

    def test_the_weights_after_some_steps_are_those_of_the_whole_batch(self) -> None:
        whole, parts = (make_trainer(**ALL_TERMS, clip_norm=1.0, micro_batch=size) for size in (None, 7))
        start = {name: value.detach().clone() for name, value in whole.weights.items()}
        losses = [[trainer.learn(trainer.feed.batch(step), step) for step in range(4)] for trainer in (whole, parts)]
        assert losses[1] == pytest.approx(losses[0], rel=1e-5)
        for name in ("token_embedding.weight", "text_projection", "logit_scale"):
            moved = (whole.weights[name] - start[name]).norm()
            assert (parts.weights[name] - whole.weights[name]).norm() <= 1e-3 * moved, name

    def test_the_tower_sees_few_rows_at_a_time(self, monkeypatch: pytest.MonkeyPatch) -> None:
        trainer = make_trainer(**ALL_TERMS, micro_batch=5)
        batch = trainer.feed.batch(0)
        calls = record_rows(trainer, monkeypatch)
        trainer.backward(batch)
        assert max(map(len, calls)) == 5
        distinct = len(batch.all_ids.unique(dim=0))
        base = len(batch.ids[-batch.replay :].unique(dim=0))
        assert sum(map(len, calls)) == 2 * distinct + base

    def test_a_batch_that_fits_is_encoded_once(self, monkeypatch: pytest.MonkeyPatch) -> None:
        trainer = make_trainer(micro_batch=PAIRS)
        calls = record_rows(trainer, monkeypatch)
        trainer.backward(trainer.feed.batch(0))
        assert len(calls) == 1

    def test_logit_scale_alone_can_be_trained(self) -> None:
        frozen = ("visual.", "ln_final.", "transformer.", "token_embedding", "positional_embedding", "text_projection")
        trainer = make_trainer(micro_batch=5, frozen=frozen)
        assert set(gradients(trainer, trainer.backward)[1]) == {"logit_scale"}


class TestPrecision:
    def test_the_products_are_bf16_and_everything_else_is_float32(self) -> None:
        trainer, types = make_trainer(**ALL_TERMS, precision="bf16"), set[torch.dtype]()
        exact_loss, exact = gradients(trainer, every_row(trainer))
        block = trainer.model.model.transformer.resblocks[0]
        block.mlp.c_fc.register_forward_hook(lambda part, inputs, output: types.add(output.dtype))
        features = trainer._encoder.encode(trainer.feed.batch(0).ids)
        assert types == {torch.bfloat16}
        assert features.dtype == torch.float32
        assert (features.norm(dim=1) - 1).abs().max() < 1e-6, "normalised after the conversion"
        loss, grads = gradients(trainer, trainer.backward)
        assert {value.dtype for value in (*grads.values(), *trainer.weights.values())} == {torch.float32}
        assert loss != exact_loss
        assert loss == pytest.approx(exact_loss, rel=1e-2)
        for name, value in exact.items():
            if not name.endswith("in_proj_bias"):  # a third of its true gradient is 0
                assert functional.cosine_similarity(grads[name].flatten(), value.flatten(), dim=0) > 0.99, name

    def test_in_parts_the_gradients_have_a_graph_and_are_those_of_the_whole(self) -> None:
        """Copies of weights from the pass without graph must not be used in the pass with graph."""
        whole, parts = (make_trainer(**ALL_TERMS, precision="bf16", micro_batch=size) for size in (None, 7))
        expected, grads = (gradients(trainer, trainer.backward)[1] for trainer in (whole, parts))
        assert grads.keys() == expected.keys()
        for name in ("text_projection", "transformer.resblocks.0.mlp.c_fc.weight", "token_embedding.weight"):
            assert functional.cosine_similarity(grads[name].flatten(), expected[name].flatten(), dim=0) > 0.999, name

    def test_the_scale_of_fp16_changes_no_step(self) -> None:
        """On the CPU, where the command refuses it; with the scale, a gradient would be clipped to nothing."""
        start, half = (make_trainer(precision=precision, clip_norm=0.1) for precision in ("fp32", "fp16"))
        half.restore_scaler({**half.scaler_state, "scale": 1024.0})  # type: ignore[dict-item]
        before = {name: value.detach().clone() for name, value in start.weights.items()}
        scaled, exact = (gradients(trainer, trainer.backward)[1]["text_projection"] for trainer in (half, start))
        assert scaled.norm() == pytest.approx(1024 * exact.norm(), rel=1e-2)
        losses = [trainer.learn(trainer.feed.batch(0), 0) for trainer in (start, half)]
        assert losses[1] == pytest.approx(losses[0], rel=1e-2)
        grads = [value.grad for value in half.weights.values() if value.grad is not None]
        assert torch.nn.utils.get_total_norm(grads) == pytest.approx(0.1, rel=1e-3), "clipped without the scale"
        for name in ("text_projection", "logit_scale"):
            moved = start.weights[name] - before[name]
            assert (half.weights[name] - start.weights[name]).norm() < 0.3 * moved.norm(), name

    def test_a_gradient_that_overflows_skips_the_step_and_lowers_the_scale(self) -> None:
        trainer = make_trainer(precision="fp16")
        trainer.restore_scaler({**trainer.scaler_state, "scale": 2.0**120})  # type: ignore[dict-item]
        before = {name: value.detach().clone() for name, value in trainer.weights.items()}
        trainer.learn(trainer.feed.batch(0), 0)
        assert all(torch.equal(value, before[name]) for name, value in trainer.weights.items())
        assert trainer.scaler_state is not None
        assert trainer.scaler_state["scale"] == 2.0**119

    def test_the_scale_is_in_the_checkpoint(self, tmp_path: Path) -> None:
        trainer, again = make_trainer(precision="fp16"), make_trainer(precision="fp16")
        trainer.restore_scaler({**trainer.scaler_state, "scale": 2.0**120})  # type: ignore[dict-item]
        trainer.learn(trainer.feed.batch(0), 0)
        run = TrainingRun(tmp_path, trainer, lambda: True, fingerprint="f")
        with pytest.raises(Interrupted):
            run.train()
        with pytest.raises(Interrupted):
            TrainingRun(tmp_path, again, lambda: True, fingerprint="f").train()
        assert again.scaler_state == {**trainer.scaler_state, "scale": 2.0**117}  # type: ignore[dict-item]
        assert make_trainer().scaler_state is None

    @pytest.mark.parametrize(
        ("precision", "device", "supported"),
        [
            ("fp32", "mps", True),
            ("bf16", "cpu", True),
            ("bf16", "cuda:1", True),
            ("fp16", "cuda", True),
            ("fp16", "cpu", False),
            ("bf16", "mps", False),
            ("fp16", "mps", False),
        ],
    )
    def test_what_a_device_does_not_support_is_refused_with_a_hint(
        self, precision: Precision, device: str, supported: bool
    ) -> None:
        with nullcontext() if supported else pytest.raises(RunRefused, match=f"{precision} on the device") as refused:
            check_precision(TrainSettings(precision=precision), device)
        assert supported or "fp32" in refused.value.hint
