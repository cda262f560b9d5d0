"""Downloads the files of a benchmark: the annotation files and the images that they name.

Valid files are not downloaded again. Each file is checked before it gets its name: the annotations by hash, an image by
decoding it and by whether the boxes fit into it. A stopped download is continued by the next call. If no server
answers, the download ends within seconds instead of trying each image. Images that the servers do not have are listed
in a file of the folder and are not requested again, unless asked for.
"""

from __future__ import annotations

import hashlib
import json
import zipfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Final
from urllib.parse import quote

from PIL import Image, UnidentifiedImageError

from benchmarks.data.download import (
    Check,
    DownloadStopped,
    FileGone,
    RequestLimits,
    ServerUnreachable,
    download,
    make_client,
)
from benchmarks.data.download_session import DownloadSession
from benchmarks.data.sources import AnnotationFile, BenchmarkSource, ImageSource
from benchmarks.errors import BenchError
from benchmarks.registry import load_task
from benchmarks.task import Box, Task
from benchmarks.tasks import regions
from curation_db.atomic_write import replace_file
from curation_db.foreign_json import JsonError, parse_json

if TYPE_CHECKING:
    import httpx

Progress = Callable[[str, int, int], None]
"""Called with the stage ("checking" or "images"), the number of finished images and the total."""

GONE_FILE: Final = "gone.json"
"""File in the folder of a benchmark: the images that no server has, {name: [address, reason]}."""
_FORMATS: Final = ("JPEG", "PNG", "WEBP", "GIF", "BMP", "TIFF")
_TOLERANCE: Final = 2
"""Pixels by which a box may exceed the image: some annotated boxes do."""
_WAKE_S: Final = 0.2
"""Longest time until the main thread handles Ctrl-C."""
_CHUNK: Final = 1 << 20


