"""The engine kind `openai`: any server with OpenAI's chat completions API (vLLM, SGLang, Ollama, llama.cpp,
transformers serve, hosted ones)."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import replace
from typing import Any, Final

from curation_db.enums import Method
from workbench.errors import UsageError
from workbench.generation.engines.answer_identity import RequestKind, settings_in_use
from workbench.generation.engines.http.retry import RetryPolicy
from workbench.generation.engines.image_payload import EncodedImage, ImageEncoder
from workbench.generation.engines.openai import typed_decisions
from workbench.generation.engines.openai.calls import ChatCall, DecisionCall, EngineCall
from workbench.generation.engines.openai.probing.capabilities import (
    Capability,
    ProbedCapabilities,
    best_method,
    value_of,
)
from workbench.generation.engines.openai.request_rules import request_rules
from workbench.generation.engines.openai.server_pool import ServerPool, open_pool
from workbench.generation.engines.protocol import EngineContext, EngineStopped, StoreAnswer
from workbench.generation.engines.requests import AnswerFormat, ModelAnswer, ModelRequest, RequestFailure
from workbench.workspace.settings.engines import EngineSettings
from workbench.workspace.settings.server_address import plain_url

_METHODS: Final = ("auto", Method.LOGPROBS, Method.DECISION, Method.SAMPLES, Method.BARE)


async def make(settings: EngineSettings, context: EngineContext, *, policy: RetryPolicy | None = None) -> OpenAiEngine:
    """Open the engine after a check of the server's list of models.

    Raises:
        UsageError: invalid settings; or no model is named and the server does not list exactly one.
        EngineStopped: the server cannot be reached, or refuses access.
    """
    check(settings)
    policy = policy or RetryPolicy()
    pool, model = await open_pool(settings, context, policy)
    return OpenAiEngine(replace(settings, model=model), context, pool)


def check(settings: EngineSettings) -> None:
    """Raise UsageError for invalid settings of this engine kind."""
    where = f"[engines.{settings.name}]"
    if settings.method not in _METHODS:
        raise UsageError(f"{where} method: unknown value {settings.method!r}", hint="one of: " + ", ".join(_METHODS))
    if settings.pictures not in {"data", "file"}:
        raise UsageError(f"{where} pictures: unknown value {settings.pictures!r}", hint="one of: data, file")
    if settings.raw_prompts:
        raise UsageError(
            f"{where} raw_prompts: a chat server applies its model's chat template to every prompt",
            hint='kind = "transformers" supports raw prompts',
        )
    if min(settings.concurrency, settings.tries, settings.samples) < 1 or settings.timeout <= 0:
        raise UsageError(f"{where} concurrency, tries, samples and timeout must be above zero")


class OpenAiEngine:
    """See `workbench.generation.engines.protocol.Engine`."""

    def __init__(self, settings: EngineSettings, context: EngineContext, pool: ServerPool) -> None:
        self._settings = settings
        self._capabilities: ProbedCapabilities | None = context.capabilities(plain_url(settings.url), settings.model)
        self._rules = request_rules(settings, self._capabilities)
        self._pool = pool
        self._pictures = ImageEncoder(settings.picture_side, as_files=settings.pictures == "file")

    @property
    def model(self) -> str:
        """Model name on the server."""
        return self._settings.model

    @property
    def simulated(self) -> bool:
        """A server is assumed to run a model."""
        return False

    @property
    def capacity(self) -> int:
        """Current limit of requests in flight."""
        return self._pool.capacity

    @property
    def in_flight(self) -> int:
        """Number of requests that are sent, and whose answers are not yet in the record."""
        return self._pool.in_flight

    @property
    def unanswered(self) -> int:
        """Number of requests that were sent for calls without an answer in the record."""
        return self._pool.unanswered

    def answer_settings(self, kind: RequestKind) -> dict[str, Any]:
        """Return the values that the engine uses in place of its settings; see `AnswerIdentity.of`."""
        return settings_in_use(self._settings, self._capabilities, kind)

    async def answer(self, group: Sequence[ModelRequest], store_answer: StoreAnswer) -> None:
        """See `Engine`. Calls in flight still finish when another call stops the engine."""
        calls = await self._calls(group, store_answer)
        image = next((request.picture.key for request in group if request.picture is not None), "")
        ended = await asyncio.gather(
            *(self._pool.run(call, store_answer, image) for call in calls), return_exceptions=True
        )
        errors = [error for error in ended if error is not None]
        if errors:
            raise next((error for error in errors if not isinstance(error, EngineStopped)), errors[0])

    async def close(self) -> None:
        """Close the connections."""
        await self._pictures.close()
        await self._pool.close()

    async def _calls(self, group: Sequence[ModelRequest], store_answer: StoreAnswer) -> list[EngineCall]:
        """Build the calls for `group`; requests that cannot be sent are answered with an error."""
        calls: list[EngineCall] = []
        decision_groups: dict[tuple[str, str], list[int]] = {}
        images: dict[int, EncodedImage | None] = {}
        for index, request in enumerate(group):
            method = best_method(self._settings.method, self._capabilities, has_image=request.picture is not None)
            decided = request.answer_format is AnswerFormat.YES_NO and method is Method.DECISION
            images[index] = picture = await self._shown(request, as_data=decided)
            error = _image_error(picture) or (self._needs_proof(request) if decided else None)
            if error is not None:
                await store_answer(index, error)
            elif decided:
                decision_groups.setdefault(
                    (picture.url if picture else "", typed_decisions.preceding_text(request)), []
                ).append(index)
            else:
                calls.append(self._chat(index, request, method, picture))
        for indices in decision_groups.values():
            for start in range(0, len(indices), typed_decisions.MAX_QUESTIONS):
                some = indices[start : start + typed_decisions.MAX_QUESTIONS]
                calls.append(self._decision(some, group, images[some[0]]))
        return calls

    async def _shown(self, request: ModelRequest, *, as_data: bool) -> EncodedImage | None:
        return None if request.picture is None else await self._pictures.encode(request.picture, as_data=as_data)

    def _needs_proof(self, request: ModelRequest) -> ModelAnswer | None:
        """Return an error unless the server was proved to use the images of decisions; it may ignore them silently."""
        if request.picture is None or value_of(self._capabilities, Capability.DECISION_PICTURE):
            return None
        return ModelAnswer(
            error=RequestFailure.UNSUPPORTED,
            detail="typed decisions with images are not proved for this server; run: negwb generate probe",
            tries=0,
        )

    def _chat(self, index: int, request: ModelRequest, method: Method, picture: EncodedImage | None) -> ChatCall:
        return ChatCall(
            index=index,
            request=request,
            model=self.model,
            method=method,
            picture=picture,
            samples=self._settings.samples,
            options=self._settings.options,
            rules=self._rules,
        )

    def _decision(
        self, indices: Sequence[int], group: Sequence[ModelRequest], picture: EncodedImage | None
    ) -> DecisionCall:
        shape = value_of(self._capabilities, Capability.DECISION_PICTURE) or typed_decisions.PictureShape.ASSETS
        return DecisionCall(
            indices=tuple(indices),
            requests=tuple(group[index] for index in indices),
            model=self.model,
            picture=picture,
            shape=typed_decisions.PictureShape(shape),
        )


def _image_error(picture: EncodedImage | None) -> ModelAnswer | None:
    if picture is None or not picture.error:
        return None
    return ModelAnswer(error=picture.error, detail=picture.detail, tries=0)
