"""Comparisons of two prompt versions in the record: their recipes, the arm of each item, and what people decided.

An item is a caption (pipeline P1) or a question (P2). Its arm is stored before any request about it is sent, so that a
stopped run continues with the same division, and everybody can check it.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Sequence
from contextlib import closing
from dataclasses import dataclass
from typing import Any, Final

from sqlalchemy import Connection, Row, text

from curation_db.enums import ItemStatus
from curation_db.generation.prompt_outcomes import audited_candidates
from curation_db.generation.random_assignment import Arm, ArmAssignment, altered_pairs, assign_arms
from curation_db.generation.work_items import unassigned_items
from curation_db.storage.ids import utc_now

ARMS: Final[tuple[Arm, Arm]] = ("a", "b")
_COLUMNS: Final = "id, recipe_a, recipe_b, prompt_a, prompt_b, pipeline, seed, created_at"
_FIND = text(f"SELECT {_COLUMNS} FROM prompt_comparison WHERE recipe_a = :recipe_a AND recipe_b = :recipe_b")
_ADD = text("""
    INSERT INTO prompt_comparison(recipe_a, recipe_b, prompt_a, prompt_b, pipeline, seed, created_at)
    VALUES (:recipe_a, :recipe_b, :prompt_a, :prompt_b, :pipeline, :seed, :now)
""")
_ASSIGN = "INSERT INTO prompt_assignment(comparison_id, item, image_id, pair, arm) VALUES (?, ?, ?, ?, ?)"
_ARMS = text("""
    SELECT coalesce(max(pair), 0) + 1 AS next, coalesce(sum(CASE arm WHEN 'a' THEN 1 ELSE -1 END), 0) AS lead
    FROM prompt_assignment WHERE comparison_id = :id
""")
_ITEMS = text("""
    SELECT a.item, a.image_id, a.pair, a.arm, g.status, g.candidate_id FROM prompt_assignment a
    LEFT JOIN generation_item g ON g.item = a.item
        AND g.recipe = CASE a.arm WHEN 'a' THEN :recipe_a ELSE :recipe_b END
    WHERE a.comparison_id = :id ORDER BY a.pair, a.arm
""")
_AUDIT_MEMBERS = text("""
    SELECT g.candidate_id FROM prompt_assignment a JOIN generation_item g ON g.item = a.item
        AND g.recipe = CASE a.arm WHEN 'a' THEN :recipe_a ELSE :recipe_b END
    JOIN candidate c ON c.id = g.candidate_id AND c.audit WHERE a.comparison_id = :id
""")
_UNFINISHED = text("""
    SELECT count(*) FROM prompt_assignment a WHERE a.comparison_id = :id AND NOT EXISTS (
        SELECT 1 FROM generation_item g WHERE g.item = a.item AND (g.status != 'failed' OR NOT :retry)
        AND g.recipe = CASE a.arm WHEN 'a' THEN :recipe_a ELSE :recipe_b END)
