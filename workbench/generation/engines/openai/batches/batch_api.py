"""OpenAI's batch API: /files and /batches of a server, with retries. Nothing that a server sends is trusted."""

from __future__ import annotations

import asyncio
import json
import os
import re
from collections.abc import AsyncIterator, Awaitable, Callable, Collection, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from enum import StrEnum
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self, TypeVar
from urllib.parse import urlencode

from curation_db.atomic_write import replacing
from workbench.errors import ExitCode, NegwbError
from workbench.generation.engines.http.client import HttpClient, Reply, TransportFailure, open_client
from workbench.generation.engines.http.credentials import Secrets
from workbench.generation.engines.http.errors import plain_line, server_message
from workbench.generation.engines.http.multipart import MultipartFile
from workbench.generation.engines.http.retry import RetryDecision, RetryPolicy, classify_status
from workbench.generation.engines.http.stop_reasons import access_error, connection_error
from workbench.generation.engines.openai.batches.batch_lines import URL
from workbench.generation.engines.openai.engine import check
from workbench.generation.engines.openai.responses.response import parse_body
from workbench.generation.engines.protocol import EngineStopped
from workbench.workspace.settings.engines import EngineSettings
from workbench.workspace.settings.server_address import plain_url

_ID: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.:-]{0,199}")
"""An ID becomes part of a path and of file names."""
_PAGE: Final = 100
"""Entries of a list per request: OpenAI's most for batches."""
_MAX_PAGES: Final = 1_000
_TOKEN_FIELD: Final = "negwb"
"""Key of the batch's metadata that holds our token."""
_LONGEST_LINE: Final = 8 << 20
"""Of a file of answers; an answer with log-probabilities has a few kB."""
_HELD_BACK: Final = 1 << 14
"""Longest secret, with the line ends in it, that is found over several lines."""
_MAX_COUNT: Final = 2**53
T = TypeVar("T")
OnBytes = Callable[[int, int], None]


class BatchApiError(NegwbError):
    """The server does not speak the batch API, or rejects a request of it."""

    exit_code = ExitCode.NETWORK


class NotOnServer(BatchApiError):
    """The server has no such batch or file, for example because it was deleted after some weeks."""


class BatchServerUnreachable(EngineStopped):
    """No try of a request got a reply."""


class BatchStatus(StrEnum):
    """Status of a batch, as OpenAI names it."""

    VALIDATING = "validating"
    FAILED = "failed"
    """The file was rejected; no request was processed."""
    IN_PROGRESS = "in_progress"
    FINALIZING = "finalizing"
    COMPLETED = "completed"
    EXPIRED = "expired"
    CANCELLING = "cancelling"
    CANCELLED = "cancelled"
    UNKNOWN = "unknown"
    """A status that OpenAI does not have; the batch counts as running."""

    @property
    def ended(self) -> bool:
        """Whether the server processes no further request of the batch."""
        return self in {BatchStatus.FAILED, BatchStatus.COMPLETED, BatchStatus.EXPIRED, BatchStatus.CANCELLED}


@dataclass(frozen=True, slots=True, kw_only=True)
class Batch:
    """A batch as the server describes it."""

    id: str
    status: BatchStatus
    input_file: str = ""
    token: str = ""
    """From its metadata; empty: created by another program."""
    output_file: str = ""
    error_file: str = ""
    completed: int = 0
    failed: int = 0
    total: int = 0
    expires_at: int | None = None
    """Seconds since 1970."""
    problem: str = ""
    """Why the batch failed."""


