"""The clip engine with a tiny CLIP in a real child process."""

from __future__ import annotations

import asyncio
import math
import os
import signal
from collections.abc import AsyncIterator, Sequence
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
import torch
from PIL import Image
from support.clip_models import make_tiny
from support.model_requests import answers, settings, surroundings, yes_no

from curation_db.enums import Method, Stage
from trainers.clip_margin_worker import MarginWorker
from trainers.models.clip_model import ClipModel
from trainers.models.saving import save_model
from workbench.errors import UsageError
from workbench.generation.budget import Budget
from workbench.generation.engines.answer_identity import RequestKind, settings_in_use
from workbench.generation.engines.local import clip
from workbench.generation.engines.local.clip import ClipEngine, answer_of
from workbench.generation.engines.local.clip_presence import OBJECTS, THRESHOLD
from workbench.generation.engines.protocol import EngineStopped
from workbench.generation.engines.requests import ImagePayload, ModelRequest, RequestFailure

in_module = pytest.mark.asyncio(loop_scope="module")

_LOUD = """\
import os, sys
class Loud:
    def find_spec(self, name, path=None, target=None):
        if name in ("open_clip", "torch"):
            print("importing", name, flush=True)
            os.system("echo from a process of its own")
sys.meta_path.insert(0, Loud())
"""
"""Content of sitecustomize.py: simulates libraries that print to stdout on import."""


