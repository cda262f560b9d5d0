"""Plug-in engines with faults: one line that names the engine and the fault, an exit code, and never a trace."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from support.commands import negwb
from support.plugin_engine import install_module

from curation_db.enums import Method, Stage
from curation_db.errors import RecordBusy
from workbench.cli import main
from workbench.errors import UsageError
from workbench.generation.budget import Budget, BudgetReached
from workbench.generation.engines.answer_identity import AnswerIdentity
from workbench.generation.engines.guard import MOST_FAULTS, GuardedEngine
from workbench.generation.engines.protocol import EngineContext, EngineStopped
from workbench.generation.engines.requests import AnswerFormat, Message, ModelAnswer, ModelRequest, Sampling
from workbench.workspace.create import create_workspace
from workbench.workspace.layout import Workspace
from workbench.workspace.settings.engines import EngineSettings

CAPTIONS = {
    "images": [{"id": n, "file_name": f"{n}.jpg"} for n in (1, 2, 3)],
    "annotations": [{"image_id": n, "id": n, "caption": f"a man number {n} on a beach"} for n in (1, 2, 3)],
}
SETTINGS = EngineSettings(name="bird", kind="odd")
NAN = float("nan")


class Good:
    """An engine that keeps the protocol; the others here differ from it in one point."""

    model: Any = "good-1"
    simulated: Any = True
    capacity: Any = 4

    async def answer(self, group: Any, store_answer: Any) -> None:
        for index in range(len(group)):
            await store_answer(index, ModelAnswer(text="hat", p=0.1))

    async def close(self) -> None:
        pass


class Lines(list[str]):
    """The lines that a guarded engine prints."""

    def guard(self, engine: object) -> GuardedEngine:
        return GuardedEngine(engine, SETTINGS, EngineContext(budget=Budget(), notify=self.append))


class Stored(dict[int, ModelAnswer]):
    """The answers that a group of requests got."""

    async def __call__(self, index: int, answer: ModelAnswer) -> None:
        assert index not in self, "an answer is stored once"
        self[index] = answer


def requests(count: int = 2) -> tuple[ModelRequest, ...]:
    return tuple(
        ModelRequest(
            stage=Stage.PROPOSE,
            answer_format=AnswerFormat.TEXT,
            prompt="test@1",
            messages=(Message("user", str(n)),),
            sampling=Sampling(),
            subject=str(n),
        )
        for n in range(count)
    )


def engine_with(**attributes: Any) -> object:
    """An engine whose class has these attributes; None of the name `without` removes one."""
    without = attributes.pop("without", "")
    content = {name: value for name, value in {**vars(Good), **attributes}.items() if name != without}
    return type("Odd", (), content)()


def raising(error: BaseException) -> property:
    def get(_engine: object) -> None:
        raise error

    return property(get)


# --- at the opening


@pytest.mark.parametrize(
    ("engine", "problem"),
    [
        (None, "the factory returned None"),
        (3, "int has no model"),
        *((engine_with(without=name), f"Odd has no {name}") for name in ("model", "simulated", "capacity", "answer")),
        (engine_with(without="close"), "Odd has no close: an async function"),
        (engine_with(model=3), "model = 3: a text"),
        (engine_with(model=""), "model = '': a text"),
        (engine_with(model="a\x1b[31m"), "model = .*: a text"),
        (engine_with(model="m" * 10_000), "model = 'mmm.*: a text"),
        (engine_with(model=raising(OSError("no disk"))), "model raised OSError: no disk"),
        (engine_with(model=raising(SystemExit(3))), r"model called sys.exit\(3\)"),
        (engine_with(simulated=1), "simulated = 1: true or false"),
        (engine_with(simulated=None), "simulated = None"),
        (engine_with(capacity=0), "capacity = 0: a whole number from 1"),
        (engine_with(capacity=-1), "capacity = -1"),
        (engine_with(capacity="4"), "capacity = '4'"),
        (engine_with(capacity=2.5), "capacity = 2.5"),
        (engine_with(capacity=True), "capacity = True"),
        (engine_with(capacity=10**9), "capacity = 1000000000"),
        (engine_with(capacity=raising(ValueError("later"))), "capacity raised ValueError: later"),
        (engine_with(answer=None), "answer = None: an async function"),
        (engine_with(close="x"), "close = 'x'"),
    ],
)
def test_an_engine_without_the_attributes_of_the_protocol_is_refused(engine: object, problem: str) -> None:
    with pytest.raises(UsageError, match=rf"^engine bird \(odd\) cannot be opened: {problem}"):
        Lines().guard(engine)


# --- answers


@pytest.mark.parametrize(
    ("answer", "problem"),
    [
        (None, "store_answer got None: a ModelAnswer"),
        ("hat", "store_answer got 'hat'"),
        ({"text": "hat"}, "store_answer got {'text'"),
        (ModelAnswer(text=None), "text = None: a text"),  # type: ignore[arg-type]
        (ModelAnswer(text=b"hat"), "text = b'hat'"),  # type: ignore[arg-type]
        *((ModelAnswer(p=p), f"p = {p}: None or a number from 0 to 1") for p in (7, -0.1, NAN, float("inf"), True)),
        (ModelAnswer(p="yes"), "p = 'yes'"),  # type: ignore[arg-type]
        (ModelAnswer(p=0.1, label_mass=2), "label_mass = 2"),
        (ModelAnswer(method="oracle"), "method = 'oracle'"),  # type: ignore[arg-type]
        (ModelAnswer(prompt_tokens=-1), "prompt_tokens = -1"),
        (ModelAnswer(completion_tokens=10**30), "completion_tokens = 1000"),
        (ModelAnswer(completion_tokens=1.5), "completion_tokens = 1.5"),  # type: ignore[arg-type]
        (ModelAnswer(cost=NAN), "cost = nan"),
        (ModelAnswer(latency_ms=-3.0), "latency_ms = -3.0"),
        (ModelAnswer(tries=None), "tries = None"),  # type: ignore[arg-type]
        (ModelAnswer(error=3), "error = 3: a text"),  # type: ignore[arg-type]
        (ModelAnswer(detail=["x"]), "detail = "),  # type: ignore[arg-type]
    ],
)
async def test_an_answer_with_a_wrong_value_is_a_failed_answer(answer: Any, problem: str) -> None:
    async def wrong(_engine: object, group: Any, store_answer: Any) -> None:
        await store_answer(0, answer)
        await store_answer(1, ModelAnswer(text="hat"))

    lines, stored = Lines(), Stored()
    await lines.guard(engine_with(answer=wrong)).answer(requests(), stored)
    assert stored[0].error == "engine"
    assert problem in stored[0].detail
    assert stored[1] == ModelAnswer(text="hat")
    (line,) = lines
    assert line.startswith("engine bird (odd): ")
    assert problem in line


async def test_values_of_numpy_and_rounding_errors_are_accepted() -> None:
    numpy = pytest.importorskip("numpy")
    given = ModelAnswer(
        p=numpy.float32(0.25), label_mass=1 + 1e-9, method="logprobs", prompt_tokens=numpy.int64(7), cost=1
    )

    async def answer(_engine: object, group: Any, store_answer: Any) -> None:
        await store_answer(numpy.int64(0), given)

    lines, stored = Lines(), Stored()
    await lines.guard(engine_with(answer=answer)).answer(requests(1), stored)
    expected = ModelAnswer(p=0.25, label_mass=1.0, method=Method.LOGPROBS, prompt_tokens=7, cost=1.0)
    assert stored == {0: expected}
    assert [type(value) for value in (stored[0].p, stored[0].prompt_tokens, stored[0].cost)] == [float, int, float]
    assert lines == []


async def _twice(_engine: object, group: Any, store_answer: Any) -> None:
    for text in ("first", "second"):
        for index in range(len(group)):
            await store_answer(index, ModelAnswer(text=text))


def _foreign(index: Any) -> Any:
    async def answer(_engine: object, group: Any, store_answer: Any) -> None:
        await store_answer(index, ModelAnswer(text="foreign"))
        for own in range(len(group)):
            await store_answer(own, ModelAnswer(text="first"))

    return answer


@pytest.mark.parametrize(
    ("answer", "problem"),
    [
        (_twice, "store_answer was called twice"),
        *((_foreign(index), f"store_answer got the index {index!r}") for index in (2, -1, "0", None, True, 0.0)),
    ],
)
async def test_a_wrong_index_is_reported_and_has_no_effect(answer: Any, problem: str) -> None:
    lines, stored = Lines(), Stored()
    await lines.guard(engine_with(answer=answer)).answer(requests(), stored)
    assert [stored[index].text for index in (0, 1)] == ["first", "first"]
    (line,) = lines
    assert line.startswith(f"engine bird (odd): {problem}")


async def _never(_engine: object, group: Any, store_answer: Any) -> list[str]:
    return ["hat"] * len(group)


async def _half(_engine: object, group: Any, store_answer: Any) -> None:
    await store_answer(0, ModelAnswer(text="hat"))
    raise ZeroDivisionError("no\nseed")


async def _cancelled(_engine: object, group: Any, store_answer: Any) -> None:
    import asyncio

    raise asyncio.CancelledError


async def _group(_engine: object, group: Any, store_answer: Any) -> None:
    raise ExceptionGroup("of tasks", [ValueError("x")])


class _Unprintable(Exception):
    def __str__(self) -> str:
        raise ValueError("no text")


async def _unprintable(_engine: object, group: Any, store_answer: Any) -> None:
    raise _Unprintable


@pytest.mark.parametrize(
    ("answer", "problem"),
    [
        (_never, "answer ended without an answer to each request"),
        (_half, "answer raised ZeroDivisionError: no seed"),
        (_cancelled, "answer raised CancelledError"),
        (_group, "answer raised ExceptionGroup: of tasks"),
        (_unprintable, "answer raised _Unprintable"),
    ],
)
async def test_a_request_without_an_answer_gets_a_failed_one(answer: Any, problem: str) -> None:
    lines, stored = Lines(), Stored()
    await lines.guard(engine_with(answer=answer)).answer(requests(), stored)
    assert stored[1].error == "engine"
    assert stored[1].detail == problem or problem in stored[1].detail
    (line,) = lines
    assert line.startswith(f"engine bird (odd): {problem}")


async def test_an_answer_that_is_still_being_stored_is_waited_for() -> None:
    import asyncio

    tasks = set()

    async def answer(_engine: object, group: Any, store_answer: Any) -> None:
        tasks.add(asyncio.create_task(store_answer(0, ModelAnswer(text="hat"))))
        await asyncio.sleep(0)

    stored = Stored()

    async def slow(index: int, given: ModelAnswer) -> None:
        for _ in range(20):
            await asyncio.sleep(0)
        await stored(index, given)

    await Lines().guard(engine_with(answer=answer)).answer(requests(1), slow)
    assert stored[0].text == "hat"


async def test_an_answer_after_the_end_is_reported() -> None:
    callbacks: list[Any] = []

    async def answer(_engine: object, group: Any, store_answer: Any) -> None:
        callbacks.append(store_answer)

    lines, stored = Lines(), Stored()
    await lines.guard(engine_with(answer=answer)).answer(requests(1), stored)
    await callbacks[0](0, ModelAnswer(text="late"))
    assert stored[0].error == "engine"
    assert len(lines) == 2


@pytest.mark.parametrize(
    ("answer", "problem"),
    [
        (lambda engine, group, store_answer: None, "answer returned NoneType and no awaitable"),
        (lambda engine, group, store_answer: iter(()), "no awaitable"),
    ],
)
async def test_an_answer_function_that_is_not_async_ends_the_run(answer: Any, problem: str) -> None:
    with pytest.raises(EngineStopped, match=problem):
        await Lines().guard(engine_with(answer=answer)).answer(requests(), Stored())


async def test_sys_exit_in_answer_ends_the_run() -> None:
    async def answer(_engine: object, group: Any, store_answer: Any) -> None:
        sys.exit(7)

    with pytest.raises(EngineStopped, match=r"engine bird \(odd\): answer called sys.exit\(7\)"):
        await Lines().guard(engine_with(answer=answer)).answer(requests(), Stored())


async def test_many_faults_in_a_row_end_the_run_and_good_answers_reset_the_count() -> None:
    state = {"good": False}

    async def answer(_engine: object, group: Any, store_answer: Any) -> None:
        await store_answer(0, ModelAnswer(text="hat") if state["good"] else None)

    engine = Lines().guard(engine_with(answer=answer))
    for _ in range(2):
        for good in [*[False] * (MOST_FAULTS - 1), True]:
            state["good"] = good
            await engine.answer(requests(1), Stored())
    state["good"] = False
    for _ in range(MOST_FAULTS - 1):
        await engine.answer(requests(1), Stored())
    with pytest.raises(EngineStopped, match=f"{MOST_FAULTS} requests in a row failed"):
        await engine.answer(requests(1), Stored())


@pytest.mark.parametrize("error", [EngineStopped("full"), BudgetReached("spent"), RecordBusy("busy")])
@pytest.mark.parametrize("grouped", [False, True])
async def test_errors_of_the_protocol_pass_through(error: Exception, grouped: bool) -> None:
    async def answer(_engine: object, group: Any, store_answer: Any) -> None:
        raise ExceptionGroup("tasks", [ValueError(), error]) if grouped else error

    with pytest.raises(type(error)) as caught:
        await Lines().guard(engine_with(answer=answer)).answer(requests(), Stored())
    assert caught.value is error


async def test_one_line_for_many_equal_problems() -> None:
    lines = Lines()
    engine = lines.guard(engine_with(answer=_half))
    for _ in range(5):
        await engine.answer(requests(), Stored())
    assert len(lines) == 1


def test_an_invalid_capacity_during_the_run_is_reported_and_the_last_valid_one_counts() -> None:
    odd: Any = engine_with()
    lines = Lines()
    engine = lines.guard(odd)
    odd.capacity = 6
    assert engine.capacity == 6
    for value in (0, None, "x"):
        odd.capacity = value
        assert engine.capacity == 6
    assert [line.partition(": ")[2].partition(":")[0] for line in lines] == [
        "capacity = 0",
        "capacity = None",
        "capacity = 'x'",
    ]


@pytest.mark.parametrize(
    ("answer_settings", "problem"),
    [
        (lambda engine, kind: 1 / 0, "answer_settings raised ZeroDivisionError"),
        (lambda engine, kind: None, "answer_settings returned None"),
        (lambda engine, kind: {1: 2}, "answer_settings returned {1: 2}"),
    ],
)
def test_wrong_answer_settings_end_the_run(answer_settings: Any, problem: str) -> None:
    engine = Lines().guard(engine_with(answer_settings=answer_settings))
    with pytest.raises(EngineStopped, match=rf"engine bird \(odd\): {problem}"):
        AnswerIdentity.of(engine, SETTINGS).key(requests(1)[0])


def test_answer_settings_of_an_engine_are_in_the_key() -> None:
    keys = {
        AnswerIdentity.of(Lines().guard(engine), SETTINGS).key(requests(1)[0])
        for engine in (engine_with(), engine_with(answer_settings=lambda engine, kind: {"voice": "low"}))
    }
    assert len(keys) == 2


async def _close_raises(_engine: object) -> None:
    raise OSError("socket")


async def _close_exits(_engine: object) -> None:
    sys.exit(9)


async def _close_stops(_engine: object) -> None:
    raise EngineStopped("gone")


@pytest.mark.parametrize(
    ("close", "problem"),
    [
        (_close_raises, "close raised OSError: socket"),
        (_close_exits, r"close called sys.exit(9)"),
        (_close_stops, "close raised EngineStopped: gone"),
        (lambda engine: None, "close returned NoneType and no awaitable"),
    ],
)
async def test_a_failing_close_is_only_reported(close: Any, problem: str) -> None:
    lines = Lines()
    await lines.guard(engine_with(close=close)).close()
    (line,) = lines
    assert line.startswith(f"engine bird (odd): {problem}")


# --- the command

MODULE = """
import asyncio, subprocess, sys, threading, time
from workbench.errors import NegwbError
from workbench.generation.engines.requests import ModelAnswer
from workbench.workspace.settings.engines import EngineSettings


