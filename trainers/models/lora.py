"""LoRA adapters (arXiv 2106.09685) on the linear layers of a text tower, through peft.

An adapter adds a product of two small matrices to the weight of a layer. The base weights never change, and at the end
the products are added to them, so that the saved model is an ordinary one.
"""

from __future__ import annotations

import copy
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from safetensors.torch import save_file
from torch import Tensor, nn

from curation_db.language.sanitize import counted, first_line
from trainers.errors import RunRefused
from trainers.settings import TrainSettings

if TYPE_CHECKING:
    from peft import LoraConfig
    from peft.tuners.lora import LoraModel

_NAME = "default"
"""peft's name of a model's adapter where there is one."""
_FILE_PREFIX = "base_model.model."
"""Prefix of the names in an adapter file of peft."""
_IN_PROJ = "in_proj_weight"
_IDLE = ".out_proj."
"""Part of the names of adapters that stay 0: peft 0.21 counts that of the output projection of an attention twice
(huggingface/peft #3774), so that the saved adapters would have other features in other versions of peft."""


def adapted_layers(model: nn.Module, settings: TrainSettings) -> list[str]:
    """Return the names of the layers that get adapters: linear layers and `nn.MultiheadAttention` that are not frozen.

    The projection of the tower has none: open_clip asks for its class, which an adapter changes.

    Raises:
        RunRefused: peft is missing, or a name of `lora_targets` is that of no such layer.
    """
    try:
        import peft  # noqa: F401, PLC0415 -- an optional package, whose import takes seconds
    except ImportError as error:
        hint = "install the extra lora of negwb, or train without lora_rank"
        raise RunRefused(f"lora_rank needs the package peft: {first_line(error)}", hint=hint) from error
    frozen = tuple(part for name in settings.frozen for part in (name, f"text.{name}"))
    attentions = [name for name, part in model.named_modules() if isinstance(part, nn.MultiheadAttention)]
    within = tuple(f"{name}." for name in attentions)
    layers = [
        name
        for name, part in model.named_modules()
        if isinstance(part, (nn.Linear, nn.MultiheadAttention))
        and not f"{name}.".startswith(frozen)
        and not name.startswith(within)
        and not _is_named(name, "text_projection")
    ]
    known = sorted({name.rpartition(".")[2] for name in layers})
    wanted = settings.lora_targets or known
    unknown = [target for target in wanted if not any(_is_named(name, target) for name in layers)]
    if unknown or not layers:
        problem = f"no layer of the text tower is named {unknown[0]}" if unknown else "no layer can have an adapter"
        raise RunRefused(f"lora_targets: {problem}", hint=f"the layers are {', '.join(known)}" if known else "")
    return [name for name in layers if any(_is_named(name, target) for target in wanted)]


def _is_named(layer: str, target: str) -> bool:
    return layer == target or layer.endswith(f".{target}")


class Adapters:
    """The adapters of a model, in place until `merge`."""

    def __init__(self, model: nn.Module, settings: TrainSettings) -> None:
        """Add the adapters; the model's features do not change, because the second matrix of each starts as 0.

        Raises:
            RunRefused: as for `adapted_layers`.
        """
        from peft import LoraConfig  # noqa: PLC0415
        from peft.tuners.lora import LoraModel  # noqa: PLC0415

        self._layers = adapted_layers(model, settings)
        rank = settings.lora_rank
        assert rank is not None
        targets = "|".join(map(re.escape, self._layers))  # a list would match the ends of names, in the image tower too
        self._config: LoraConfig = LoraConfig(r=rank, lora_alpha=settings.lora_alpha, target_modules=targets)  # type: ignore[arg-type]  # an int for peft
        self._config._register_custom_module({nn.MultiheadAttention: _attention_class()})
        self._model = model
        self._base = {name: weight.detach().clone() for name, weight in self._plain_weights().items()}
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(settings.seed)  # the first matrix is random
            self._tuner: LoraModel = LoraModel(model, self._config, _NAME)
        self._all = {name: weight for name, weight in model.named_parameters() if weight.requires_grad}
        self.weights = {name: weight for name, weight in self._all.items() if _IDLE not in name}
        """The weights to train; all others are frozen."""
        for name in self._all.keys() - self.weights.keys():
            self._all[name].requires_grad_(False)

    def describe(self) -> str:
        """Return one line with rank, layers and number of weights."""
        kinds = ", ".join(sorted({name.rpartition(".")[2] for name in self._layers}))
        count = sum(weight.numel() for weight in self.weights.values())
        layers = counted(len(self._layers), "layer")
        return f"LoRA adapters of rank {self._config.r} on {layers} ({kinds}): {count:,} weights are trained"

    def merge(self) -> tuple[dict[str, nn.Parameter], dict[str, Tensor]]:
        """Add the adapters to the weights of their layers and remove them.

        Returns:
            The merged weights by their names in the model, and their values before.
        """
        self._tuner.merge_and_unload()
        return self._plain_weights(), self._base

    def save(self, folder: Path, *, share: float = 1.0) -> None:
        """Save the adapters in peft's format, for `PeftModel.from_pretrained` on the base model in open_clip.

        Args:
            share: factor on the adapters, as of an interpolation towards the base model.
        """
        folder.mkdir(parents=True, exist_ok=True)
        config = copy.copy(self._config)
        config.inference_mode, config.lora_alpha = True, self._config.lora_alpha * share  # type: ignore[assignment]
        config.save_pretrained(str(folder))
        state = {
            f"{_FILE_PREFIX}{name.replace(f'.{_NAME}.', '.')}": value.detach().cpu().contiguous()
            for name, value in self._all.items()
        }
        save_file(state, folder / "adapter_model.safetensors")

    def _plain_weights(self) -> dict[str, nn.Parameter]:
        """Return the weights of the layers without adapters."""
        weights = dict(self._model.named_parameters())
        names = (f"{layer}.{end}" for layer in self._layers for end in ("weight", _IN_PROJ))
        return {name: weights[name] for name in names if name in weights}


def _attention_class() -> type[nn.Module]:
    """Return peft's layer for `nn.MultiheadAttention` with another forward pass.

    That of peft 0.21 adds the product to the weights and subtracts it again, which changes the last bits of the base
    weights in every pass, so that a resumed run would end with other weights.
    """
    from peft.tuners.lora.layer import MultiheadAttention  # noqa: PLC0415

    class Attention(MultiheadAttention):
        def forward(self, query: Tensor, *args: Any, **kwargs: Any) -> Any:
            base = self.get_base_layer()
            with torch.autocast(query.device.type, enabled=False):
                in_proj = self.in_proj_weight + self.get_delta_weight(_NAME)
            return torch.func.functional_call(base, {_IN_PROJ: in_proj}, (query, *args), kwargs)

        def _restore_weights(self) -> None:
            """Do nothing: unlike in peft's layer, the weights are parameters at any time."""

    return Attention
