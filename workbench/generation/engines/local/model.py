"""A chat model of transformers in this process: prompts by its own template, answers for a batch at a time.

Loads torch: only `workbench.generation.engines.local.engine` imports this, and only when such an engine opens.
"""

from __future__ import annotations

import gc
import hashlib
import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import torch
import transformers.utils.logging
from jinja2 import TemplateError
from torch import Tensor
from transformers import AutoConfig, AutoModelForCausalLM, AutoModelForImageTextToText, AutoProcessor
from transformers.models.auto.modeling_auto import MODEL_FOR_IMAGE_TEXT_TO_TEXT_MAPPING_NAMES

from curation_db.enums import Method
from curation_db.language.sanitize import first_line
from workbench.errors import UsageError
from workbench.generation.engines.local.sampling import PerRowSampling, PerRowStopping
from workbench.generation.engines.local.yes_no_tokens import yes_no_token_ids
from workbench.generation.engines.requests import AnswerFormat, Message, ModelAnswer, ModelRequest, RequestFailure

if TYPE_CHECKING:
    from PIL import Image

_HASHED_BYTES: Final = 1 << 20
"""Bytes of a weight file's two ends that go into the model's name."""
_DTYPES: Final = {"float32": torch.float32, "bfloat16": torch.bfloat16, "float16": torch.float16}


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class PreparedRequest:
    """A question ready for a batch."""

    request: ModelRequest
    text: str
    """The whole prompt, as the model's template has it."""
    image: Image.Image | None
    raw: bool
    """The prompt came as one string: the tokenizer still has to begin it."""

    @property
    def kind(self) -> tuple[AnswerFormat, bool, bool]:
        """What may share a batch."""
        return self.request.answer_format, self.image is not None, self.raw


class LocalModel:
    """A loaded model with its processor. One batch at a time: callers see to that."""

    def __init__(self, folder: str, *, revision: str = "", device: str = "auto", dtype: str = "auto") -> None:
        """Load it.

        Args:
            folder: of the model, or its name on the hub.
            revision: of the hub.
            device: of torch; auto: the GPUs if there are any.
            dtype: auto: bfloat16 on a GPU, float32 on the CPU.

        Raises:
            UsageError: there is no such model, device or dtype, or it is none that chats.
        """
        transformers.utils.logging.disable_progress_bar()  # type: ignore[no-untyped-call]
        where = {"revision": revision} if revision else {}
        place = _device_map(device)
        try:
            config = AutoConfig.from_pretrained(folder, trust_remote_code=False, **where)
            self.accepts_images = config.model_type in MODEL_FOR_IMAGE_TEXT_TO_TEXT_MAPPING_NAMES
            self.processor = _processor(folder, where)
            self.accepts_images = self.accepts_images and getattr(self.processor, "image_processor", None) is not None
            loader: Any = AutoModelForImageTextToText if self.accepts_images else AutoModelForCausalLM
            self._model: Any = loader.from_pretrained(
                folder, trust_remote_code=False, dtype=_dtype(dtype, place), device_map=place, **where
            ).eval()
        except (OSError, ValueError, RuntimeError, AssertionError, KeyError, ImportError) as error:
            hint = "a folder with a chat model, or its name on the hub; device and dtype as torch calls them"
            raise UsageError(f"the model {folder} cannot be loaded: {first_line(error)}", hint=hint) from error
        self.tokenizer: Any = getattr(self.processor, "tokenizer", self.processor)
        self.tokenizer.padding_side = "left"
        if self.tokenizer.pad_token_id is None:
            self.tokenizer.pad_token = self.tokenizer.eos_token
        self._yes, self._no = yes_no_token_ids(self.tokenizer)
        self.name = _name_of(folder, getattr(config, "_commit_hash", None))

    @property
    def _greedy(self) -> Mapping[str, Any]:
        off = dict.fromkeys(("temperature", "top_p", "top_k"))
        return {"do_sample": False, "pad_token_id": self.tokenizer.pad_token_id, **off}

    @property
    def has_chat_template(self) -> bool:
        """Whether it has a chat template."""
        return bool(self.processor.chat_template or self.tokenizer.chat_template)

    def free_memory(self) -> None:
        """Give memory back that nobody uses any more."""
        if torch.cuda.is_available():
            gc.collect()
            torch.cuda.empty_cache()

    def unload(self) -> None:
        """Let go of the weights."""
        self._model = None
        self.free_memory()

    def prompt(self, messages: Sequence[Message], *, picture: bool) -> str:
        """The chat as the model's template has it, up to where the model speaks.

        A template that knows no system message, by refusing it or by leaving it out, gets it before the first
        message of the user.

        Raises:
            ValueError: the template has no place for these messages.
        """
        system = [message.text for message in messages if message.role == "system"]
        try:
            said = self._render(messages, picture=picture)
            if all(text.strip() in said for text in system):
                return said
        except TemplateError as error:
            if not system:
                raise ValueError(str(error)) from error
        try:
            return self._render(_folded(messages), picture=picture)
        except TemplateError as error:
            raise ValueError(str(error)) from error

    def _render(self, messages: Sequence[Message], *, picture: bool) -> str:
        chat: list[dict[str, Any]] = [{"role": message.role, "content": message.text} for message in messages]
        if self.accepts_images:
            last = max((place for place, message in enumerate(messages) if message.role == "user"), default=-1)
            for place, turn in enumerate(chat):
                shown = [{"type": "image"}] if picture and place == last else []
                turn["content"] = [*shown, {"type": "text", "text": turn["content"]}]
        return str(self.processor.apply_chat_template(chat, tokenize=False, add_generation_prompt=True))

    @torch.inference_mode()
    def answer(self, batch: Sequence[PreparedRequest], stop: threading.Event) -> list[ModelAnswer]:
        """Answers to questions of one `PreparedRequest.kind`, in their order.

        Raises:
            torch.OutOfMemoryError: the batch is too large.
        """
        inputs = self._inputs(batch)
        lengths = inputs["attention_mask"].sum(dim=1).tolist()
        if batch[0].request.answer_format is AnswerFormat.YES_NO:
            return [self._decided(row, length) for row, length in zip(self._first(inputs), lengths, strict=True)]
        return self._written(batch, inputs, lengths, stop)

    def _inputs(self, batch: Sequence[PreparedRequest]) -> Mapping[str, Tensor]:
        told: dict[str, Any] = {"images": [item.image for item in batch]} if batch[0].image is not None else {}
        made = self.processor(
            text=[item.text for item in batch],
            padding=True,
            return_tensors="pt",
            add_special_tokens=batch[0].raw,  # a template writes them itself
            **told,
        )
        made.pop("token_type_ids", None)
        device, dtype = self._model.device, self._model.dtype
        return {name: part.to(device, dtype=dtype if part.is_floating_point() else None) for name, part in made.items()}

    def _first(self, inputs: Mapping[str, Tensor]) -> Tensor:
        """Log-probabilities of the first token of the answer, by one forward pass.  -> (B, V) float32, CPU"""
        # by way of generate: it knows each architecture's positions under left padding
        made = self._model.generate(
            **inputs, **self._greedy, max_new_tokens=1, output_logits=True, return_dict_in_generate=True
        )
        return torch.log_softmax(made.logits[0].float(), dim=-1).cpu()

    def _decided(self, row: Tensor, length: int) -> ModelAnswer:
        yes, no = (float(row[ids].double().exp().sum()) for ids in (self._yes, self._no))
        return ModelAnswer(
            text=str(self.tokenizer.decode([int(row.argmax())], skip_special_tokens=True)),
            p=yes / (yes + no) if yes + no > 0 else None,
            label_mass=min(1.0, yes + no),
            method=Method.LOGPROBS,
            prompt_tokens=length,
            completion_tokens=1,
        )

    def _written(
        self, batch: Sequence[PreparedRequest], inputs: Mapping[str, Tensor], lengths: list[int], stop: threading.Event
    ) -> list[ModelAnswer]:
        rows = [item.request.sampling for item in batch]
        start = inputs["input_ids"].shape[1]
        made = self._model.generate(
            **inputs,
            **self._greedy,  # the rows choose for themselves
            max_new_tokens=max(row.max_tokens for row in rows),
            logits_processor=[PerRowSampling(rows)],
            stopping_criteria=[PerRowStopping(rows, start, stop)],
        )
        ends = self._ends()
        answers = []
        for tokens, row, length in zip(made[:, start:].tolist(), rows, lengths, strict=True):
            said = tokens[: row.max_tokens]
            end = next((place for place, token in enumerate(said) if token in ends), None)
            answers.append(self._read(said if end is None else said[:end], length, ended=end is not None))
        return answers

    def _ends(self) -> set[int]:
        told = self._model.generation_config.eos_token_id
        told = self.tokenizer.eos_token_id if told is None else told
        return set(told) if isinstance(told, list) else {told}

    def _read(self, tokens: list[int], length: int, *, ended: bool) -> ModelAnswer:
        text = str(self.tokenizer.decode(tokens, skip_special_tokens=True))
        error, detail = "", ""
        if not ended:
            error, detail = RequestFailure.TOO_LONG, f"no end within {len(tokens)} tokens"
        elif not text.strip():
            error = RequestFailure.EMPTY
        return ModelAnswer(
            text=text,
            prompt_tokens=length,
            completion_tokens=len(tokens) + ended,
            error=error,
            detail=detail,
        )