class Good:
    model, simulated, capacity = "good-1", True, 4

    async def answer(self, group, store_answer):
        for index, request in enumerate(group):
            text = request.facts["caption"] + " with no hat" if request.stage == "rewrite" else "hat"
            await store_answer(index, ModelAnswer(text=text, p=0.1))

    async def close(self):
        pass


class Raises(Good):
    async def answer(self, group, store_answer):
        raise KeyError("seed")


class Exits(Good):
    async def answer(self, group, store_answer):
        sys.exit(0)


class ExitsInTask(Good):
    async def answer(self, group, store_answer):
        async def leave():
            sys.exit(0)
        await asyncio.gather(asyncio.create_task(leave()))


class RaisesInTask(Good):
    async def answer(self, group, store_answer):
        async def fail():
            raise KeyError("lost")
        asyncio.create_task(fail())
        threading.Thread(target=lambda: 1 / 0).start()
        await super().answer(group, store_answer)


class Forgets(Good):
    async def answer(self, group, store_answer):
        for index in range(len(group)):
            store_answer(index, ModelAnswer(text="hat", p=0.1))


class BadClose(Good):
    async def close(self):
        raise RuntimeError("stuck")


class Prints(Good):
    def __init__(self):
        print("loading")
        sys.__stdout__.write("loading\\n")
        subprocess.run(["echo", "child"])

    async def answer(self, group, store_answer):
        print("answering")
        await super().answer(group, store_answer)

    async def close(self):
        print("closing")


