"""Habits of OpenAI-compatible servers, each shown by one loopback server to a real run of `negwb generate`.

A run has six items: three images with two captions each. To add a habit, write its function and a row of `ROWS`.
"""

from __future__ import annotations

import gzip
import json
import re
import sys
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from support.commands import negwb
from support.habit_server import (
    Habit,
    HabitReply,
    HabitRequest,
    HabitServer,
    edited,
    failure,
    good,
    habit_server,
    spoken,
)
from support.model_answers import parse_request
from support.six_items import Outcome, build_workspace, run_generate

from workbench.workspace.layout import Workspace

KEY = "k3y-0f-th3-t3st-5ecret"


@dataclass(frozen=True)
class Row:
    """A habit and the right outcome of a run."""

    name: str
    habit: Habit
    exit_code: int = 0
    items: Mapping[str, int] | None = field(default_factory=lambda: {"kept": 6})
    """Stored items by reason, kept items under "kept"; None: it depends on the time which items are stored."""
    line: str = ""
    """Pattern of the line about the error."""
    most_requests: int | None = None
    words: tuple[str, ...] = ()
    """Further arguments of the command."""
    engine: Mapping[str, Any] = field(default_factory=dict)
    """Further settings of the engine."""
    hops: int = 1
    """Requests of the network for each request of the run."""
    check: Callable[[Outcome, HabitServer], None] = lambda outcome, server: None


def think(request: HabitRequest) -> HabitReply:
    """Write the thought in front of the answer; every second template opens the tag itself."""
    start = "<think>" if request.number % 2 else ""
    return spoken(request, lambda text: f"{start}\nYes or no? Without a hat, no dog.\n</think>\n\n{text}")


def cut_thought(request: HabitRequest) -> HabitReply:
    def cut(choice: dict[str, Any], text: str) -> None:
        choice["message"]["content"] = f"<think>\nThe user wants {text}"
        choice["finish_reason"] = "length"

    return edited(request, cut)


def reasoning_only(request: HabitRequest) -> HabitReply:
    return edited(request, lambda choice, text: choice["message"].update(content=None, reasoning_content=text))


def output_text(request: HabitRequest) -> HabitReply:
    return spoken(
        request, lambda text: [{"type": "output_text", "text": text[:3]}, {"type": "output_text", "text": text[3:]}]
    )


def error_in_200(code: Any, message: str, *, times: int = 10**6) -> Habit:
    """Reply with status 200 and an error inside, to the first requests."""

    def habit(request: HabitRequest) -> HabitReply:
        return good(request) if request.number > times else HabitReply({"error": {"code": code, "message": message}})

    return habit


def of_one_caption(stage: str, reply: Habit) -> Habit:
    """Show a habit in one stage of the caption with badge 3, and behave well otherwise."""

    def habit(request: HabitRequest) -> HabitReply:
        return reply(request) if request.stage == stage and "badge 3" in request.text else good(request)

    return habit


def broken_choice(request: HabitRequest) -> HabitReply:
    def cut(choice: dict[str, Any], text: str) -> None:
        choice["message"]["content"] = text[:-6]
        choice["error"] = {"code": 502, "message": "the provider hung up"}

    return edited(request, cut)


def finish_error(request: HabitRequest) -> HabitReply:
    def cut(choice: dict[str, Any], text: str) -> None:
        choice["message"]["content"] = text[:-6]
        choice["finish_reason"] = "error"

    return edited(request, cut)


def event_stream(request: HabitRequest) -> HabitReply:
    text = good(request).body["choices"][0]["message"]["content"]
    deltas: list[dict[str, Any]] = [{"role": "assistant"}, {"content": text[:2]}, {"content": text[2:]}, {}]
    events = [
        {"id": "x", "choices": [{"index": 0, "delta": delta, "finish_reason": None if delta else "stop"}]}
        for delta in deltas
    ]
    lines = [": keep alive", *(f"data: {json.dumps(event)}" for event in events), "data: [DONE]"]
    return HabitReply("\n\n".join((*lines, "")).encode(), content_type="text/event-stream")


def byte_order_mark(request: HabitRequest) -> HabitReply:
    return HabitReply(b"\xef\xbb\xbf" + json.dumps(good(request).body).encode())


def compressed(request: HabitRequest) -> HabitReply:
    assert request.headers["accept-encoding"] == "identity"
    body = gzip.compress(json.dumps(good(request).body).encode())
    return HabitReply(body, headers={"Content-Encoding": "gzip"})


def bomb(request: HabitRequest) -> HabitReply:
    return HabitReply(_BOMB, headers={"Content-Encoding": "gzip"})


_BOMB = gzip.compress(b" " * 2**26)


def web_page(request: HabitRequest) -> HabitReply:
    page = (
        b"<!doctype html><html><head><title>Gateway</title><style>p{}</style></head><body><p>Please sign in</p></body>"
    )
    return HabitReply(page, content_type="text/html; charset=utf-8")


