"""A transformers chat model in this process: prompts by its chat template, answers batch by batch.

Imports torch: `workbench.generation.engines.local.engine` imports this module only when an engine opens.
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
"""Bytes at each end of a file that are hashed into the model's name."""
_DTYPES: Final = {"float32": torch.float32, "bfloat16": torch.bfloat16, "float16": torch.float16}


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class PreparedRequest:
    """A request ready for a batch."""

    request: ModelRequest
    text: str
    """The prompt after the chat template."""
    image: Image.Image | None
    raw: bool
    """The prompt is a raw string, so the tokenizer must add the special tokens."""

    @property
    def kind(self) -> tuple[AnswerFormat, bool, bool]:
        """Requests of equal kind can share a batch."""
        return self.request.answer_format, self.image is not None, self.raw


class LocalModel:
    """A loaded model with its processor. Callers run one batch at a time."""

    def __init__(self, folder: str, *, revision: str = "", device: str = "auto", dtype: str = "auto") -> None:
        """Load the model.

        Args:
            folder: Model folder, or name on the Hugging Face hub.
            revision: Revision on the hub.
            device: Torch device; auto: the GPUs, if there are any.
            dtype: Torch dtype; auto: bfloat16 on a GPU, float32 on the CPU.

        Raises:
            UsageError: the model, device or dtype does not exist, or the model cannot chat.
        """
        transformers.utils.logging.disable_progress_bar()  # type: ignore[no-untyped-call]
        where = {"revision": revision} if revision else {}
        index = _device_map(device)
        try:
            config = AutoConfig.from_pretrained(folder, trust_remote_code=False, **where)
            self.accepts_images = config.model_type in MODEL_FOR_IMAGE_TEXT_TO_TEXT_MAPPING_NAMES
            self.processor = _processor(folder, where)
            self.accepts_images = self.accepts_images and getattr(self.processor, "image_processor", None) is not None
            loader: Any = AutoModelForImageTextToText if self.accepts_images else AutoModelForCausalLM
            self._model: Any = loader.from_pretrained(
                folder, trust_remote_code=False, dtype=_dtype(dtype, index), device_map=index, **where
            ).eval()
        except (OSError, ValueError, RuntimeError, AssertionError, KeyError, ImportError) as error:
            hint = "model = a folder with a chat model or its name on the hub; device and dtype are torch's names"
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
        """Whether the model has a chat template."""
        return bool(self.processor.chat_template or self.tokenizer.chat_template)

    def free_memory(self) -> None:
        """Release unused GPU memory."""
        if torch.cuda.is_available():
            gc.collect()
            torch.cuda.empty_cache()

    def unload(self) -> None:
        """Release the weights."""
        self._model = None
        self.free_memory()

    def prompt(self, messages: Sequence[Message], *, picture: bool) -> str:
        """Apply the chat template, up to the start of the model's answer.

        If the template rejects or drops system messages, their text is put before the first user message.

        Raises:
            ValueError: the template rejects the messages.
        """
        system = [message.text for message in messages if message.role == "system"]
        try:
            prompt_text = self._render(messages, picture=picture)
            if all(text.strip() in prompt_text for text in system):
                return prompt_text
        except TemplateError as error:
            if not system:
                raise ValueError(str(error)) from error
        try:
            return self._render(_merge_system_messages(messages), picture=picture)
        except TemplateError as error:
            raise ValueError(str(error)) from error

    def _render(self, messages: Sequence[Message], *, picture: bool) -> str:
        chat: list[dict[str, Any]] = [{"role": message.role, "content": message.text} for message in messages]
        if self.accepts_images:
            last = max((index for index, message in enumerate(messages) if message.role == "user"), default=-1)
            for index, turn in enumerate(chat):
                shown = [{"type": "image"}] if picture and index == last else []
                turn["content"] = [*shown, {"type": "text", "text": turn["content"]}]
        return str(self.processor.apply_chat_template(chat, tokenize=False, add_generation_prompt=True))

    @torch.inference_mode()
    def answer(self, batch: Sequence[PreparedRequest], stop: threading.Event) -> list[ModelAnswer]:
        """Answer requests of one `PreparedRequest.kind`, in their order.

        Raises:
            torch.OutOfMemoryError: the batch is too large.
        """
        inputs = self._inputs(batch)
        lengths = inputs["attention_mask"].sum(dim=1).tolist()
        if batch[0].request.answer_format is AnswerFormat.YES_NO:
            return [
                self._yes_no_answer(row, length)
                for row, length in zip(self._first_token_log_probs(inputs), lengths, strict=True)
            ]
        return self._text_answers(batch, inputs, lengths, stop)

    def _inputs(self, batch: Sequence[PreparedRequest]) -> Mapping[str, Tensor]:
        images: dict[str, Any] = {"images": [item.image for item in batch]} if batch[0].image is not None else {}
        output = self.processor(
            text=[item.text for item in batch],
            padding=True,
            return_tensors="pt",
            add_special_tokens=batch[0].raw,  # a chat template contains them
            **images,
        )
        output.pop("token_type_ids", None)
        device, dtype = self._model.device, self._model.dtype
        return {
            name: part.to(device, dtype=dtype if part.is_floating_point() else None) for name, part in output.items()
        }

    def _first_token_log_probs(self, inputs: Mapping[str, Tensor]) -> Tensor:
        """Return log-probabilities of the answer's first token, by one forward pass.  -> (B, V) float32, CPU"""
        # generate() handles the position ids of each architecture under left padding
        output = self._model.generate(
            **inputs, **self._greedy, max_new_tokens=1, output_logits=True, return_dict_in_generate=True
        )
        return torch.log_softmax(output.logits[0].float(), dim=-1).cpu()

    def _yes_no_answer(self, row: Tensor, length: int) -> ModelAnswer:
        yes, no = (float(row[ids].double().exp().sum()) for ids in (self._yes, self._no))
        return ModelAnswer(
            text=str(self.tokenizer.decode([int(row.argmax())], skip_special_tokens=True)),
            p=yes / (yes + no) if yes + no > 0 else None,
            label_mass=min(1.0, yes + no),
            method=Method.LOGPROBS,
            prompt_tokens=length,
            completion_tokens=1,
        )

    def _text_answers(
        self, batch: Sequence[PreparedRequest], inputs: Mapping[str, Tensor], lengths: list[int], stop: threading.Event
    ) -> list[ModelAnswer]:
        rows = [item.request.sampling for item in batch]
        start = inputs["input_ids"].shape[1]
        output = self._model.generate(
            **inputs,
            **self._greedy,  # PerRowSampling chooses the tokens
            max_new_tokens=max(row.max_tokens for row in rows),
            logits_processor=[PerRowSampling(rows)],
            stopping_criteria=[PerRowStopping(rows, start, stop)],
        )
        ends = self._end_tokens()
        answers = []
        for tokens, row, length in zip(output[:, start:].tolist(), rows, lengths, strict=True):
            generated = tokens[: row.max_tokens]
            end = next((index for index, token in enumerate(generated) if token in ends), None)
            answers.append(
                self._text_answer(generated if end is None else generated[:end], length, ended=end is not None)
            )
        return answers

    def _end_tokens(self) -> set[int]:
        eos = self._model.generation_config.eos_token_id
        eos = self.tokenizer.eos_token_id if eos is None else eos
        return set(eos) if isinstance(eos, list) else {eos}

    def _text_answer(self, tokens: list[int], length: int, *, ended: bool) -> ModelAnswer:
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


def _merge_system_messages(messages: Sequence[Message]) -> list[Message]:
    system = [message.text for message in messages if message.role == "system"]
    others = [message for message in messages if message.role != "system"]
    first = next((index for index, message in enumerate(others) if message.role == "user"), None)
    if first is not None:
        others[first] = Message("user", "\n\n".join([*system, others[first].text]))
    return others


def _device_map(device: str) -> str | dict[str, str]:
    if device != "auto":
        return {"": device}
    return "auto" if torch.cuda.is_available() else {"": "cpu"}


def _dtype(requested: str, index: str | dict[str, str]) -> torch.dtype:
    if requested != "auto":
        if requested not in _DTYPES:
            raise ValueError(f"dtype {requested!r} is none of: auto, {', '.join(_DTYPES)}")
        return _DTYPES[requested]
    on_cpu = isinstance(index, dict) and index[""].startswith("cpu")
    return torch.float32 if on_cpu else torch.bfloat16


def _name_of(folder: str, commit: str | None) -> str:
    """Return the model name for the answer cache; it contains a hash, since other weights are another model."""
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
