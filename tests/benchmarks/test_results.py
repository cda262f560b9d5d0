"""Tests of result files and of the report."""

from __future__ import annotations

import ast
import errno
import json
import re
import shutil
import threading
from pathlib import Path
from typing import Any

import pytest
from support.benches import ConstantModel, TinyModel, negrefcocog_folder, write_negrefcocog

from benchmarks import results, schema
from benchmarks.analysis.comparison import compare, slices_of_run
from benchmarks.analysis.published import misses, published_rows
from benchmarks.analysis.statistics import mcnemar_exact
from benchmarks.errors import BenchError
from benchmarks.registry import entries as registered
from benchmarks.results import list_results, read
from benchmarks.runner import run_task
from benchmarks.task import Task
from benchmarks.tasks import negrefcocog
from curation_db.stats.intervals import wilson


@pytest.fixture(scope="module")
def task(tmp_path_factory: pytest.TempPathFactory) -> Task:
    folder = tmp_path_factory.mktemp("data")
    negrefcocog_folder(folder, write_negrefcocog(tmp_path_factory.mktemp("source") / "all.json", 60))
    return negrefcocog.load(folder)


@pytest.fixture(scope="module")
def two_models(task: Task, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with results of two models under both protocols."""
    folder = tmp_path_factory.mktemp("results")
    for seed, label in ((1, "base"), (2, "tuned")):
        run_task(TinyModel(seed), task, results_folder=folder, label=label)
    return folder


@pytest.fixture
def folder(two_models: Path, tmp_path: Path) -> Path:
    """Return a copy of the results that a test may change."""
    return Path(shutil.copytree(two_models, tmp_path / "results"))


def test_a_result_has_all_facts_about_the_run(folder: Path, task: Task) -> None:
    stored = list_results(folder).results[0]
    result = stored.result
    assert result["task"]["dataset_sha256"] == task.dataset_sha256
    assert result["task"]["items"] == result["metrics"]["accuracy"]["n"] == 60
    assert (result["model"]["name"], result["model"]["arch"], result["model"]["activation"]) == ("base", "tiny", "none")
    assert result["model"]["precision"] == "fp32"
    assert result["model"]["hash"] == TinyModel(1).model_hash
    assert result["task"]["pictures_folder"] == str(task.pictures)
    assert {"python", "torch", "numpy", "pillow"} <= result["versions"].keys()
    assert stored.path.name == f"negrefcocog.strict.{TinyModel(1).model_hash[:12]}.{task.dataset_sha256[:8]}.1.json"
    assert set(result) == set(schema.Result.__annotations__) - {"balanced", "judge", "segmentation", "overlap", "texts"}


def test_items_are_read_as_written(folder: Path, task: Task) -> None:
    for stored in list_results(folder).results:
        rows = stored.items()
        assert [row["id"] for row in rows] == [item.id for item in task.items]
        assert sum(row["correct"] for row in rows) == stored.result["metrics"]["accuracy"]["correct"]
        row, item = rows[5], task.items[5]
        assert set(row) == set(schema.ItemRow.__annotations__) - {"answers", "mask"}
        assert (row["text"], row["image"], row["target"]) == (item.text, item.image, 0)
        assert row["options"] == [list(box) for box in item.options]
        assert (row["cue"], row["position"]) == (item.slices["cue"], item.slices["position"])


def test_a_rerun_adds_a_result(folder: Path, task: Task) -> None:
    before = {path: path.read_bytes() for path in folder.iterdir()}
    again = run_task(TinyModel(1), task, results_folder=folder, label="base")
    assert [stored.path.stem[-2:] for stored in again] == [".2", ".2"]
    assert all(path.read_bytes() == content for path, content in before.items())
    assert len(compare(folder).rows) == 4  # the newest of each question


def test_concurrent_writers_get_different_numbers(folder: Path, tmp_path: Path) -> None:
    stored = list_results(folder).results[0]
    rows, target = stored.items(), tmp_path / "shared"
    writers = [threading.Thread(target=results.write, args=(target, stored.result, rows)) for _ in range(8)]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join()
    listing = list_results(target)
    assert len(listing.results) == 8
    assert listing.problems == ()
    assert len(list(target.iterdir())) == 16  # and no drafts


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        ("{", "Expecting"),
        ("[]", "not a result"),
        ('{"results": {}}', "not a result"),
        ('{"schema": 99}', "newer negwb"),
        ('{"schema": 1}', "damaged: run"),
        ('{"schema": ' + "[" * 200_000, "nested too deeply"),
    ],
)
def test_invalid_files_are_listed_and_skipped(folder: Path, content: str, reason: str) -> None:
    (folder / "foreign.json").write_text(content)
    listing = list_results(folder)
    assert len(listing.results) == 4
    (problem,) = listing.problems
    assert "foreign.json" in problem
    assert reason in problem
    assert compare(folder).problems == listing.problems


@pytest.mark.parametrize(
    ("keys", "value"),
    [(("metrics", "accuracy"), {"n": 3}), (("task", "items"), "many"), (("model",), None), (("versions",), [])],
)
def test_a_damaged_result_names_the_key(folder: Path, keys: tuple[str, ...], value: object) -> None:
    path = list_results(folder).results[0].path
    content: Any = json.loads(path.read_bytes())
    inner = content
    for key in keys[:-1]:
        inner = inner[key]
    inner[keys[-1]] = value
    path.write_text(json.dumps(content))
    with pytest.raises(BenchError, match=f"damaged: {': '.join(keys)}"):
        read(path)


def changed(path: Path, keys: tuple[str, ...], value: Any) -> None:
    """Change one value of the result at `path`; NaN and Infinity are written as Python does."""
    content = inner = json.loads(path.read_bytes())
    for key in keys[:-1]:
        inner = inner[key]
    inner[keys[-1]] = value
    path.write_text(json.dumps(content))


HEADLINE = ("metrics", "accuracy")
BLIND = ("baselines", "smaller box")


@pytest.mark.parametrize(
    ("keys", "value", "reason"),
    [
        (("metrics",), {}, "metrics: empty"),
        ((*HEADLINE, "value"), float("nan"), "NaN"),
        ((*HEADLINE, "high"), float("inf"), "Infinity"),
        ((*HEADLINE, "value"), 0.999, "value: 0.999"),
        ((*HEADLINE, "correct"), 99, "99 of 60"),
        ((*HEADLINE, "correct"), True, "correct: expected a whole number"),
        ((*HEADLINE, "n"), 0, "not a share"),
        ((*BLIND, "correct"), -1, "not a share"),
        (("task", "chance"), float("inf"), "Infinity"),
        (("task", "chance"), 7, "chance: 7"),
        (("task", "items"), 61, "61 items"),
        (("ties",), 1000, "ties: 1000"),
        (("created",), "tomorrow", "is not a time"),
        (("created",), "2025-01-01T00:00:00", "no time zone"),
    ],
)
def test_invalid_values_are_reported(folder: Path, keys: tuple[str, ...], value: Any, reason: str) -> None:
    path = next(each.path for each in list_results(folder).results if each.result["protocol"]["name"] == "strict")
    changed(path, keys, value)
    report = compare(folder, resamples=50)
    assert len(report.rows) == 3
    (problem,) = report.problems
    assert path.name in problem
    assert reason in problem
    json.dumps(report.as_dict(), allow_nan=False)


def test_a_number_too_large_for_a_float_is_refused(folder: Path) -> None:
    path = list_results(folder).results[0].path
    path.write_text(re.sub(r'"seconds": [^,]*', '"seconds": 1e999', path.read_text()))
    with pytest.raises(BenchError, match="seconds: expected a finite number"):
        read(path)


def test_a_metric_that_contradicts_its_items_is_refused(folder: Path) -> None:
    stored = list_results(folder).results[0]
    right = stored.result["metrics"]["accuracy"]["correct"]
    more = wilson(right + 1, 60)
    score = {"correct": right + 1, "n": 60, "value": more.estimate, "low": more.low, "high": more.high}
    changed(stored.path, HEADLINE, score)
    report = compare(folder, resamples=50)
    assert len(report.rows) == 3
    assert f"accuracy has {right + 1} right answers, its items have {right}" in report.problems[0]


@pytest.mark.parametrize("damage", ["json", "items"])
def test_a_damaged_rerun_does_not_hide_a_valid_result(folder: Path, task: Task, damage: str) -> None:
    before = compare(folder, resamples=50).rows
    again = run_task(TinyModel(2), task, results_folder=folder, label="tuned")
    for stored in again:
        if damage == "json":
            changed(stored.path, (*HEADLINE, "correct"), 99)
        else:
            stored.items_path.unlink()
    report = compare(folder, resamples=50)
    assert [row.run for row in report.rows] == [row.run for row in before]
    assert len(report.problems) == 2


def test_a_rerun_of_the_base_stays_the_base(folder: Path, task: Task) -> None:
    run_task(TinyModel(1), task, results_folder=folder, label="base")
    assert compare(folder, resamples=50).reference == "base"


def test_results_of_earlier_versions_are_read(folder: Path) -> None:
    for stored in list_results(folder).results:
        content = json.loads(stored.path.read_bytes())
        del content["task"]["pictures_folder"]
        for guess in content["baselines"].values():
            del guess["ties"]
        stored.path.write_text(json.dumps(content))
    report = compare(folder, resamples=50)
    assert (len(report.rows), report.problems) == (4, ())
    assert report.rows[0].pictures_folder == ""


def test_numbers_are_reserved_without_hard_links(folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise PermissionError(errno.EPERM, "Operation not permitted")

    monkeypatch.setattr("os.link", refuse)
    stored, target = list_results(folder).results[0], tmp_path / "exfat"
    writers = [threading.Thread(target=results.write, args=(target, stored.result, stored.items())) for _ in range(4)]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join()
    assert len(list_results(target).results) == 4
    assert [path for path in target.iterdir() if path.name.startswith(".")] == []


def test_every_key_is_documented() -> None:
    tree = ast.parse(Path(schema.__file__).read_text(encoding="utf-8"))
    for each in (node for node in tree.body if isinstance(node, ast.ClassDef)):
        for key, after in zip(each.body, [*each.body[1:], None], strict=True):
            if isinstance(key, ast.AnnAssign):
                assert isinstance(after, ast.Expr), f"{each.name}.{ast.unparse(key.target)} has no comment"


def test_changed_items_are_refused(folder: Path) -> None:
    stored = list_results(folder).results[0]
    stored.items_path.write_text(stored.items_path.read_text().replace("true", "false"))
    with pytest.raises(BenchError, match="was changed"):
        stored.items()
    report = compare(folder)
    assert len(report.rows) == 3
    assert stored.items_path.name in report.problems[0]


def test_the_report(folder: Path) -> None:
    report = compare(folder, base="base")
    assert [(row.protocol, row.model) for row in report.rows] == [
        ("strict", "base"),
        ("strict", "tuned"),
        ("official", "base"),
        ("official", "tuned"),
    ]
    base, tuned = report.rows[:2]
    assert (base.is_base, base.is_reference) == (False, True)
    assert base.base is None
    assert tuned.base is not None
    right = [[row["correct"] for row in stored.items()] for stored in list_results(folder).results[::2]]
    gained = sum(b and not a for a, b in zip(*right, strict=True))
    lost = sum(a and not b for a, b in zip(*right, strict=True))
    assert (tuned.base.gained, tuned.base.lost) == (gained, lost)
    assert tuned.base.p_value == mcnemar_exact(gained, lost)
    assert tuned.base.difference.low <= (gained - lost) / 60 <= tuned.base.difference.high
    assert tuned.accuracy == wilson(sum(right[1]), 60)
    assert {one.name for one in tuned.baselines} >= {"smaller box", "first box"}
    assert {row.task for row in report.published} == {"negrefcocog"}
    assert json.loads(json.dumps(report.as_dict(), allow_nan=False))["reference"] == "base"


def test_slices_cover_every_item_once(folder: Path) -> None:
    row = compare(folder).rows[1]
    for cut in ("cue", "cue_class", "position", "length"):
        slices = [one for one in row.slices if one.cut == cut]
        assert sum(one.n for one in slices) == row.n
        assert sum(one.correct for one in slices) == row.correct
        assert all(one.base is not None and one.base.items == one.n for one in slices)


def test_slices_have_their_fixed_order(folder: Path) -> None:
    row = compare(folder).rows[0]
    values = {cut: [one.value for one in row.slices if one.cut == cut] for cut in ("position", "length")}
    assert values == {
        "position": ["beginning", "middle", "end"],
        "length": ["1-7 words", "8-11 words", "12 words and more"],
    }
    sizes = [one.n for one in row.slices if one.cut == "cue"]
    assert sizes == sorted(sizes, reverse=True), "the others by how many items they have"


def test_differing_items_of_the_protocols_are_listed(task: Task, tmp_path: Path) -> None:
    run_task(ConstantModel(), task, results_folder=tmp_path)
    rows = compare(tmp_path).rows
    assert [len(row.differing) for row in rows] == [60, 60]
    notes = [note for note in rows[0].notes if "a baseline that does not see the image does as well" in note]
    assert len(notes) == 1, "all of them in one line"
    assert "smaller box" in notes[0]
    assert "first box" in notes[0]


def test_an_unknown_base_lists_the_measured_models(folder: Path) -> None:
    with pytest.raises(BenchError, match="matches no model") as raised:
        compare(folder, base="gpt")
    assert raised.value.hint == "measured: base, tuned"
    assert compare(folder, base=TinyModel(2).model_hash[:10]).reference == "tuned"


def test_no_results_are_an_empty_report(tmp_path: Path) -> None:
    report = compare(tmp_path / "nowhere")
    assert (report.rows, report.reference, report.problems) == ((), None, ())


def test_published_rows_equal_the_published_percentages() -> None:
    rows = [row for row in published_rows() if "2501.10913" in row.source]
    percentages = {(row.model, row.arch, row.task): round(100 * row.accuracy.estimate, 2) for row in rows}
    assert percentages == {
        ("CLIP", "ViT-B/32", "negrefcocog"): 57.73,
        ("CLIP", "ViT-B/32", "valse-existence"): 70.97,
        ("CLIP-bnl", "ViT-B/32", "negrefcocog"): 62.05,
        ("CLIP-bnl", "ViT-B/32", "valse-existence"): 76.78,
        ("CoN-CLIP", "ViT-B/32", "negrefcocog"): 55.45,
        ("CoN-CLIP", "ViT-B/32", "valse-existence"): 71.72,
        ("NegationCLIP", "ViT-B/32", "negrefcocog"): 64.09,
        ("NegationCLIP", "ViT-B/32", "valse-existence"): 80.15,
        ("CLIP", "ViT-L/14", "negrefcocog"): 57.27,
        ("CLIP", "ViT-L/14", "valse-existence"): 66.85,
        ("NegationCLIP", "ViT-L/14", "negrefcocog"): 62.95,
        ("NegationCLIP", "ViT-L/14", "valse-existence"): 79.59,
    }
    assert {row.kind for row in rows} == {"published"}


def test_every_published_figure_belongs_to_a_task_and_a_metric_of_negwb() -> None:
    rows = published_rows()
    assert {row.task for row in rows} <= set(registered())
    assert {row.metric for row in rows} == {"accuracy", "accuracy_on_valid", "recall_at_1", ""}
    for row in rows:
        assert row.accuracy.low < row.accuracy.estimate < row.accuracy.high, row
        if row.correct is not None:
            assert row.accuracy == wilson(row.correct, row.n)
    valid = {row.model: row.correct for row in rows if row.about == "505 valid items"}
    assert (valid["CE-CLIP"], valid["NegCLIP"]) == (396, 379)


def test_a_checkpoint_that_misses_the_figure_of_its_paper() -> None:
    missed = {(each.task, each.model, each.arch, each.items, each.n) for each in misses(published_rows())}
    assert missed == {
        ("negrefcocog", "NegationCLIP", "ViT-B/32", 3, 440),
        ("valse-existence", "NegationCLIP", "ViT-B/32", 13, 534),
        ("simpleneg", "CLIP + steering", "not stated", 15, 900),
    }


def reading_nothing(*arguments: object) -> None:
    raise AssertionError("items were parsed")


def test_cached_figures_equal_computed_ones(folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    computed = compare(folder)
    assert compare(folder, cache=tmp_path) == computed
    monkeypatch.setattr("benchmarks.results.read_items", reading_nothing)
    assert compare(folder, cache=tmp_path) == computed


def test_slices_can_be_computed_for_one_row(folder: Path, tmp_path: Path) -> None:
    computed, bare = compare(folder), compare(folder, slices=False, cache=tmp_path)
    assert [row.slices for row in bare.rows] == [()] * 4
    base, tuned = bare.rows[:2]
    assert slices_of_run(folder, tuned.run, base.run, cache=tmp_path) == computed.rows[1].slices
    assert slices_of_run(folder, base.run, None, cache=tmp_path) == computed.rows[0].slices


def test_the_cache_depends_on_the_base_and_on_the_resamples(folder: Path, tmp_path: Path) -> None:
    compare(folder, cache=tmp_path)
    for arguments in ({"base": "tuned"}, {"resamples": 500}):
        assert compare(folder, cache=tmp_path, **arguments) == compare(folder, **arguments)


@pytest.mark.parametrize("content", ["{", "[]", '{"a": 1}', "\x00", "null"])
def test_a_damaged_cache_is_computed_again(folder: Path, tmp_path: Path, content: str) -> None:
    (tmp_path / "comparisons.json").write_text(content)
    computed = compare(folder, cache=tmp_path)
    assert computed == compare(folder)
    entries = json.loads((tmp_path / "comparisons.json").read_text())
    changed = {key: {"denied": "yes"} if isinstance(value, dict) else value for key, value in entries.items()}
    (tmp_path / "comparisons.json").write_text(json.dumps(changed))
    assert compare(folder, cache=tmp_path) == computed


def test_changed_items_are_seen_behind_the_cache(folder: Path, tmp_path: Path) -> None:
    compare(folder, cache=tmp_path)
    stored = list_results(folder).results[0]
    stored.items_path.write_text(stored.items_path.read_text().replace("true", "false", 1))
    report = compare(folder, cache=tmp_path)
    assert len(report.rows) == 3
    assert stored.items_path.name in report.problems[0]