def billing(times: int, message: str = "Check your plan and billing details. Please retry in 2s.") -> Habit:
    return lambda request: good(request) if request.number > times else failure(429, message)


def forbidden_after(good_answers: int) -> Habit:
    return lambda request: good(request) if request.number <= good_answers else failure(403, "not for you")


def loading(times: int) -> Habit:
    """Reply 503 to the first requests.

    With the default waiting times 10 requests last 25 s: 6 arrive at once, and one after each pause of 1, 2, 4 and
    8 s; the next follows after a pause of 16 s.
    """
    return lambda request: good(request) if request.number > times else failure(503, "Loading model")


def refusing(request: HabitRequest) -> HabitReply:
    return failure(400, f"images are not supported (request {request.number})")


class SilentJudge:
    """Answers nothing to questions about the presence of a concept in the first image that it sees."""

    def __init__(self) -> None:
        self.image = ""
        self.unanswered: list[HabitRequest] = []

    def __call__(self, request: HabitRequest) -> HabitReply:
        if request.stage != "presence":
            return good(request)
        image = parse_request(dict(request.body))[1]
        self.image = self.image or image
        if image != self.image:
            return good(request)
        self.unanswered.append(request)
        return spoken(request, lambda text: "")


def azure(request: HabitRequest) -> HabitReply:
    as_documented = (
        request.path == "/openai/v1/chat/completions"
        and request.query == {"api-version": "2024-10-21", "tenant": "test"}
        and request.headers.get("api-key") == KEY
        and "authorization" not in request.headers
    )
    return good(request) if as_documented else failure(401, f"{request.path} {request.query}")


def echo_key(request: HabitRequest) -> HabitReply:
    """Repeat the key in the answer: in one piece, with an invisible character inside, and in two parts."""
    where = request.path + str(request.query) + request.headers.get("authorization", "")
    assert KEY in where
    forms = (KEY, f"{KEY[:6]}\u200b{KEY[6:]}", f"{KEY[:9]}\x00{KEY[9:]}")
    if request.stage != "acceptable":
        return good(request)
    parts = [f"Yes {forms[request.number % 3]} {KEY[:4]}", f"{KEY[4:]}"]
    return spoken(request, lambda text: [{"type": "text", "text": part} for part in parts])


def refuse_with_key(request: HabitRequest) -> HabitReply:
    return failure(400, f"invalid key {KEY} for {request.path}?{request.query}")


def moved(request: HabitRequest) -> HabitReply:
    if request.path.startswith("/v1/"):
        return HabitReply(b"", 307, headers={"Location": f"/moved{request.path}"})
    assert request.method == "POST"
    assert request.body["messages"]
    return good(request)


def no_key_anywhere(outcome: Outcome, server: HabitServer) -> None:
    """Assert that no file of the workspace but the user's settings contains the key, and no line shows it."""
    assert KEY not in outcome.shown
    files = [path for path in outcome.workspace.root.rglob("*") if path.is_file() and path.name != "negwb.toml"]
    assert outcome.workspace.database in files
    assert not [path for path in files if KEY.encode() in path.read_bytes()]
    visible = [re.sub(r"[^!-~]", "", text) for text in outcome.texts]
    assert not [text for text in visible if KEY in text]


def no_thought(outcome: Outcome, server: HabitServer) -> None:
    assert not [text for text in outcome.texts if "think" in text or "Without a hat" in text]


def read_as_sent(outcome: Outcome, server: HabitServer) -> None:
    assert all(badge in text for text, badge in outcome.rows("SELECT text, 'a man with badge' FROM candidate"))


def not_kept_as_whole(outcome: Outcome, server: HabitServer) -> None:
    assert not outcome.rows("SELECT text FROM candidate WHERE text LIKE '%badge 3%'")


def asked_again_once(outcome: Outcome, server: HabitServer) -> None:
    assert isinstance(server.habit, SilentJudge)
    questions = Counter(request.text for request in server.habit.unanswered)
    assert len(questions) == 2
    assert set(questions.values()) == {2}


def asked_once(outcome: Outcome, server: HabitServer) -> None:
    assert isinstance(server.habit, SilentJudge)
    assert len(server.habit.unanswered) == len({request.text for request in server.habit.unanswered}) == 2


def nothing_kept(outcome: Outcome, server: HabitServer) -> None:
    assert "kept" not in outcome.items


