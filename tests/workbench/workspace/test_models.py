"""The base model that negwb.toml names, in a workspace without a training run."""

from __future__ import annotations

from pathlib import Path

import pytest

from workbench.demo.experiment.experiments import MODEL
from workbench.demo.experiment.finetune_recipe import RECIPE, recipe_as_toml
from workbench.errors import UsageError
from workbench.workspace.layout import Workspace
from workbench.workspace.models import BASE, DEFAULT_MODEL, base_hash, base_model, find_model
from workbench.workspace.settings.settings import read_settings


def workspace_with(root: Path, toml: str) -> Workspace:
    workspace = Workspace(root)
    workspace.settings.write_text(toml, encoding="utf-8")
    return workspace


def test_the_demo_names_its_model_in_negwb_toml(tmp_path: Path) -> None:
    workspace = workspace_with(tmp_path, "[train]" + recipe_as_toml("pool.jsonl"))
    assert base_model(workspace) == str(MODEL)
    assert (MODEL / "open_clip_model.safetensors").is_file()
    assert find_model(workspace, BASE).label == "demo"
    assert read_settings(workspace.settings).train == {**RECIPE, "replay_pool": "pool.jsonl"}


def test_corpus_files_do_not_make_a_workspace_a_demo(tmp_path: Path) -> None:
    workspace = workspace_with(tmp_path, "")
    (tmp_path / "corpus").mkdir()
    (tmp_path / "corpus" / "truth.jsonl").touch()
    assert base_model(workspace) == DEFAULT_MODEL


def test_a_path_is_relative_to_the_workspace(tmp_path: Path) -> None:
    workspace = workspace_with(tmp_path, '[train]\nmodel = "clip.pth"\n')
    assert base_model(workspace) == "clip.pth"
    (tmp_path / "clip.pth").touch()
    assert base_model(workspace) == str(tmp_path / "clip.pth")


@pytest.mark.parametrize("name", ["quickgelu", "gelu", "ViT-B-32-quickgelu", "ViT-B-32-gelu", "ViT-L-14"])
def test_a_file_with_its_activation_or_architecture(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    workspace = workspace_with(tmp_path, f'[train]\nmodel = "{name}:clip.pth"\n')
    (tmp_path / "clip.pth").touch()
    assert base_model(workspace) == f"{name}:{tmp_path / 'clip.pth'}"
    monkeypatch.chdir(tmp_path)
    model = find_model(workspace, f"{name}:clip.pth")
    assert (model.spec, model.label) == (f"{name}:{tmp_path / 'clip.pth'}", f"{name}:clip.pth")


def test_a_repository_of_the_hub(tmp_path: Path) -> None:
    assert find_model(workspace_with(tmp_path, ""), "hf-hub:a/b").spec == "hf-hub:a/b"


def test_an_activation_of_no_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="no model, file or folder"):
        find_model(workspace_with(tmp_path, ""), "quickgelu:none.pth")


def test_a_name_of_open_clip(tmp_path: Path) -> None:
    assert base_model(workspace_with(tmp_path, '[train]\nmodel = "ViT-L-14:openai"\n')) == "ViT-L-14:openai"


@pytest.mark.parametrize("toml", ["[train]\nmodel = 3\n", "[train"])
def test_a_broken_negwb_toml_is_refused(tmp_path: Path, toml: str) -> None:
    workspace = workspace_with(tmp_path, toml)
    with pytest.raises(UsageError, match=r"negwb\.toml"):
        base_model(workspace)
    assert base_hash(workspace) is None
