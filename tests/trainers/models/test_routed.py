"""A routed model: texts that negate nothing have the base's features bit for bit, inside negwb and without it."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from PIL import Image
from support.clip_models import make_tiny

from curation_db.language.negation_cues import CUES_VERSION, negates
from trainers.errors import TrainerError
from trainers.models import routed, routed_folder
from trainers.models.clip_model import ClipModel
from trainers.models.loading import load_model
from trainers.models.routed import RoutedClipModel, route_models
from trainers.models.routed_folder import BASE_FOLDER, ROUTED_FILE, TUNED_WEIGHTS, save_routed
from trainers.models.saving import save_hf, save_model, save_pth
from trainers.tokens.token_limit import read_text_limit

PLAIN = ("a dog", "a red bench beside two trees", "a no parking sign", "a man who looks at his hat " * 3)
NEGATED = ("a dog without a hat", "no cat", "a man who is not wearing a red hat", "an untied shoe")


def other_text_tower(base: ClipModel) -> ClipModel:
    """Return a model with the image tower of `base` and other text weights."""
    changed = {
        name: value + 0.05 * torch.randn(value.shape, generator=torch.Generator().manual_seed(3))
        for name, value in base.model.state_dict().items()
        if name.startswith("transformer.")
    }
    return routed.with_weights(base, changed, name="tuned")


@pytest.fixture(scope="module")
def pair() -> tuple[ClipModel, ClipModel]:
    """A base and a tuned model."""
    base = make_tiny(1)
    return base, other_text_tower(base)


@pytest.fixture(scope="module")
def folder(pair: tuple[ClipModel, ClipModel], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The routed model of the pair, saved."""
    folder = tmp_path_factory.mktemp("routed") / "model"
    save_routed(route_models(*pair, name="routed"), folder)
    return folder


def many_texts(count: int) -> list[str]:
    """Return texts of many lengths; about one in seven negates something."""
    words = ("dog", "cat", "red hat", "bench", "tree", "old car", "blue ball")
    return [
        ("no " if n % 7 == 3 else "a ") + " and a ".join(words[(n + step) % 7] for step in range(1 + n % 6))
        for n in range(count)
    ]


def test_each_text_has_the_features_of_its_part(pair: tuple[ClipModel, ClipModel]) -> None:
    """More texts than a batch, so that batches with both kinds of text, and with one kind, are encoded."""
    base, tuned = pair
    texts = [*many_texts(600), *(f"{text}, number {n}" for n in range(150) for text in NEGATED)]
    negated = torch.tensor([negates(text) for text in texts])
    features = route_models(base, tuned).encode_texts(texts)
    assert torch.equal(features[~negated], base.encode_texts(texts)[~negated])
    torch.testing.assert_close(features[negated], tuned.encode_texts(texts)[negated], rtol=0, atol=1e-6)
    assert not torch.allclose(features[negated], base.encode_texts(texts)[negated], atol=1e-2)


def test_one_kind_of_text_alone(pair: tuple[ClipModel, ClipModel]) -> None:
    base, tuned = pair
    model = route_models(base, tuned)
    assert model.routes((*PLAIN, *NEGATED)) == [False] * len(PLAIN) + [True] * len(NEGATED)
    assert torch.equal(model.encode_texts(PLAIN), base.encode_texts(PLAIN))
    assert torch.equal(model.encode_texts(NEGATED), tuned.encode_texts(NEGATED))
    assert model.encode_texts([]).shape == (0, base.embed_dim)


def test_a_folder_comes_back(pair: tuple[ClipModel, ClipModel], folder: Path) -> None:
    base, tuned = pair
    loaded = load_model(str(folder))
    assert isinstance(loaded, RoutedClipModel)
    assert (loaded.base.model_hash, loaded.tuned.model_hash) == (base.model_hash, tuned.model_hash)
    assert loaded.model_hash == loaded.describe()["model_hash"] == route_models(base, tuned).model_hash
    assert loaded.model_hash not in (base.model_hash, tuned.model_hash)
    assert loaded.visual_hash == base.visual_hash
    assert loaded.tuned.model.visual is loaded.base.model.visual
    assert loaded.describe()["routed"]["tuned"] == tuned.model_hash
    texts = [*PLAIN, *NEGATED]
    assert torch.equal(loaded.encode_texts(texts), route_models(base, tuned).encode_texts(texts))
    stored = (folder / TUNED_WEIGHTS).stat().st_size
    assert stored < (folder / BASE_FOLDER / "open_clip_model.safetensors").stat().st_size / 10
    limit = read_text_limit(str(folder), Path())
    assert limit is not None
    assert limit == read_text_limit(f"tuned:{folder}", Path())
    assert limit.most_tokens == 24


def test_the_parts_load_alone(pair: tuple[ClipModel, ClipModel], folder: Path) -> None:
    base, tuned = pair
    assert load_model(f"tuned:{folder}").model_hash == tuned.model_hash
    assert load_model(str(folder / BASE_FOLDER)).model_hash == base.model_hash
    with pytest.raises(TrainerError, match="is not a routed model"):
        load_model(f"tuned:{folder / BASE_FOLDER}")


def test_parts_that_do_not_fit_are_refused(pair: tuple[ClipModel, ClipModel]) -> None:
    base, tuned = pair
    with pytest.raises(TrainerError, match="differ in their image tower"):
        route_models(make_tiny(2), tuned)
    with pytest.raises(TrainerError, match="differ in their structure"):
        route_models(make_tiny(1, width=48), tuned)
    with pytest.raises(TrainerError, match="routed already"):
        route_models(base, route_models(base, tuned))


