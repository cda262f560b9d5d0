"""The engine `openai`: any server that speaks OpenAI's chat completions (vLLM, SGLang, Ollama, llama.cpp, transformers
serve, hosted ones)."""

from __future__ import annotations

import asyncio
import os
import re
from collections.abc import Sequence
from dataclasses import replace
from typing import Final

from curation_db.enums import Method
from workbench.errors import UsageError
from workbench.generation.engines.http.client import HttpClient, TransportFailure
from workbench.generation.engines.http.errors import plain_url
from workbench.generation.engines.http.limiter import Limiter
from workbench.generation.engines.http.retry import RetryPolicy
from workbench.generation.engines.http.stop_reasons import connection_error
from workbench.generation.engines.http.window import AdaptiveConcurrency
from workbench.generation.engines.image_payload import EncodedImage, ImageEncoder
from workbench.generation.engines.openai import typed_decisions
from workbench.generation.engines.openai.calls import ChatCall, DecisionCall, EngineCall
from workbench.generation.engines.openai.capabilities import Capability, ProbedCapabilities, best_method, value_of
from workbench.generation.engines.openai.models_endpoint import listed_models
from workbench.generation.engines.openai.request_loop import RequestLoop
from workbench.generation.engines.protocol import EngineContext, EngineStopped, StoreAnswer
from workbench.generation.engines.requests import AnswerFormat, ModelAnswer, ModelRequest, RequestFailure
from workbench.workspace.engine_settings import EngineSettings

_METHODS: Final = ("auto", Method.LOGPROBS, Method.DECISION, Method.SAMPLES, Method.BARE)
_CONNECT_TRIES: Final = 3
_VARIABLE: Final = re.compile(r"[A-Z_][A-Z0-9_]*")


async def make(
    settings: EngineSettings, context: EngineContext, *, patience: RetryPolicy | None = None
) -> OpenAiEngine:
    """The engine for `settings`, after a look at the server's list of models.

    Raises:
        UsageError: the settings are off; the server lists no model, or several and none is named.
        EngineStopped: the server cannot be reached, or refuses the key.
    """
    check(settings)
    patience = patience or RetryPolicy()
    client = HttpClient(settings.url, key=api_key(settings), timeout=settings.timeout)
    try:
        model = await _model(settings, client, patience)
        return OpenAiEngine(replace(settings, model=model), context, client, patience)
    except BaseException:
        await client.close()
        raise


def check(settings: EngineSettings) -> None:
    """Raise UsageError where the settings of an engine of this kind are off."""
    where = f"[engines.{settings.name}]"
    if settings.method not in _METHODS:
        raise UsageError(f"{where} method: {settings.method!r} is none", hint="one of: " + ", ".join(_METHODS))
    if settings.pictures not in {"data", "file"}:
        raise UsageError(f"{where} pictures: {settings.pictures!r} is none", hint="one of: data, file")
    if settings.raw_prompts:
        raise UsageError(
            f"{where} raw_prompts: a chat server puts every prompt into its model's template",
            hint='kind = "transformers" can send a prompt as it is',
        )
    if min(settings.concurrency, settings.tries, settings.samples) < 1 or settings.timeout <= 0:
        raise UsageError(f"{where} concurrency, tries, samples and timeout must be above zero")


def api_key(settings: EngineSettings) -> str:
    """The key in the environment variable that the settings name; never kept elsewhere, never shown."""
    if not settings.key_env:
        return ""
    key = os.environ.get(settings.key_env, "").strip()
    if not key:
        known = _VARIABLE.fullmatch(settings.key_env)  # anything else may be the key itself, and is not shown
        raise UsageError(
            f"[engines.{settings.name}] the environment variable {settings.key_env if known else 'in key_env'} is not"
            " set",
            hint=f"put the API key into it: export {settings.key_env if known else 'MY_API_KEY'}=..."
            + ("" if known else ", and its name, as in MY_API_KEY, into key_env"),
        )
    if not key.isascii() or not key.isprintable():
        raise UsageError(f"what stands in {settings.key_env} is no API key: it has characters that no key has")
    return key


