"""The commands of the READMEs, small versions of their files, and a model for machines without a network."""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from support.benches import draw_picture

ROOT = Path(__file__).resolve().parents[2]
README = ROOT / "README.md"
PACKAGES = ("benchmarks", "curation_db", "trainers", "workbench")
READMES = [README, *sorted(path for package in PACKAGES for path in (ROOT / package).rglob("README.md"))]
"""The README of the repository, and those of its packages."""
CAPTIONS = "captions_train2014.json"
INSTANCES = "instances_train2014.json"
CANDIDATES = "negationclip_captions_train2014.json"
PICTURES = 12
PAIRS = 2 * PICTURES
"""Captions, each with a negated caption."""

_SIZE = (96, 64)
_CATEGORIES = ("person", "horse", "dining table")
_THINGS = ("hat", "umbrella", "ball", "bench", "dog", "kite")
_SCENES = ("a man on a beach", "a woman in a park", "two children at a table", "a horse in a field")

Words = list[str]
"""A command and its arguments."""


def shell_blocks(heading: str = "", *, readme: Path = README) -> list[str]:
    """Return the fenced sh blocks of a README, or of its section `heading`."""
    text = readme.read_text(encoding="utf-8")
    if heading:
        _, _, rest = text.partition(f"\n{heading}\n")
        text = rest.partition("\n## ")[0]
    return re.findall(r"^ *```(?:sh|bash)\n(.*?)^ *```$", text, flags=re.MULTILINE | re.DOTALL)


def commands(script: str) -> list[Words]:
    """Split a shell script into commands at `&&` and line ends, without comments and redirections."""
    return [words for line in script.splitlines() for words in _commands(line) if words]


def _commands(line: str) -> list[Words]:
    lexer = shlex.shlex(line, posix=True, punctuation_chars=True)
    lexer.whitespace_split = True
    calls: list[Words] = [[]]
    for word in lexer:
        if word == "&&":
            calls.append([])
        elif word == ">":
            next(lexer)
        else:
            calls[-1].append(word)
    return calls


def block_calls(readme: Path) -> list[Words]:
    """Return the arguments of every negwb command in the shell blocks of a README."""
    return _negwb_calls(shell_blocks(readme=readme))


def sentence_calls(readme: Path) -> list[Words]:
    """Return the arguments of every negwb command in the sentences of a README, which may name a command only."""
    inline = re.findall(r"(?<!`)`((?:uv run )?negwb\s[^`]+)`(?!`)", readme.read_text(encoding="utf-8"))
    return _negwb_calls([" ".join(words.split()) for words in inline])


def _negwb_calls(scripts: Sequence[str]) -> list[Words]:
    calls = [words for script in scripts for words in commands(script) if "negwb" in words]
    return [words[words.index("negwb") + 1 :] for words in calls]


def write_coco(folder: Path, pictures: Path) -> None:
    """Write the three COCO-like annotation files that the README imports, with generated images."""
    folder.mkdir(parents=True, exist_ok=True)
    pictures.mkdir(parents=True)
    numbers = range(9, 9 + PICTURES)
    for number in numbers:
        draw_picture(pictures / _file_name(number), _SIZE, number)
    captions = [_caption(number, turn) for number in numbers for turn in range(2)]
    negated = [_negated(caption, _THINGS[at % len(_THINGS)]) for at, caption in enumerate(captions)]
    categories = [{"id": at, "name": name, "supercategory": "thing"} for at, name in enumerate(_CATEGORIES)]
    _write(folder / CAPTIONS, numbers, annotations=captions)
    _write(folder / INSTANCES, numbers, annotations=[_instance(n) for n in numbers], categories=categories)
    _write(folder / CANDIDATES, numbers, annotations=negated)


def _write(path: Path, numbers: Sequence[int], **lists: list[dict[str, Any]]) -> None:
    width, height = _SIZE
    images = [{"license": 1, "file_name": _file_name(n), "height": height, "width": width, "id": n} for n in numbers]
    content = {"info": {"year": 2014}, "images": images, "licenses": [{"id": 1, "name": "Attribution"}], **lists}
    path.write_text(json.dumps(content), encoding="utf-8")


def _file_name(number: int) -> str:
    return f"COCO_train2014_{number:012}.jpg"


def _caption(image: int, turn: int) -> dict[str, Any]:
    return {"image_id": image, "id": 100 * image + turn, "caption": f"{_SCENES[(image + turn) % len(_SCENES)]}."}


def _negated(caption: dict[str, Any], thing: str) -> dict[str, Any]:
    return caption | {"updated_caption": f"{str(caption['caption']).rstrip('.')} with no {thing}."}


def _instance(image: int) -> dict[str, Any]:
    outline = {"segmentation": [[4, 4, 24, 4, 24, 34]], "area": 300.0, "iscrowd": 0, "bbox": [4, 4, 20, 30]}
    return {"image_id": image, "id": 1000 + image, "category_id": image % len(_CATEGORIES), **outline}


def seed_openai_clip(hf_home: Path, *, seed: int = 0) -> None:
    """OpenAI's ViT-B/32 where open_clip looks for it when HF_HOME is `hf_home`: its shape and names, random weights.

    The layout is that of huggingface_hub's cache: the repository's branch names a commit, whose files are in a folder.
    """
    import open_clip
    import torch
    from open_clip.constants import HF_SAFE_WEIGHTS_NAME
    from open_clip.pretrained import get_pretrained_cfg
    from safetensors.torch import save_file

    repository = get_pretrained_cfg("ViT-B-32", "openai")["hf_hub"].rstrip("/")
    home = hf_home / "hub" / f"models--{repository.replace('/', '--')}"
    commit = "0" * 40
    for folder in (home / "refs", home / "snapshots" / commit):
        folder.mkdir(parents=True)
    (home / "refs" / "main").write_text(commit)
    torch.manual_seed(seed)
    config = open_clip.get_model_config("ViT-B-32")
    save_file(open_clip.CLIP(**config).state_dict(), home / "snapshots" / commit / HF_SAFE_WEIGHTS_NAME)