def test_other_formats_refuse_a_routed_model(pair: tuple[ClipModel, ClipModel], tmp_path: Path) -> None:
    """Each of them would save the base alone."""
    model = route_models(*pair, name="mine")
    for save in (save_model, save_pth, save_hf):
        with pytest.raises(TrainerError, match="mine is routed"):
            save(model, tmp_path / "out")
    assert not list(tmp_path.iterdir())


def test_damage_is_refused(pair: tuple[ClipModel, ClipModel], folder: Path, tmp_path: Path) -> None:
    base, tuned = pair
    damaged = tmp_path / "damaged"
    save_routed(route_models(base, tuned), damaged)
    content = json.loads((damaged / ROUTED_FILE).read_text())
    save_model(tuned, damaged / BASE_FOLDER)  # intact, but another model
    with pytest.raises(TrainerError, match="its weights are not those"):
        load_model(str(damaged))
    for change, reason in (
        ({"format": 9}, "newer negwb"),
        ({"base": 3}, "is damaged"),
        ({"cues_version": "x"}, "is damaged"),
    ):
        (damaged / ROUTED_FILE).write_text(json.dumps(content | change))
        with pytest.raises(TrainerError, match=reason):
            routed_folder.read_routed(damaged, base)
    (damaged / ROUTED_FILE).write_text(json.dumps(content))
    (damaged / TUNED_WEIGHTS).unlink()
    with pytest.raises(TrainerError, match="there is no file"):
        routed_folder.read_routed(damaged, base)


def test_another_version_of_the_cue_finder_is_a_warning(
    pair: tuple[ClipModel, ClipModel], folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = load_model(str(folder))
    hash_before = before.model_hash
    assert not before.warnings
    for module in (routed, routed_folder):
        monkeypatch.setattr(module, "CUES_VERSION", 99)
    after = load_model(str(folder))
    assert f"version {CUES_VERSION} of the cue finder" in after.warnings[0]
    assert after.model_hash != hash_before


def test_a_training_that_changed_nothing(pair: tuple[ClipModel, ClipModel], tmp_path: Path) -> None:
    base = pair[0]
    save_routed(route_models(base, base), tmp_path)
    loaded = load_model(str(tmp_path))
    assert torch.equal(loaded.encode_texts(NEGATED), base.encode_texts(NEGATED))


PACKAGES = ("trainers", "curation_db", "workbench", "benchmarks")
_OUTSIDE = f"""
import json, sys
from pathlib import Path
for name in [*sys.modules, *{PACKAGES}]:
    if name.partition(".")[0] in {PACKAGES}:
        sys.modules[name] = None  # an import of it fails
"""
_OUTSIDE += """
folder, asked, answered = sys.argv[1:]
sys.path.insert(0, folder)
from PIL import Image
from routed_clip import RoutedClip
model = RoutedClip(folder)
asked = json.loads(Path(asked).read_text())
answer = {
    "routes": model.routes(asked["route"]),
    "texts": model.encode_texts(asked["encode"]).tolist(),
    "image": model.encode_images([Image.new("RGB", (50, 40), (90, 20, 200))]).tolist(),
}
Path(answered).write_text(json.dumps(answer))
"""


def run_here(script: str, arguments: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    """Run `script` as a new process would; afterwards, the modules of this process are as before."""
    modules = sys.modules.copy()
    with monkeypatch.context() as patch:
        patch.setattr(sys, "argv", arguments)
        patch.setattr(sys, "path", [*sys.path])
        try:
            exec(script, {})
        finally:
            sys.modules.clear()
            sys.modules.update(modules)


def real_texts(request: pytest.FixtureRequest) -> list[str]:
    """Return sentences of the shared data, where it is at hand: those of COCO, of benchmarks, and difficult ones."""
    try:
        data: Path = request.getfixturevalue("shared_data")
    except pytest.skip.Exception:
        return []
    lines = (data.parent / "cases" / "sentences.jsonl").read_bytes().splitlines()
    texts = [str(json.loads(line)["sentence"]) for line in lines]
    texts += [item["phrase"] for item in json.loads((data / "NegRefCOCOg.json").read_bytes())]
    texts += [item["caption"] for item in json.loads((data / "valse_existence.json").read_bytes()).values()]
    for file in sorted((data / "sugarcrepe").glob("*.json")):
        texts += [
            item[key] for item in json.loads(file.read_bytes()).values() for key in ("caption", "negative_caption")
        ]
    return texts


@pytest.mark.parametrize("process", [False, pytest.param(True, marks=pytest.mark.long)])
def test_the_package_in_the_folder_works_without_negwb(
    request: pytest.FixtureRequest, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, process: bool
) -> None:
    """It gives the same routes and features where no package of negwb can be imported, here or in a new process."""
    texts = [*PLAIN, *NEGATED, *many_texts(80)]
    sentences = [*texts, *real_texts(request)]
    asked, answered = tmp_path / "asked.json", tmp_path / "answered.json"
    asked.write_text(json.dumps({"encode": texts, "route": sentences}))
    command = ["-c", str(folder), str(asked), str(answered)]
    if process:
        command.insert(1, _OUTSIDE)
        subprocess.run([sys.executable, "-I", *command], check=True, cwd=tmp_path, timeout=120)
    else:
        run_here(_OUTSIDE, command, monkeypatch)
    answer = json.loads(answered.read_text())
    loaded = load_model(str(folder))
    assert answer["routes"] == [negates(text) for text in sentences]
    torch.testing.assert_close(torch.tensor(answer["texts"]), loaded.encode_texts(texts), rtol=0, atol=1e-6)
    image = loaded.encode_images([Image.new("RGB", (50, 40), (90, 20, 200))])
    torch.testing.assert_close(torch.tensor(answer["image"]), image, rtol=0, atol=1e-6)
