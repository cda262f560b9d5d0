"""Folder of a frozen benchmark: items.json (a captions or twins task), manifest.json, images/, and benchmark.sha256.

The folder appears whole or not at all, is never overwritten, and its files lose their write permission.
benchmark.sha256 has the SHA-256 of every other file, in the form of `sha256sum`, so `sha256sum -c benchmark.sha256`
checks the folder without negwb; the SHA-256 of this file is that of the benchmark. The content does not depend on the
clock or on a path. A copy of the folder is the same benchmark under another name.
"""

from __future__ import annotations

import hashlib
import json
import re
import shutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

from benchmarks.errors import BenchError
from benchmarks.task import Subset, Task
from benchmarks.tasks import captions, twins
from curation_db.atomic_write import partial_folder, seal, sync
from curation_db.exporting.manifest import file_facts
from curation_db.foreign_json import JsonError, parse_json

MANIFEST_FILE: Final = "manifest.json"
ITEMS_FILE: Final = "items.json"
HASHES_FILE: Final = "benchmark.sha256"
IMAGES: Final = "images"
FORMAT: Final = 1
TRUTH: Final = "truth"
"""Cut of an item: which of its captions is true, `NEGATED` or `AFFIRMED`."""
NEGATED, AFFIRMED = "negated", "affirmed"
_SUBSETS: Final = tuple(Subset(f"{value}_true", TRUTH, value) for value in (NEGATED, AFFIRMED))
"""A model that prefers captions with a cue, or without one, is good on one of them and bad on the other."""
_NAME: Final = re.compile("[A-Za-z0-9][A-Za-z0-9._-]{0,99}")
_LINE: Final = re.compile(r"([0-9a-f]{64})  ([A-Za-z0-9][A-Za-z0-9._/-]*)")
_MAX_BYTES: Final = 256 << 20


@dataclass(frozen=True, slots=True)
class FrozenImage:
    """An image of a frozen benchmark, as the record names it."""

    source: str
    key: str
    sha256: str


@dataclass(frozen=True, slots=True)
class FrozenBenchmark:
    """The facts of a frozen benchmark; manifest.json has been checked, the other files have not."""

    folder: Path
    manifest: Mapping[str, Any]
    hashes: Mapping[str, str]
    """SHA-256 of every file except `HASHES_FILE`, by its path relative to the folder."""
    sha256: str

    @property
    def caveats(self) -> tuple[str, ...]:
        """What a score on it does not show, one line each, of the manifest; other values are left out."""
        limits, power = self.manifest.get("limits"), self.manifest.get("power")
        lines = [line for line in limits if isinstance(line, str)] if isinstance(limits, list) else []
        for row in power if isinstance(power, list) else ():
            match row:
                case {"discordant": float(share), "difference": float(found)}:
                    lines.append(
                        f"where only one of two models has {share:.0%} of the items right, a difference below"
                        f" {100 * found:.1f} points is seldom found (power 80 %)"
                    )
        return tuple(lines)

    @property
    def images(self) -> list[FrozenImage]:
        """The images, in the order of the manifest.

        Raises:
            BenchError: the manifest is damaged.
        """
        try:
            listed: Mapping[str, Any] = self.manifest["images"]
            return [FrozenImage(str(one["source"]), str(one["key"]), self.hashes[name]) for name, one in listed.items()]
        except (KeyError, TypeError, AttributeError) as error:
            raise _damaged(self.folder / MANIFEST_FILE) from error


def check_name(benchmarks: Path, name: str) -> None:
    """Check that `name` can become a new folder of `benchmarks`.

    Raises:
        BenchError: it is not a valid name, or taken.
    """
    if not _NAME.fullmatch(name):
        raise BenchError(
            f"{name!r} is not a valid name of a benchmark",
            hint="use letters and digits, and . _ - after the first character",
        )
    if (benchmarks / name).exists() or (benchmarks / f"{name}.json").exists():
        raise _already_exists(name)