class OpenAiEngine:
    """See `workbench.generation.engines.protocol.Engine`."""

    def __init__(
        self, settings: EngineSettings, context: EngineContext, client: HttpClient, patience: RetryPolicy
    ) -> None:
        self._settings = settings
        self._features: ProbedCapabilities | None = context.capabilities(plain_url(settings.url), settings.model)
        self._client = client
        self._limiter = Limiter(
            AdaptiveConcurrency(
                settings.concurrency, first_pause=2 * patience.base, longest_pause=2 * patience.longest
            ),
            lambda: connection_error(settings, self._conversation.last_trouble),
        )
        self._conversation = RequestLoop(settings, context.budget, client, self._limiter, patience)
        self._pictures = ImageEncoder(settings.picture_side, as_files=settings.pictures == "file")

    @property
    def model(self) -> str:
        """As the server calls it."""
        return self._settings.model

    @property
    def simulated(self) -> bool:
        """A server's model is taken for one."""
        return False

    @property
    def capacity(self) -> int:
        """As many as the server takes now; more while it is not known."""
        return self._limiter.window.limit

    async def answer(self, group: Sequence[ModelRequest], store_answer: StoreAnswer) -> None:
        """See `Engine`. What is in flight when something stops the run is still answered and stored."""
        calls = await self._calls(group, store_answer)
        ended = await asyncio.gather(
            *(self._conversation.run(call, store_answer) for call in calls), return_exceptions=True
        )
        errors = [error for error in ended if error is not None]
        if errors:
            raise next((error for error in errors if not isinstance(error, EngineStopped)), errors[0])

    async def close(self) -> None:
        """Close the connections."""
        self._limiter.close()
        await self._pictures.close()
        await self._client.close()

    async def _calls(self, group: Sequence[ModelRequest], store_answer: StoreAnswer) -> list[EngineCall]:
        """The calls for the questions that can be asked; the others are answered with why they cannot."""
        calls: list[EngineCall] = []
        together: dict[tuple[str, str], list[int]] = {}
        shown: dict[int, EncodedImage | None] = {}
        for index, ask in enumerate(group):
            method = best_method(self._settings.method, self._features, pictured=ask.picture is not None)
            decided = ask.answer_format is AnswerFormat.YES_NO and method is Method.DECISION
            shown[index] = picture = await self._shown(ask, as_data=decided)
            error = _image_error(picture) or (self._blind(ask) if decided else None)
            if error is not None:
                await store_answer(index, error)
            elif decided:
                together.setdefault((picture.url if picture else "", typed_decisions.preceding_text(ask)), []).append(
                    index
                )
            else:
                calls.append(self._chat(index, ask, method, picture))
        for indices in together.values():
            for start in range(0, len(indices), typed_decisions.MAX_QUESTIONS):
                some = indices[start : start + typed_decisions.MAX_QUESTIONS]
                calls.append(self._decision(some, group, shown[some[0]]))
        return calls

    async def _shown(self, ask: ModelRequest, *, as_data: bool) -> EncodedImage | None:
        return None if ask.picture is None else await self._pictures.show(ask.picture, as_data=as_data)

    def _blind(self, ask: ModelRequest) -> ModelAnswer | None:
        """A server that was never seen to look at the pictures of decisions may leave them out without a word."""
        if ask.picture is None or value_of(self._features, Capability.DECISION_PICTURE):
            return None
        return ModelAnswer(
            error=RequestFailure.UNSUPPORTED,
            detail="the server has not proved that its typed decisions see pictures: negwb generate probe",
            tries=0,
        )

    def _chat(self, index: int, ask: ModelRequest, method: Method, picture: EncodedImage | None) -> ChatCall:
        return ChatCall(
            index=index,
            request=ask,
            model=self.model,
            method=method,
            picture=picture,
            samples=self._settings.samples,
            options=self._settings.options,
        )

    def _decision(
        self, indices: Sequence[int], group: Sequence[ModelRequest], picture: EncodedImage | None
    ) -> DecisionCall:
        shape = value_of(self._features, Capability.DECISION_PICTURE) or typed_decisions.PictureShape.ASSETS
        return DecisionCall(
            indices=tuple(indices),
            asks=tuple(group[index] for index in indices),
            model=self.model,
            picture=picture,
            shape=typed_decisions.PictureShape(shape),
        )


def _image_error(picture: EncodedImage | None) -> ModelAnswer | None:
    if picture is None or not picture.error:
        return None
    return ModelAnswer(error=picture.error, detail=picture.detail, tries=0)


async def _model(settings: EngineSettings, client: HttpClient, patience: RetryPolicy) -> str:
    """The model's name, after the server showed that it is there."""
    listed = await listed_models(settings, client)
    for tries in range(1, _CONNECT_TRIES):
        if isinstance(listed, TransportFailure):
            await asyncio.sleep(patience.delay(tries, None))
            listed = await listed_models(settings, client)
    if isinstance(listed, TransportFailure):
        raise connection_error(settings, listed.detail)
    if settings.model:
        return settings.model
    if len(listed) == 1:
        return listed[0]
    raise UsageError(
        f"[engines.{settings.name}] which model? the server lists {len(listed)}",
        hint="model = one of: " + ", ".join(listed[:8]) if listed else "name it: model = ...",
    )
