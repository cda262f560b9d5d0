"""A model server on loopback that can misbehave: OpenAI's chat completions and typed decisions, answered from the
request alone, so that a test can tell whose answer it got; with a latency, a ceiling, and faults by the dice of a seed.

In a process of its own: `python tests/support/model_server.py '{"latency_ms": 200, "ceiling": 64}'` prints its address.
Standard library only; a thousand small requests a second. `GET /stats` says what it served, `POST /behaviour` changes
how it behaves from now on.
"""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import json
import random
import re
import signal
import subprocess
import sys
import urllib.request
from collections import Counter, deque
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

if __name__ == "__main__":  # run as a file: its folder's parent holds the package
    sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
from support.model_answers import chat, decide

# fmt: off
FAULTS = (
    "500", "503", "429", "cut", "half_json", "drip", "wrong_schema", "no_logprobs", "bad_utf8", "endless", "empty",
    "length", "refusal", "400",
)
# fmt: on
HONOURS = ("seed", "choice", "json_schema", "max_tokens", "stop", "system", "picture")


@dataclass
class Behaviour:
    """How the server behaves."""

    latency_ms: float = 0.0
    ceiling: int = 0
    """Requests at a time; 0: any number."""
    queueing: bool = False
    """Beyond the ceiling requests wait; else they are turned away with 429."""
    retry_after: str = "0.2"
    faults: dict[str, float] = field(default_factory=dict)
    """Fault to its share of the requests."""
    faulty_tries: int = 2
    """A request with the same content goes wrong so many times at most, then well; 0: for ever."""
    seed: int = 0
    always: int = 0
    """Every chat gets this status; 0: none."""
    words: str = "out of order"
    """What its errors say; {key} stands for the key that came with the request."""
    key: str = ""
    """The API key that it wants."""
    models: list[str] = field(default_factory=lambda: ["stub"])
    present: float = 0.25
    """Share of the pictures and things where a thing is there."""
    logprobs: bool = True
    honours: list[str] = field(
        default_factory=lambda: ["seed", "choice", "json_schema", "max_tokens", "stop", "system", "picture"]
    )
    decisions: str = ""
    """How pictures of typed decisions come: assets, images; empty: it has none (404)."""
    drip_s: float = 0.05


class Connection(asyncio.Protocol):
    """One connection, kept alive; a request at a time."""

    transport: asyncio.Transport

    def __init__(self, server: ModelServer) -> None:
        self.server = server
        self.buffer = bytearray()
        self.busy = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport

    def data_received(self, data: bytes) -> None:
        self.buffer += data
        self.serve_next()

    def serve_next(self) -> None:
        """Begin with the next request, if it is here as a whole."""
        end = self.buffer.find(b"\r\n\r\n")
        if self.busy or end < 0:
            return
        head = bytes(self.buffer[:end])
        length = re.search(rb"\r\ncontent-length: *(\d+)", head, re.I)
        whole = end + 4 + (int(length[1]) if length else 0)
        if len(self.buffer) < whole:
            return
        body = bytes(self.buffer[end + 4 : whole])
        del self.buffer[:whole]
        self.busy = True
        method, path, _ = head.split(b"\r\n", 1)[0].decode().split(" ", 2)
        key = re.search(rb"\r\nauthorization: *bearer ([^\r\n]*)", head, re.I)
        self.server.begin(self, method, path, body, key[1].decode() if key else "")

    def send(self, status: int, body: bytes, *, headers: str = "", claim: int | None = None) -> None:
        """A reply; `claim`: the length that it says it has."""
        if self.transport.is_closing():
            return
        size = len(body) if claim is None else claim
        head = f"HTTP/1.1 {status} .\r\nContent-Type: application/json\r\nContent-Length: {size}\r\n{headers}\r\n"
        self.transport.write(head.encode() + body)
        if claim is not None:
            self.transport.close()
        self.busy = False
        self.serve_next()

    def pour(self, start: bytes, piece: bytes, every: float) -> None:
        """A body that has no end: `piece` again and again, until nobody listens."""
        self.transport.write(b"HTTP/1.1 200 .\r\nContent-Type: application/json\r\nConnection: close\r\n\r\n" + start)

        def more() -> None:
            if not self.transport.is_closing():
                if self.transport.get_write_buffer_size() < 2**20:
                    self.transport.write(piece)
                asyncio.get_running_loop().call_later(every, more)

        more()


