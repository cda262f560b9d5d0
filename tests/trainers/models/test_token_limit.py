"""The token limit is that of the model, read from its configuration, where it uses CLIP's vocabulary."""

from __future__ import annotations

from pathlib import Path

import pytest
from support.clip_models import make_tiny

from trainers.models.saving import save_hf, save_model, save_pth
from trainers.models.token_limit import read_token_limit


@pytest.mark.parametrize(
    ("spec", "limit"),
    [
        ("ViT-B-32:openai", 77),
        ("ViT-B-32-gelu:w.pth", 77),
        ("PE-Core-B-16:meta", 32),
        ("ViT-B-16-SigLIP:webli", None),
        ("ViT-L-14-CLIPA:datacomp1b", None),
        ("roberta-ViT-B-32:laion2b_s12b_b32k", None),
        ("none.pth", None),
        ("hf-hub:a/b", None),
        ("", None),
        ("../../etc:x", None),
    ],
)
def test_names(tmp_path: Path, spec: str, limit: int | None) -> None:
    assert read_token_limit(spec, tmp_path) == limit


def test_folders_and_files_beside_a_config(tmp_path: Path) -> None:
    model = make_tiny(context_length=24)
    save_model(model, tmp_path / "run" / "model")
    save_pth(model, tmp_path / "run" / "model.pth")
    save_hf(model, tmp_path / "hf")
    for spec in ("run/model", "run/model.pth", "gelu:run/model.pth", "hf", str(tmp_path / "hf"), "local-dir:hf"):
        assert read_token_limit(spec, tmp_path) == 24


def test_damaged_configs_have_no_limit(tmp_path: Path) -> None:
    for content in ("", "{", "[]", '{"model_cfg": {"text_cfg": {"context_length": "many"}}}'):
        (tmp_path / "open_clip_config.json").write_text(content)
        assert read_token_limit(str(tmp_path), tmp_path) is None


def test_the_demos_own_vocabulary_has_no_limit() -> None:
    import workbench

    demo = Path(workbench.__file__).with_name("demo") / "model"
    assert (demo / "open_clip_config.json").is_file()
    assert read_token_limit(str(demo), Path.cwd()) is None