@dataclass(slots=True)
class BatchServer:
    """A server of batches; for one event loop."""

    settings: EngineSettings
    policy: RetryPolicy = field(default_factory=RetryPolicy)
    _client: HttpClient = field(init=False, repr=False)

    def __post_init__(self) -> None:
        check(self.settings)
        self._client = open_client(self.settings)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._client.close()

    async def find_file(self, name: str) -> str | None:
        """Return the ID of an uploaded batch file by its name; None: there is none."""
        async for entry in self._list("/files", purpose="batch"):
            if entry.get("filename") == name and entry.get("status") != "error":
                return _id(entry, "file")
        return None

    async def upload(self, path: Path, name: str, on_sent: OnBytes = lambda sent, total: None) -> str:
        """Upload a batch file, unless an earlier try did, and return its ID."""

        async def attempt(number: int) -> Reply | TransportFailure | str:
            if number and (uploaded := await self.find_file(name)) is not None:
                return uploaded
            form = MultipartFile(path=path, name=name, fields={"purpose": "batch"})
            return await self._client.upload("/files", form, on_sent=on_sent)

        reply = await self._retried(attempt, "/files")
        return reply if isinstance(reply, str) else _id(_object(reply), "file")

    async def find_batch(self, token: str, input_files: Collection[str]) -> Batch | None:
        """Return the batch that was created with `token` or from one of the files; None: there is none."""
        async for entry in self._list("/batches"):
            ours = _token(entry)
            if ours == token or (not ours and entry.get("input_file_id") in input_files):
                return self._batch(entry)
        return None

    async def create(self, input_file: str, token: str, window: str) -> Batch:
        """Create a batch, unless an earlier try did.

        Args:
            input_file: ID of the uploaded file.
            token: Stored with the batch, so that it is found again.
            window: Time that the server has, such as 24h.
        """
        body = {
            "input_file_id": input_file,
            "endpoint": URL,
            "completion_window": window,
            "metadata": {_TOKEN_FIELD: token},
        }

        async def attempt(number: int) -> Reply | TransportFailure | Batch:
            if number and (created := await self.find_batch(token, {input_file})) is not None:
                return created
            return await self._client.post("/batches", json.dumps(body).encode())

        reply = await self._retried(attempt, "/batches")
        return reply if isinstance(reply, Batch) else self._batch(_object(reply))

    async def batch(self, batch_id: str) -> Batch:
        """Return the present state of a batch."""
        return await self._one(partial(self._get, f"/batches/{batch_id}"), batch_id)

    async def cancel(self, batch_id: str) -> Batch:
        """Cancel a batch; the server then reports it as cancelling, later as cancelled."""
        return await self._one(lambda number: self._client.post(f"/batches/{batch_id}/cancel", b"{}"), batch_id)

    async def download(
        self, file_id: str, path: Path, *, max_bytes: int, on_received: OnBytes = lambda received, total: None
    ) -> None:
        """Write the content of a file to `path`, which then is complete; secrets in it are masked.

        Args:
            on_received: Called with the number of bytes so far and their total, 0 if the server does not send it.

        Raises:
            NegwbError: the file cannot be written.
        """

        async def attempt(number: int) -> Reply | TransportFailure:
            with _writable(path) as draft, draft.open("wb") as file:
                masked = _MaskedWriter(file.write, self._client.masking)

                def write(chunk: bytes) -> None:
                    try:
                        masked.write(chunk)
                    except OSError as error:
                        raise _not_written(path, error) from error

                reply = await self._client.download(
                    f"/files/{file_id}/content", write, max_bytes=max_bytes, on_received=on_received
                )
                masked.finish()
                if isinstance(reply, TransportFailure) or reply.status != 200:
                    raise _Unfinished(reply)
                return reply

        async def caught(number: int) -> Reply | TransportFailure:
            try:
                return await attempt(number)
            except _Unfinished as unfinished:
                return unfinished.reply

        await self._retried(caught, f"/files/{file_id}/content")

    async def _one(self, attempt: Callable[[int], Awaitable[Reply | TransportFailure]], batch_id: str) -> Batch:
        reply = await self._retried(attempt, f"/batches/{batch_id}")
        batch = self._batch(_object(reply))
        if batch.id != batch_id:
            raise BatchApiError(f"{self._name} sent another batch than {batch_id}")
        return batch

    async def _get(self, path: str, number: int) -> Reply | TransportFailure:
        return await self._client.get(path)

    async def _list(self, path: str, **query: str) -> AsyncIterator[Mapping[str, Any]]:
        """Yield the entries of a list, page by page."""
        after: dict[str, str] = {}
        for _ in range(_MAX_PAGES):
            page = f"{path}?{urlencode({**query, 'limit': _PAGE, **after})}"
            content = _object(await self._retried(partial(self._get, page), path))
            entries = content.get("data")
            listed = [entry for entry in entries if isinstance(entry, Mapping)] if isinstance(entries, list) else []
            for entry in listed:
                yield entry
            last = listed[-1].get("id") if listed else None
            if not content.get("has_more") or not isinstance(last, str) or after.get("after") == last:
                return
            after = {"after": last}

    async def _retried(self, attempt: Callable[[int], Awaitable[Reply | TransportFailure | T]], path: str) -> Reply | T:
        """Call `attempt` with the number of tries before it until it succeeds or is given up.

        Raises:
            NegwbError: the server cannot be reached, refuses access or rejects the request.
        """
        failed = throttled = 0
        while True:
            reply = await attempt(failed + throttled)
            retry_after = None
            if isinstance(reply, TransportFailure):
                failed += 1
                problem = reply.detail
            elif isinstance(reply, Reply):
                decision, message = self._decision(reply)
                if decision is RetryDecision.OK:
                    return reply
                retry_after = self.policy.retry_after(reply.headers)
                problem = f"{reply.status}: {message}".removesuffix(": ")
                if decision is RetryDecision.ABORT and reply.status != 404:
                    raise access_error(self.settings, reply, self._client.key)
                if decision in {RetryDecision.ABORT, RetryDecision.REJECTED}:
                    raise self._rejection(reply, path, problem)
                failed += decision is RetryDecision.RETRY
                throttled += decision is RetryDecision.THROTTLED
            else:
                return reply
            if failed >= self.settings.tries or throttled >= self.policy.max_throttled:
                if isinstance(reply, TransportFailure):
                    error = connection_error(self.settings, problem)
                    raise BatchServerUnreachable(error.message, hint=error.hint)
                raise BatchApiError(f"{self._name}{path}: {problem}", hint="run the same command again later")
            await asyncio.sleep(self.policy.delay(failed + throttled, retry_after))

    def _decision(self, reply: Reply) -> tuple[RetryDecision, str]:
        decision = classify_status(reply.status)
        if decision is RetryDecision.OK:
            return decision, ""
        message = server_message(reply.body, self._client.key)
        has_retry_after = self.policy.retry_after(reply.headers) is not None
        return classify_status(reply.status, message, has_retry_after=has_retry_after), message

    def _rejection(self, reply: Reply, path: str, problem: str) -> BatchApiError:
        if reply.status in {404, 405, 501} and path in {"/files", "/batches"}:
            return BatchApiError(
                f"{self._name} has no batch API: {problem}",
                hint="run the file elsewhere (vllm run-batch -i FILE -o responses.jsonl --model M) and then: negwb"
                " generate --ingest-responses responses.jsonl",
            )
        if reply.status in {404, 410}:
            return NotOnServer(
                f"{self._name}{path}: {problem}",
                hint="if it is gone: negwb generate batch fetch --incomplete, and its requests are written again",
            )
        return BatchApiError(f"{self._name}{path}: {problem}")

    @property
    def _name(self) -> str:
        return plain_url(self.settings.url)

    def _batch(self, content: Mapping[str, Any]) -> Batch:
        counts = content.get("request_counts")
        counts = counts if isinstance(counts, Mapping) else {}
        return Batch(
            id=_id(content, "batch"),
            status=next((each for each in BatchStatus if each == content.get("status")), BatchStatus.UNKNOWN),
            input_file=_id(content, "input file", "input_file_id", optional=True),
            token=_token(content),
            output_file=_id(content, "output file", "output_file_id", optional=True),
            error_file=_id(content, "error file", "error_file_id", optional=True),
            completed=_count(counts.get("completed")),
            failed=_count(counts.get("failed")),
            total=_count(counts.get("total")),
            expires_at=_count(content.get("expires_at")) or None,
            problem=plain_line(_problems(content.get("errors")), self._client.key),
        )


