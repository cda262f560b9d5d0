"""A workspace for batch files: drawn images with one caption each, and two engines at servers."""

from __future__ import annotations

import json
from pathlib import Path

from PIL import Image
from support.commands import negwb

from workbench.workspace.create import create_workspace
from workbench.workspace.layout import Workspace
from workbench.workspace.settings.writer import add_picture_folder

KEY_VARIABLE = "BATCH_KEY"


def engines_toml(url: str, *, judge_model: str = "stub", judge_key: bool = False) -> str:
    """Return [generate] and [engines] with llama, which proposes and needs a key, and llava, which judges."""
    lines = [
        '[generate]\nproposer = "llama"\njudges = ["llava", "annotations"]',
        f'[engines.llama]\nkind = "openai"\nurl = "{url}"\nmodel = "stub"',
        f'key_env = "{KEY_VARIABLE}"\nprice_out = 1000000.0',
        f'[engines.llava]\nkind = "openai"\nurl = "{url}"\nmodel = "{judge_model}"\nmethod = "logprobs"',
        *([f'key_env = "{KEY_VARIABLE}"'] if judge_key else []),
    ]
    return "\n" + "\n".join(lines) + "\n"


def build_workspace(folder: Path, engines: str, *, images: int, missing: int = 0) -> Workspace:
    """Create `folder`/ws with a caption for each of the images; `missing` further ones have no file."""
    workspace = create_workspace(folder / "ws")
    (workspace.root / "pictures").mkdir()
    for n in range(1, images + 1):
        Image.new("RGB", (40, 30), (60 * n, 10, 10)).save(workspace.root / "pictures" / f"{n}.jpg")
    numbers = range(1, images + missing + 1)
    content = {
        "images": [{"id": n, "file_name": f"{n}.jpg"} for n in numbers],
        "annotations": [{"id": n, "image_id": n, "caption": f"a man number {n} on a beach"} for n in numbers],
    }
    (folder / "c.json").write_text(json.dumps(content))
    add_picture_folder(workspace.settings, "coco", "pictures")
    with workspace.settings.open("a") as file:
        file.write(engines)
    assert negwb(workspace, "import", folder / "c.json", "--source", "coco").exit_code == (1 if missing else 0)
    return workspace
