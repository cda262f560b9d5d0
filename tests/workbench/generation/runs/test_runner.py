"""The runner with an observable engine: no request is sent twice, no answer is lost."""

from __future__ import annotations

import asyncio
import sqlite3
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import pytest
from sqlalchemy import Connection, event, text
from support.record import Record

from curation_db.enums import ItemStatus, NegationType, Question, Stage
from curation_db.generation.work_items import Scope
from curation_db.review.candidates import Intake
from curation_db.storage.store import create_store
from workbench.generation.budget import Budget, BudgetReached
from workbench.generation.engines.protocol import EngineStopped, StoreAnswer
from workbench.generation.engines.requests import (
    AnswerFormat,
    Message,
    ModelAnswer,
    ModelRequest,
    RequestFailure,
    Sampling,
)
from workbench.generation.models import DraftCandidate, EngineRequest, ImageTask, ItemResult, JudgeVerdict, Steps
from workbench.generation.recipe import Recipe
from workbench.generation.runs.counters import RunCounters
from workbench.generation.runs.record_writer import RecordWriter
from workbench.generation.runs.runner import Runner, RunStopped
from workbench.generation.runs.work_source import Shard, read_image_tasks
from workbench.workspace.picture_folders import PictureFolders
from workbench.workspace.settings.engines import JudgeRule, JudgeSettings

RECIPE = Recipe(
    prompts="test@1",
    proposer="llm",
    judges=(JudgeSettings(name="vlm"),),
    models={"llm": "llm-1", "vlm": "vlm-1"},
)
Reply = Callable[[ModelRequest], ModelAnswer]


class Watched:
    """An engine whose answers and troubles a test decides."""

    simulated = True
    capacity = 4

    def __init__(
        self, model: str, reply: Reply = lambda request: ModelAnswer(text="hat", p=0.1), budget: Budget | None = None
    ):
        self.model, self.reply, self.budget = model, reply, budget or Budget()
        self.request_counts: Counter[bytes] = Counter()
        self.at_once = self.most_at_once = 0

    async def answer(self, group: Sequence[ModelRequest], stored: StoreAnswer) -> None:
        for index, request in enumerate(group):
            self.budget.reserve()
            self.request_counts[request.key(self.model)] += 1
            self.at_once += 1
            self.most_at_once = max(self.most_at_once, self.at_once)
            await asyncio.sleep(0.001)
            try:
                await stored(index, self.reply(request))
            finally:
                self.at_once -= 1

    async def close(self) -> None:
        pass


def question(stage: Stage, subject: str, seed: int = 0) -> ModelRequest:
    answer_format = AnswerFormat.YES_NO if stage is Stage.PRESENCE else AnswerFormat.TEXT
    sampling, messages = Sampling(seed=seed), (Message("user", subject),)
    return ModelRequest(
        stage=stage, answer_format=answer_format, prompt="test@1", messages=messages, sampling=sampling, subject=subject
    )


def steps(image_task: ImageTask) -> Steps:
    """A small pipeline: one concept for each caption, and one presence question."""
    captions = [caption for caption in image_task.captions if caption.item in image_task.wanted]
    proposals = tuple(
        EngineRequest("llm", question(Stage.PROPOSE, f"{image_task.picture.key} {c.text}", c.id)) for c in captions
    )
    concepts = yield proposals
    answers = yield tuple(
        EngineRequest("vlm", question(Stage.PRESENCE, f"{image_task.picture.key} {a.text}")) for a in concepts
    )
    outcomes = []
    for caption, concept, answer in zip(captions, concepts, answers, strict=True):
        if concept.failed:
            outcomes.append(ItemResult(item=caption.item, status=ItemStatus.FAILED, reason=f"failed:{concept.error}"))
            continue
        draft = DraftCandidate(
            text=f"{caption.text} with no {concept.text}",
            concept=concept.text,
            negation_type=NegationType.ABSENCE,
            caption_id=caption.id,
            extra={"mix": "free"},
        )
        verdict = JudgeVerdict(judge="vlm", question=Question.PRESENT, prompt="test@1", p=answer.p)
        outcomes.append(ItemResult(item=caption.item, status=ItemStatus.KEPT, draft=draft, verdicts=(verdict,)))
    return tuple(outcomes)