@dataclass(frozen=True, slots=True)
class ManualStep:
    """Files that a person has to get."""

    what: str
    where: Path
    """The folder that they belong in."""
    source: str
    """Where a person gets them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FetchResult:
    pictures: int
    """Number of images of the benchmark; 0: an annotation file is missing."""
    present: int
    """Number of images that were valid before."""
    fetched: int
    received_bytes: int
    failed: Mapping[str, str]
    """File name to reason; the next call tries only these."""
    gone: frozenset[str] = frozenset()
    """Those of `failed` that no server has; the next call does not request them."""
    by_hand: tuple[ManualStep, ...] = ()
    """What cannot be downloaded and is missing."""
    unreachable: str = ""
    """Why the remaining images were not requested: no server answers; "": all were requested."""

    @property
    def complete(self) -> bool:
        """Whether the benchmark can be run."""
        return not self.failed and not self.by_hand


def fetch_benchmark(
    name: str,
    folder: Path,
    source: BenchmarkSource,
    *,
    pictures: Path | None = None,
    limits: RequestLimits | None = None,
    retry_failed: bool = False,
    progress: Progress | None = None,
) -> FetchResult:
    """Download the annotation files of a registered benchmark, and the images that they name.

    Args:
        pictures: Folder of the images; None: the one in `folder`.
        limits: Timeouts, retries and rates; None: the defaults.
        retry_failed: Request only missing images, those that no server had too; existing ones are not checked.
        progress: Called while images are checked, and after each image.

    Returns:
        The result, with the images that could not be downloaded and what a person has to get.

    Raises:
        BenchError: An annotation file cannot be downloaded, or is not the published one.
        KeyboardInterrupt: Raised again after the connections are closed; the downloaded files are stored.
    """
    limits = limits or RequestLimits()
    with make_client(limits) as http, DownloadSession(limits.patience_s) as session:
        fetching = _Fetching(http, source, limits, session, progress or (lambda stage, done, total: None))
        received = sum(fetching.annotations(file, folder) for file in source.files)
        if steps := _missing_annotations(source, folder):
            return FetchResult(pictures=0, present=0, fetched=0, received_bytes=received, failed={}, by_hand=steps)
        task = load_task(name, folder, pictures)
        result = fetching.images(task, folder, retry_failed=retry_failed)
        return replace(result, received_bytes=result.received_bytes + received)


def _missing_annotations(source: BenchmarkSource, folder: Path) -> tuple[ManualStep, ...]:
    return tuple(
        ManualStep(file.name, folder, file.by_hand) for file in source.files if not (folder / file.name).is_file()
    )


@dataclass(frozen=True, slots=True)
class _Fetching:
    """A download with its client, limits and state."""

    http: httpx.Client
    source: BenchmarkSource
    limits: RequestLimits
    session: DownloadSession
    report: Progress

    def annotations(self, file: AnnotationFile, folder: Path) -> int:
        """Download a file if it is not there; return the number of bytes received.

        Raises:
            BenchError: It cannot be downloaded.
        """
        target = folder / file.name
        check = _hash_check(file.sha256)
        if not file.urls or _is_valid(target, check):
            return 0
        folder.mkdir(parents=True, exist_ok=True)
        limits = replace(self.limits, most_bytes=file.most_bytes)
        try:
            if file.zipped:
                return self._zipped(file, target, limits)
            return download(self.http, file.urls, target, check, limits=limits, session=self.session)
        except (BenchError, DownloadStopped) as error:
            raise BenchError(
                f"{file.name} could not be fetched: {error}",
                hint=f"run the command again, or copy the file to {folder}",
            ) from error

    def _zipped(self, file: AnnotationFile, target: Path, limits: RequestLimits) -> int:
        archive = target.with_name(target.name + ".zip")
        received = 0
        if not _is_valid(archive, _zip_check(file)):
            urls, check = file.urls, _zip_check(file)
            received = download(self.http, urls, archive, check, limits=limits, session=self.session)
        _unpack(archive, file, target)
        archive.unlink()
        return received

    def images(self, task: Task, folder: Path, *, retry_failed: bool) -> FetchResult:
        """Download the missing images of `task`; `folder` is that of its annotations."""
        task.pictures.mkdir(parents=True, exist_ok=True)
        checks = {name: image_file_check(size) for name, size in smallest_sizes(task).items()}
        wanted = self._missing(task, checks, checked=not retry_failed)
        present = len(checks) - len(wanted)
        sources = {name: self.source.image_source(name) for name in wanted}
        by_hand = [name for name, source in sources.items() if source is None or not source.bases]
        addresses = {name: _addresses(source, name) for name, source in sources.items() if source and source.bases}
        known = _read_gone(folder)
        gone = {
            name: known[name][1]
            for name, urls in addresses.items()
            if not retry_failed and name in known and known[name][0] == urls[0]
        }
        requested = {name: urls for name, urls in addresses.items() if name not in gone}
        failed, received, unreachable = dict(gone), 0, ""
        self.report("images", present, len(checks))
        self.session.renew_deadline()  # checking the existing files took time
        for done, (name, outcome) in enumerate(self._each(task, requested, checks), present + 1):
            if isinstance(outcome, BenchError):
                failed[name] = outcome.message
                unreachable = unreachable or (outcome.message if isinstance(outcome, ServerUnreachable) else "")
                if isinstance(outcome, FileGone):
                    gone[name] = outcome.message
            else:
                received += outcome
            self.report("images", done, len(checks))
        _write_gone(folder, known, requested, {name: (addresses[name][0], reason) for name, reason in gone.items()})
        return FetchResult(
            pictures=len(checks),
            present=present,
            fetched=len(addresses) - len(failed),
            received_bytes=received,
            failed=failed,
            gone=frozenset(gone),
            by_hand=_manual_steps(by_hand, sources, task),
            unreachable=unreachable,
        )

    def _missing(self, task: Task, checks: Mapping[str, Check], *, checked: bool) -> list[str]:
        """Return the images that do not exist or, if `checked`, are not valid."""
        if not checked:
            return [name for name in checks if not (task.pictures / name).is_file()]
        missing = []
        with ThreadPoolExecutor(self.limits.connections, thread_name_prefix="check") as pool:
            try:
                valid = pool.map(lambda name: _is_valid(task.pictures / name, checks[name]), checks)
                for done, (name, is_valid) in enumerate(zip(checks, valid, strict=True), 1):
                    if not is_valid:
                        missing.append(name)
                    self.report("checking", done, len(checks))
            finally:
                pool.shutdown(cancel_futures=True)  # after Ctrl-C, the others are not checked
        return missing

    def _each(
        self, task: Task, requested: Mapping[str, Sequence[str]], checks: Mapping[str, Check]
    ) -> Iterator[tuple[str, int | BenchError]]:
        """Yield each image with the bytes received or the error, in order of completion; on Ctrl-C stop all."""

        def fetch_one(name: str) -> int:
            target = task.pictures / name
            target.parent.mkdir(parents=True, exist_ok=True)
            try:
                return download(
                    self.http, requested[name], target, checks[name], limits=self.limits, session=self.session
                )
            finally:
                if not self.session.given_up:
                    self.session.wait(self.limits.pause_s)

        with ThreadPoolExecutor(self.limits.connections, thread_name_prefix="fetch") as pool:
            running: dict[Future[int], str] = {pool.submit(fetch_one, name): name for name in requested}
            try:
                while running:
                    # without a timeout, Ctrl-C would be delayed on some platforms
                    completed, _ = wait(running, timeout=_WAKE_S, return_when=FIRST_COMPLETED)
                    for future in completed:
                        yield running.pop(future), _outcome(future)
            finally:
                self.session.stop_all()
                for future in running:
                    future.cancel()


def _addresses(source: ImageSource, name: str) -> list[str]:
    return [base.rstrip("/") + "/" + quote(name) for base in source.bases]


def _manual_steps(
    names: Sequence[str], sources: Mapping[str, ImageSource | None], task: Task
) -> tuple[ManualStep, ...]:
    by_source: dict[str, list[str]] = {}
    for name in names:
        source = sources[name]
        by_source.setdefault(source.by_hand if source else "unknown", []).append(name)
    return tuple(
        ManualStep(f"{len(group):,} images ({group[0]}{', ...' if len(group) > 1 else ''})", task.pictures, source)
        for source, group in by_source.items()
    )


def _read_gone(folder: Path) -> dict[str, tuple[str, str]]:
    """Return address and reason of each image that no server had; {} if the file is missing or damaged."""
    try:
        content = parse_json((folder / GONE_FILE).read_bytes())
        return {str(name): (str(url), str(reason)) for name, (url, reason) in content.items()}
    except (OSError, JsonError, AttributeError, TypeError, ValueError):
        return {}


def _write_gone(
    folder: Path,
    known: Mapping[str, tuple[str, str]],
    requested: Mapping[str, Sequence[str]],
    gone: Mapping[str, tuple[str, str]],
) -> None:
    """Store what is gone; other parts of the benchmark share the file."""
    content = {name: entry for name, entry in known.items() if name not in requested} | dict(gone)
    if content:
        replace_file(folder / GONE_FILE, json.dumps(dict(sorted(content.items())), indent=1) + "\n")
    else:
        with suppress(FileNotFoundError):
            (folder / GONE_FILE).unlink()


def _outcome(future: Future[int]) -> int | BenchError:
    try:
        return future.result()
    except BenchError as error:
        return error
    except (OSError, DownloadStopped) as error:  # a full disk is an error per file, like a server error
        return BenchError(str(error) or "stopped")


def smallest_sizes(task: Task) -> dict[str, tuple[int, int]]:
    """Return the width and height in pixels that each image needs for its boxes, rounded like crops."""
    sizes: dict[str, tuple[int, int]] = {name: (1, 1) for name in task.images}
    for item in task.items:
        boxes: list[tuple[str, Box | None]] = [(item.image, box) for box in (*item.options, item.box)]
        for image, box in [*boxes, *([item.twin] if item.twin else [])]:
            if box is not None:
                _, _, right, bottom = regions.pixels(box)
                width, height = sizes[image]
                sizes[image] = max(width, right), max(height, bottom)
    return sizes


def image_file_check(smallest: tuple[int, int]) -> Check:
    """Return a check for an image of any common format, of at least this width and height in pixels."""

    def check(path: Path) -> None:
        try:
            with Image.open(path, formats=_FORMATS) as image:
                image.load()
                size = image.size
        except UnidentifiedImageError as error:  # the message contains the path of the part
            raise ValueError("not an image") from error
        except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
            raise ValueError(f"not a complete image ({error})") from error
        if size[0] + _TOLERANCE < smallest[0] or size[1] + _TOLERANCE < smallest[1]:
            raise ValueError(f"the image is {size[0]}x{size[1]}, but its boxes need {smallest[0]}x{smallest[1]}")

    return check


def _hash_check(sha256: str | None) -> Check:
    def check(path: Path) -> None:
        with path.open("rb") as file:
            digest = hashlib.file_digest(file, "sha256").hexdigest()
        if sha256 is not None and digest != sha256:
            raise ValueError(f"its sha256 is {digest[:12]}..., not {sha256[:12]}...")

    return check


def _zip_check(file: AnnotationFile) -> Check:
    """Return a check for an archive that holds `file`."""

    def check(path: Path) -> None:
        try:
            with zipfile.ZipFile(path) as archive:
                _member(archive, file)
        except zipfile.BadZipFile as error:
            raise ValueError("not a zip archive") from error

    return check


def _member(archive: zipfile.ZipFile, file: AnnotationFile) -> zipfile.ZipInfo:
    """Return the entry of `file`.

    Raises:
        ValueError: There is none, or it is too large.
    """
    entry = next((each for each in archive.infolist() if PurePosixPath(each.filename).name == file.name), None)
    if entry is None:
        raise ValueError(f"the archive has no {file.name}")
    if entry.file_size > file.most_bytes:
        raise ValueError(f"{file.name} in the archive has more than {file.most_bytes} bytes")
    return entry


def _unpack(archive: Path, file: AnnotationFile, target: Path) -> None:
    """Write `file` of the archive to `target`, which appears when it is complete and its checksum is right.

    Raises:
        BenchError: It is damaged.
    """
    part = target.with_name(target.name + ".part")
    try:
        with zipfile.ZipFile(archive) as opened, opened.open(_member(opened, file)) as source, part.open("wb") as out:
            while chunk := source.read(_CHUNK):  # ends at the size of the entry; raises if the checksum is wrong
                out.write(chunk)
        _hash_check(file.sha256)(part)
    except (zipfile.BadZipFile, ValueError, EOFError) as error:
        part.unlink(missing_ok=True)
        archive.unlink()
        raise BenchError(f"the archive is damaged: {error}") from error
    part.replace(target)


def _is_valid(path: Path, check: Check) -> bool:
    try:
        check(path)
    except (OSError, ValueError):
        return False
    return True
