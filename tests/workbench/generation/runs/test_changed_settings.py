"""A run processes the items again if a setting that changes answers has changed, and says that nothing is left else."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from PIL import Image
from support.model_server import Served, model_server
from typer.testing import CliRunner, Result

from curation_db.generation.endpoint_probes import store_probe
from curation_db.storage.store import open_store
from workbench.cli import app
from workbench.errors import ExitCode, NegwbError
from workbench.workspace.create import create_workspace
from workbench.workspace.layout import Workspace
from workbench.workspace.settings.writer import add_picture_folder

CAPTIONS = ("a man on a beach", "a dog in a field")
JUDGE = {"method": '"logprobs"', "picture_side": "64"}


@pytest.fixture(scope="module")
def server() -> Iterator[Served]:
    with model_server(present=0.0) as served:
        yield served


@pytest.fixture
def workspace(tmp_path: Path) -> Workspace:
    created = create_workspace(tmp_path / "ws")
    (created.root / "pictures").mkdir()
    for n, _ in enumerate(CAPTIONS, 1):
        Image.new("RGB", (40, 30), (80 * n, 10, 10)).save(created.root / "pictures" / f"{n}.jpg")
    images = [{"id": n, "file_name": f"{n}.jpg"} for n, _ in enumerate(CAPTIONS, 1)]
    annotations = [{"id": n, "image_id": n, "caption": caption} for n, caption in enumerate(CAPTIONS, 1)]
    (tmp_path / "c.json").write_text(json.dumps({"images": images, "annotations": annotations}))
    add_picture_folder(created.settings, "coco", "pictures")
    assert negwb(created, "import", tmp_path / "c.json", "--source", "coco").exit_code == 0
    return created


def negwb(workspace: Workspace, *words: object) -> Result:
    return CliRunner().invoke(app, ["-w", str(workspace.root), *map(str, words)])


def use(workspace: Workspace, server: Served, *, llm: dict[str, str], vlm: dict[str, str]) -> None:
    """Write the engines' settings, as TOML values."""
    text = workspace.settings.read_text().partition("\n# engines\n")[0]
    text += '\n# engines\n[generate]\nproposer = "llm"\njudges = ["vlm"]\n'
    for name, values in (("llm", llm), ("vlm", vlm)):
        table = {"kind": '"openai"', "model": '"stub"', "url": f'"{server.url}"', **values}
        text += f"[engines.{name}]\n" + "".join(f"{key} = {value}\n" for key, value in table.items())
    workspace.settings.write_text(text)


def asked(workspace: Workspace) -> dict[str, int]:
    """Run; return the number of requests by stage. Empty: nothing was left, as a dry run says, too."""
    dry = negwb(workspace, "generate", "--dry-run", "--json")
    done = negwb(workspace, "generate", "--json", "--quiet")
    if done.exception is not None:
        assert isinstance(done.exception, NegwbError), done.exception
        assert done.exception.exit_code == ExitCode.NOTHING_TO_DO, done.exception
        assert isinstance(dry.exception, NegwbError)
        assert dry.exception.exit_code == ExitCode.NOTHING_TO_DO, dry.exception
        return {}
    assert dry.exception is None, dry.exception
    counts: dict[str, Any] = json.loads(done.stdout)["stages"]
    stages = {stage: each["asked"] for stage, each in counts.items() if each.get("asked")}
    assert json.loads(done.stdout)["items_done"] == len(CAPTIONS)
    return stages


PROPOSER, JUDGED = {"propose", "rewrite"}, {"presence", "acceptable"}


@pytest.mark.parametrize(
    ("llm", "vlm", "expected"),
    [
        ({}, {"picture_side": "32"}, JUDGED),
        ({}, {"options": "{ top_k = 3 }"}, JUDGED),
        ({}, {"method": '"bare"'}, JUDGED),
        ({}, {"revision": '"v2"'}, JUDGED),
        ({"options": "{ top_k = 3 }"}, {}, PROPOSER),
        ({"picture_side": "32"}, {}, set()),  # the proposer sees no image
        ({"method": '"bare"', "samples": "2"}, {"samples": "2"}, set()),
        ({"raw_prompts": "false", "batch": "3"}, {"device": '"cpu"'}, set()),
        (
            {"concurrency": "2", "timeout": "9.0", "tries": "2", "price_in": "1.0"},
            {"concurrency": "2", "picture_tokens": "9", "price_out": "0.5"},
            set(),
        ),
    ],
)
def test_a_changed_setting_sends_the_requests_that_it_changes(
    workspace: Workspace, server: Served, llm: dict[str, str], vlm: dict[str, str], expected: set[str]
) -> None:
    use(workspace, server, llm={}, vlm=JUDGE)
    assert set(asked(workspace)) == PROPOSER | JUDGED
    use(workspace, server, llm=llm, vlm=JUDGE | vlm)
    assert set(asked(workspace)) == expected
    assert asked(workspace) == {}
    use(workspace, server, llm={}, vlm=JUDGE)
    assert asked(workspace) == {}


def test_another_address_of_the_server_changes_nothing(workspace: Workspace, server: Served) -> None:
    use(workspace, server, llm={}, vlm=JUDGE)
    assert asked(workspace)
    moved = {"url": f'"{server.url.replace("127.0.0.1", "localhost")}"'}
    use(workspace, server, llm=moved, vlm=JUDGE | moved)
    assert asked(workspace) == {}


def test_a_probe_that_proves_a_better_method_judges_again(workspace: Workspace, server: Served) -> None:
    use(workspace, server, llm={}, vlm={})
    assert asked(workspace)
    with open_store(workspace.database) as store, store.write() as connection:
        store_probe(connection, server.url, "stub", {"logprobs": {"seen": "yes", "evidence": "", "value": 20}})
    assert set(asked(workspace)) == JUDGED
    assert asked(workspace) == {}


def test_two_judges_of_one_model_differ_by_their_settings(workspace: Workspace, server: Served) -> None:
    use(workspace, server, llm={"picture_side": "32"}, vlm={})
    done = negwb(workspace, "generate", "--quiet", "--json", "--judge", "llm", "--judge", "vlm")
    assert done.exception is None, done.exception
    assert json.loads(done.stdout)["stages"]["presence"]["asked"] == 2 * len(CAPTIONS)
    use(workspace, server, llm={"timeout": "9.0"}, vlm={})
    refused = negwb(workspace, "generate", "--quiet", "--json", "--judge", "llm", "--judge", "vlm")
    assert isinstance(refused.exception, NegwbError)
    assert refused.exception.exit_code == ExitCode.USAGE
