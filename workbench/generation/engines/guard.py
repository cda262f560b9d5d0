"""Guard around the code of a plug-in engine: whatever it does wrong becomes one line that names the engine.

The engine is checked once when it is opened, and each of its answers when it comes in, so that the rest of negwb can
rely on the protocol `Engine`.
"""

from __future__ import annotations

import asyncio
import inspect
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from numbers import Integral, Real
from pathlib import Path
from typing import Any, Final

from curation_db.enums import Method
from curation_db.errors import RecordError
from curation_db.language.sanitize import display_text
from workbench.error_log import write_error_log
from workbench.errors import UsageError
from workbench.generation.budget import BudgetReached
from workbench.generation.engines.protocol import EngineContext, EngineStopped, StoreAnswer
from workbench.generation.engines.requests import ModelAnswer, ModelRequest, RequestFailure
from workbench.workspace.settings.engines import EngineSettings

MOST_FAULTS: Final = 20
"""Requests in a row that may fail through faults of the engine; then the engine counts as broken and the run ends."""
_CLOSE_S: Final = 30.0
"""Seconds that `close` may take."""
_MOST_LINES: Final = 10
"""Number of different problems of one engine that are printed."""
_MAX_CAPACITY: Final = 10_000
_MAX_NAME: Final = 200
_MAX_COUNT: Final = 1 << 53
_ROUNDING: Final = 1e-6
"""Sums of probabilities in single precision exceed 1 by less than this."""
_AUTHOR_HINT: Final = "report it to the author of the engine; the protocol is workbench.generation.engines.protocol"
_EXPECTED_ERRORS: Final = (EngineStopped, BudgetReached, RecordError)
"""Errors that the protocol allows `answer` to raise, and those of `store_answer`."""


class PluginFault(Exception):
    """Code of a plug-in did what the protocol does not allow; the message says what, in one line."""

    def __init__(self, message: str, *, ends_engine: bool = False) -> None:
        super().__init__(message)
        self.ends_engine = ends_engine
        """Whether every further request would fail in the same way."""


def engine_label(settings: EngineSettings) -> str:
    """Return the name of an engine in messages."""
    return f"engine {settings.name} ({settings.kind})"


def plugin_error(
    settings: EngineSettings, context: EngineContext, problem: str, error: BaseException | None = None
) -> UsageError:
    """Return the error for a plug-in that cannot be opened; the trace of `error` is written to a log file."""
    trace = _trace_of(error, context.folder)
    return UsageError(f"{engine_label(settings)} cannot be opened: {problem}{trace}", hint=_AUTHOR_HINT)


def raised_text(error: BaseException) -> str:
    """Return what an exception of a plug-in did, as in "raised ValueError: no seed"."""
    if isinstance(error, SystemExit):
        return f"called sys.exit({_shown(error.code)})"
    try:
        message = display_text(str(error), limit=200)
    except Exception:
        message = ""
    return f"raised {type(error).__name__}" + (f": {message}" if message else "")


async def call_plugin(name: str, function: Callable[[], object]) -> Any:
    """Call the async function `name` of a plug-in and return its result.

    Raises:
        PluginFault: it is no async function, or raised what the protocol does not allow, also `SystemExit`.
        EngineStopped, BudgetReached, RecordError: raised by the function.
    """
    try:
        result = function()
        if not inspect.isawaitable(result):
            problem = f"{name} returned {type(result).__name__} and no awaitable: write it as an async function"
            raise PluginFault(problem, ends_engine=True)
        return await result
    except (KeyboardInterrupt, GeneratorExit, PluginFault):
        raise
    except asyncio.CancelledError as error:
        task = asyncio.current_task()
        if task is None or task.cancelling():
            raise
        raise PluginFault(f"{name} raised CancelledError") from error
    except BaseException as error:
        if (expected := _expected_error(error)) is not None:
            raise expected from error.__cause__
        raise PluginFault(f"{name} {raised_text(error)}", ends_engine=isinstance(error, SystemExit)) from error