class Blocks(Good):
    async def answer(self, group, store_answer):
        print("blocked", file=sys.stderr, flush=True)
        while True:
            time.sleep(1000)


class NoModel(Good):
    model = property(lambda self: 1 / 0)


def factory(kind):
    async def make(settings, context):
        return kind()
    return make


make = {name: factory(kind) for name, kind in list(globals().items()) if isinstance(kind, type)}
globals().update({f"make_{name}": function for name, function in make.items()})


def make_sync(settings, context):
    return Good()


async def make_none(settings, context):
    return None


async def make_exit(settings, context):
    sys.exit(0)


async def make_refused(settings, context):
    raise NegwbError("no model file", hint="set model")


async def make_cancelled(settings, context):
    raise asyncio.CancelledError


number = 3
"""


@pytest.fixture
def plugins(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Install the odd engines for this process, and return their folder."""
    names = re.findall(r"^class (\w+)", MODULE, flags=re.MULTILINE)
    kinds = {name: f"odd_engines:make_{name}" for name in names}
    kinds |= {name: f"odd_engines:make_{name}" for name in ("sync", "none", "exit", "refused", "cancelled")}
    kinds |= {"number": "odd_engines:number", "absent": "odd_engines:absent", "lost": "lost:make"}
    folder = install_module(tmp_path / "site", "odd_engines", MODULE, kinds)
    monkeypatch.syspath_prepend(folder)
    monkeypatch.delitem(sys.modules, "odd_engines", raising=False)
    monkeypatch.setenv("PYTHONPATH", str(folder))
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    return folder


