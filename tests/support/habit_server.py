"""A model server on loopback, in a thread of the test, whose every reply a test decides: for the habits of odd servers.

A habit is a function from a request to a reply. `good` is the reply of a well-behaved server; a habit changes it, or
replaces it for some requests. `support.model_server` is the quick server with faults by chance, in its own process.
"""

from __future__ import annotations

import contextlib
import json
import re
import threading
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qsl, urlsplit

from support.model_answers import chat, parse_request
from support.model_server import Behaviour

_STAGES = (
    ("rewrite", re.compile(r"absence of|Not there:|^Question:", re.M)),
    ("acceptable", re.compile(r"\b(?:caption|sentence)\b.*\byes\b", re.I | re.S)),
    ("presence", re.compile(r"\byes\b", re.I)),
)


@dataclass(frozen=True)
class HabitRequest:
    """A request as it arrived."""

    number: int
    """Number of the chat request, from 1; 0 for a list of models."""
    method: str
    path: str
    query: Mapping[str, str]
    headers: Mapping[str, str]
    """Names in lower case."""
    body: Mapping[str, Any]

    @property
    def text(self) -> str:
        """Text of the last user message."""
        return parse_request(dict(self.body))[0]

    @property
    def stage(self) -> str:
        """Stage of the pipeline: propose, presence, rewrite or acceptable."""
        return next((stage for stage, pattern in _STAGES if pattern.search(self.text)), "propose")


@dataclass(frozen=True)
class HabitReply:
    """A reply; a body that is no bytes is sent as JSON."""

    body: Any
    status: int = 200
    content_type: str = "application/json"
    headers: Mapping[str, str] = field(default_factory=dict)


Habit = Callable[[HabitRequest], HabitReply]


def good(request: HabitRequest, *, present: float = 0.0) -> HabitReply:
    """Return the reply of a well-behaved server; no concept is present, and all captions are acceptable."""
    return HabitReply(chat(dict(request.body), Behaviour(present=present), ""))


def edited(request: HabitRequest, edit: Callable[[dict[str, Any], str], object]) -> HabitReply:
    """Return the good reply after `edit` changed its choice; `edit` gets the choice and its text."""
    payload = good(request).body
    edit(payload["choices"][0], payload["choices"][0]["message"]["content"])
    return HabitReply(payload)


def spoken(request: HabitRequest, content: Callable[[str], Any]) -> HabitReply:
    """Return the good reply with another content."""
    return edited(request, lambda choice, text: choice["message"].update(content=content(text)))


def failure(status: int, message: str, **headers: str) -> HabitReply:
    """Return an error in OpenAI's shape."""
    return HabitReply({"error": {"message": message, "code": status}}, status, headers=headers)


class HabitServer:
    """A running server; `habit` and `list_habit` may be replaced at any time."""

    def __init__(self, habit: Habit, *, models: tuple[str, ...] = ("stub",)) -> None:
        self.habit, self.models = habit, models
        self.list_habit: Habit = self.list_models
        self.requests: list[HabitRequest] = []
        """Chat requests so far."""
        self.dead = False
        """Whether it cuts every connection."""
        self._lock = threading.Lock()
        self._http = _Server(("127.0.0.1", 0), _Handler)
        self._http.owner = self
        self._thread = threading.Thread(target=self._http.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
        self._thread.start()

    @property
    def root(self) -> str:
        """Address without a path."""
        return f"http://127.0.0.1:{self._http.server_address[1]}"

    @property
    def url(self) -> str:
        """Address as settings name it."""
        return f"{self.root}/v1"

    def reply(self, method: str, target: str, headers: Mapping[str, str], content: bytes) -> HabitReply:
        """Return the reply to a request."""
        parts = urlsplit(target)
        with self._lock:
            number = len(self.requests) + 1 if method == "POST" else 0
            body = json.loads(content) if content else {}
            request = HabitRequest(number, method, parts.path, dict(parse_qsl(parts.query)), headers, body)
            if method == "POST":
                self.requests.append(request)
        if method == "GET" and parts.path.endswith("/models"):
            return self.list_habit(request)
        return self.habit(request)

    def list_models(self, request: HabitRequest) -> HabitReply:
        """Return the list of models."""
        return HabitReply({"object": "list", "data": [{"id": each} for each in self.models]})

    def close(self) -> None:
        """Stop serving."""
        self._http.shutdown()
        self._http.server_close()
        self._thread.join()


@contextlib.contextmanager
def habit_server(habit: Habit = good, *, models: tuple[str, ...] = ("stub",)) -> Iterator[HabitServer]:
    """A server with a habit."""
    server = HabitServer(habit, models=models)
    try:
        yield server
    finally:
        server.close()


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    owner: HabitServer

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Ignore clients that hang up."""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    server: _Server

    def do_GET(self) -> None:
        self._answer()

    def do_POST(self) -> None:
        self._answer()

    def _answer(self) -> None:
        content = self.rfile.read(int(self.headers.get("Content-Length", "0")))
        if self.server.owner.dead:
            self.close_connection = True
            return
        headers = {name.lower(): value for name, value in self.headers.items()}
        reply = self.server.owner.reply(self.command, self.path, headers, content)
        body = reply.body if isinstance(reply.body, bytes) else json.dumps(reply.body).encode()
        self.send_response(reply.status)
        self.send_header("Content-Type", reply.content_type)
        self.send_header("Content-Length", str(len(body)))
        for name, value in reply.headers.items():
            self.send_header(name.replace("_", "-"), value)
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: Any) -> None:
        """Write no log."""