@pytest.fixture
def record(tmp_path: Path) -> Iterator[Record]:
    with create_store(tmp_path / "curation.db") as store:
        record = Record(store)
        record.add(30)
        with store.write() as connection:  # its captions and pictures are what counts here
            for table in ("queue_entry", "candidate_state", "candidate"):
                connection.execute(text(f"DELETE FROM {table}"))
        yield record


async def run(
    record: Record,
    llm: Watched,
    vlm: Watched,
    *,
    budget: Budget | None = None,
    limit: int | None = None,
    retry: bool = False,
    shard: Shard | None = None,
    how: Callable[[ImageTask], Steps] = steps,
    recipe: Recipe = RECIPE,
    during: Callable[[Runner], None] = lambda runner: None,
) -> RunCounters:
    recorder, tally = RecordWriter(record.store), RunCounters(None)
    try:
        runner = Runner(
            recorder,
            recipe,
            how,
            {"llm": llm, "vlm": vlm},
            counters=tally,
            budget=budget or Budget(),
            intake=Intake(),
        )
        scope = Scope(recipe=recipe.hash, kind="caption", retry=retry)
        image_tasks = read_image_tasks(recorder, scope, PictureFolders(Path(), {}), limit=limit, shard=shard or Shard())
        during(runner)
        await runner.run(image_tasks)
    finally:
        await asyncio.to_thread(recorder.close)
    return tally


def count(record: Record, sql: str) -> int:
    with record.store.read() as connection:
        return int(connection.execute(text(sql)).scalar_one())


async def test_every_caption_becomes_a_candidate_with_its_verdict(record: Record) -> None:
    llm, vlm = Watched("llm-1"), Watched("vlm-1")
    tally = await run(record, llm, vlm)
    assert tally.statuses == {ItemStatus.KEPT: 30}
    assert count(record, "SELECT count(*) FROM candidate WHERE prompt_version = 'test@1' AND generator = 'llm-1'") == 30
    assert count(record, "SELECT count(*) FROM verdict WHERE judge = 'vlm' AND p = 0.1 AND simulated") == 30
    assert count(record, "SELECT count(*) FROM candidate_state WHERE state = 'open'") == 30
    assert set(llm.request_counts.values()) == set(vlm.request_counts.values()) == {1}


async def test_a_second_run_sends_and_adds_nothing(record: Record) -> None:
    await run(record, Watched("llm-1"), Watched("vlm-1"))
    llm, vlm = Watched("llm-1"), Watched("vlm-1")
    tally = await run(record, llm, vlm)
    assert not llm.request_counts
    assert not vlm.request_counts
    assert tally.done == 0
    assert count(record, "SELECT count(*) FROM candidate") == 30


async def test_a_run_without_stored_results_resumes_from_the_answer_cache(record: Record) -> None:
    await run(record, Watched("llm-1"), Watched("vlm-1"))
    with record.store.write() as connection:
        connection.execute(text("DELETE FROM generation_item"))
    llm, vlm = Watched("llm-1"), Watched("vlm-1")
    tally = await run(record, llm, vlm)
    assert not llm.request_counts
    assert not vlm.request_counts
    assert tally.statuses == {ItemStatus.KEPT: 30}
    assert count(record, "SELECT count(*) FROM candidate") == 30
    assert count(record, "SELECT count(*) FROM verdict") == 30


@pytest.mark.parametrize(
    ("rule", "proposal", "verdict", "requests_again"),
    [
        (JudgeRule.MEAN, RequestFailure.TOO_LONG, "", (30, 0)),
        (JudgeRule.MEAN, RequestFailure.EMPTY, "", (30, 0)),
        (JudgeRule.MEAN, "", RequestFailure.EMPTY, (0, 0)),  # the pipeline asks with another seed
        (JudgeRule.MEAN, "", RequestFailure.SERVER, (0, 30)),
        (JudgeRule.OFFICIAL, RequestFailure.TOO_LONG, RequestFailure.EMPTY, (0, 0)),
        (JudgeRule.OFFICIAL, RequestFailure.SERVER, "", (30, 0)),
    ],
)
async def test_a_stored_answer_that_the_rule_takes_is_not_requested_again(
    record: Record, rule: JudgeRule, proposal: str, verdict: str, requests_again: tuple[int, int]
) -> None:
    def asking_both(image_task: ImageTask) -> Steps:
        """A pipeline that asks the judge whatever the proposal is."""
        items = sorted(image_task.wanted)
        subjects = [f"{image_task.picture.key} {item}" for item in items]
        yield tuple(EngineRequest("llm", question(Stage.PROPOSE, subject)) for subject in subjects)
        yield tuple(EngineRequest("vlm", question(Stage.PRESENCE, subject)) for subject in subjects)
        return tuple(ItemResult(item=item, status=ItemStatus.DROPPED, reason="present") for item in items)

    recipe = replace(RECIPE, rule=rule)
    for again in (False, True):
        llm = Watched("llm-1", lambda _: ModelAnswer(text="ha", error=proposal))
        vlm = Watched("vlm-1", lambda _: ModelAnswer(error=verdict))
        await run(record, llm, vlm, recipe=recipe, how=asking_both)
        assert (llm.request_counts.total(), vlm.request_counts.total()) == (requests_again if again else (30, 30))
        with record.store.write() as connection:
            connection.execute(text("DELETE FROM generation_item"))