# fmt: off
ROWS = [
    Row("think tags", think, check=no_thought),
    Row("a thought cut by max_tokens", cut_thought, 4, {"failed:too-long": 6}, r"too-long.*thought"),
    Row("reasoning_content only", reasoning_only, 4, {"failed:empty": 6}, r"empty.*answers in reasoning_content"),
    Row("parts of type output_text", output_text, check=read_as_sent),
    Row("a 502 inside a 200, twice", error_in_200(502, "bad gateway", times=2)),
    Row("a 502 inside a 200, always", error_in_200("502", "upstream is down"), 4, None, "502: upstream is down",
        engine={"tries": 2}, most_requests=14, check=nothing_kept),
    Row("a 429 inside a 200", error_in_200(429, "slow down", times=8)),
    Row("a 402 inside a 200", error_in_200(402, "top up"), 4, {}, r"no credit left \(top up\)", most_requests=6),
    Row("an error inside the choice", of_one_caption("rewrite", broken_choice), 1, {"kept": 5, "failed:server": 1},
        "the provider hung up", check=not_kept_as_whole),
    Row("an answer that an error ends", of_one_caption("rewrite", finish_error), 1, {"kept": 5, "failed:server": 1},
        "1 of 6 items failed: server", check=not_kept_as_whole),
    Row("a stream of events", event_stream, check=read_as_sent),
    Row("a byte order mark", byte_order_mark, check=read_as_sent),
    Row("gzip", compressed, check=read_as_sent),
    Row("a gzip bomb", bomb, 4, None, "more than 4 MiB", engine={"tries": 1}, most_requests=8, check=nothing_kept),
    Row("a web page", web_page, 4, {}, r"text/html: 'Gateway Please sign in'", most_requests=12),
    Row("429 with billing and a time", billing(5)),
    Row("429 with billing, always", billing(10**6), 4, {}, r"answers no request: 429: Check your plan and billing"),
    Row("429 insufficient_quota", billing(10**6, "insufficient_quota"), 4, {}, "no credit left", most_requests=6),
    Row("403 for one caption", of_one_caption("rewrite", lambda request: failure(403, "moderated")), 1,
        {"kept": 5, "failed:refused": 1}, "1 of 6 items failed: refused: 403: moderated"),
    Row("403 for all after a while", forbidden_after(8), 4, None, r"refuses access: 403 \(not for you\)",
        most_requests=24, engine={"concurrency": 1}),  # no answer that is under way comes between two refusals
    Row("503 while the model loads", loading(10), engine={"tries": 2}),
    Row("every request refused", refusing, 4, None, "answers no request: 400: images are not supported",
        most_requests=8, check=nothing_kept),
    Row("some requests refused", of_one_caption("propose", refusing), 1, {"kept": 5, "failed:refused": 1}, "1 of 6"),
    Row("api-version and api-key", azure, check=read_as_sent,
        engine={"url": "{root}/openai/v1/?api-version=2024-10-21", "headers": {"api-key": "$HABIT_KEY"},
                "query": {"tenant": "test"}}),
    Row("a key in the path, repeated", echo_key, 1, engine={"url": f"{{root}}/{KEY}/v1"}, check=no_key_anywhere),
    Row("a key in the query, repeated", echo_key, 1, engine={"url": f"{{root}}/v1?code={KEY}"}, check=no_key_anywhere),
    Row("a key from the environment, repeated", echo_key, 1, check=no_key_anywhere,
        engine={"query": {"code": "$HABIT_KEY"}}),
    Row("the API key, repeated", echo_key, 1, engine={"key_env": "HABIT_KEY"}, check=no_key_anywhere),
    Row("a judge that answers nothing", SilentJudge(), 0, {"kept": 4, "unclear": 2}, check=asked_again_once,
        words=("--set", "unclear=drop", "--set", "attempts=1")),
    Row("a judge that answers nothing, official rule", SilentJudge(), check=asked_once,
        words=("--set", "unclear=drop", "--judge-rule", "official")),
    Row("an error with the key", refuse_with_key, 4, None, r"400: invalid key \[key\]", check=no_key_anywhere,
        engine={"url": f"{{root}}/{KEY}/v1?code={KEY}"}),
    Row("a redirect on the same host", moved, hops=2),
]
# fmt: on


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    return build_workspace(tmp_path_factory.mktemp("habits") / "ws")


