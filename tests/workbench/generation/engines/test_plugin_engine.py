"""The example engine of the package's README, installed as an entry point and used by the real command."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from support.tour import ROOT

from workbench.workspace.create import create_workspace

CAPTIONS = {
    "images": [{"id": 1, "file_name": "1.jpg"}],
    "annotations": [{"image_id": 1, "id": n, "caption": f"a man number {n} on a beach"} for n in (1, 2, 3)],
}


def readme_engine() -> str:
    """The README's python block with an engine, which must be short."""
    text = (ROOT / "workbench" / "generation" / "README.md").read_text(encoding="utf-8")
    blocks = re.findall(r"^```python\n(.*?)^```$", text, flags=re.MULTILINE | re.DOTALL)
    (block,) = [each for each in blocks if "ModelAnswer" in each]
    assert len([line for line in block.splitlines() if line.strip()]) <= 20
    return str(block)


@pytest.fixture
def plugins(tmp_path: Path) -> Path:
    """A folder like site-packages, with the engine installed."""
    folder = tmp_path / "site"
    about = folder / "parrot-1.0.dist-info"
    about.mkdir(parents=True)
    (folder / "parrot.py").write_text(readme_engine())
    broken = "async def make(settings, surroundings):\n    raise ZeroDivisionError('no seed')\n"
    (folder / "broken.py").write_text(broken)
    (about / "METADATA").write_text("Metadata-Version: 2.1\nName: parrot\nVersion: 1.0\n")
    points = "[negwb.engines]\nparrot = parrot:make\nbroken = broken:make\nlost = lost:make\n"
    (about / "entry_points.txt").write_text(points)
    return folder


@pytest.fixture
def workspace(tmp_path: Path) -> Path:
    folder = create_workspace(tmp_path / "ws").root
    (tmp_path / "captions.json").write_text(json.dumps(CAPTIONS))
    assert negwb(folder, None, "import", str(tmp_path / "captions.json")).returncode == 0
    return folder


def negwb(workspace: Path, plugins: Path | None, *words: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-P", "-m", "workbench", "-w", str(workspace), *words]
    env = os.environ | ({"PYTHONPATH": str(plugins)} if plugins else {})
    return subprocess.run(command, capture_output=True, text=True, timeout=60, check=False, env=env)


def use(workspace: Path, kind: str) -> None:
    with (workspace / "negwb.toml").open("a") as file:
        file.write(f'\n[generate]\nproposer = "bird"\njudges = ["bird"]\n[engines.bird]\nkind = "{kind}"\n')


def test_the_engine_of_the_readme_works(workspace: Path, plugins: Path) -> None:
    use(workspace, "parrot")
    done = negwb(workspace, plugins, "generate", "--json")
    assert done.returncode == 0, done.stderr
    content = json.loads(done.stdout)
    assert (content["items_done"], content["kept"]) == (3, 3)
    assert content["settings"]["models"] == {"bird": "parrot-1"}
    assert content["stages"]["propose"]["answered"] == 3


@pytest.mark.parametrize(
    ("kind", "message"),
    [("parrots", "unknown engine kind"), ("broken", "cannot be opened.*no seed"), ("lost", "cannot be loaded")],
)
def test_an_engine_that_cannot_be_opened_gives_a_one_line_error(
    workspace: Path, plugins: Path, kind: str, message: str
) -> None:
    use(workspace, kind)
    done = negwb(workspace, plugins, "generate")
    assert done.returncode == 2
    assert re.search(message, done.stderr)
    assert "Traceback" not in done.stderr
    assert len(done.stderr.splitlines()) == 2
    if kind == "parrots":
        assert "parrot" in done.stderr.splitlines()[1]
