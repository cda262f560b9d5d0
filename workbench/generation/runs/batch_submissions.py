"""Submitted batch files, in the folder `batches` of the workspace: one JSON file for each content, with its batch.

They are files and not rows of the record: they are about an account of a server, not about the data. They are named by
the hash of the request file, so that a copy of a file under another name is recognised, and the file itself may be
moved or deleted. If the folder is lost, `negwb generate batch submit` finds the batches again in the server's lists.
"""

from __future__ import annotations

import fcntl
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Final

import msgspec

from curation_db.atomic_write import replace_file
from workbench.errors import UsageError
from workbench.generation.engines.openai.batches.batch_api import Batch, BatchStatus

_KEY_BYTES: Final = 32


@dataclass(frozen=True, slots=True, kw_only=True)
class Submission:
    """A submitted request file and its batch. Each step of a submission is stored before the next one begins."""

    sha256: str
    file: str
    """Path of the request file when it was submitted."""
    engine: str
    url: str
    """Address of the server, without its query."""
    model: str
    requests: int
    inline: bool = False
    """Whether the engine was written on the command line, so that negwb.toml does not have it."""
    attempt: int = 1
    """Above 1 if the same content was submitted again after a batch that processed nothing."""
    file_id: str = ""
    batch_id: str = ""
    status: BatchStatus = BatchStatus.UNKNOWN
    completed: int = 0
    failed: int = 0
    total: int = 0
    expires_at: int | None = None
    output_file: str = ""
    error_file: str = ""
    problem: str = ""
    fetched: bool = False
    """Whether all of its answers are in the record, and its other requests may be written again."""

    @property
    def token(self) -> str:
        """Name of the submission on the server."""
        return self.sha256 if self.attempt == 1 else f"{self.sha256}-{self.attempt}"

    @property
    def name(self) -> str:
        """Name of the request file, for display."""
        return Path(self.file).name

    @property
    def upload_name(self) -> str:
        """Name of the uploaded file."""
        return f"negwb-{self.token}.jsonl"

    def with_batch(self, batch: Batch) -> Submission:
        """Return the submission in the state that the server reports."""
        return replace(
            self,
            batch_id=batch.id,
            status=batch.status,
            completed=batch.completed,
            failed=batch.failed,
            total=batch.total,
            expires_at=batch.expires_at,
            output_file=batch.output_file,
            error_file=batch.error_file,
            problem=batch.problem,
        )

    def again(self) -> Submission:
        """Return a new submission of the same content."""
        return Submission(
            sha256=self.sha256,
            file=self.file,
            engine=self.engine,
            url=self.url,
            model=self.model,
            requests=self.requests,
            inline=self.inline,
            attempt=self.attempt + 1,
        )

    def to_dict(self) -> dict[str, Any]:
        """As JSON."""
        return asdict(self)


class SubmissionFolder:
    """The stored submissions of a workspace."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Keep other processes from submitting and fetching.

        Raises:
            UsageError: another process does.
        """
        try:
            self._folder.mkdir(exist_ok=True)
            lock = (self._folder / ".lock").open("ab")
        except OSError as error:
            raise UsageError(f"cannot write {self._folder}: {error.strerror or error}") from error
        with lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                raise UsageError(
                    "another process submits or fetches batches of this workspace", hint="wait until it has ended"
                ) from None
            yield

    def all(self) -> list[Submission]:
        """Return all submissions in the order of their files' names.

        Raises:
            UsageError: a file is damaged.
        """
        listed = [self._read(path) for path in sorted(self._folder.glob("*.json"))]
        return sorted(listed, key=lambda each: (each.file, each.sha256))

    def get(self, sha256: str) -> Submission | None:
        """Return the submission of a content."""
        path = self._folder / f"{sha256}.json"
        return self._read(path) if path.exists() else None

    def save(self, submission: Submission) -> Submission:
        """Store a submission and return it."""
        content = msgspec.json.format(msgspec.json.encode(submission), indent=1)
        replace_file(self._folder / f"{submission.sha256}.json", content + b"\n", only_writer=True)
        return submission

    def save_keys(self, sha256: str, keys: tuple[bytes, ...]) -> None:
        """Store the keys of the requests, so that the request file is not needed any more."""
        replace_file(self._folder / f"{sha256}.keys", b"".join(keys), only_writer=True)

    def keys(self, submission: Submission) -> tuple[bytes, ...]:
        """Return the keys of a submission's requests.

        Raises:
            UsageError: they are missing.
        """
        path = self._folder / f"{submission.sha256}.keys"
        try:
            content = path.read_bytes()
        except OSError as error:
            raise UsageError(f"cannot read {path}: {error.strerror or error}") from error
        keys = tuple(content[start : start + _KEY_BYTES] for start in range(0, len(content), _KEY_BYTES))
        if len(keys) != submission.requests or len(content) % _KEY_BYTES:
            raise UsageError(f"{path} is damaged", hint=f"submit {submission.name} again: its batch is found again")
        return keys

    def downloads(self, submission: Submission) -> tuple[Path, Path]:
        """Return the paths of the downloaded output and error files."""
        return self._folder / f"{submission.token}.output.jsonl", self._folder / f"{submission.token}.errors.jsonl"

    def _read(self, path: Path) -> Submission:
        try:
            return msgspec.json.decode(path.read_bytes(), type=Submission)
        except (msgspec.DecodeError, OSError) as error:
            raise UsageError(
                f"{path}: not a submission: {error}",
                hint="delete it and submit its file again: its batch is found again",
            ) from error