class ModelServer:
    """What happens to requests."""

    def __init__(self, behaviour: Behaviour) -> None:
        self.behaviour = behaviour
        self.seen: Counter[str] = Counter()
        """Requests by content."""
        self.served: Counter[str] = Counter()
        """Good answers by content."""
        self.statuses: Counter[int] = Counter()
        self.faults: Counter[str] = Counter()
        self.working = self.peak = 0
        self.waiting: deque[tuple[Connection, str, bytes, str]] = deque()

    def begin(self, connection: Connection, method: str, path: str, body: bytes, key: str) -> None:
        """A request is here as a whole."""
        if path == "/stats":
            connection.send(200, json.dumps(self.stats()).encode())
        elif path == "/behaviour":
            self.behaviour = Behaviour(**{**asdict(self.behaviour), **json.loads(body)})
            connection.send(200, b"{}")
        elif self.behaviour.key and key != self.behaviour.key:
            self.fail(connection, 401, key)
        elif path == "/v1/models" and method == "GET":
            models = [{"id": name, "object": "model"} for name in self.behaviour.models]
            connection.send(200, json.dumps({"object": "list", "data": models}).encode())
        elif path == "/v1/chat/completions" or (path == "/v1/systemone" and self.behaviour.decisions):
            self.admit(connection, path, body, key)
        else:
            self.fail(connection, 404, key)

    def admit(self, connection: Connection, path: str, body: bytes, key: str) -> None:
        """Work on it now, later, or not at all."""
        if not self.behaviour.ceiling or self.working < self.behaviour.ceiling:
            self.work(connection, path, body, key)
        elif self.behaviour.queueing:
            self.waiting.append((connection, path, body, key))
        else:
            self.fail(connection, 429, key)

    def work(self, connection: Connection, path: str, body: bytes, key: str) -> None:
        self.working += 1
        self.peak = max(self.peak, self.working)
        asyncio.get_running_loop().call_later(self.behaviour.latency_ms / 1000, self.end, connection, path, body, key)

    def end(self, connection: Connection, path: str, body: bytes, key: str) -> None:
        self.working -= 1
        if self.waiting:
            self.work(*self.waiting.popleft())
        content = hashlib.blake2b(body, digest_size=12).hexdigest()
        self.seen[content] += 1
        if self.behaviour.always:
            self.fail(connection, self.behaviour.always, key)
            return
        fault = self.fault(content)
        self.faults[fault] += bool(fault)
        if fault.isdigit():
            self.fail(connection, int(fault), key)
            return
        request = json.loads(body)
        if "model" in request and request["model"] not in self.behaviour.models:
            self.fail(connection, 404, key)
            return
        answer = decide if path.endswith("systemone") else chat
        self.reply(connection, answer(request, self.behaviour, fault), fault, content)

    def fault(self, content: str) -> str:
        """What goes wrong this time."""
        tries = self.seen[content]
        if self.behaviour.faulty_tries and tries > self.behaviour.faulty_tries:
            return ""
        dice = random.Random(f"{self.behaviour.seed}/{content}/{tries}").random()
        for fault, share in self.behaviour.faults.items():
            dice -= share
            if dice < 0:
                return fault
        return ""

    def reply(self, connection: Connection, payload: dict[str, Any], fault: str, content: str) -> None:
        """Send the answer, or what a fault makes of it."""
        body = json.dumps(payload).encode()
        self.statuses[200] += 1
        half = body[: len(body) // 2]
        match fault:
            case "cut":
                connection.send(200, half, claim=len(body))
            case "half_json":
                connection.send(200, half)
            case "drip":
                connection.pour(b"", b" ", self.behaviour.drip_s)
            case "endless":
                connection.pour(b'{"choices": [', b" " * 2**18, 0.0)
            case "bad_utf8":
                connection.send(200, body.replace(b'"content": "', b'"content": "\xff\xfe'))
            case "wrong_schema":
                connection.send(200, b'{"result": ["yes"], "choices": {"0": null}}')
            case _:
                if not fault:
                    self.served[content] += 1
                connection.send(200, body)

    def fail(self, connection: Connection, status: int, key: str) -> None:
        self.statuses[status] += 1
        words = self.behaviour.words.replace("{key}", key)
        headers = (
            f"Retry-After: {self.behaviour.retry_after}\r\n" if status == 429 and self.behaviour.retry_after else ""
        )
        connection.send(status, json.dumps({"error": {"message": words, "code": status}}).encode(), headers=headers)

    def stats(self) -> dict[str, Any]:
        """What was asked and served so far."""
        return {
            "requests": sum(self.statuses.values()),
            "served": sum(self.served.values()),
            "contents": len(self.seen),
            "contents_served": len(self.served),
            "served_again": sum(count - 1 for count in self.served.values()),
            "peak": self.peak,
            "working": self.working,
            "statuses": {str(status): count for status, count in self.statuses.items()},
            "faults": dict(self.faults),
        }


@dataclass(frozen=True)
class Served:
    """A running server."""

    root: str
    process: subprocess.Popen[str]

    @property
    def url(self) -> str:
        """As settings want it."""
        return f"{self.root}/v1"

    def stats(self) -> dict[str, Any]:
        """See `ModelServer.stats`."""
        with urllib.request.urlopen(f"{self.root}/stats", timeout=10) as reply:
            return dict(json.load(reply))

    def behave(self, **changes: Any) -> None:
        """Change how it behaves."""
        request = urllib.request.Request(f"{self.root}/behaviour", json.dumps(changes).encode(), method="POST")
        urllib.request.urlopen(request, timeout=10).close()


@contextlib.contextmanager
def model_server(port: int = 0, **behaviour: Any) -> Iterator[Served]:
    """A server in a process of its own, with the fields of `Behaviour`."""
    command = [sys.executable, __file__, json.dumps(behaviour), str(port)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            root = process.stdout.readline().strip()
            assert root.startswith("http"), "the model server did not start"
            yield Served(root, process)
        finally:
            process.kill()


async def main(behaviour: Behaviour, port: int) -> None:
    """Serve until the process ends."""
    server = ModelServer(behaviour)
    loop = asyncio.get_running_loop()
    listening = await loop.create_server(lambda: Connection(server), "127.0.0.1", port, backlog=1024)
    sys.stdout.write(f"http://127.0.0.1:{listening.sockets[0].getsockname()[1]}\n")
    sys.stdout.flush()
    stop = asyncio.Event()
    loop.add_signal_handler(signal.SIGTERM, stop.set)
    await stop.wait()


if __name__ == "__main__":
    options = json.loads(sys.argv[1]) if len(sys.argv) > 1 else {}
    asyncio.run(main(Behaviour(**options), int(sys.argv[2]) if len(sys.argv) > 2 else 0))
