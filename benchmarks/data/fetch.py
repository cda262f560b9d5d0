"""Brings a benchmark's files: the annotation file and just the pictures it names.

What is there and sound is never fetched again; each file is checked before it gets its name (the annotations by their
hash, a picture by decoding it and by whether the boxes fit into it). Stopped at any moment, the next call goes on.
Where no server answers, it ends within seconds instead of trying each picture in turn.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

from PIL import Image, UnidentifiedImageError

from benchmarks.data.download import Check, DownloadStopped, RequestLimits, Unreachable, client, download
from benchmarks.data.download_session import BenchCall
from benchmarks.errors import BenchError
from benchmarks.task import Task
from benchmarks.tasks import negrefcocog, regions

if TYPE_CHECKING:
    import httpx

Progress = Callable[[str, int, int], None]
"""Told the name of the file that was settled, how many are, and how many there are."""

_SLACK: Final = 2
"""Pixels by which a box may stand over: annotators' boxes sometimes do."""
_WAKE_S: Final = 0.2
"""How long Ctrl-C may have to wait for the main thread to look up."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Sources:
    """Where files come from; each next one is asked where those before it fail."""

    annotations: tuple[str, ...] = (
        "https://raw.githubusercontent.com/parkquasar/NegationCLIP/6f858ee490d5c17d54cbc1862dfd44f74f36324d"
        "/NegRefCOCOg/NegRefCOCOg.json",
    )
    """Addresses of the file itself."""
    annotations_sha256: str | None = negrefcocog.SHA256
    """None accepts any."""
    pictures: tuple[str, ...] = ("http://images.cocodataset.org/train2014/",)
    """Addresses to which a picture's name is added. COCO's host has no certificate of its own name, hence http."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Fetched:
    """What a call achieved."""

    pictures: int
    """Needed in all."""
    present: int
    """Were there and sound."""
    fetched: int
    received_bytes: int
    failed: Mapping[str, str]
    """File name -> why not; a further call tries these only."""
    unreachable: str = ""
    """Why the rest was not even asked for: a server that does not answer. Empty where each was."""

    @property
    def complete(self) -> bool:
        """Whether the benchmark can be run now."""
        return not self.failed


def fetch_negrefcocog(
    folder: Path,
    sources: Sources | None = None,
    *,
    pictures: Path | None = None,
    manners: RequestLimits | None = None,
    progress: Progress | None = None,
) -> Fetched:
    """Fills `folder` with NegRefCOCOg: the annotation file, and its 402 pictures in train2014/ (or in `pictures`).

    Raises:
        BenchError: the annotation file cannot be had. Pictures that cannot be had are named in what is returned.
        KeyboardInterrupt: passed on once the connections are closed; what was downloaded is kept.
    """
    sources, manners = sources or Sources(), manners or RequestLimits()
    with client(manners) as http, BenchCall(manners.patience_s) as call:
        received = _annotations(http, folder, sources, manners, call)
        task = negrefcocog.load(folder, pictures)
        task.pictures.mkdir(parents=True, exist_ok=True)
        return _pictures(http, task, sources, manners, call, progress or (lambda name, done, total: None), received)


def _annotations(http: httpx.Client, folder: Path, sources: Sources, manners: RequestLimits, call: BenchCall) -> int:
    target = folder / negrefcocog.ANNOTATIONS
    check = _hash_check(sources.annotations_sha256)
    if _sound(target, check):
        return 0
    folder.mkdir(parents=True, exist_ok=True)
    try:
        return download(http, sources.annotations, target, check, manners=manners, call=call)
    except BenchError as error:
        raise BenchError(
            f"{negrefcocog.ANNOTATIONS} could not be fetched: {error.message}",
            hint=f"put the file into {folder} yourself, or run the command again",
        ) from error