class _Unfinished(Exception):
    """A download failed; removes its draft."""

    def __init__(self, reply: Reply | TransportFailure) -> None:
        super().__init__()
        self.reply = reply


class _MaskedWriter:
    """Writes lines without the secrets in them, also where a secret continues on the next lines.

    The last `_HELD_BACK` bytes are written with the lines that follow them.
    """

    def __init__(self, write: Callable[[bytes], object], secrets: Secrets) -> None:
        self._write, self._secrets = write, secrets
        self._rest = bytearray()
        self._masked = bytearray()

    def write(self, chunk: bytes) -> None:
        """Write the lines that are complete."""
        self._rest += chunk
        end = self._rest.rfind(b"\n", len(self._rest) - len(chunk)) + 1
        if not end and len(self._rest) > _LONGEST_LINE:
            raise BatchApiError(f"the server's file has a line of more than {_LONGEST_LINE >> 20} MiB")
        for line in bytes(self._rest[:end]).split(b"\n")[:-1]:
            self._masked += self._secrets.mask_body(line) + b"\n"
        del self._rest[:end]
        if end:
            self._write_masked(_HELD_BACK)

    def finish(self) -> None:
        """Write the rest."""
        self._masked += self._secrets.mask_body(bytes(self._rest))
        self._rest.clear()
        self._write_masked(0)

    def _write_masked(self, held_back: int) -> None:
        masked = self._secrets.mask_lines(bytes(self._masked))
        end = max(0, len(masked) - held_back)
        self._write(masked[:end])
        self._masked = bytearray(masked[end:])