def _expected_error(error: BaseException) -> EngineStopped | BudgetReached | RecordError | None:
    """Return the error, or one in an exception group, that the protocol allows."""
    if isinstance(error, _EXPECTED_ERRORS):
        return error if isinstance(getattr(error, "message", None), str) else None
    if isinstance(error, BaseExceptionGroup):
        return next((each for each in map(_expected_error, error.exceptions) if each is not None), None)
    return None


class GuardedEngine:
    """A plug-in engine that keeps the protocol `Engine`, whatever the plug-in does."""

    def __init__(self, engine: object, settings: EngineSettings, context: EngineContext) -> None:
        """Check the attributes of `engine`.

        Raises:
            UsageError: an attribute is missing or has a wrong value.
        """
        self._engine: Any = engine
        self._label = engine_label(settings)
        self._notify, self._folder = context.notify, context.folder
        self._reported: set[str] = set()
        self._is_logged = False
        self._faults_in_a_row = 0
        try:
            if engine is None:
                raise PluginFault("the factory returned None: an engine is expected")
            self.model: str = _checked(engine, "model", _is_name, f"a text of 1 to {_MAX_NAME} characters")
            self.simulated: bool = _checked(engine, "simulated", lambda value: isinstance(value, bool), "true or false")
            self._capacity = _capacity_of(engine)
            for name in ("answer", "close"):
                _checked(engine, name, callable, "an async function")
            own = _checked(engine, "answer_settings", callable, "a function", default=None)
            self.answer_settings = None if own is None else self._answer_settings
            """See `AnswerIdentity.of`."""
        except PluginFault as fault:
            raise plugin_error(settings, context, str(fault), fault.__cause__) from fault

    @property
    def capacity(self) -> int:
        """The engine's capacity; the last valid one if the current one is invalid."""
        try:
            self._capacity = _capacity_of(self._engine)
        except PluginFault as fault:
            self.report(str(fault), fault.__cause__)
        return self._capacity

    async def answer(self, group: Sequence[ModelRequest], store_answer: StoreAnswer) -> None:
        """Let the engine answer; each request without a valid answer gets a failed answer.

        Raises:
            EngineStopped: raised by the engine, or it is broken: all its requests fail.
            BudgetReached: raised by the engine.
        """
        answers = _GroupAnswers(self, group, store_answer)
        problem = ""
        try:
            await call_plugin("answer", lambda: self._engine.answer(group, answers.store))
        except PluginFault as fault:
            problem = str(fault)
            if fault.ends_engine:
                raise self._broken(problem) from fault
            self.report(problem, fault.__cause__)
        finally:
            answers.close()
        await answers.fail_missing(problem)

    def _answer_settings(self, kind: Any) -> Mapping[str, Any]:
        try:
            settings = self._engine.answer_settings(kind)
        except (Exception, SystemExit) as error:
            raise self._broken(f"answer_settings {raised_text(error)}") from error
        if not isinstance(settings, Mapping) or not all(isinstance(name, str) for name in settings):
            raise self._broken(f"answer_settings returned {_shown(settings)}: a mapping with text keys is expected")
        return settings

    def report(self, problem: str, error: BaseException | None = None) -> None:
        """Print a problem as one line, once; the trace of the first exception is written to a log file."""
        if problem in self._reported or len(self._reported) >= _MOST_LINES:
            return
        self._reported.add(problem)
        trace = ""
        if error is not None and not self._is_logged:
            self._is_logged = True
            trace = _trace_of(error, self._folder)
        self._notify(f"{self._label}: {problem}{trace}")

    def count_answer(self, problem: str) -> None:
        """Count a stored answer; `problem`: why it is a failure through a fault of the engine, else empty.

        Raises:
            EngineStopped: too many in a row failed.
        """
        self._faults_in_a_row = self._faults_in_a_row + 1 if problem else 0
        if self._faults_in_a_row >= MOST_FAULTS:
            raise self._broken(f"{MOST_FAULTS} requests in a row failed, the last one: {problem}")

    def _broken(self, problem: str) -> EngineStopped:
        return EngineStopped(f"{self._label}: {problem}", hint=_AUTHOR_HINT)

    async def close(self) -> None:
        """Close the engine; a failure is only reported, since all answers are stored."""
        try:
            async with asyncio.timeout(_CLOSE_S):
                await call_plugin("close", self._engine.close)
        except TimeoutError:
            self.report(f"close did not end within {_CLOSE_S:.0f} s")
        except PluginFault as fault:
            self.report(str(fault), fault.__cause__)
        except _EXPECTED_ERRORS as error:
            self.report(f"close {raised_text(error)}", error)


