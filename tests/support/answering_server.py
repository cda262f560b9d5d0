"""An HTTP server on loopback in this process whose replies a function of the test gives."""

from __future__ import annotations

import contextlib
import json
import math
import threading
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

Reply = Callable[[dict[str, Any]], tuple[int, Mapping[str, Any]]]
"""Body of a chat request to status and payload."""


@dataclass
class AnsweringServer:
    """A running server."""

    url: str
    reply: Reply
    """May be replaced."""
    requests: list[dict[str, Any]] = field(default_factory=list)
    """Bodies of the chat requests so far."""


@contextlib.contextmanager
def answering_server(reply: Reply) -> Iterator[AnsweringServer]:
    """Serve one model called "stub"."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        wbufsize = 2**16  # one packet per reply: two would wait 40 ms for the client's acknowledgement

        def do_GET(self) -> None:
            self._send(200, {"object": "list", "data": [{"id": "stub"}]})

        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            if not self.path.endswith("/chat/completions"):
                self._send(404, {"error": {"message": "no such path"}})
                return
            running.requests.append(body)
            self._send(*running.reply(body))

        def _send(self, status: int, payload: Mapping[str, Any]) -> None:
            content = json.dumps(payload).encode()
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, *_args: object) -> None:
            """Print nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        server.daemon_threads = True
        running = AnsweringServer(f"http://127.0.0.1:{server.server_port}/v1", reply)
        thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
        thread.start()
        try:
            yield running
        finally:
            server.shutdown()
            thread.join()


def completion(text: str, *, finish: str = "stop", logprobs: Any = None, **message: Any) -> dict[str, Any]:
    """Return the payload of a chat completion; `message` are further fields of the message."""
    content = {"role": "assistant", "content": text, **message}
    choice = {"index": 0, "message": content, "finish_reason": finish, "logprobs": logprobs}
    return {"object": "chat.completion", "model": "stub", "choices": [choice]}


def token_logprobs(*tokens: Mapping[str, float]) -> dict[str, Any]:
    """Return log-probabilities: for each position the probabilities of its candidates, the generated one first."""
    content = []
    for shares in tokens:
        candidates = [{"token": token, "logprob": math.log(share)} for token, share in shares.items()]
        content.append({**candidates[0], "top_logprobs": candidates})
    return {"content": content}


def refusal(words: str, status: int = 400) -> tuple[int, dict[str, Any]]:
    """Return an error reply."""
    return status, {"error": {"message": words, "code": status}}


def last_text(body: Mapping[str, Any]) -> str:
    """Return the text of the last message."""
    content = body["messages"][-1]["content"]
    return content if isinstance(content, str) else content[-1]["text"]


def image_of(body: Mapping[str, Any]) -> str:
    """Return the image URL of the last message; empty: none."""
    content = body["messages"][-1]["content"]
    return "" if isinstance(content, str) else content[0]["image_url"]["url"]
