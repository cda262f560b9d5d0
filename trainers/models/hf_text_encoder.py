"""The text tower of a CLIP model as a CLIPTextModel of transformers, for pipelines that read all of its tokens."""

from __future__ import annotations

from typing import Final

from torch import Tensor
from transformers import CLIPTextConfig, CLIPTextModel

from trainers.errors import TrainerError
from trainers.models.clip_model import ClipModel
from trainers.models.hf_clip import hf_text_config
from trainers.models.layouts import to_hf, without_text_prefix
from trainers.models.routed import RoutedClipModel

_PREFIX: Final = "text_model."
"""Before the names of a CLIPTextModel, in older versions of transformers."""
_NOT_TEXT: Final = ("visual.", "text_projection", "logit_", "attn_mask")


def text_encoder(loaded: ClipModel) -> CLIPTextModel:
    """Return a copy of the text tower in float32 on the CPU, in evaluation mode.

    Its last hidden state (N, T, width) has the values of every token after the final layer norm, without the
    projection; nothing is trimmed.

    Raises:
        TrainerError: the model is routed, or a CLIPTextModel cannot express its text tower.
    """
    if isinstance(loaded, RoutedClipModel):
        hint = f"name its tuned part alone: tuned:{loaded.name}"
        raise TrainerError(f"{loaded.name} is routed: it has two text encoders", hint=hint)
    model = CLIPTextModel(CLIPTextConfig(**hf_text_config(loaded.config)))
    try:
        state = to_hf(_text_state(loaded))
    except KeyError as error:
        raise TrainerError(f"{loaded.name} has no text encoder of CLIP: it has the weights {error}") from error
    expected = model.state_dict().keys()
    if not any(name.startswith(_PREFIX) for name in expected):
        state = {name.removeprefix(_PREFIX): value for name, value in state.items()}
    # position_ids is a buffer of some versions, which is no weight
    missing, extra = model.load_state_dict(state, strict=False)
    if extra or any(not name.endswith("position_ids") for name in missing):
        raise TrainerError(f"{loaded.name} has no text encoder of CLIP: {', '.join([*missing, *extra][:3])} differ")
    model.train(False)
    return model


def _text_state(loaded: ClipModel) -> dict[str, Tensor]:
    plain = without_text_prefix(loaded.model.state_dict())
    return {
        name: value.detach().float().cpu().clone() for name, value in plain.items() if not name.startswith(_NOT_TEXT)
    }