def _object(reply: Reply) -> Mapping[str, Any]:
    content = parse_body(reply.body)
    if not isinstance(content, Mapping):
        kind = plain_line(reply.headers.get("content-type", "no type"), "")
        raise BatchApiError(
            f"the server's reply is no JSON object (content type {kind})", hint="check the engine's url"
        )
    return content


def _id(content: Mapping[str, Any], what: str, name: str = "id", *, optional: bool = False) -> str:
    """Return a valid ID of a server.

    Raises:
        BatchApiError: it is missing, or has characters that may not be part of a path.
    """
    value = content.get(name)
    if optional and (value is None or value == ""):
        return ""
    if not isinstance(value, str) or not _ID.fullmatch(value) or ".." in value:
        shown = plain_line(value, "") if isinstance(value, str) else type(value).__name__
        article = "an" if what[0] in "aeiou" else "a"
        raise BatchApiError(f"the server sent an invalid ID of {article} {what}: {shown}")
    return value


def _token(content: Mapping[str, Any]) -> str:
    metadata = content.get("metadata")
    token = metadata.get(_TOKEN_FIELD) if isinstance(metadata, Mapping) else None
    return token if isinstance(token, str) else ""


def _count(value: Any) -> int:
    return value if isinstance(value, int) and not isinstance(value, bool) and 0 <= value < _MAX_COUNT else 0


def _problems(errors: Any) -> str:
    data = errors.get("data") if isinstance(errors, Mapping) else None
    entries = [entry for entry in data if isinstance(entry, Mapping)] if isinstance(data, list) else []
    return "; ".join(str(entry.get("message") or entry.get("code") or "") for entry in entries[:3])


@contextmanager
def _writable(path: Path) -> Iterator[Path]:
    try:
        with replacing(path, only_writer=True) as draft:
            yield draft
    except OSError as error:
        raise _not_written(path, error) from error


def _not_written(path: Path, error: OSError) -> NegwbError:
    return NegwbError(f"cannot write {path}: {os.strerror(error.errno) if error.errno else error}")
