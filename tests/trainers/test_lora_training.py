"""A training of LoRA adapters: the losses of a plain computation, small checkpoints, the same bytes after an
interruption, and an ordinary model at the end."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import open_clip
import pytest
import torch
from support.clip_models import tiny_config
from torch import Tensor, nn
from torch.func import functional_call

from trainers.data.dataset import EpochOrder
from trainers.data.training_data import load
from trainers.features.image_features import ImageFeatures
from trainers.loop.finetune import ADAPTER_FOLDER, Interrupted, run_training
from trainers.loop.objectives import info_nce
from trainers.models.loading import load_model
from trainers.models.lora import Adapters
from trainers.run_files import LOG, RunWriter, checkpoints_of, read_metrics
from trainers.settings import RunConfig, create_run

peft = pytest.importorskip("peft")

STEPS = 8
TEXTS = ["a dog with no hat", "no cat"]


@pytest.fixture(scope="module")
def config(corpus: Path) -> RunConfig:
    return tiny_config(corpus, steps=STEPS, lr=1e-2, keep="last", lora_rank=4, lora_alpha=8.0, interpolation=0.5)


@pytest.fixture(scope="module")
def straight(config: RunConfig, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An uninterrupted run."""
    folder = tmp_path_factory.mktemp("runs") / "straight"
    create_run(folder, replace(config, save_pth=True, save_hf=True))
    run_training(folder)
    return folder


@dataclass(frozen=True)
class Plain:
    losses: list[float]
    state: dict[str, Tensor]
    """Weights halfway between base and tuned model."""


@pytest.fixture(scope="module")
def plain(config: RunConfig, tmp_path_factory: pytest.TempPathFactory) -> Plain:
    """The same training as W + 2 * B @ A, with open_clip's model as it is, from the first matrices of ours."""
    scratch = tmp_path_factory.mktemp("plain")
    loaded = load_model(config.model)
    data = load(config, ImageFeatures(scratch, loaded), RunWriter(scratch), lambda: False)
    order = EpochOrder(len(data.train), config.settings.batch, config.settings.seed, drop_last=True)
    start = Adapters(loaded.model, config.settings).weights
    factors = {
        name.replace(".lora_A.default.weight", ".in_proj_weight" if ".attn." in name else ".weight"): (first, second)
        for (name, first), second in zip(
            ((name, value) for name, value in start.items() if "lora_A" in name),
            (value for name, value in start.items() if "lora_B" in name),
            strict=True,
        )
    }
    model, _ = open_clip.create_model_from_pretrained(f"local-dir:{config.model}")
    tokenizer = open_clip.get_tokenizer(f"local-dir:{config.model}")
    base = dict(model.state_dict())
    settings = config.settings
    optimizer = torch.optim.AdamW(
        [each for pair in factors.values() for each in pair], lr=settings.lr, weight_decay=settings.weight_decay
    )
    features = ImageFeatures(scratch, load_model(config.model))

    def encode(texts: list[str], share: float) -> Tensor:
        weights = {name: base[name] + share * 2 * second @ first for name, (first, second) in factors.items()}
        encoder = _TextEncoder(model)
        return functional_call(encoder, {f"model.{name}": value for name, value in weights.items()}, tokenizer(texts))

    losses = []
    for step in range(STEPS):
        pairs = [data.train[row] for row in order.rows(step).tolist()]
        images = torch.from_numpy(features.features([pair.path for pair in pairs]))
        loss = info_nce(images, encode([pair.text for pair in pairs], 1.0), base["logit_scale"].exp())
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    halfway = {name: (base[name] + second @ first).detach() for name, (first, second) in factors.items()}
    return Plain(losses, base | halfway)


class _TextEncoder(nn.Module):
    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model = model

    def forward(self, ids: Tensor) -> Tensor:
        return self.model.encode_text(ids, normalize=True)  # type: ignore[no-any-return, operator]


def _losses(folder: Path) -> list[float]:
    return [row["loss"] for row in read_metrics(folder) if row["step"]]


def _weights(folder: Path) -> bytes:
    return (folder / "model" / "open_clip_model.safetensors").read_bytes()


def test_the_losses_and_the_model_are_those_of_a_plain_computation(straight: Path, plain: Plain) -> None:
    assert _losses(straight) == pytest.approx(plain.losses, rel=1e-5)
    ours = load_model(str(straight / "model")).model.state_dict()
    assert ours.keys() == plain.state.keys()
    for name, value in ours.items():
        torch.testing.assert_close(value, plain.state[name], atol=1e-5, rtol=1e-4)
    assert "LoRA adapters of rank 4 on 6 layers (attn, c_fc, c_proj): 3,584 weights" in (straight / LOG).read_text()


@pytest.fixture
def idle_attention(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    from peft.tuners.lora.layer import MultiheadAttention

    class Idle(MultiheadAttention):
        def forward(self, query: Tensor, *args: object, **kwargs: object) -> Tensor:
            return self.get_base_layer()(query, *args, **kwargs)  # type: ignore[no-any-return]

    monkeypatch.setattr("trainers.models.lora._attention_class", lambda: Idle)
    return


@pytest.mark.usefixtures("idle_attention")
def test_a_trainer_that_ignores_adapters_of_attention_fails(config: RunConfig, plain: Plain, tmp_path: Path) -> None:
    create_run(tmp_path / "r", config)
    run_training(tmp_path / "r")
    with pytest.raises(AssertionError):
        test_the_losses_and_the_model_are_those_of_a_plain_computation(tmp_path / "r", plain)


def test_stopped_at_every_step_it_ends_with_the_same_bytes(config: RunConfig, straight: Path, tmp_path: Path) -> None:
    folder = tmp_path / "often"
    create_run(folder, config)
    for _ in range(4):
        with pytest.raises(Interrupted):
            run_training(folder, stop=lambda: True)
    checkpoint = next(iter(checkpoints_of(folder).values()))
    assert checkpoint.stat().st_size < 0.05 * len(_weights(straight))
    run_training(folder)
    assert _weights(folder) == _weights(straight)
    assert _losses(folder) == _losses(straight)


def test_the_saved_adapter_gives_the_saved_model(config: RunConfig, straight: Path) -> None:
    """In peft, the adapter on the base model has the features of the interpolated model."""
    expected = load_model(str(straight / "model")).encode_texts(TEXTS)
    base = load_model(config.model)
    assert (expected - base.encode_texts(TEXTS)).abs().max() > 1e-2
    peft.PeftModel.from_pretrained(base.model, str(straight / ADAPTER_FOLDER))
    torch.testing.assert_close(base.encode_texts(TEXTS), expected, atol=1e-6, rtol=0)


def test_every_loader_opens_the_model(straight: Path) -> None:
    expected = load_model(str(straight / "model")).encode_texts(TEXTS)
    for spec in (f"gelu:{straight / 'model.pth'}", str(straight / "hf")):
        torch.testing.assert_close(load_model(spec).encode_texts(TEXTS), expected, atol=1e-6, rtol=0)
    model = open_clip.create_model(f"local-dir:{straight / 'model'}").eval()
    ids = open_clip.get_tokenizer(f"local-dir:{straight / 'model'}")(TEXTS)
    with torch.no_grad():
        torch.testing.assert_close(model.encode_text(ids, normalize=True), expected, atol=1e-6, rtol=0)