def _pictures(
    http: httpx.Client,
    task: Task,
    sources: Sources,
    manners: RequestLimits,
    call: BenchCall,
    report: Progress,
    received: int,
) -> Fetched:
    checks = {name: picture_check(size) for name, size in smallest_sizes(task).items()}
    wanted = [name for name, check in checks.items() if not _sound(task.pictures / name, check)]
    present = len(checks) - len(wanted)
    report("", present, len(checks))
    call.renew()  # the files that are there took their time, too
    failed: dict[str, str] = {}
    unreachable = ""

    def bring(name: str) -> int:
        urls = [base.rstrip("/") + "/" + name for base in sources.pictures]
        try:
            return download(http, urls, task.pictures / name, checks[name], manners=manners, call=call)
        finally:
            if not call.given_up:
                call.wait(manners.pause_s)

    for settled, (name, outcome) in enumerate(_each(bring, wanted, manners.connections, call), present + 1):
        if isinstance(outcome, BenchError):
            failed[name] = outcome.message
            unreachable = unreachable or (outcome.message if isinstance(outcome, Unreachable) else "")
        else:
            received += outcome
        report(name, settled, len(checks))
    return Fetched(
        pictures=len(checks),
        present=present,
        fetched=len(wanted) - len(failed),
        received_bytes=received,
        failed=failed,
        unreachable=unreachable,
    )


def _each(
    bring: Callable[[str], int], names: Sequence[str], workers: int, call: BenchCall
) -> Iterator[tuple[str, int | BenchError]]:
    """Each name with the bytes received or the reason why not, as they settle. Ctrl-C stops the others first."""
    with ThreadPoolExecutor(workers, thread_name_prefix="fetch") as pool:
        running: dict[Future[int], str] = {pool.submit(bring, name): name for name in names}
        try:
            while running:
                # A bare wait would hold Ctrl-C back on some platforms.
                settled, _ = wait(running, timeout=_WAKE_S, return_when=FIRST_COMPLETED)
                for future in settled:
                    yield running.pop(future), _outcome(future)
        finally:
            call.end()
            for future in running:
                future.cancel()


def _outcome(future: Future[int]) -> int | BenchError:
    try:
        return future.result()
    except BenchError as error:
        return error
    except (OSError, DownloadStopped) as error:  # a full disk is told like a dead server: by file
        return BenchError(str(error) or "stopped")


def smallest_sizes(task: Task) -> dict[str, tuple[int, int]]:
    """Width and height that each picture needs for all of its boxes, rounded as crops are."""
    sizes: dict[str, tuple[int, int]] = {name: (1, 1) for name in task.images}
    for item in task.items:
        for box in item.options:
            _, _, right, bottom = regions.pixels(box)
            width, height = sizes[item.image]
            sizes[item.image] = max(width, right), max(height, bottom)
    return sizes


def picture_check(smallest: tuple[int, int]) -> Check:
    """Accepts a file that decodes to a picture of at least this width and height."""

    def check(path: Path) -> None:
        try:
            with Image.open(path, formats=("JPEG",)) as picture:
                picture.load()
                size = picture.size
        except UnidentifiedImageError as error:  # its text has the path of the part
            raise ValueError("it is no JPEG") from error
        except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
            raise ValueError(f"it is no whole JPEG ({error})") from error
        if size[0] + _SLACK < smallest[0] or size[1] + _SLACK < smallest[1]:
            raise ValueError(f"it is {size[0]}x{size[1]}, but its boxes need {smallest[0]}x{smallest[1]}")

    return check


def _hash_check(sha256: str | None) -> Check:
    def check(path: Path) -> None:
        found = hashlib.sha256(path.read_bytes()).hexdigest()
        if sha256 is not None and found != sha256:
            raise ValueError(f"its sha256 is {found[:12]}..., not {sha256[:12]}...")

    return check


def _sound(path: Path, check: Check) -> bool:
    try:
        check(path)
    except (OSError, ValueError):
        return False
    return True
