"""The look at images of captions that deny an object: which images are found, and what the answers add up to."""

from __future__ import annotations

import io
import json
import math
import tarfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from PIL import Image
from support.clip_models import make_tiny
from support.commands import negwb
from support.labelled_workspace import make_labelled

from benchmarks.judged import ImageAnswer, ImageQuestion
from curation_db.atomic_write import replace_file
from curation_db.corpus_audit.samples import Origin, Sampled
from curation_db.stats.intervals import wilson
from trainers.models.saving import save_model
from workbench.errors import UsageError
from workbench.jobs.benchmarks.judge import judge_plan
from workbench.jobs.caption_image_check import ScoreJudge, ask, find_images, question_about, score_judge
from workbench.reports.corpus_audit import image_check_listings
from workbench.workspace.create import create_workspace
from workbench.workspace.layout import Workspace


@pytest.fixture
def workspace(tmp_path: Path) -> Workspace:
    created = create_workspace(tmp_path / "ws")
    engines = '[generate]\njudges = ["sim"]\n[engines.sim]\nkind = "scripted"\n'
    replace_file(created.settings, engines)
    return created


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a tiny CLIP."""
    folder = tmp_path_factory.mktemp("clip") / "tiny"
    save_model(make_tiny(), folder)
    return folder


def image_bytes(colour: int = 0) -> bytes:
    buffer = io.BytesIO()
    Image.new("RGB", (8, 8), (colour, 0, 0)).save(buffer, "PNG")
    return buffer.getvalue()


def denied(name: str, target: str = "dog", line: int = 1) -> Sampled:
    return Sampled(f"a park with no {target}", Origin("a.jsonl", line), name, target)


class Judge:
    """Answers yes for the images of `shows`, and neither yes nor no for those of `unclear`."""

    def __init__(self, shows: set[str], unclear: set[str]) -> None:
        self.shows, self.unclear = shows, unclear
        self.asked: list[ImageQuestion] = []
        self.facts: Any = {"id": "1", "name": "j", "models": ["m"], "prompt": "p", "simulated": True, "blind": False}

    def ask(self, questions: Sequence[ImageQuestion], progress: Any) -> list[ImageAnswer]:
        self.asked += questions
        return [
            ImageAnswer(None, None)
            if each.path.name in self.unclear
            else ImageAnswer(each.path.name in self.shows, 0.9)
            for each in questions
        ]


@pytest.mark.parametrize(
    ("concept", "question"),
    [
        ("dog", "Is there a dog in the image?"),
        ("red umbrella", "Is there a red umbrella in the image?"),
        ("apple", "Is there an apple in the image?"),
        ("cars", "Are there cars in the image?"),
        ("people", "Are there people in the image?"),
        ("grass", "Is there grass in the image?"),
    ],
)
def test_the_question_is_english(concept: str, question: str) -> None:
    assert question_about(concept) == question


def test_the_share_counts_clear_answers(workspace: Workspace, tmp_path: Path) -> None:
    for at in range(6):
        (tmp_path / f"{at}.png").write_bytes(image_bytes(at))
    (tmp_path / "bad.png").write_bytes(b"no image")
    names = [f"{at}.png" for at in range(6)]
    sample = [denied(name, line=at) for at, name in enumerate([*names, "bad.png", "gone.png", "https://a/b.png"])]
    found = find_images(workspace, [*sample, denied("../ws/negwb.toml")], [tmp_path])
    assert [each.path.name for each in found.asked] == names
    assert found.left_out == {
        "not an image": 1,
        "the image is missing": 2,
        "the image is an address": 1,
    }
    judge = Judge({"0.png", "3.png"}, {"5.png"})
    result = ask(workspace, found, judge, lambda name, done, total: None)
    assert (result["checked"], result["clear"], result["unclear"], result["shown"]) == (6, 5, 1, 2)
    interval = wilson(2, 5)
    assert result["share"] == [interval.estimate, interval.low, interval.high]
    assert [row["where"] for row in result["captions"] if row["shown"]] == ["a.jsonl, line 0", "a.jsonl, line 3"]
    json.dumps(result)


def test_images_of_one_content_are_asked_once_for_each_question(workspace: Workspace, tmp_path: Path) -> None:
    (tmp_path / "a.png").write_bytes(image_bytes())
    sample = [denied("a.png"), denied("a.png", line=2), denied("a.png", "cat")]
    judge = Judge(set(), set())
    result = ask(workspace, find_images(workspace, sample, [tmp_path]), judge, lambda name, done, total: None)
    assert (len(judge.asked), result["questions"], result["checked"]) == (2, 2, 3)


def test_images_are_taken_out_of_shards(workspace: Workspace, tmp_path: Path) -> None:
    shard = tmp_path / "0.tar"
    with tarfile.open(shard, "w") as archive:
        for name, content in {"../1.png": image_bytes(1), "2.png": image_bytes(2), "3.png": b"x"}.items():
            info = tarfile.TarInfo(name)
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))
    sample = [denied(f"{shard}#{name}") for name in ("../1.png", "2.png", "3.png", "4.png")]
    found = find_images(workspace, sample, [])
    assert [each.path.read_bytes() for each in found.asked] == [image_bytes(1), image_bytes(2)]
    assert {each.path.parent for each in found.asked} == {workspace.cache / "audit" / "images"}
    assert found.left_out == {"not an image": 1, "the image is missing": 1}


def test_the_command_asks_about_the_images_of_the_record(workspace: Workspace, tmp_path: Path) -> None:
    folder = tmp_path / "images"
    folder.mkdir()
    for at in range(3):
        (folder / f"{at}.png").write_bytes(image_bytes(at))
    table = tmp_path / "rows.csv"
    table.write_text("image,caption\n" + "".join(f"{at}.png,a park with no dog {at}\n" for at in range(4)))
    negwb(workspace, "import", table, "--pictures", folder)
    result = negwb(workspace, "audit", "--check-images", 10, "--json")
    check = json.loads(result.stdout)["image_check"]
    assert result.exit_code == 0
    assert (check["checked"], check["unclear"], check["share"]) == (3, 3, [None, 0.0, 1.0])
    assert check["left_out"] == {"the image is missing": 1}
    assert check["judge"]["name"] == "sim"
    shown = negwb(workspace, "audit", "--check-images", 10).stdout
    assert "the judge cannot tell" in shown
    error = negwb(workspace, "audit", "--check-images", 10, "--judge", "nothing").exception
    assert isinstance(error, UsageError)
    assert "nothing" in error.message


def test_a_score_is_called_uncalibrated_without_labels(workspace: Workspace, tmp_path: Path) -> None:
    (tmp_path / "0.png").write_bytes(image_bytes())
    found = find_images(workspace, [denied("0.png")], [tmp_path])
    scored = ScoreJudge(0.7, alone=True)
    check = ask(workspace, found, Judge({"0.png"}, set()), lambda name, done, total: None, scored=scored)
    at = 1.645 + math.log(0.7 / 0.3)
    assert check["score"] == {"statistic": "modified-z-1", "threshold": pytest.approx(at), "calibration": None}
    (listing, _) = image_check_listings({"image_check": check})
    shown = dict(listing.rows)
    assert shown["yes: the image fits the object better than others"] == f"z > {at:.3f}"
    assert shown["calibrated"].startswith("no: a score")


@pytest.mark.long
def test_clip_answers_by_a_score_that_is_called_uncalibrated(
    workspace: Workspace, tmp_path: Path, models: Path
) -> None:
    source = corpus(tmp_path)
    shown = negwb(workspace, "audit", source, "--check-images", 10, "--judge", f"clip:{models}").stdout
    assert "z > 1.645" in shown
    assert "too few labels" in shown
    result = negwb(workspace, "audit", source, "--check-images", 10, "--judge", f"clip:{models}", "--json")
    check = json.loads(result.stdout)["image_check"]
    assert check["score"] == {"statistic": "modified-z-1", "threshold": pytest.approx(1.645), "calibration": None}
    assert (check["checked"], check["clear"], check["judge"]["simulated"]) == (3, 3, False)
    assert check["shown"] == sum(row["p"] >= 0.5 for row in check["captions"])


@pytest.mark.long
def test_an_engine_of_the_settings_and_the_base_model_answer_alike(
    workspace: Workspace, tmp_path: Path, models: Path
) -> None:
    replace_file(
        workspace.settings, f'[train]\nmodel = "{models}"\n[engines.looker]\nkind = "clip"\nmodel = "{models}"\n'
    )
    source = corpus(tmp_path)
    answers = [
        json.loads(negwb(workspace, "audit", source, "--check-images", 10, "--judge", name, "--json").stdout)
        for name in ("looker", "clip")
    ]
    first, second = ([row["p"] for row in each["image_check"]["captions"]] for each in answers)
    assert first == second
    assert len(set(first)) == 3


@pytest.mark.long
def test_the_labels_of_the_workspace_calibrate_clip(tmp_path: Path, models: Path) -> None:
    workspace = make_labelled(tmp_path / "labelled", 240)
    listed = ("audit", "--candidates", "--check-images", 500, "--judge", f"clip:{models}")
    check = json.loads(negwb(workspace, *listed, "--json").stdout)["image_check"]
    found = check["score"]["calibration"]
    assert (found["labels"], found["fitted"] + found["tested"]) == ("decided", 240)
    slope, intercept = found["slope"], found["intercept"]
    for row in check["captions"]:
        odds = slope * math.log(row["p"] / (1 - row["p"])) + intercept
        assert row["p_calibrated"] == pytest.approx(1 / (1 + math.exp(-odds)))
    assert check["questions"] <= len(check["captions"])
    assert "calibrated on labels of this workspace" in negwb(workspace, *listed).stdout


def test_clip_in_the_settings_judges_presence_only_if_named_for_it(workspace: Workspace) -> None:
    for judges, expected in (('"sim", "c", "annotations"', ["sim"]), ('"sim", "c:present"', ["sim", "c"])):
        engines = '[engines.sim]\nkind = "scripted"\n[engines.c]\nkind = "clip"\n'
        replace_file(workspace.settings, f"[generate]\njudges = [{judges}]\n{engines}")
        plan = judge_plan(workspace, [])
        assert [judge.name for judge in plan.judges] == expected
        scored = score_judge(plan)
        assert scored == (None if len(expected) == 1 else ScoreJudge(0.5, alone=False))


def corpus(folder: Path) -> Path:
    """Write three captions with their images."""
    for at in range(3):
        (folder / f"{at}.png").write_bytes(image_bytes(at * 90))
    table = folder / "rows.csv"
    table.write_text("image,caption\n" + "".join(f"{at}.png,a park with no dog {at}\n" for at in range(3)))
    return table