def write_frozen(
    folder: Path,
    rows: Sequence[Mapping[str, Any]],
    images: Mapping[str, tuple[Path, str]],
    manifest: Mapping[str, Any],
    *,
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> FrozenBenchmark:
    """Write a frozen benchmark.

    Args:
        folder: The new folder; its name is the name of the task.
        rows: Items of the captions task; "image" is a path relative to the folder.
        images: Path relative to the folder -> the file to copy, and its SHA-256.
        manifest: Its facts; `images` has the "source" and "key" of each image.
        progress: Called with the number of images copied, and of all.

    Raises:
        BenchError: the folder exists, or an image changed since it was hashed.
        OSError: a file cannot be read or written.
    """
    if folder.exists():
        raise _already_exists(folder.name)
    with partial_folder(folder.parent, folder.name) as partial:
        (partial / IMAGES).mkdir()
        for done, (name, (source, sha256)) in enumerate(images.items(), 1):
            shutil.copyfile(source, partial / name)
            if file_facts(partial / name).sha256 != sha256:
                raise BenchError(f"{source} changed while the benchmark was written", hint="run the command again")
            progress(done, len(images))
        lines = ",\n".join(json.dumps(row, allow_nan=False) for row in rows)
        _write(partial / ITEMS_FILE, f"[\n{lines}\n]\n")
        _write(partial / MANIFEST_FILE, json.dumps({"format": FORMAT, **manifest}, indent=1, allow_nan=False) + "\n")
        names = sorted(path.relative_to(partial).as_posix() for path in partial.rglob("*") if path.is_file())
        _write(partial / HASHES_FILE, "".join(f"{file_facts(partial / name).sha256}  {name}\n" for name in names))
        seal(partial)
        try:
            partial.rename(folder)
        except OSError as error:
            if folder.exists():
                raise _already_exists(folder.name) from error
            raise
        sync(folder.parent)
    return read_frozen(folder)


def _write(path: Path, content: str) -> None:
    path.write_text(content, encoding="ascii", newline="\n")


def _already_exists(name: str) -> BenchError:
    return BenchError(
        f"the benchmark {name} exists already", hint="benchmarks are never overwritten: choose another name"
    )


def is_frozen(folder: Path) -> bool:
    """Return whether the folder has the form of a frozen benchmark, damaged or not."""
    return (folder / HASHES_FILE).is_file()


def read_frozen(folder: Path) -> FrozenBenchmark:
    """Read the manifest of the frozen benchmark in `folder`.

    Raises:
        BenchError: the manifest or the list of hashes is damaged or was changed, or a newer negwb wrote them.
    """
    listed = _content(folder / HASHES_FILE)
    hashes = _parse_hashes(folder / HASHES_FILE, listed)
    content = _content(folder / MANIFEST_FILE)
    if hashlib.sha256(content).hexdigest() != hashes.get(MANIFEST_FILE):
        raise _damaged(folder / MANIFEST_FILE)
    try:
        manifest = parse_json(content)
    except JsonError as error:
        raise _damaged(folder / MANIFEST_FILE) from error
    if not isinstance(manifest, dict):
        raise _damaged(folder / MANIFEST_FILE)
    if manifest.get("format") != FORMAT:
        raise BenchError(
            f"{folder / MANIFEST_FILE} has format {manifest.get('format')!r}; known: {FORMAT}", hint="update negwb"
        )
    return FrozenBenchmark(folder, manifest, hashes, hashlib.sha256(listed).hexdigest())


def _content(path: Path) -> bytes:
    try:
        if path.stat().st_size > _MAX_BYTES:
            raise BenchError(f"{path} is larger than {_MAX_BYTES >> 20} MiB")
        return path.read_bytes()
    except OSError as error:
        raise BenchError(f"{path}: {error.strerror or error}") from error


def _parse_hashes(path: Path, content: bytes) -> dict[str, str]:
    lines = content.decode("ascii", "replace").split("\n")
    matches = [_LINE.fullmatch(line) for line in lines[:-1]]
    hashes = {match[2]: match[1] for match in matches if match and ".." not in match[2].split("/")}
    if lines[-1] or len(hashes) != len(matches) or not {ITEMS_FILE, MANIFEST_FILE} <= hashes.keys():
        raise _damaged(path)
    return hashes


def _damaged(path: Path) -> BenchError:
    return BenchError(
        f"{path} is not as it was frozen",
        hint="restore the file, or make a benchmark under another name: negwb bench make",
    )


def frozen_names(benchmarks: Path) -> list[str]:
    """Return the names of the frozen benchmarks in the folder `benchmarks`, damaged ones included."""
    return sorted(path.parent.name for path in benchmarks.glob(f"*/{HASHES_FILE}") if path.parent.name[0] != ".")


def frozen_images(benchmarks: Path) -> dict[str, list[FrozenImage]]:
    """Return the images of each frozen benchmark in the folder `benchmarks`, by its name.

    Raises:
        BenchError: a manifest is damaged.
    """
    return {name: read_frozen(benchmarks / name).images for name in frozen_names(benchmarks)}


def load_frozen(folder: Path) -> Task:
    """Load the frozen benchmark in `folder`; its images are checked by `Task.check_pictures`.

    Raises:
        BenchError: a file other than an image is missing or was changed.
    """
    frozen = read_frozen(folder)
    is_twins = frozen.manifest.get("kind") == "twins"
    load = twins.load if is_twins else captions.load
    task = load(folder.name, folder / ITEMS_FILE, folder)
    if task.dataset_sha256 != frozen.hashes[ITEMS_FILE]:
        raise _damaged(folder / ITEMS_FILE)
    if not set(task.images) <= frozen.hashes.keys():
        raise _damaged(folder / HASHES_FILE)
    image_sha256 = {name: frozen.hashes[name] for name in task.images}
    return replace(task, subsets=() if is_twins else _SUBSETS, image_sha256=image_sha256)
