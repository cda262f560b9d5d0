"""Comparisons of prompt versions in the record: identity, assignment in steps, results and labels."""

from __future__ import annotations

from collections import Counter

from sqlalchemy import text
from support.record import Record

from curation_db.enums import ItemStatus, Kind, Stream
from curation_db.generation import comparisons
from curation_db.generation.comparisons import PromptComparison
from curation_db.generation.work_items import FinishedItem, Scope, store_finished
from curation_db.review.candidates import Intake, NewCandidate
from curation_db.review.decisions import PresentationContext

BLIND = PresentationContext(Stream.AUDIT, blind=True, leased=False)


def open_comparison(record: Record, *, swapped: bool = False, seed: int = 0) -> PromptComparison:
    order = slice(None, None, -1 if swapped else None)
    with record.store.write() as connection:
        return comparisons.open_comparison(
            connection,
            recipes=("ra", "rb")[order],  # type: ignore[arg-type]
            prompts=("p@1", "p@2")[order],  # type: ignore[arg-type]
            pipeline="P1",
            seed=seed,
        )


def assign(record: Record, comparison: PromptComparison, limit: int, **more: object) -> tuple[int, int]:
    with record.store.write() as connection:
        return comparisons.assign_items(connection, comparison, "caption", limit=limit, **more)  # type: ignore[arg-type]


def arms(record: Record) -> dict[str, str]:
    return dict(record.rows("SELECT item, arm FROM prompt_assignment"))  # type: ignore[arg-type]


def more_captions(record: Record, images: int, each: int) -> None:
    """Add images with `each` captions."""
    record.add(images)
    with record.store.write() as connection:
        for number in range(1, each):
            connection.execute(
                text("""INSERT INTO caption(source_id, key, image_id, text, raw_sha256)
                        SELECT 1, 'more/' || id || '/' || :n, id, 'a dog', :hash FROM image"""),
                {"n": number, "hash": bytes(32)},
            )


def finish(record: Record, recipe: str, item: str, status: ItemStatus = ItemStatus.KEPT, rate: float = 1.0) -> None:
    image, caption = record.rows(
        "SELECT image_id, id FROM caption WHERE id = :id", id=int(item.removeprefix("caption/"))
    )[0]
    draft = None
    if status is ItemStatus.KEPT:
        draft = NewCandidate(
            source_id=1,
            key=f"generate/{recipe}/{item}",
            image_id=int(str(image)),
            caption_id=int(str(caption)),
            raw_text="a dog without a hat",
            concept="hat",
            pipeline="P1",
            generator="llama",
            prompt_version="p@1",
        )
    done = FinishedItem(item=item, image_id=int(str(image)), status=status, draft=draft)
    with record.store.write() as connection:
        store_finished(connection, None, recipe, [done], Intake(audit_rate=rate))


def test_the_order_of_the_versions_does_not_matter(record: Record) -> None:
    one, other = open_comparison(record), open_comparison(record, swapped=True, seed=9)
    assert one == other  # with the seed it began with
    assert (one.recipe("a"), one.prompt("b")) == ("ra", "p@2")
    with record.store.read() as connection:
        assert comparisons.list_comparisons(connection) == [one]


def test_items_are_assigned_in_steps_without_a_gap(record: Record) -> None:
    more_captions(record, images=7, each=5)
    comparison = open_comparison(record)
    after, total = 0, 0
    for _ in range(20):
        added, after = assign(record, comparison, 4, after=max(0, after - 1))
        total += added
        if not after:
            break
    assert total == len(arms(record)) == 35
    assert abs(Counter(arms(record).values())["a"] * 2 - 35) == 1
    pairs = Counter(pair for (pair,) in record.rows("SELECT pair FROM prompt_assignment"))
    assert max(pairs.values()) == 2
    assert assign(record, comparison, 10) == (0, 0)


