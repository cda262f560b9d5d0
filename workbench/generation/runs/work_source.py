"""Input of a run: images with unprocessed items, read page by page, within a limit and a shard."""

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
"""Images per page."""


@dataclass(frozen=True, slots=True)
class Shard:
    """One of `of` equal parts of the images, by a hash of their keys, so that later imports do not change it."""

    number: int = 1
    """From 1."""
    of: int = 1

    @classmethod
    def parse(cls, text: str) -> Shard:
        """Parse i/n.

        Raises:
            UsageError: invalid text.
        """
        first, slash, second = text.partition("/")
        if slash and first.isascii() and first.isdigit() and second.isascii() and second.isdigit():
            number, of = int(first), int(second)
            if 1 <= number <= of <= 100_000:
                return cls(number, of)
        raise UsageError(f"--shard {text}: i/n is expected", hint="for example --shard 2/8, the second of eight parts")

    def has(self, source: str, key: str) -> bool:
        """Whether the image belongs to the shard."""
        digest = hashlib.blake2b(f"{source}\0{key}".encode("utf-8", "surrogatepass"), digest_size=8).digest()
        return int.from_bytes(digest, "big") % self.of == self.number - 1


async def read_image_tasks(
    writer: RecordWriter, scope: Scope, folders: PictureFolders, *, shard: Shard = Shard(), limit: int | None = None
) -> AsyncIterator[ImageTask]:
    """Yield the image tasks of `scope`, with at most `limit` items in all."""
    after, left = 0, limit
    categories: Categories = {}
    while left is None or left > 0:
        page = await writer.read(partial(scope.page, after=after, limit=_PAGE, known=categories))
        if not page:
            return
        for context in page:
            if not shard.has(context.source, context.key):
                continue
            image_task = image_task_of(context, folders, left)
            if image_task.wanted:
                yield image_task
            if left is not None:
                left -= len(image_task.wanted)
                if left <= 0:
                    return
        after = page[-1].id


def image_task_of(context: ImageContext, folders: PictureFolders, limit: int | None = None) -> ImageTask:
    """Return the pipeline's input for an image; at most `limit` of its items are wanted."""
    captions = tuple(CaptionItem(row.id, row.key, row.text) for row in context.captions)
    questions = tuple(QuestionItem(row.id, row.key, row.text, row.question_type) for row in context.questions)
    items = [each.item for each in captions] + [each.item for each in questions]
    order = [item for item in items if item in context.waiting]
    return ImageTask(
        picture=ImagePayload(
            key=f"{context.source}/{context.key}",
            image_id=context.id,
            path=folders.locate(context.source, context.file_name),
        ),
        source_id=context.source_id,
        source=context.source,
        captions=captions,
        questions=questions,
        wanted=frozenset(order if limit is None else order[:limit]),
        objects=context.objects,
        categories=context.categories,
    )