""")
_PROCESSED = text("SELECT recipe, count(*) AS n FROM generation_item WHERE recipe IN (:one, :other) GROUP BY 1")


@dataclass(frozen=True, slots=True, kw_only=True)
class PromptComparison:
    """Two recipes that differ in their prompt version alone."""

    id: int
    recipe_a: str
    recipe_b: str
    prompt_a: str
    prompt_b: str
    pipeline: str
    seed: int
    created_at: str

    def recipe(self, arm: Arm) -> str:
        return self.recipe_a if arm == "a" else self.recipe_b

    def prompt(self, arm: Arm) -> str:
        return self.prompt_a if arm == "a" else self.prompt_b


@dataclass(frozen=True, slots=True)
class ComparedItem:
    """An assigned item with its result."""

    item: str
    image_id: int
    pair: int
    arm: Arm
    status: ItemStatus | None
    """None: not processed yet."""
    in_audit: bool
    """Its candidate is a member of the audit set."""
    accepted: bool | None
    """Audit label of its candidate; None: no candidate, or no label."""


def open_comparison(
    connection: Connection, *, recipes: tuple[str, str], prompts: tuple[str, str], pipeline: str, seed: int
) -> PromptComparison:
    """Return the comparison of two recipes in any order, which is stored if it is new."""
    (prompt_a, recipe_a), (prompt_b, recipe_b) = sorted(zip(prompts, recipes, strict=True))
    names = {"recipe_a": recipe_a, "recipe_b": recipe_b}
    row = connection.execute(_FIND, names).one_or_none()
    if row is None:
        values = {"prompt_a": prompt_a, "prompt_b": prompt_b, "pipeline": pipeline, "seed": seed, "now": utc_now()}
        connection.execute(_ADD, {**names, **values})
        row = connection.execute(_FIND, names).one()
    return _comparison(row)


def list_comparisons(connection: Connection) -> list[PromptComparison]:
    """Return all comparisons, the newest first."""
    return [
        _comparison(row)
        for row in connection.execute(text(f"SELECT {_COLUMNS} FROM prompt_comparison ORDER BY id DESC"))
    ]


def assign_items(
    connection: Connection,
    comparison: PromptComparison,
    kind: str,
    *,
    limit: int,
    sources: Sequence[str] = (),
    accepts: Callable[[str, str, int], bool] = lambda source, key, image_id: True,
    after: int = 0,
) -> tuple[int, int]:
    """Assign arms to about the next `limit` items that neither recipe has processed; whole images, except the last one.

    Args:
        kind: "caption" or "question".
        sources: Names of sources; empty: all.
        accepts: Whether an image (source, key, id) takes part.
        after: Id of the last image that was looked at.

    Returns:
        The number of assigned items, and the id of the last image that was looked at; 0: all were looked at.
    """
    images: list[tuple[int, list[str]]] = []
    left, last = limit, 0  # 0 unless the limit ends the loop
    recipes = (comparison.recipe_a, comparison.recipe_b)
    with closing(unassigned_items(connection, kind, recipes, comparison.id, sources=sources, after=after)) as waiting:
        for image_id, source, key, items in waiting:
            if accepts(source, key, image_id):
                images.append((image_id, items[:left]))
                left -= len(images[-1][1])
                if left <= 0:
                    last = image_id
                    break
    state = connection.execute(_ARMS, {"id": comparison.id}).one()
    assigned = assign_arms(images, seed=comparison.seed, first_pair=state.next, lead=state.lead)
    store_assignments(connection, comparison, assigned)
    return len(assigned), last


def store_assignments(
    connection: Connection, comparison: PromptComparison, assigned: Collection[ArmAssignment]
) -> None:
    """Store the arms of items that have none yet."""
    if assigned:
        rows = [(comparison.id, each.item, each.image_id, each.pair, each.arm) for each in assigned]
        connection.exec_driver_sql(_ASSIGN, rows)


def unfinished(connection: Connection, comparison: PromptComparison, *, retry: bool = False) -> int:
    """Return the number of assigned items without a result; with `retry` failed ones count."""
    return int(connection.execute(_UNFINISHED, {**_names(comparison), "retry": retry}).scalar_one())


def processed_items(connection: Connection, comparison: PromptComparison) -> dict[Arm, int]:
    """Return how many items each arm's recipe has processed, in this comparison and outside it."""
    values = {"one": comparison.recipe_a, "other": comparison.recipe_b}
    counts = {row.recipe: row.n for row in connection.execute(_PROCESSED, values)}
    return {arm: counts.get(comparison.recipe(arm), 0) for arm in ARMS}


def compared_items(connection: Connection, comparison: PromptComparison) -> list[ComparedItem]:
    """Return all assigned items with their results and audit labels, by pair."""
    names = _names(comparison)
    labels = {each.candidate_id: each.accepted for each in audited_candidates(connection)}
    members = set(connection.execute(_AUDIT_MEMBERS, names).scalars())
    return [
        ComparedItem(
            row.item,
            row.image_id,
            row.pair,
            row.arm,
            ItemStatus(row.status) if row.status else None,
            row.candidate_id in members,
            labels.get(row.candidate_id),
        )
        for row in connection.execute(_ITEMS, names)
    ]


def altered(comparison: PromptComparison, items: Iterable[ComparedItem]) -> int:
    """Return the number of pairs whose stored arms do not agree with the seed of the comparison."""
    assigned = [ArmAssignment(each.item, each.image_id, each.pair, each.arm) for each in items]
    return len(altered_pairs(assigned, seed=comparison.seed))


def _names(comparison: PromptComparison) -> dict[str, Any]:
    return {"id": comparison.id, "recipe_a": comparison.recipe_a, "recipe_b": comparison.recipe_b}


def _comparison(row: Row[Any]) -> PromptComparison:
    return PromptComparison(**row._mapping)