class _GroupAnswers:
    """The answers of one group of requests: each request gets one."""

    def __init__(self, engine: GuardedEngine, group: Sequence[ModelRequest], store_answer: StoreAnswer) -> None:
        self._engine, self._size, self._store = engine, len(group), store_answer
        self._loop = asyncio.get_running_loop()
        self._begun: set[int] = set()
        self._stored = asyncio.Event()
        self._storing = 0
        self._closed = False

    async def store(self, index: Any = None, answer: Any = None, *others: Any) -> None:
        """The `store_answer` of the protocol; a call that it does not allow is reported and has no effect."""
        if problem := self._refusal(index, others):
            self._engine.report(problem)
            return
        problem = answer_problem(answer)
        if problem:
            self._engine.report(problem)
        await self._put(int(index), failed_answer(problem) if problem else _plain(answer), problem)

    def _refusal(self, index: Any, others: tuple[Any, ...]) -> str:
        if others:
            return "store_answer takes an index and an answer"
        if isinstance(index, bool) or not isinstance(index, Integral) or not 0 <= int(index) < self._size:
            return f"store_answer got the index {_shown(index)}: the group has the indices 0 to {self._size - 1}"
        if int(index) in self._begun:
            return "store_answer was called twice for one request: the first answer counts"
        if self._closed:
            return "store_answer was called after answer had ended"
        if asyncio.get_running_loop() is not self._loop:
            return "store_answer was called in another event loop"
        return ""

    async def _put(self, index: int, answer: ModelAnswer, problem: str) -> None:
        self._begun.add(index)
        self._storing += 1
        self._stored.clear()
        try:
            await self._store(index, answer)
        finally:
            self._storing -= 1
            if not self._storing:
                self._stored.set()
        self._engine.count_answer(problem)

    def close(self) -> None:
        """Refuse further answers of the engine."""
        self._closed = True

    async def fail_missing(self, problem: str) -> None:
        """Store a failed answer for each request without one, after the answers that are being stored."""
        if self._storing:
            await self._stored.wait()
        if not problem and len(self._begun) < self._size:
            problem = "answer ended without an answer to each request: await store_answer once for each"
            self._engine.report(problem)
        for index in range(self._size):
            if index not in self._begun:
                await self._put(index, failed_answer(problem), problem)


def failed_answer(problem: str) -> ModelAnswer:
    """Return the answer to a request that failed through a fault of the engine."""
    return ModelAnswer(error=RequestFailure.ENGINE, detail=problem)


def answer_problem(answer: object) -> str:
    """Return what is wrong with an answer; empty: nothing."""
    if not isinstance(answer, ModelAnswer):
        return f"store_answer got {_shown(answer)}: a ModelAnswer is expected"
    for name, (is_valid, expected) in _ANSWER_FIELDS.items():
        value = getattr(answer, name)
        if not is_valid(value):
            return f"the answer has {name} = {_shown(value)}: {expected} is expected"
    return ""