@pytest.fixture
def workspace(tmp_path: Path) -> Workspace:
    workspace = create_workspace(tmp_path / "ws")
    (tmp_path / "captions.json").write_text(json.dumps(CAPTIONS))
    assert negwb(workspace, "import", tmp_path / "captions.json").exit_code == 0
    return workspace


def use(workspace: Workspace, kind: str) -> None:
    with workspace.settings.open("a") as file:
        file.write(f'\n[generate]\nproposer = "bird"\njudges = ["bird"]\n[engines.bird]\nkind = "{kind}"\n')


def run(
    workspace: Workspace, kind: str, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str], *words: str
) -> tuple[int, str, str]:
    """Run `negwb generate` with the engine, as the shell does, in this process."""
    use(workspace, kind)
    capfd.readouterr()
    monkeypatch.setattr(sys, "argv", ["negwb", "-w", str(workspace.root), "generate", *words])
    code = main()
    output, messages = capfd.readouterr()
    assert "Traceback" not in messages
    return code, output, messages


def logs(workspace: Workspace) -> list[Path]:
    return list((workspace.cache / "errors").glob("*.log"))


@pytest.mark.parametrize(
    ("kind", "message"),
    [
        ("sync", "the factory returned Good and no awaitable"),
        ("none", "the factory returned None"),
        ("exit", r"the factory called sys.exit\(0\)"),
        ("cancelled", "the factory raised CancelledError"),
        ("number", "odd_engines:number is no function but int"),
        ("absent", "odd_engines:absent cannot be loaded: it raised AttributeError"),
        ("lost", "lost:make cannot be loaded: it raised ModuleNotFoundError"),
        ("NoModel", "model raised ZeroDivisionError"),
    ],
)
def test_an_engine_that_cannot_be_opened_is_one_line_and_a_hint(
    workspace: Workspace,
    plugins: Path,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
    kind: str,
    message: str,
) -> None:
    code, _, messages = run(workspace, kind, monkeypatch, capfd)
    first, second = messages.splitlines()
    assert re.match(rf"negwb: engine bird \({kind}\) cannot be opened: {message}", first)
    assert "author" in second
    assert code == 2


