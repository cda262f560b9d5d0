"""Corrections beside tuned models: which are evaluated, on which items, and what they share with the base."""

from __future__ import annotations

import json
import shutil
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
from support.benches import draw_picture
from support.loops import make_workspace

from benchmarks.corrections.kind import CorrectionKind
from benchmarks.protocols import Protocol
from benchmarks.results import StoredResult
from benchmarks.task import Task
from curation_db.exporting.manifest import read_items
from trainers.data.dataset import locate_in
from trainers.loop.finetune import run_training
from trainers.models.clip_model import ClipModel
from trainers.models.loading import load_model
from trainers.models.routed import route_models
from trainers.settings import read_config
from workbench.errors import UsageError
from workbench.jobs.training.runs import prepare_run
from workbench.workspace.corrected_models import plan_evaluations
from workbench.workspace.layout import Workspace
from workbench.workspace.models import Model, find_model
from workbench.workspace.operations import find_task, run_benches

SCENES = 40
PROJECTION, STEERING, ROUTE = CorrectionKind
THINGS = ("hat", "dog", "bag", "red umbrella")


@pytest.fixture(scope="module")
def workspace(tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    """Workspace with the finished run `first`, and tasks with negated and with affirmative texts on equal images."""
    created = make_workspace(tmp_path_factory.mktemp("corrected"))
    settings = {"steps": 3, "batch": 4, "lr": 1e-2, "threads": 1, "val_share": 0.2}
    base = created.root.parent / "tiny"
    run_training(prepare_run(created, "set-001", model=str(base), name="first", settings=settings))
    folder = created.root / "benchmarks"
    folder.mkdir(exist_ok=True)
    for name, article in (("own-negref", "no"), ("own-affirm", "a"), ("own-twins", "")):
        (folder / f"{name}.json").write_text(json.dumps([row(number, article) for number in range(SCENES)]))
    for number in range(SCENES):
        draw_picture(folder / f"{number}.png", (40, 40), number)
    return created


def row(number: int, article: str) -> dict[str, Any]:
    thing, boxes = THINGS[number % len(THINGS)], [[0, 0, 20, 40], [20, 0, 20, 40]]
    image, phrase = f"{number}.png", f"{article} {thing} on chair {number}"
    if article:
        return {"image": image, "phrase": phrase, "ref_bbox": boxes[0], "bbox_list": boxes}
    return {"images": [image, image], "boxes": boxes, "texts": [f"a{phrase}", f"no{phrase}"]}


def tasks_of(workspace: Workspace, *names: str) -> list[Task]:
    return [find_task(workspace, f"own-{name}") for name in names]


@dataclass(frozen=True)
class Bench:
    stored: list[StoredResult]
    images: int
    """Number of images that a model encoded."""
    warnings: list[str]

    def scores(self, model: str, task: str) -> dict[str, list[float | None]]:
        (result,) = (
            one
            for one in self.stored
            if (one.result["model"]["name"], one.result["task"]["name"]) == (model, f"own-{task}")
        )
        return {item["id"]: item["scores"] for item in result.items()}

    def models(self) -> list[str]:
        return list(dict.fromkeys(one.result["model"]["name"] for one in self.stored))


def run(workspace: Workspace, tasks: Sequence[Task], models: Sequence[Model], **options: Any) -> Bench:
    images, warnings = [], []
    encode = ClipModel.encode_images

    def counted(self: ClipModel, given: Any) -> Any:
        images.extend(given)
        return encode(self, given)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(ClipModel, "encode_images", counted)
        rules = (Protocol("strict"),)
        stored = run_benches(workspace, tasks, models, rules=rules, warn=warnings.append, **options)
    return Bench(stored, len(images), warnings)


@pytest.fixture(scope="module")
def beside(workspace: Workspace) -> Bench:
    """The base and its run with the default corrections."""
    models = [find_model(workspace, name) for name in ("base", "first")]
    return run(workspace, tasks_of(workspace, "negref", "affirm", "twins"), models, corrections=None)


def test_each_image_is_encoded_once_for_all_models(beside: Bench) -> None:
    assert beside.models() == ["tiny", "tiny + projection", "tiny + steering", "first", "first + route"]
    assert beside.images == 2 * SCENES, "both crops of each image, which all tasks and models share"
    assert not beside.warnings


def test_texts_without_a_cue_have_the_scores_of_the_base(beside: Bench) -> None:
    base = beside.scores("tiny", "affirm")
    for name in ("tiny + projection", "tiny + steering", "first + route"):
        assert beside.scores(name, "affirm") == base
    assert beside.scores("first", "affirm") != base
    assert beside.scores("first + route", "negref") == beside.scores("first", "negref")


def test_a_route_is_the_saved_routed_model(beside: Bench, workspace: Workspace) -> None:
    parts = [load_model(find_model(workspace, name).spec) for name in ("base", "first")]
    routed = route_models(*parts)
    result = next(one.result for one in beside.stored if one.result["model"]["name"] == "first + route")
    assert result["model"]["hash"] == routed.model_hash
    assert result["model"]["details"]["routed"] == routed.describe()["routed"]
    assert result["model"]["details"]["correction"] == {"kind": "route"}


def test_no_item_on_which_a_strength_was_chosen_is_scored(beside: Bench) -> None:
    whole, scored = (beside.scores(name, "negref") for name in ("tiny", "tiny + projection"))
    left = whole.keys() - scored.keys()
    assert 0 < len(left) < SCENES / 2
    assert beside.scores("tiny + steering", "negref").keys() == scored.keys()
    twins = beside.scores("tiny", "twins").keys() - beside.scores("tiny + projection", "twins").keys()
    assert len(twins) == len(left), "the twins of these images are not scored either"
    assert len(beside.scores("first + route", "negref")) == SCENES
    result = next(one.result for one in beside.stored if one.result["model"]["name"] == "tiny + projection")
    assert result["model"]["details"]["correction"]["chosen_on"] == (
        f"{len(left)} items of own-negref and {len(left)} of own-twins"
    )


def test_the_base_of_a_run_that_is_evaluated_alone(workspace: Workspace) -> None:
    done = run(workspace, tasks_of(workspace, "negref"), [find_model(workspace, "first")], corrections=None)
    assert done.models() == ["first", "first + route", "tiny + projection", "tiny + steering"]
    assert done.images == 0, "the cache has them"


def test_a_base_that_cannot_be_loaded_costs_a_warning(workspace: Workspace, tmp_path: Path) -> None:
    base = Path(find_model(workspace, "base").spec)
    base.rename(tmp_path / "away")
    try:
        done = run(workspace, tasks_of(workspace, "negref"), [find_model(workspace, "first")], corrections=None)
    finally:
        (tmp_path / "away").rename(base)
    assert done.models() == ["first"]
    assert [line.split(":")[0] for line in done.warnings] == [
        "no route of first",
        "no projection and no steering of tiny",
    ]


def test_tasks_without_negated_texts(workspace: Workspace) -> None:
    tasks, models = tasks_of(workspace, "affirm"), [find_model(workspace, "first")]
    assert run(workspace, tasks, models, corrections=None).models() == ["first", "first + route"]
    with pytest.raises(UsageError, match="no task has mostly negated texts"):
        run(workspace, tasks, models, corrections=[STEERING])


def test_too_few_items_cost_a_warning_unless_the_correction_was_asked_for(workspace: Workspace) -> None:
    (task,) = tasks_of(workspace, "negref")
    few = replace(task, items=task.items[:1])
    done = run(workspace, [few], [find_model(workspace, "first")], corrections=None)
    assert done.models() == ["first", "first + route"]
    assert "too few" in done.warnings[0]


def test_the_plan(workspace: Workspace, tmp_path: Path) -> None:
    base, first = (find_model(workspace, name) for name in ("base", "first"))
    other = Model(str(tmp_path), "other")
    default = [(each.model.label, each.corrections) for each in plan_evaluations(workspace, [first, base, other], None)]
    assert default == [("first", (ROUTE,)), ("tiny", (PROJECTION, STEERING)), ("other", ())]
    assert [each.corrections for each in plan_evaluations(workspace, [first, base], [])] == [(), ()]
    asked = plan_evaluations(workspace, [other, first], [ROUTE, PROJECTION])
    assert [(each.base.spec, each.corrections) for each in asked] == [(base.spec, (ROUTE, PROJECTION))] * 2


def test_images_of_the_training_are_counted_in_the_results(workspace: Workspace) -> None:
    config = read_config(workspace.root / "runs" / "first")
    locate = locate_in(config.pictures)
    trained = {locate(item.source, item.file_name) for item in read_items(Path(config.export))}
    folder = workspace.root / "benchmarks"
    seen = [path for path in sorted(filter(None, trained))][:2]
    for number, path in enumerate(seen):
        shutil.copy(path, folder / f"copy-{number}{path.suffix}")
    names = [f"copy-{number}{path.suffix}" for number, path in enumerate(seen)]
    boxes = [[0, 0, 4, 8], [4, 0, 4, 8]]
    rows = [{"image": name, "phrase": "no hat", "ref_bbox": boxes[0], "bbox_list": boxes} for name in (*names, "3.png")]
    (folder / "seen-negref.json").write_text(json.dumps(rows))
    models = [find_model(workspace, "first"), find_model(workspace, "base")]
    stored = run_benches(workspace, [find_task(workspace, "seen-negref")], models, rules=(Protocol("official"),))
    tuned, base = (one.result for one in stored)
    assert "overlap" not in base
    assert tuned["overlap"] == {
        "runs": ["first"],
        "training_images": len(trained),
        "images": 2,
        "by_id": 0,
        "by_content": 2,
        "items": 2,
        "alike": 0,
        "alike_items": 0,
    }