@pytest.fixture(scope="module")
def one_server() -> Iterator[HabitServer]:
    with habit_server() as server:
        yield server


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.name)
def test_habit(
    row: Row, one_server: HabitServer, template: Workspace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HABIT_KEY", KEY)
    one_server.habit, one_server.requests = row.habit, []
    settings = {**row.engine}
    if "url" in settings:
        settings["url"] = settings["url"].format(root=one_server.root)
    outcome = run_generate(template, tmp_path / "ws", monkeypatch, one_server, *row.words, engine=settings)
    assert outcome.exit_code == row.exit_code, outcome.shown
    assert row.items is None or outcome.items == row.items
    assert re.search(row.line, outcome.line), outcome.line
    assert outcome.line.isprintable()
    assert outcome.requests * row.hops == len(one_server.requests)
    if row.most_requests is not None:
        assert len(one_server.requests) <= row.most_requests
    row.check(outcome, one_server)


@pytest.mark.parametrize(
    ("reply", "exit_code", "line"),
    [
        (web_page, 4, "answers no request: the server sends no JSON but text/html: 'Gateway Please sign in'"),
        (
            lambda _: HabitReply(b"", 302, headers={"Location": "http://elsewhere.invalid/login"}),
            4,
            "redirects to .*elsewhere",
        ),
        (lambda _: failure(503, "Loading model"), 4, "answers no request: 503: Loading model"),
        (lambda _: failure(400, "no key"), 4, "answers no request: 400: no key"),
        (lambda _: failure(404, "no such path"), 2, "names no model, and the server lists 0"),
        (lambda _: HabitReply({"data": []}), 2, "names no model, and the server lists 0"),
    ],
)
def test_a_reply_in_place_of_the_list_of_models_is_named_by_a_run_and_by_the_probe(
    reply: Habit, exit_code: int, line: str, template: Workspace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with habit_server() as server:
        server.list_habit = reply
        outcome = run_generate(template, tmp_path / "ws", monkeypatch, server)
        probed = Outcome(outcome.workspace, negwb(outcome.workspace, "generate", "probe", "stub"))
        assert not server.requests
    assert (outcome.exit_code, probed.exit_code) == (exit_code, exit_code)
    for each in (outcome, probed):
        assert re.search(line, each.line), each.line


def test_a_run_waits_for_the_list_of_models_of_a_server_that_loads_its_model(
    template: Workspace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with habit_server() as server:
        lists: list[HabitRequest] = []

        def loading_list(request: HabitRequest) -> HabitReply:
            lists.append(request)
            return failure(503, "Loading model") if len(lists) < 6 else server.list_models(request)

        server.list_habit = loading_list
        outcome = run_generate(template, tmp_path / "ws", monkeypatch, server)
    assert outcome.exit_code == 0, outcome.shown
    assert outcome.items == {"kept": 6}
    assert outcome.result.stderr.count("lists no models: 503: Loading model; waiting") == 1


@pytest.mark.parametrize("silent", ["presence", "acceptable"])
def test_six_items_whose_verdicts_on_one_question_are_all_unclear_end_with_exit_code_1(
    silent: str, one_server: HabitServer, template: Workspace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    one_server.habit = lambda request: (
        spoken(request, lambda _: "It depends.") if request.stage == silent else good(request)
    )
    outcome = run_generate(template, tmp_path / "ws", monkeypatch, one_server)
    assert (outcome.exit_code, outcome.items) == (1, {"kept": 6})
    assert re.match(r"(\d+) of \1 answers of the judges are neither yes nor no", outcome.line)


def test_a_redirect_to_another_host_is_named_and_gets_no_key(
    one_server: HabitServer, template: Workspace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HABIT_KEY", KEY)
    with habit_server() as other:
        target = f"{other.root}/v1/chat/completions?code={KEY}"
        one_server.habit = lambda request: HabitReply(b"", 307, headers={"Location": target})
        outcome = run_generate(template, tmp_path / "ws", monkeypatch, one_server, engine={"key_env": "HABIT_KEY"})
        assert outcome.exit_code == 4
        assert f"redirects to {other.root}/v1/chat/completions: 307" in outcome.line
        assert not other.requests
    no_key_anywhere(outcome, one_server)


def test_redirects_in_a_circle_end(
    one_server: HabitServer, template: Workspace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    one_server.requests = []
    one_server.habit = lambda request: HabitReply(b"", 308, headers={"Location": f"{request.path}/again"})
    outcome = run_generate(template, tmp_path / "ws", monkeypatch, one_server)
    assert outcome.exit_code == 4
    assert "redirects to" in outcome.line
    assert len(one_server.requests) <= 4 * 6


@pytest.mark.parametrize(
    ("proxy", "says"),
    [
        ("socks5://127.0.0.1:1080", "ALL_PROXY=socks5://127.0.0.1:1080: SOCKS proxies need the package socksio"),
        ("socks4://me:secret@127.0.0.1:1080", "ALL_PROXY=socks4://127.0.0.1:1080: an unknown kind of proxy"),
    ],
)
def test_a_proxy_that_cannot_be_used_is_named(
    proxy: str, says: str, one_server: HabitServer, template: Workspace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("HTTP_PROXY", "http_proxy", "NO_PROXY", "no_proxy", "all_proxy"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("ALL_PROXY", proxy)
    monkeypatch.setitem(sys.modules, "socksio", None)
    outcome = run_generate(
        template, tmp_path / "ws", monkeypatch, one_server, engine={"url": "http://models.invalid/v1"}
    )
    assert outcome.exit_code == 2
    assert says in outcome.line
    assert "secret" not in outcome.shown