async def test_a_budget_stops_the_run_and_the_next_one_pays_for_the_rest_only(record: Record) -> None:
    budget = Budget(max_requests=25)
    llm, vlm = Watched("llm-1", budget=budget), Watched("vlm-1", budget=budget)
    with pytest.raises(BudgetReached, match="25 of 25 requests"):
        await run(record, llm, vlm, budget=budget)
    assert llm.request_counts.total() + vlm.request_counts.total() == 25
    again = Watched("llm-1"), Watched("vlm-1")
    await run(record, *again)
    assert (
        llm.request_counts.total() + vlm.request_counts.total() + sum(each.request_counts.total() for each in again)
        == 60
    )
    assert count(record, "SELECT count(*) FROM candidate") == 30


async def test_a_stop_lets_requests_in_flight_finish(record: Record) -> None:
    budget = Budget()
    llm = Watched("llm-1", budget=budget)

    def reply(request: ModelRequest) -> ModelAnswer:
        if llm.request_counts.total() >= 6:
            runners[0].stop()
        return ModelAnswer(text="hat", p=0.1)

    runners: list[Runner] = []
    llm.reply = reply
    with pytest.raises(RunStopped):
        await run(record, llm, Watched("vlm-1", budget=budget), budget=budget, during=runners.append)
    request_counts = llm.request_counts.total()
    assert 6 <= request_counts < 30
    assert count(record, "SELECT count(*) FROM generation_answer WHERE stage = 'propose'") == request_counts


async def test_a_stopped_engine_ends_the_run_and_the_answers_are_stored(record: Record) -> None:
    llm, received = Watched("llm-1"), list[ModelRequest]()

    def gone(request: ModelRequest) -> ModelAnswer:
        received.append(request)
        if len(received) > 10:
            raise EngineStopped("llm cannot be reached")
        return ModelAnswer(text="hat", p=0.1)

    llm.reply = gone
    with pytest.raises(EngineStopped):
        await run(record, llm, Watched("vlm-1"))
    assert count(record, "SELECT count(*) FROM generation_answer WHERE stage = 'propose'") == 10
    later = Watched("llm-1")
    await run(record, later, Watched("vlm-1"))
    assert later.request_counts.total() == 20


async def test_a_failed_answer_fails_only_its_item_and_is_retried_on_request(record: Record) -> None:
    def reply(request: ModelRequest) -> ModelAnswer:
        bad = request.sampling.seed == 7
        return ModelAnswer(error=RequestFailure.TIMEOUT, detail="120 s") if bad else ModelAnswer(text="hat", p=0.1)

    tally = await run(record, Watched("llm-1", reply), Watched("vlm-1"))
    assert tally.statuses == {ItemStatus.KEPT: 29, ItemStatus.FAILED: 1}
    assert tally.reasons == {"failed:timeout": 1}
    idle = Watched("llm-1")
    await run(record, idle, Watched("vlm-1"))
    assert not idle.request_counts
    llm = Watched("llm-1")
    tally = await run(record, llm, Watched("vlm-1"), retry=True)
    assert llm.request_counts.total() == 1
    assert tally.statuses == {ItemStatus.KEPT: 1}
    assert count(record, "SELECT count(*) FROM generation_item WHERE status = 'kept'") == 30
    assert count(record, "SELECT tries FROM generation_answer WHERE seed = 7") == 2


