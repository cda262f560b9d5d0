"""OpenAI's batch API on loopback, with state: files, batches, and what was processed how often.

It runs in a thread of the test's process, so that a test reads and changes its state directly. A test can kill a client
at a request: before the server processes it, or after it did and before it replies.
"""

from __future__ import annotations

import contextlib
import itertools
import json
import re
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

from support.model_answers import chat
from support.model_server import Behaviour

Hook = Callable[[str, str], None]


@dataclass
class BatchServerState:
    """The server's files and batches, and how it behaves."""

    files: dict[str, dict[str, Any]] = field(default_factory=dict)
    contents: dict[str, bytes] = field(default_factory=dict)
    batches: dict[str, dict[str, Any]] = field(default_factory=dict)
    processed: Counter[str] = field(default_factory=Counter)
    """How often each request (custom_id) was answered, which is what a user pays for."""
    requests: list[str] = field(default_factory=list)
    """Method and path of all requests."""
    faults: dict[str, list[int]] = field(default_factory=dict)
    """Method and path to statuses of its next replies; 0: the connection is closed after the request is processed."""
    key: str = ""
    words: str = "out of order"
    """Text of an error; {key} stands for the key that came with the request."""
    ends_as: str = "completed"
    share: float = 1.0
    """Share of the requests that a batch processes before it ends."""
    instant: bool = True
    """Whether a batch ends as soon as it is created."""
    page: int = 100
    model: str = ""
    """Model that the answers name; default: the one of the request."""
    fail_every: int = 0
    """Every request of this number fails."""
    change_output: Callable[[list[str]], list[str]] = lambda lines: lines
    """Changes the lines of an output file."""
    change_batch: Callable[[dict[str, Any]], dict[str, Any]] = lambda batch: batch
    """Changes a batch as it is sent."""
    before: Hook = lambda method, path: None
    after: Hook = lambda method, path: None
    numbers: Iterator[int] = field(default_factory=lambda: itertools.count(1))
    url: str = ""

    def add_file(self, name: str, content: bytes, purpose: str) -> dict[str, Any]:
        number = f"file-{next(self.numbers)}"
        entry = {"id": number, "object": "file", "bytes": len(content), "filename": name, "purpose": purpose}
        self.files[number], self.contents[number] = entry, content
        return entry

    def create(self, body: dict[str, Any]) -> dict[str, Any]:
        number = f"batch_{next(self.numbers)}"
        lines = self.contents[body["input_file_id"]].splitlines()
        batch = {
            "id": number,
            "object": "batch",
            "endpoint": body["endpoint"],
            "input_file_id": body["input_file_id"],
            "completion_window": body["completion_window"],
            "metadata": body.get("metadata"),
            "status": "in_progress",
            "output_file_id": None,
            "error_file_id": None,
            "expires_at": 1_900_000_000,
            "request_counts": {"total": len(lines), "completed": 0, "failed": 0},
        }
        self.batches[number] = batch
        if self.instant:
            self.end(number)
        return batch

    def end(self, number: str, status: str = "") -> None:
        """Process a batch until it ends."""
        batch = self.batches[number]
        lines = [json.loads(line) for line in self.contents[batch["input_file_id"]].splitlines()]
        batch["status"] = status or self.ends_as
        if batch["status"] == "failed":
            batch["errors"] = {"data": [{"code": "invalid", "message": "the file is \x1b[31mtoo old"}]}
            return
        good, bad = [], []
        reached = round(self.share * len(lines))
        for place, line in enumerate(lines):
            row = {"id": f"r{place}", "custom_id": line["custom_id"], "response": None, "error": None}
            if place >= reached:
                bad.append({**row, "error": {"code": f"batch_{batch['status']}", "message": "not reached"}})
            elif self.fail_every and place % self.fail_every == 0:
                body = {"error": {"message": "bad image"}}
                bad.append({**row, "response": {"status_code": 400, "request_id": "x", "body": body}})
            else:
                self.processed[line["custom_id"]] += 1
                body = chat(line["body"], Behaviour(present=0.0), "")
                body["model"] = self.model or line["body"]["model"]
                good.append({**row, "response": {"status_code": 200, "request_id": "x", "body": body}})
        batch["request_counts"] = {"total": len(lines), "completed": len(good), "failed": len(bad)}
        for name, rows in (("output", good), ("error", bad)):
            if rows:
                text = [json.dumps(row) for row in reversed(rows)]
                text = self.change_output(text) if name == "output" else text
                content = "".join(f"{line}\n" for line in text).encode()
                batch[f"{name}_file_id"] = self.add_file(f"{name}.jsonl", content, "batch_output")["id"]


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: _Server

    def do_GET(self) -> None:
        self._serve("GET")

    def do_POST(self) -> None:
        self._serve("POST")

    def log_message(self, *args: object) -> None:
        """Print nothing."""

    def _serve(self, method: str) -> None:
        state, parts = self.server.state, urlsplit(self.path)
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        step = f"{method} {parts.path.removeprefix('/v1')}"
        key = (self.headers.get("Authorization") or "").removeprefix("Bearer ")
        with state_lock:
            state.requests.append(step)
            state.before(method, parts.path)
            faults = state.faults.get(step, [])
            fault = faults.pop(0) if faults else None
            if state.key and key != state.key:
                status, content = 401, self._error(key)
            elif fault:
                status, content = fault, self._error(key)
            else:
                status, content = self._answer(step, parse_qs(parts.query), body, key)
            state.after(method, parts.path)
        if fault == 0:
            self.close_connection = True
            return
        with contextlib.suppress(OSError):  # the client was killed
            self.send_response(status)
            self.send_header("Content-Length", str(len(content)))
            self.send_header("Retry-After", "0")
            self.end_headers()
            self.wfile.write(content)

    def _error(self, key: str) -> bytes:
        return json.dumps({"error": {"message": self.server.state.words.replace("{key}", key)}}).encode()

    def _answer(self, step: str, query: dict[str, list[str]], body: bytes, key: str) -> tuple[int, bytes]:
        state, content = self.server.state, b""
        named = re.fullmatch(r"(?:GET|POST) /(?:files/([^/]+)/content|batches/([^/]+?)(/cancel)?)", step)
        if step == "POST /files":
            content = json.dumps(self._store_upload(body)).encode()
        elif step == "GET /files":
            entries = [each for each in state.files.values() if [each["purpose"]] == query.get("purpose")]
            content = self._page(entries, query)
        elif step == "GET /batches":
            content = self._page(list(state.batches.values()), query)
        elif step == "POST /batches":
            content = self._sent(state.create(json.loads(body)))
        elif named and named[1] in state.contents:
            content = state.contents[named[1]].replace(b"{key}", key.encode())
        elif named and named[2] in state.batches:
            if named[3]:
                state.end(named[2], "cancelled")
            content = self._sent(state.batches[named[2]])
        return (200, content) if content else (404, self._error(key))

    def _sent(self, batch: dict[str, Any]) -> bytes:
        return json.dumps(self.server.state.change_batch(dict(batch))).encode()

    def _page(self, entries: list[dict[str, Any]], query: dict[str, list[str]]) -> bytes:
        newest = list(reversed(entries))
        after = query.get("after", [""])[0]
        start = next((place + 1 for place, each in enumerate(newest) if each["id"] == after), 0)
        page = newest[start : start + self.server.state.page]
        return json.dumps({"object": "list", "data": page, "has_more": start + len(page) < len(newest)}).encode()

    def _store_upload(self, body: bytes) -> dict[str, Any]:
        boundary = re.search(r"boundary=(\S+)", self.headers["Content-Type"])
        assert boundary
        fields: dict[str, bytes] = {}
        name = ""
        for part in body.split(b"--" + boundary[1].encode())[1:-1]:
            head, _, content = part.partition(b"\r\n\r\n")
            match = re.search(rb'name="(\w+)"(?:; filename="([^"]+)")?', head)
            assert match
            fields[match[1].decode()] = content.removesuffix(b"\r\n")
            name = match[2].decode() if match[2] else name
        return self.server.state.add_file(name, fields["file"], fields["purpose"].decode())


state_lock = threading.Lock()


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def __init__(self, state: BatchServerState, port: int) -> None:
        super().__init__(("127.0.0.1", port), _Handler)
        self.state = state


@contextlib.contextmanager
def batch_server(port: int = 0, **behaviour: Any) -> Iterator[BatchServerState]:
    """Run a server with the fields of `BatchServerState`."""
    state = BatchServerState(**behaviour)
    with _Server(state, port) as server:
        state.url = f"http://127.0.0.1:{server.server_port}/v1"
        thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
        thread.start()
        try:
            yield state
        finally:
            server.shutdown()
            thread.join()