def whole(text: str, original: str, picture: Path | ImagePayload | None, **results: Any) -> ModelRequest:
    """Is this caption acceptable?"""
    facts = {"text": text, "original": original}
    return yes_no(f"Is {text!r} true?", picture, **({"stage": Stage.ACCEPTABLE, "facts": facts} | results))


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, ClipModel]:
    """A folder with a tiny CLIP, and the same in memory."""
    tiny = make_tiny()
    folder = tmp_path_factory.mktemp("clip") / "tiny"
    save_model(tiny, folder)
    return folder, tiny


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def judge(model: tuple[Path, ClipModel], tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[ClipEngine]:
    """The engine, its child at work among loud libraries."""
    loud = tmp_path_factory.mktemp("loud")
    (loud / "sitecustomize.py").write_text(_LOUD)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PYTHONPATH", str(loud))
        engine = await clip.make(settings("clip", model[0]), surroundings(budget=Budget()))
    yield engine
    await engine.close()


CAPTIONS = (("a dog with no hat", "a dog with a hat"), ("no tree", "a tree"), ("a man, no ball", "a man and a ball"))


@in_module
async def test_the_score_is_the_negated_captions_share_of_the_softmax(
    judge: ClipEngine, model: tuple[Path, ClipModel], colours: dict[str, Path]
) -> None:
    group = [whole(text, original, picture) for text, original in CAPTIONS for picture in colours.values()]
    results = await answers(judge, group)
    scale = model[1].model.logit_scale.detach().exp()
    for request, answer in zip(group, results, strict=True):
        assert request.picture is not None
        assert request.picture.path is not None
        image = model[1].encode_images([Image.open(request.picture.path).convert("RGB")])
        cosines = image @ model[1].encode_texts([request.facts["text"], request.facts["original"]]).T
        assert answer.p == pytest.approx(float((scale * cosines).softmax(-1)[0, 0]), abs=1e-5)
        assert answer.text == f"margin {float(cosines[0, 0] - cosines[0, 1]):+.4f}"
        assert (answer.method, answer.label_mass) == (Method.SCORE, None)
    assert len({answer.text for answer in results}) > 6


ABSENT = {"a dog": "dog", "an umbrella": "umbrella", "glasses": "glasses"}


def about(phrase: str, picture: Path | ImagePayload | None) -> ModelRequest:
    """Is this object in the image?"""
    return yes_no("q", picture, facts={"concept": ABSENT.get(phrase, phrase), "a_concept": phrase})


@in_module
async def test_presence_is_the_modified_z_score_among_other_objects(
    judge: ClipEngine, model: tuple[Path, ClipModel], colours: dict[str, Path]
) -> None:
    group = [about(phrase, picture) for phrase in ABSENT for picture in colours.values()]
    results = await answers(judge, group)
    related_to = {"a dog": {"a dog", "a hot dog"}, "an umbrella": {"an umbrella"}, "glasses": set()}
    for request, answer in zip(group, results, strict=True):
        phrase = request.facts["a_concept"]
        assert request.picture is not None
        assert request.picture.path is not None
        image = model[1].encode_images([Image.open(request.picture.path).convert("RGB")])[0]
        others = [f"a photo of {each}" for each in OBJECTS if each not in related_to[phrase]]
        cosines = model[1].encode_texts(others) @ image
        level = cosines.quantile(0.5)
        spread = 1.4826 * (cosines - level).abs().quantile(0.5)
        z = float((model[1].encode_texts([f"a photo of {phrase}"])[0] @ image - level) / spread)
        assert answer.p == pytest.approx(1 / (1 + math.exp(THRESHOLD - z)), abs=1e-3)
        assert answer.text.startswith("yes" if z > THRESHOLD else "no")
        assert answer.text.endswith(f"z {float(answer.text.split()[-1]):+.3f}")
        assert (answer.method, answer.label_mass) == (Method.SCORE, None)
    assert len({answer.text for answer in results}) > 6


@in_module
async def test_both_questions_of_one_image_are_answered_in_one_group(
    judge: ClipEngine, colours: dict[str, Path]
) -> None:
    red = colours["red"]
    alone = [*await answers(judge, [about("a dog", red)]), *await answers(judge, [whole("no a", "a", red)])]
    mixed = await answers(judge, [about("a dog", red), whole("no a", "a", red), about("a dog", red)])
    assert [answer.text for answer in mixed] == [alone[0].text, alone[1].text, alone[0].text]


@in_module
async def test_questions_about_presence_that_clip_cannot_answer(judge: ClipEngine, colours: dict[str, Path]) -> None:
    red = colours["red"]
    action = yes_no("q", red, facts={"concept": "running", "question": "Is the man running?"})
    group = [action, about("", red), about("a dog", None), about("a dog", ImagePayload(key="x", path=red, blank=True))]
    results = await answers(judge, [*group, about("a dog", red)])
    assert [answer.error for answer in results] == [*[RequestFailure.UNSUPPORTED] * 4, ""]


def test_the_objects_and_the_prompt_are_encoded_once(
    model: tuple[Path, ClipModel], colours: dict[str, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    encoded: list[list[str]] = []
    original = ClipModel.encode_texts

    def record(self: ClipModel, texts: Sequence[str]) -> torch.Tensor:
        encoded.append(list(texts))
        return original(self, texts)

    monkeypatch.setattr(ClipModel, "encode_texts", record)
    worker = MarginWorker(model[1], text_cache_size=4)
    red, blue = ({"picture": str(colours[name]), "text": "dog", "others": ["a", "b", "c"]} for name in ("red", "blue"))
    first = worker.presences([red, blue, red])
    assert encoded == [["dog", "a", "b", "c"]]
    assert worker.presences([blue, red]) == [first[1], first[0]]
    worker.presences([red | {"text": "cat"}])
    assert encoded[1:] == [["cat"]]
    worker.presences([red])  # the oldest text was dropped
    assert encoded[2:] == [["dog"]]


def test_an_image_that_cannot_be_read_fails_alone(model: tuple[Path, ClipModel], colours: dict[str, Path]) -> None:
    request = {"picture": str(colours["red"]), "text": "dog", "others": ["a", "b", "c"]}
    bad, good = MarginWorker(model[1]).presences([request | {"picture": "/nowhere.png"}, request])
    assert "failed" in bad
    assert isinstance(good["z"], float)


def test_the_statistic_changes_the_keys_of_answers_about_presence_only(judge: ClipEngine, tmp_path: Path) -> None:
    plain = settings_in_use(judge._settings, None, RequestKind(yes_no=True, image=True))
    assert judge.answer_settings(RequestKind(yes_no=True, image=True)) == plain
    assert judge.answer_settings(RequestKind(yes_no=True, image=True, presence=True)) != plain


@in_module
async def test_the_model_name_contains_a_hash_of_the_weights(judge: ClipEngine, model: tuple[Path, ClipModel]) -> None:
    assert judge.model == f"{model[0]}@{model[1].model_hash[:12]}"
    assert not judge.simulated


@in_module
async def test_requests_that_clip_cannot_judge(judge: ClipEngine, colours: dict[str, Path], tmp_path: Path) -> None:
    bad = tmp_path / "bad.png"
    bad.write_bytes(b"nothing")
    red = colours["red"]
    group = [
        whole("no a", "a", red, stage=Stage.PRIOR),
        whole("no a", "", red),
        whole("no a", "a", None),
        whole("no a", "a", ImagePayload(key="s/x", path=red, blank=True)),
        whole("no a", "a", ImagePayload(key="s/x")),
        whole("no a", "a", tmp_path / "gone.png"),
        whole("no a", "a", bad),
        whole("no a", "a", red),
    ]
    results = await answers(judge, group)
    assert [answer.error for answer in results] == [
        *[RequestFailure.UNSUPPORTED] * 4,
        *[RequestFailure.PICTURE_MISSING] * 2,
        RequestFailure.PICTURE_BAD,
        "",
    ]
    assert "\n" not in results[-2].detail


@in_module
async def test_hostile_captions_do_not_break_the_protocol(judge: ClipEngine, colours: dict[str, Path]) -> None:
    texts = ('{"ready": 1}\n\n', "\u2028\x00\x1b[31m", "dog " * 50_000, "\ud83d", "no")
    results = await answers(judge, [whole(text, "a dog", colours["red"]) for text in texts])
    assert all(answer.p is not None for answer in results)


@in_module
async def test_output_of_libraries_does_not_disturb_the_protocol(judge: ClipEngine, colours: dict[str, Path]) -> None:
    (results,) = await answers(judge, [whole("no", "yes", colours["red"])])
    assert results.p is not None
    assert b"importing torch" in judge._child._stderr
    assert b"from a process of its own" in judge._child._stderr


@in_module
async def test_a_missing_model_is_rejected(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="there is no model 'nothing'"):
        await clip.make(settings("clip", "nothing"), surroundings(folder=tmp_path))


@in_module
@pytest.mark.long
async def test_a_model_that_cannot_be_loaded_gives_a_one_line_error(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"cannot be loaded: .* has no open_clip_config") as refused:
        await clip.make(settings("clip", tmp_path), surroundings(folder=tmp_path))
    assert "\n" not in refused.value.message


@in_module
async def test_the_budget_counts_comparisons(judge: ClipEngine, colours: dict[str, Path]) -> None:
    budget = judge._batches._budget
    before = budget.requests
    await answers(judge, [whole("no", "yes", picture) for picture in (*colours.values(), None)])
    assert budget.requests == before + len(colours)


def test_features_that_are_not_finite_give_a_failure() -> None:
    assert answer_of({"margin": float("nan"), "share": float("nan")}).error == RequestFailure.SERVER


def test_an_image_is_encoded_once(
    model: tuple[Path, ClipModel], colours: dict[str, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    looked: list[int] = []
    seen = ClipModel.encode_images

    def count(self: ClipModel, images: Sequence[Image.Image]) -> torch.Tensor:
        looked.append(len(images))
        return seen(self, images)

    monkeypatch.setattr(ClipModel, "encode_images", count)
    margins = MarginWorker(model[1], cache_size=2)
    red, blue, white = (
        {"picture": str(colours[name]), "texts": ["no dog", "dog"]} for name in ("red", "blue", "white")
    )
    first = margins.scores([red, blue, red])
    assert margins.scores([red]) == first[:1] == first[2:]
    margins.scores([white])
    margins.scores([red, blue])
    assert looked == [2, 0, 1, 1]


@in_module
async def test_a_killed_child_process_stops_the_engine_with_a_clear_error(
    judge: ClipEngine, colours: dict[str, Path]
) -> None:
    """The last one: it ends what the tests above share."""
    group = [whole("no", "yes", picture) for picture in colours.values()]
    os.kill(judge._child._process.pid, signal.SIGKILL)
    with pytest.raises(EngineStopped, match="runs CLIP for the engine tried was killed by signal 9"):
        await answers(judge, group)
    with pytest.raises(EngineStopped):
        await asyncio.wait_for(answers(judge, group), 30)