def test_the_message_of_a_factory_that_refuses_its_settings_is_shown(
    workspace: Workspace, plugins: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    _, _, messages = run(workspace, "refused", monkeypatch, capfd)
    assert messages.splitlines() == ["negwb: no model file", "       set model"]


@pytest.mark.parametrize(
    ("kind", "message", "has_log"),
    [
        ("Raises", "answer raised KeyError: 'seed'", True),
        ("Exits", r"answer called sys.exit\(0\)", False),
        ("Forgets", "answer ended without an answer to each request", False),
    ],
)
@pytest.mark.filterwarnings("ignore:coroutine .* was never awaited")
def test_a_run_in_which_the_engine_answers_nothing_exits_with_4(
    workspace: Workspace,
    plugins: Path,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
    kind: str,
    message: str,
    has_log: bool,
) -> None:
    code, _, messages = run(workspace, kind, monkeypatch, capfd)
    assert len(re.findall(rf"^negwb: engine bird \({kind}\): {message}", messages, flags=re.MULTILINE)) == 1
    assert bool(logs(workspace)) is has_log
    assert code == 4


@pytest.mark.parametrize(
    ("kind", "messages"),
    [
        ("BadClose", ["close raised RuntimeError: stuck"]),
        (
            "RaisesInTask",
            ["a task or thread of it raised KeyError: 'lost'", "a task or thread of it raised ZeroDivisionError"],
        ),
    ],
)
def test_a_fault_beside_the_answers_is_one_line_and_the_run_succeeds(
    workspace: Workspace,
    plugins: Path,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
    kind: str,
    messages: list[str],
) -> None:
    code, output, printed = run(workspace, kind, monkeypatch, capfd, "--json")
    assert code == 0
    assert json.loads(output)["kept"] == 3
    for message in messages:
        assert printed.count(f"negwb: engine bird ({kind}): {message}") == 1
    assert logs(workspace)


def start(workspace: Workspace, *words: str) -> subprocess.Popen[str]:
    command = [sys.executable, "-P", "-m", "workbench", "-w", str(workspace.root), "generate", *words]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=os.environ.copy())


