"""`negwb bench make --twins`: two images and two captions, the second image chosen by its annotated objects."""

from __future__ import annotations

import json
import shutil
from itertools import product
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from sqlalchemy import text
from support.clip_models import make_tiny
from support.commands import negwb
from support.labelled_workspace import THINGS, make_labelled

from benchmarks.errors import BenchError
from benchmarks.frozen.folder import load_frozen
from curation_db.exporting.annotated_images import AnnotatedImage
from curation_db.exporting.manifest import file_facts, read_items
from curation_db.storage.store import open_store
from trainers.models.saving import save_model
from workbench.errors import NothingToDo, UsageError
from workbench.jobs.benchmarks.twin_making import Denial, choose_partners
from workbench.workspace.layout import Workspace


def image(key: int, *categories: str, source: str = "coco") -> AnnotatedImage:
    return AnnotatedImage(source, str(key), f"{key}.jpg", None, frozenset(categories))


def denial(key: int, words: str, concept: str) -> Denial:
    return Denial(f"coco/g/{key}", ("coco", str(key)), words, concept)


def partner(images: list[AnnotatedImage], one: Denial) -> str | None:
    found = choose_partners([one], images, lambda image: True, seed=0).get(one.id)
    return found.key if found else None


class TestChoosing:
    def test_the_second_image_has_the_thing_and_all_that_the_caption_affirms(self) -> None:
        own = image(1, "person", "bench", "bird")
        one = denial(1, "a woman on a bench without a dog", "dog")
        assert partner([own, image(2, "dog"), image(3, "dog", "person")], one) is None
        assert partner([own, image(2, "dog", "person"), image(3, "dog", "person", "bench")], one) == "3"

    @pytest.mark.parametrize(
        ("category", "concept", "is_one"),
        [("dog", "dogs", True), ("hot dog", "dog", False), ("stop sign", "stop", False), ("tv", "television", True)],
    )
    def test_a_category_must_name_the_thing(self, category: str, concept: str, is_one: bool) -> None:
        one = denial(1, f"a room without a {concept}", concept)
        assert partner([image(2, category)], one) == ("2" if is_one else None)

    def test_not_the_own_image_another_source_or_an_image_that_may_not_be_used(self) -> None:
        one = denial(1, "a room without a dog", "dog")
        images = [image(1, "dog"), image(2, "dog", source="flickr"), image(3, "dog")]
        assert choose_partners([one], images, lambda image: image.key != "3", seed=0) == {}

    @given(
        things=st.lists(st.sampled_from(["dog", "cat", "cup"]), max_size=8),
        others=st.lists(st.sets(st.sampled_from(["dog", "cat", "cup", "person"])), max_size=8),
        seed=st.integers(0, 3),
    )
    def test_each_image_is_in_one_item_at_most(self, things: list[str], others: list[set[str]], seed: int) -> None:
        denials = [denial(n, f"a person without a {thing}", thing) for n, thing in enumerate(things)]
        images = [image(n, "person") for n in range(len(things))] + [image(100 + n, *s) for n, s in enumerate(others)]
        partners = choose_partners(denials, images, lambda image: True, seed=seed)
        assert partners == choose_partners(denials[::-1], images[::-1], lambda image: True, seed=seed)
        used = [each.key for each in partners.values()]
        assert len(set(used)) == len(used)
        for one in denials:
            if (chosen := partners.get(one.id)) is not None:
                assert {one.concept, "person"} <= chosen.categories
            else:  # every image with the thing and a person is in another item
                fitting = {each.key for each in images if {one.concept, "person"} <= each.categories}
                assert fitting <= set(used)