async def test_a_bug_on_one_image_does_not_stop_the_run(record: Record) -> None:
    def how(image_task: ImageTask) -> Steps:
        if image_task.picture.key == "coco/3":
            raise ZeroDivisionError("three")
        return (yield from steps(image_task))

    tally = await run(record, Watched("llm-1"), Watched("vlm-1"), how=how)
    assert tally.statuses == {ItemStatus.KEPT: 29, ItemStatus.FAILED: 1}
    bugs = "SELECT count(*) FROM generation_item WHERE reason = 'failed:bug' AND detail LIKE '%three'"
    assert count(record, bugs) == 1


async def test_an_answer_is_stored_clean_and_loaded_unchanged(record: Record) -> None:
    seen: list[str] = []

    def how(image_task: ImageTask) -> Steps:
        (answer,) = yield (EngineRequest("llm", question(Stage.PROPOSE, image_task.picture.key)),)
        seen.append(answer.text)
        return (ItemResult(item=image_task.captions[0].item, status=ItemStatus.DROPPED, reason="no-concept"),)

    hostile = "\x1b[31mhat\x00" + "\u202e" + "x" * 30_000 + "\ud800"
    await run(record, Watched("llm-1", lambda request: ModelAnswer(text=hostile)), Watched("vlm-1"), how=how, limit=1)
    with record.store.write() as connection:
        connection.execute(text("DELETE FROM generation_item"))
    await run(record, Watched("llm-1"), Watched("vlm-1"), how=how, limit=1)
    assert seen[0] == seen[1]
    assert seen[0].startswith("[31mhatx")
    assert len(seen[0]) <= 20_000


async def test_a_limit_and_shards_divide_the_items(record: Record) -> None:
    llm = Watched("llm-1")
    tally = await run(record, llm, Watched("vlm-1"), limit=7)
    assert (tally.done, llm.request_counts.total()) == (7, 7)
    parts = [await run(record, Watched("llm-1"), Watched("vlm-1"), shard=Shard(number, 3)) for number in (1, 2, 3)]
    assert sum(part.done for part in parts) == 23
    assert count(record, "SELECT count(*) FROM candidate") == 30


async def test_equal_requests_of_two_images_are_sent_once(record: Record) -> None:
    def how(image_task: ImageTask) -> Steps:
        (answer,) = yield (EngineRequest("vlm", question(Stage.PRIOR, "is there a hat?")),)
        draft = ItemResult(item=image_task.captions[0].item, status=ItemStatus.DROPPED, reason=answer.text)
        return (draft,)

    vlm = Watched("vlm-1")
    tally = await run(record, Watched("llm-1"), vlm, how=how)
    assert tally.reasons == {"hat": 30}
    assert vlm.request_counts.total() == 1


async def test_the_engines_capacity_limits_the_images_in_process(record: Record) -> None:
    open_units = most = 0

    def how(image_task: ImageTask) -> Steps:
        nonlocal open_units, most
        open_units += 1
        most = max(most, open_units)
        try:
            return (yield from steps(image_task))
        finally:
            open_units -= 1

    llm, vlm = Watched("llm-1"), Watched("vlm-1")
    llm.capacity = vlm.capacity = 1
    await run(record, llm, vlm, how=how)
    assert most <= 12  # of 30; four are asked at a time, and some are just being stored


async def test_a_run_without_engines_completes(record: Record) -> None:
    def how(image_task: ImageTask) -> Steps:
        yield ()
        return (ItemResult(item=image_task.captions[0].item, status=ItemStatus.DROPPED, reason="unclear"),)

    recorder, tally = RecordWriter(record.store), RunCounters(None)
    try:
        runner = Runner(recorder, RECIPE, how, {}, counters=tally, budget=Budget(), intake=Intake())
        image_tasks = read_image_tasks(recorder, Scope(recipe=RECIPE.hash, kind="caption"), PictureFolders(Path(), {}))
        await asyncio.wait_for(runner.run(image_tasks), 30)
    finally:
        await asyncio.to_thread(recorder.close)
    assert tally.done == 30


async def units_of(record: Record) -> AsyncIterator[ImageTask]:
    recorder = RecordWriter(record.store)
    try:
        async for image_task in read_image_tasks(
            recorder, Scope(recipe="x", kind="caption"), PictureFolders(Path(), {})
        ):
            yield image_task
    finally:
        await asyncio.to_thread(recorder.close)