def _plain(answer: ModelAnswer) -> ModelAnswer:
    """Return a valid answer with values of Python's own types, which SQLite can store (NumPy has others)."""

    def probability(value: Any) -> float | None:
        return None if value is None else min(1.0, max(0.0, float(value)))

    def number(value: Any) -> float | None:
        return None if value is None else float(value)

    def count(value: Any) -> int | None:
        return None if value is None else int(value)

    return replace(
        answer,
        p=probability(answer.p),
        label_mass=probability(answer.label_mass),
        method=None if answer.method is None else Method(answer.method),
        prompt_tokens=count(answer.prompt_tokens),
        completion_tokens=count(answer.completion_tokens),
        cost=number(answer.cost),
        latency_ms=number(answer.latency_ms),
        tries=int(answer.tries),
    )


def _is_text(value: Any) -> bool:
    return isinstance(value, str)


def _is_number(value: Any, least: float, most: float) -> bool:
    return isinstance(value, Real) and not isinstance(value, bool) and least <= float(value) <= most


def _is_probability(value: Any) -> bool:
    return value is None or _is_number(value, -_ROUNDING, 1 + _ROUNDING)


def _is_amount(value: Any) -> bool:
    return value is None or (_is_number(value, 0, math.inf) and math.isfinite(value))


def _is_count(value: Any) -> bool:
    return isinstance(value, Integral) and _is_number(value, 0, _MAX_COUNT)


def _is_method(value: Any) -> bool:
    return value is None or (isinstance(value, str) and value in set(Method))


_ANSWER_FIELDS: Final[dict[str, tuple[Callable[[Any], bool], str]]] = {
    "text": (_is_text, "a text"),
    "p": (_is_probability, "None or a number from 0 to 1"),
    "label_mass": (_is_probability, "None or a number from 0 to 1"),
    "method": (_is_method, f"None or one of {', '.join(Method)}"),
    "prompt_tokens": (lambda value: value is None or _is_count(value), "None or a count"),
    "completion_tokens": (lambda value: value is None or _is_count(value), "None or a count"),
    "cost": (_is_amount, "None or a number of at least 0"),
    "latency_ms": (_is_amount, "None or a number of at least 0"),
    "tries": (_is_count, "a count"),
    "error": (_is_text, "a text"),
    "detail": (_is_text, "a text"),
}
"""Field of an answer to the check of its value, and the description of valid values."""


def _is_name(value: Any) -> bool:
    return isinstance(value, str) and bool(value.strip()) and value.isprintable() and len(value) <= _MAX_NAME


def _capacity_of(engine: object) -> int:
    expected = f"a whole number from 1 to {_MAX_CAPACITY}"
    return int(_checked(engine, "capacity", lambda value: _is_count(value) and 1 <= value <= _MAX_CAPACITY, expected))


_REQUIRED: Final = object()


def _checked(
    engine: object, name: str, is_valid: Callable[[Any], bool], expected: str, default: object = _REQUIRED
) -> Any:
    """Return an attribute of the engine; `default` without a check if it has none.

    Raises:
        PluginFault: it is missing, raises or is invalid.
    """
    try:
        value = getattr(engine, name)
    except AttributeError as error:
        if default is not _REQUIRED:
            return default
        raise PluginFault(f"{type(engine).__name__} has no {name}: {expected} is expected") from error
    except (Exception, SystemExit) as error:
        raise PluginFault(f"{name} {raised_text(error)}") from error
    if not is_valid(value):
        raise PluginFault(f"{name} = {_shown(value)}: {expected} is expected")
    return value


def _shown(value: object) -> str:
    try:
        return display_text(repr(value), limit=60)
    except Exception:
        return f"a {type(value).__name__}"


def _trace_of(error: BaseException | None, folder: Path) -> str:
    """Write the trace of an exception to a log file; return the part of a message that names the file."""
    if error is None or isinstance(error, SystemExit):
        return ""
    path = write_error_log(error, folder)
    return "" if path is None else f" (its trace is in {path})"
