"""Units for a run: the pictures that have something to do, page after page, within a limit and a shard."""

from __future__ import annotations

import hashlib
from collections.abc import AsyncIterator
from dataclasses import dataclass
from functools import partial

from curation_db.generation.work_items import Categories, ImageContext, Scope
from workbench.errors import UsageError
from workbench.generation.engines.requests import ImagePayload
from workbench.generation.models import CaptionItem, ImageTask, QuestionItem
from workbench.generation.runs.record_writer import RecordWriter
from workbench.workspace.picture_folders import PictureFolders

_PAGE = 200
"""Pictures that are read at a time."""


@dataclass(frozen=True, slots=True)
class Shard:
    """One of so many equal parts of the pictures, by a hash of their names: it stays the same when more come in."""

    number: int = 1
    """From 1."""
    of: int = 1

    @classmethod
    def parse(cls, words: str) -> Shard:
        """The shard that is written i/n.

        Raises:
            UsageError: it is none.
        """
        first, slash, second = words.partition("/")
        if slash and first.isascii() and first.isdigit() and second.isascii() and second.isdigit():
            number, of = int(first), int(second)
            if 1 <= number <= of <= 100_000:
                return cls(number, of)
        raise UsageError(f"--shard {words}: i/n is expected", hint="as in: --shard 2/8, the second of eight parts")

    def has(self, source: str, key: str) -> bool:
        """Whether this picture is in it."""
        digest = hashlib.blake2b(f"{source}\0{key}".encode("utf-8", "surrogatepass"), digest_size=8).digest()
        return int.from_bytes(digest, "big") % self.of == self.number - 1


async def read_image_tasks(
    writer: RecordWriter, scope: Scope, folders: PictureFolders, *, shard: Shard = Shard(), limit: int | None = None
) -> AsyncIterator[ImageTask]:
    """The units of `scope`, at most `limit` items in all."""
    after, left = 0, limit
    known: Categories = {}
    while left is None or left > 0:
        page = await writer.read(partial(scope.page, after=after, limit=_PAGE, known=known))
        if not page:
            return
        for material in page:
            if not shard.has(material.source, material.key):
                continue
            image_task = image_task_of(material, folders, left)
            if image_task.wanted:
                yield image_task
            if left is not None:
                left -= len(image_task.wanted)
                if left <= 0:
                    return
        after = page[-1].id


def image_task_of(material: ImageContext, folders: PictureFolders, most: int | None = None) -> ImageTask:
    """A picture as a pipeline gets it; of its items at most `most` are wanted."""
    captions = tuple(CaptionItem(row.id, row.key, row.text) for row in material.captions)
    questions = tuple(QuestionItem(row.id, row.key, row.text, row.question_type) for row in material.questions)
    items = [each.item for each in captions] + [each.item for each in questions]
    order = [item for item in items if item in material.waiting]
    return ImageTask(
        picture=ImagePayload(
            key=f"{material.source}/{material.key}",
            image_id=material.id,
            path=folders.locate(material.source, material.file_name),
        ),
        source_id=material.source_id,
        source=material.source,
        captions=captions,
        questions=questions,
        wanted=frozenset(order if most is None else order[:most]),
        objects=material.objects,
        categories=material.categories,
    )
