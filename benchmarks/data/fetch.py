"""Downloads the files of a benchmark: the annotation file and the images that it names.

Valid files are not downloaded again. Each file is checked before it gets its name: the annotations by hash, an image by
decoding it and by whether the boxes fit into it. A stopped download is continued by the next call. If no server
answers, the download ends within seconds instead of trying each image.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

from PIL import Image, UnidentifiedImageError

from benchmarks.data.download import Check, DownloadStopped, RequestLimits, ServerUnreachable, download, make_client
from benchmarks.data.download_session import DownloadSession
from benchmarks.errors import BenchError
from benchmarks.task import Task
from benchmarks.tasks import negrefcocog, regions

if TYPE_CHECKING:
    import httpx

Progress = Callable[[str, int, int], None]
"""Called with the name of a finished file, the number of finished files and the total."""

_TOLERANCE: Final = 2
"""Pixels by which a box may exceed the image: some annotated boxes do."""
_WAKE_S: Final = 0.2
"""Longest time until the main thread handles Ctrl-C."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DownloadSources:
    """Addresses of the files; a later address is used if the earlier ones fail."""

    annotations: tuple[str, ...] = (
        "https://raw.githubusercontent.com/parkquasar/NegationCLIP/6f858ee490d5c17d54cbc1862dfd44f74f36324d"
        "/NegRefCOCOg/NegRefCOCOg.json",
    )
    annotations_sha256: str | None = negrefcocog.SHA256
    """None: any content is valid."""
    pictures: tuple[str, ...] = ("http://images.cocodataset.org/train2014/",)
    """Base addresses of the images. http, because COCO's host has no certificate for its own name."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FetchResult:
    pictures: int
    """Number of images of the benchmark."""
    present: int
    """Number of images that were valid before."""
    fetched: int
    received_bytes: int
    failed: Mapping[str, str]
    """File name to reason; the next call tries only these."""
    unreachable: str = ""
    """Why the remaining images were not requested: no server answers; "": all were requested."""

    @property
    def complete(self) -> bool:
        """Whether the benchmark can be run."""
        return not self.failed


def fetch_negrefcocog(
    folder: Path,
    sources: DownloadSources | None = None,
    *,
    pictures: Path | None = None,
    limits: RequestLimits | None = None,
    progress: Progress | None = None,
) -> FetchResult:
    """Download NegRefCOCOg: the annotation file and its 402 images.

    Args:
        sources: Addresses; None: the published ones.
        pictures: Folder of the images; None: `folder`/train2014.
        limits: Timeouts, retries and rates; None: the defaults.
        progress: Called after each image.

    Returns:
        The result, with the images that could not be downloaded.

    Raises:
        BenchError: The annotation file cannot be downloaded.
        KeyboardInterrupt: Raised again after the connections are closed; the downloaded files are stored.
    """
    sources, limits = sources or DownloadSources(), limits or RequestLimits()
    with make_client(limits) as http, DownloadSession(limits.patience_s) as session:
        received = _fetch_annotations(http, folder, sources, limits, session)
        task = negrefcocog.load(folder, pictures)
        task.pictures.mkdir(parents=True, exist_ok=True)
        return _fetch_images(
            http, task, sources, limits, session, progress or (lambda name, done, total: None), received
        )


def _fetch_annotations(
    http: httpx.Client, folder: Path, sources: DownloadSources, limits: RequestLimits, session: DownloadSession
) -> int:
    target = folder / negrefcocog.ANNOTATIONS
    check = _hash_check(sources.annotations_sha256)
    if _is_valid(target, check):
        return 0
    folder.mkdir(parents=True, exist_ok=True)
    try:
        return download(http, sources.annotations, target, check, limits=limits, session=session)
    except BenchError as error:
        raise BenchError(
            f"{negrefcocog.ANNOTATIONS} could not be fetched: {error.message}",
            hint=f"run the command again, or copy the file to {folder}",
        ) from error


def _fetch_images(
    http: httpx.Client,
    task: Task,
    sources: DownloadSources,
    limits: RequestLimits,
    session: DownloadSession,
    report: Progress,
    received: int,
) -> FetchResult:
    checks = {name: image_file_check(size) for name, size in smallest_sizes(task).items()}
    wanted = [name for name, check in checks.items() if not _is_valid(task.pictures / name, check)]
    present = len(checks) - len(wanted)
    report("", present, len(checks))
    session.renew_deadline()  # checking the existing files took time
    failed: dict[str, str] = {}
    unreachable = ""

    def fetch_one(name: str) -> int:
        urls = [base.rstrip("/") + "/" + name for base in sources.pictures]
        try:
            return download(http, urls, task.pictures / name, checks[name], limits=limits, session=session)
        finally:
            if not session.given_up:
                session.wait(limits.pause_s)

    for done, (name, outcome) in enumerate(_fetch_each(fetch_one, wanted, limits.connections, session), present + 1):
        if isinstance(outcome, BenchError):
            failed[name] = outcome.message
            unreachable = unreachable or (outcome.message if isinstance(outcome, ServerUnreachable) else "")
        else:
            received += outcome
        report(name, done, len(checks))
    return FetchResult(
        pictures=len(checks),
        present=present,
        fetched=len(wanted) - len(failed),
        received_bytes=received,
        failed=failed,
        unreachable=unreachable,
    )


def _fetch_each(
    fetch_one: Callable[[str], int], names: Sequence[str], workers: int, session: DownloadSession
) -> Iterator[tuple[str, int | BenchError]]:
    """Yield each name with the bytes received or the error, in order of completion; on Ctrl-C stop all downloads."""
    with ThreadPoolExecutor(workers, thread_name_prefix="fetch") as pool:
        running: dict[Future[int], str] = {pool.submit(fetch_one, name): name for name in names}
        try:
            while running:
                # without a timeout, Ctrl-C would be delayed on some platforms
                completed, _ = wait(running, timeout=_WAKE_S, return_when=FIRST_COMPLETED)
                for future in completed:
                    yield running.pop(future), _outcome(future)
        finally:
            session.stop_all()
            for future in running:
                future.cancel()


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
        for box in item.options:
            _, _, right, bottom = regions.pixels(box)
            width, height = sizes[item.image]
            sizes[item.image] = max(width, right), max(height, bottom)
    return sizes


def image_file_check(smallest: tuple[int, int]) -> Check:
    """Return a check for a JPEG file of at least this width and height in pixels."""

    def check(path: Path) -> None:
        try:
            with Image.open(path, formats=("JPEG",)) as image:
                image.load()
                size = image.size
        except UnidentifiedImageError as error:  # the message contains the path of the part
            raise ValueError("not a JPEG") from error
        except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
            raise ValueError(f"not a complete JPEG ({error})") from error
        if size[0] + _TOLERANCE < smallest[0] or size[1] + _TOLERANCE < smallest[1]:
            raise ValueError(f"the image is {size[0]}x{size[1]}, but its boxes need {smallest[0]}x{smallest[1]}")

    return check


def _hash_check(sha256: str | None) -> Check:
    def check(path: Path) -> None:
        digest = hashlib.sha256(path.read_bytes()).hexdigest()
        if sha256 is not None and digest != sha256:
            raise ValueError(f"its sha256 is {digest[:12]}..., not {sha256[:12]}...")

    return check


def _is_valid(path: Path, check: Check) -> bool:
    try:
        check(path)
    except (OSError, ValueError):
        return False
    return True