@pytest.fixture(scope="module")
def labelled(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """24 candidates: every other one is accepted; the images of the others have the thing, by their annotations."""
    workspace = make_labelled(tmp_path_factory.mktemp("labelled") / "ws")
    with open_store(workspace.database) as store, store.write() as connection:
        for number, category in product(range(24), ("person", "thing")):
            if category == "person" or number % 2:
                name = category if category == "person" else THINGS[number // 4 % 3]
                connection.execute(text("INSERT INTO image_object VALUES (:n, :c, 1)"), {"n": number + 1, "c": name})
    return workspace.root


@pytest.fixture
def workspace(labelled: Path, tmp_path: Path) -> Workspace:
    shutil.copytree(labelled, tmp_path / "ws")
    return Workspace(tmp_path / "ws")


def make(workspace: Workspace, name: str = "pairs", *options: object) -> dict[str, Any]:
    done = negwb(workspace, "bench", "make", name, "--twins", *options, "--json")
    assert done.exit_code == 0, done.exception
    parsed: dict[str, Any] = json.loads(done.stdout)
    return parsed


def test_the_twins_are_frozen_and_evaluated(workspace: Workspace, tmp_path: Path) -> None:
    report = make(workspace)
    assert (report["item_count"], report["accepted"], report["annotated_images"]) == (12, 12, 24)
    assert report["counts"]["cue"] == {"no": 6, "without": 6}
    folder = workspace.root / "benchmarks" / "pairs"
    task = load_frozen(folder)
    assert (task.kind, len(task.items), len(task.images)) == ("twins", 12, 24)
    manifest = json.loads((folder / "manifest.json").read_text())
    for item in task.items:
        number = int(item.id.removeprefix("small/g/"))
        thing = THINGS[number // 4 % 3]
        assert item.twin is not None
        having, lacking = (int(manifest["images"][name]["key"]) - 1 for name in (item.image, item.twin.image))
        assert (lacking, having % 2, THINGS[having // 4 % 3]) == (number, 1, thing)
        assert item.captions[0] == f"a man with a {thing}"
    save_model(make_tiny(), tmp_path / "model")
    done = negwb(workspace, "bench", "run", "pairs", "--model", tmp_path / "model", "--json")
    assert done.exit_code == 0, done.exception
    assert negwb(workspace, "bench", "list", "pairs").stdout.count("no person checked a caption on them") == 1
    assert make(workspace, "again")["sha256"] == report["sha256"]
    assert make(workspace, "other", "--seed", 1)["sha256"] != report["sha256"]


def test_images_of_exports_are_not_used_and_exports_leave_the_twins_out(workspace: Workspace) -> None:
    make(workspace, "pairs", "--items", 4)
    assert negwb(workspace, "export").exit_code == 0
    exported = {item.image_key for item in read_items(workspace.exports / "set-001")}
    manifest = json.loads((workspace.root / "benchmarks" / "pairs" / "manifest.json").read_text())
    assert exported
    assert exported.isdisjoint(each["key"] for each in manifest["images"].values())
    later = make(workspace, "later", "--dry-run")
    assert (later["item_count"], later["path"]) == (4, None)
    assert not (workspace.root / "benchmarks" / "later").exists()
    assert make(workspace, "all", "--dry-run", "--with-exported")["item_count"] == 12


def test_a_copy_of_an_exported_image_is_known_by_its_content(workspace: Workspace) -> None:
    """GIVEN an exported image whose file equals that of the only image with the denied thing, under another key."""
    pictures = workspace.root / "pictures"
    shutil.copyfile(pictures / "p001.png", pictures / "p004.png")
    Image.new("RGB", (40, 30), "teal").save(pictures / "new.png")
    with open_store(workspace.database) as store, store.write() as connection:
        digest = file_facts(pictures / "p004.png").sha256
        connection.execute(text(f"UPDATE image SET content_sha256 = x'{digest}' WHERE id = 5"))
    assert negwb(workspace, "export").exit_code == 0
    with open_store(workspace.database) as store, store.write() as connection:
        connection.execute(text("INSERT INTO image(id, source_id, key, file_name) VALUES (98, 1, 'new', 'new.png')"))
        connection.execute(text("UPDATE candidate SET image_id = 98 WHERE id = 3"))
        connection.execute(text("DELETE FROM image_object WHERE image_id NOT IN (2, 98)"))
    done = negwb(workspace, "bench", "make", "pairs", "--twins", "--dry-run", "--json")
    assert (json.loads(done.stdout)["accepted"], json.loads(done.stdout)["item_count"]) == (1, 0)
    assert isinstance(done.exception, NothingToDo)
    report = make(workspace, "pairs", "--with-exported")
    assert report["item_count"] == 1
    assert any("the export set-001 has " in line for line in report["limits"])


def test_a_changed_file_is_refused(workspace: Workspace) -> None:
    make(workspace)
    path = workspace.root / "benchmarks" / "pairs" / "items.json"
    path.chmod(0o600)
    path.write_text(path.read_text().replace("with a hat", "with a cat", 1))
    with pytest.raises(BenchError, match="is not as it was frozen"):
        load_frozen(path.parent)


def test_without_annotations_there_are_none(workspace: Workspace) -> None:
    with open_store(workspace.database) as store, store.write() as connection:
        connection.execute(text("DELETE FROM image_object"))
    done = negwb(workspace, "bench", "make", "pairs", "--twins")
    assert isinstance(done.exception, NothingToDo)
    assert "no image with annotated objects" in done.exception.message
    done = negwb(workspace, "bench", "make", "pairs", "--twins", "--margin", 0.2)
    assert isinstance(done.exception, UsageError)