def test_what_an_engine_prints_is_not_in_the_result(workspace: Workspace, plugins: Path) -> None:
    use(workspace, "Prints")
    with start(workspace, "--json") as process:
        output, messages = process.communicate(timeout=60)
    assert json.loads(output)["kept"] == 3
    assert {"loading", "child", "answering", "closing"} <= set(messages.splitlines())
    assert process.returncode == 0


def test_sys_exit_in_a_task_of_the_engine_ends_the_run_with_one_line(workspace: Workspace, plugins: Path) -> None:
    use(workspace, "ExitsInTask")
    with start(workspace) as process:
        _, messages = process.communicate(timeout=60)
    assert "negwb: an engine called sys.exit(0)" in messages
    assert "Traceback" not in messages
    assert process.returncode == 4


def test_two_interrupts_end_a_run_whose_engine_blocks_the_event_loop(workspace: Workspace, plugins: Path) -> None:
    use(workspace, "Blocks")
    with start(workspace) as process:
        assert process.stderr is not None
        while "blocked" not in process.stderr.readline():
            pass
        process.send_signal(signal.SIGINT)
        with pytest.raises(subprocess.TimeoutExpired):
            process.wait(timeout=1)
        process.send_signal(signal.SIGINT)
        try:
            _, messages = process.communicate(timeout=30)
        finally:
            process.kill()
    assert "Traceback" not in messages
    assert "interrupted; what was done is kept" in messages
    assert process.returncode == 130
