"""Existing candidates without verdicts, such as edited and imported ones, as input of `negwb generate judge`."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any

from sqlalchemy import Connection, bindparam, text

from curation_db.enums import BENCHMARK, Question
from curation_db.foreign_json import JsonError, parse_json
from curation_db.generation.unjudged import UnjudgedPage, WantedVerdict, candidates_without
from curation_db.generation.work_items import Categories, image_contexts
from workbench.generation.models import ImageTask, Steps
from workbench.generation.pipelines.annotation_judge import PROMPT
from workbench.generation.pipelines.judge_only import judge_only
from workbench.generation.prompts.loader import PromptSet
from workbench.generation.recipe import Recipe
from workbench.generation.runs.record_writer import RecordWriter
from workbench.generation.runs.runner import CANDIDATE, candidate_id_of
from workbench.generation.runs.work_source import image_task_of
from workbench.workspace.picture_folders import PictureFolders
from workbench.workspace.settings.engines import ANNOTATIONS, Pipeline

_PAGE = 200
_ROWS = text("""
    SELECT c.id, c.image_id, c.text, c.concept, c.extra, p.extra AS parent_extra, t.text AS caption
    FROM candidate c LEFT JOIN candidate p ON p.id = c.parent_id LEFT JOIN caption t ON t.id = c.caption_id
    WHERE c.id IN :ids AND c.pipeline <> :benchmark ORDER BY c.id
""").bindparams(bindparam("ids", expanding=True))


@dataclass(slots=True)
class UnjudgedCandidates:
    """Candidates of one pipeline that lack verdicts, one image task each; `steps` judges one of them."""

    writer: RecordWriter
    recipe: Recipe
    prompts: PromptSet
    folders: PictureFolders
    limit: int | None = None
    _rows: dict[int, tuple[Any, frozenset[Question]]] = field(default_factory=dict)
    _categories: Categories = field(default_factory=dict)

    @property
    def wanted(self) -> tuple[WantedVerdict, ...]:
        """The verdicts that each candidate should have."""
        return tuple(
            WantedVerdict(judge.name, question, PROMPT if judge.name == ANNOTATIONS else self.prompts.version)
            for judge in self.recipe.judges
            for question in sorted(judge.questions)
        )

    async def image_tasks(self) -> AsyncIterator[ImageTask]:
        """Yield one image task per candidate, ordered by ID."""
        after: int | None = 0
        left = self.limit
        while after is not None and (left is None or left > 0):
            page: UnjudgedPage = await self.writer.read(
                partial(candidates_without, wanted=self.wanted, after_id=after, limit=_PAGE)
            )
            lacking = {each.candidate_id: each.lacking for each in page.candidates}
            for image_task in await self.writer.read(partial(self._image_tasks, lacking=lacking)):
                if left is not None and left <= 0:
                    return
                yield image_task
                left = None if left is None else left - 1
            after = page.upto

    def _image_tasks(
        self, connection: Connection, *, lacking: Mapping[int, Sequence[WantedVerdict]]
    ) -> list[ImageTask]:
        if not lacking:
            return []
        rows = [
            row
            for row in connection.execute(_ROWS, {"ids": list(lacking), "benchmark": BENCHMARK})
            if (question_of(row) is not None) is (self.recipe.pipeline is Pipeline.P2)
        ]
        contexts = {
            each.id: each
            for each in image_contexts(connection, sorted({row.image_id for row in rows}), self._categories)
        }
        image_tasks = []
        for row in rows:
            questions = {each.question for each in lacking[row.id]}
            if not (row.concept or question_of(row)):
                questions.discard(Question.PRESENT)  # there is no concept to ask about
            if not questions:
                continue
            self._rows[row.id] = row, frozenset(questions)
            image_task = image_task_of(contexts[row.image_id], self.folders, 0)
            image_tasks.append(replace(image_task, wanted=frozenset({f"{CANDIDATE}/{row.id}"})))
        return image_tasks

    def steps(self, image_task: ImageTask) -> Steps:
        """Start the judging of the task's candidate."""
        (item,) = image_task.wanted
        row, questions = self._rows.pop(candidate_id_of(item) or 0)
        return judge_only(
            image_task,
            self.recipe,
            self.prompts,
            item=item,
            text=row.text,
            concept=row.concept,
            question=question_of(row),
            original=row.caption or "",
            questions=questions,
        )


def question_of(row: Any) -> str | None:
    """Return the VQA question of a P2 candidate or of its parent; None: not a P2 candidate."""
    for extra in (row.extra, row.parent_extra):
        try:
            content = parse_json(extra) if extra else None
        except JsonError:
            continue
        if isinstance(content, dict) and isinstance(content.get("question"), str):
            return str(content["question"])
    return None