async def test_an_image_task_has_all_captions_and_annotated_objects(record: Record) -> None:
    with record.store.write() as connection:
        connection.execute(
            text("""INSERT INTO caption(source_id, key, image_id, text, raw_sha256)
                    VALUES (1, 'second', 5, 'a rider', :hash)"""),
            {"hash": bytes(32)},
        )
        connection.execute(
            text("INSERT INTO image_object(image_id, category, count) VALUES (5, 'horse', 2), (6, 'cat', 1)")
        )
    by_image = {image_task.picture.image_id: image_task async for image_task in units_of(record)}
    assert [caption.text for caption in by_image[5].captions] == ["a woman riding a horse", "a rider"]
    assert by_image[5].objects == {"horse": 2}
    assert by_image[5].categories == {"horse", "cat"}
    assert len(by_image[5].wanted) == 2


async def test_an_engine_without_budget_gets_no_request_after_a_stop(record: Record) -> None:
    llm, runners = Watched("llm-1"), list[Runner]()

    def reply(request: ModelRequest) -> ModelAnswer:
        runners[0].stop()
        return ModelAnswer(text="hat", p=0.1)

    llm.reply, vlm = reply, Watched("vlm-1")
    with pytest.raises(RunStopped):
        await run(record, llm, vlm, during=runners.append)
    assert not vlm.request_counts
    assert count(record, "SELECT count(*) FROM generation_answer") == llm.request_counts.total()


@pytest.mark.parametrize("p", [float("nan"), float("inf"), -0.5, 7])
async def test_an_invalid_probability_is_unclear_in_every_run(record: Record, p: float) -> None:
    seen: list[ModelAnswer] = []

    def how(image_task: ImageTask) -> Steps:
        (answer,) = yield (EngineRequest("vlm", question(Stage.PRESENCE, image_task.picture.key)),)
        seen.append(answer)
        return (ItemResult(item=image_task.captions[0].item, status=ItemStatus.DROPPED, reason="unclear"),)

    long = ModelAnswer(text="\u0958" * 20_000, p=p, label_mass=p)
    for _ in range(2):
        await run(record, Watched("llm-1"), Watched("vlm-1", lambda request: long), how=how, limit=1)
        with record.store.write() as connection:
            connection.execute(text("DELETE FROM generation_item"))
    assert seen[0].text == seen[1].text
    assert {(answer.p, answer.label_mass) for answer in seen} == {(None, None)}


async def test_waiting_pipelines_get_the_error_of_a_shared_request(record: Record) -> None:
    def how(image_task: ImageTask) -> Steps:
        (answer,) = yield (EngineRequest("vlm", question(Stage.PRIOR, "is there a hat?")),)
        return (ItemResult(item=image_task.captions[0].item, status=ItemStatus.DROPPED, reason=answer.text),)

    def broken(connection: Connection, keys: Sequence[bytes]) -> dict[bytes, object]:
        raise LookupError("no memory")

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("workbench.generation.runs.dispatcher.memory.load_answers", broken)
        tally = await run(record, Watched("llm-1"), Watched("vlm-1"), how=how)
    assert tally.reasons == {"failed:bug": 30}, "none is lost"


async def test_an_image_can_have_more_captions_than_sqlite_takes_variables(record: Record) -> None:
    def limited(connection: sqlite3.Connection, _record: object) -> None:
        connection.setlimit(sqlite3.SQLITE_LIMIT_VARIABLE_NUMBER, 6_000)

    event.listen(record.store._engine, "connect", limited)
    record.store._engine.dispose()
    with record.store.write() as connection:
        connection.execute(
            text("""WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 6500)
                    INSERT INTO caption(source_id, key, image_id, text, raw_sha256)
                    SELECT 1, 'more' || i, 1, 'a woman riding horse ' || i, :hash FROM n"""),
            {"hash": bytes(32)},
        )

    def how(image_task: ImageTask) -> Steps:
        yield tuple(EngineRequest("llm", question(Stage.PROPOSE, caption.text)) for caption in image_task.captions)
        return tuple(
            ItemResult(item=item, status=ItemStatus.DROPPED, reason="unclear") for item in sorted(image_task.wanted)
        )

    class Quick(Watched):
        async def answer(self, group: Sequence[ModelRequest], stored: StoreAnswer) -> None:
            await asyncio.gather(*(stored(index, self.reply(request)) for index, request in enumerate(group)))

    tally = await run(record, Quick("llm-1"), Watched("vlm-1"), how=how, shard=None, limit=6_501)
    assert tally.done == 6_501