def _processor(folder: str, where: Mapping[str, str]) -> Any:
    loader: Any = AutoProcessor
    return loader.from_pretrained(folder, trust_remote_code=False, **where)


def _folded(messages: Sequence[Message]) -> list[Message]:
    system = [message.text for message in messages if message.role == "system"]
    others = [message for message in messages if message.role != "system"]
    first = next((place for place, message in enumerate(others) if message.role == "user"), None)
    if first is not None:
        others[first] = Message("user", "\n\n".join([*system, others[first].text]))
    return others


def _device_map(device: str) -> str | dict[str, str]:
    if device != "auto":
        return {"": device}
    return "auto" if torch.cuda.is_available() else {"": "cpu"}


def _dtype(asked: str, place: str | dict[str, str]) -> torch.dtype:
    if asked != "auto":
        if asked not in _DTYPES:
            raise ValueError(f"dtype {asked!r} is none of: auto, {', '.join(_DTYPES)}")
        return _DTYPES[asked]
    on_cpu = isinstance(place, dict) and place[""].startswith("cpu")
    return torch.float32 if on_cpu else torch.bfloat16


def _name_of(folder: str, commit: str | None) -> str:
    """What the memory of answers knows the model by: other weights under the same name are another model."""
    path = Path(folder)
    if not path.is_dir():
        return f"{folder}@{commit[:12]}" if commit else folder
    digest = hashlib.sha256()
    for file in sorted(part for part in path.iterdir() if part.is_file()):
        size = file.stat().st_size
        digest.update(f"{file.name}\n{size}\n".encode())
        with file.open("rb") as stream:
            digest.update(stream.read(_HASHED_BYTES))
            stream.seek(max(0, size - _HASHED_BYTES))
            digest.update(stream.read(_HASHED_BYTES))
    return f"{path.resolve().name}@{digest.hexdigest()[:12]}"