def test_processed_items_and_refused_images_take_no_part(record: Record) -> None:
    more_captions(record, images=4, each=2)
    comparison = open_comparison(record)
    finish(record, "ra", "caption/1")
    finish(record, "rb", "caption/2", ItemStatus.DROPPED)
    finish(record, "other", "caption/3")
    assign(record, comparison, 100, accepts=lambda source, key, image_id: (source, image_id) != ("coco", 4))
    taken = {int(item.removeprefix("caption/")) for item in arms(record)}
    of_image_4 = {int(str(number)) for (number,) in record.rows("SELECT id FROM caption WHERE image_id = 4")}
    assert taken == set(range(1, 9)) - {1, 2} - of_image_4


def test_questions_are_assigned_by_sources(record: Record) -> None:
    record.add(6)
    with record.store.write() as connection:
        for number in range(1, 13):
            connection.execute(
                text("""INSERT INTO visual_question(id, source_id, key, image_id, text, answer)
                        VALUES (:n, 1, :n, :n % 6 + 1, 'Is there a dog?', 'no')"""),
                {"n": number},
            )
        comparison = comparisons.open_comparison(
            connection, recipes=("ra", "rb"), prompts=("p@1", "p@2"), pipeline="P2", seed=0
        )
        assert comparisons.assign_items(connection, comparison, "question", limit=50, sources=["none"]) == (0, 0)
        assert comparisons.assign_items(connection, comparison, "question", limit=50, sources=["coco"]) == (12, 0)
    assert set(arms(record)) == {f"question/{number}" for number in range(1, 13)}
    assert Counter(arms(record).values()) == {"a": 6, "b": 6}


def test_a_run_of_an_arm_sees_only_its_items(record: Record) -> None:
    more_captions(record, images=6, each=3)
    comparison = open_comparison(record)
    assign(record, comparison, 10)
    own = {arm: {item for item, each in arms(record).items() if each == arm} for arm in "ab"}
    finish(record, "ra", min(own["a"]))
    with record.store.read() as connection:
        for arm, recipe, done in (("a", "ra", {min(own["a"])}), ("b", "rb", set())):
            scope = Scope(recipe=recipe, kind="caption", arm=(comparison.id, arm))
            waiting = {item for image in scope.page(connection, 0, 100, {}) for item in image.waiting}
            assert waiting == own[arm] - done
            assert scope.count(connection) == len(waiting)
        assert comparisons.unfinished(connection, comparison) == 9
        assert comparisons.processed_items(connection, comparison) == {"a": 1, "b": 0}


def test_results_and_labels_of_the_assigned_arm_alone(record: Record) -> None:
    more_captions(record, images=2, each=2)
    comparison = open_comparison(record)
    assign(record, comparison, 100)
    item_a, item_b = (min(item for item, arm in arms(record).items() if arm == wanted) for wanted in "ab")
    finish(record, "ra", item_a)
    finish(record, "rb", item_a)  # a later run with the other version is no part of the comparison
    finish(record, "rb", item_b, ItemStatus.FAILED)
    ana = record.open_session("ana").reviewer
    (candidate,) = record.rows("SELECT id FROM candidate WHERE key = :key", key=f"generate/ra/{item_a}")[0]
    (other,) = record.rows("SELECT id FROM candidate WHERE key = :key", key=f"generate/rb/{item_a}")[0]
    ana.decide(int(str(candidate)), Kind.ACCEPT, shown=BLIND)
    ana.decide(int(str(other)), Kind.UNSURE, shown=BLIND)
    with record.store.read() as connection:
        items = comparisons.compared_items(connection, comparison)
        assert comparisons.unfinished(connection, comparison) == 2
        assert comparisons.unfinished(connection, comparison, retry=True) == 3
    assert [(each.arm, each.status, each.in_audit, each.accepted) for each in items if each.status] in (
        [("a", ItemStatus.KEPT, True, True), ("b", ItemStatus.FAILED, False, None)],
        [("b", ItemStatus.FAILED, False, None), ("a", ItemStatus.KEPT, True, True)],
    )
    assert len(items) == 4
