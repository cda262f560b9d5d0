"""Recipes are data: they parse, contain what they are named for, and a run records what overrode them."""

from __future__ import annotations

from dataclasses import replace
from importlib.resources import files
from pathlib import Path

import pytest
from support.clip_models import draw_pictures, freeze, make_tiny, pairs_of, tiny_config

from trainers.errors import TrainerError
from trainers.loop.finetune import run_training
from trainers.models.saving import save_model
from trainers.recipes.recipe import TrainRecipe, list_recipes, read_recipe
from trainers.run_files import LOG
from trainers.settings import RunConfig, TrainSettings, create_run, read_config, recipe_line


def test_every_file_is_listed_with_one_line() -> None:
    listed = {recipe.name: recipe for recipe in list_recipes()}
    assert listed.keys() == {each.name.removesuffix(".toml") for each in files("trainers.recipes").iterdir()} & set(
        listed
    )
    assert listed.keys() >= {"conclip", "lora", "negationclip", "negclip", "negwb"}
    for recipe in listed.values():
        assert recipe.summary
        assert "\n" not in recipe.summary
        assert len(f"{recipe.name}  {recipe.summary}") <= 120
        assert recipe.source


def test_negationclip_is_the_published_recipe_to_the_letter() -> None:
    """Only split and decode differ from the defaults; the expected values are those of the published script."""
    settings = TrainSettings.from_dict(read_recipe("negationclip").settings)
    assert settings == TrainSettings(split="caption", decode="published")
    assert (settings.lr, settings.weight_decay, settings.betas) == (1e-6, 0.01, (0.9, 0.999))
    assert (settings.batch, settings.epochs, settings.steps, settings.seed) == (512, 15, None, 42)
    assert (settings.val_share, settings.keep, settings.frozen) == (0.2, "best", ("visual.", "ln_final."))
    assert (settings.schedule, settings.clip_norm, settings.logit_scale_max) == ("constant", None, None)


def test_negwb_keeps_images_apart_and_affirmative_captions_in() -> None:
    settings = TrainSettings.from_dict(read_recipe("negwb").settings)
    assert (settings.split, settings.same_image_mask, settings.schedule) == ("image", True, "cosine")
    assert settings.decode == "as-shown"
    assert settings.replay_share > 0
    assert settings.replay_pool is None, "the original captions of the training set"
    assert (settings.anchor_weight, settings.hard_pictures) == (30, 40)
    assert (settings.interpolation, settings.interpolation_max_loss) == (1.0, 0.05), "the guard chooses alpha"
    assert settings.logit_scale_max == 100
    assert settings.warm_up > 0
    assert (settings.keep, settings.patience) == ("last", None), "the validation loss rises while it learns to negate"
    assert settings.false_captions


def test_negclip_adds_false_captions_alone_to_the_loss() -> None:
    settings = TrainSettings.from_dict(read_recipe("negclip").settings)
    assert settings.false_captions
    assert (settings.replay_share, settings.anchor_weight, settings.hard_pictures) == (0, 0, 0)
    assert (settings.lr, settings.epochs, settings.batch, settings.schedule) == (1e-6, 5, 256, "cosine")


def test_lora_is_negwb_with_adapters() -> None:
    lora, negwb = dict(read_recipe("lora").settings), dict(read_recipe("negwb").settings)
    assert (lora["lora_rank"], lora["lora_alpha"]) == (16, 16.0)
    assert (lora["lr"], negwb["lr"]) == (1e-4, 1e-6)
    different = {name for name in lora.keys() | negwb.keys() if lora.get(name) != negwb.get(name)}
    assert different == {"lora_rank", "lora_alpha", "lr", "frozen", "logit_scale_max"}, "logit_scale is not trained"


def test_conclip_has_the_published_values() -> None:
    """jaisidhsingh/CoN-CLIP @503388a, src/training_utils/helpers.py; the batch is that of the paper."""
    settings = TrainSettings.from_dict(read_recipe("conclip").settings)
    assert settings.objective == "conclip"
    assert (settings.lr, settings.weight_decay, settings.betas) == (1e-6, 0.2, (0.9, 0.999))
    assert (settings.batch, settings.epochs, settings.schedule, settings.keep) == (256, 5, "cosine", "last")
    assert round(settings.warm_up * (188_246 // 256 + 1) * 5) == 50
    assert (settings.frozen, settings.logit_scale_max, settings.clip_norm) == (("visual.",), 100, None)


@pytest.mark.parametrize("recipe", list_recipes(), ids=lambda recipe: recipe.name)
def test_every_recipe_trains(recipe: TrainRecipe, tmp_path: Path) -> None:
    """On 24 pairs with batches of 8: the other settings are those of the recipe."""
    items = pairs_of(draw_pictures(tmp_path / "pictures", 12), each=2)
    denying = [replace(item, concept="hat", negation_type="absence") for item in items[:16]]
    freeze(tmp_path / "export", [*denying, *items[16:]])
    save_model(make_tiny(), tmp_path / "model")
    config = tiny_config(tmp_path, **{**recipe.settings, "lr": 1e-3, "batch": 8, "epochs": 2})
    create_run(tmp_path / "r", replace(config, recipe=recipe.applied(config.settings, {})))
    done = run_training(tmp_path / "r")
    assert done["validation"]["val_loss"] != done["validation_base"]["val_loss"]
    assert f"recipe {recipe.name}: {recipe.summary}; overridden: lr = 0.001" in (tmp_path / "r" / LOG).read_text()


def test_a_file_of_the_user_is_a_recipe(tmp_path: Path) -> None:
    path = tmp_path / "mine.toml"
    path.write_text('summary = "mine"\n[settings]\nlr = 1e-5\nbetas = [0.9, 0.98]\n')
    recipe = read_recipe(str(path))
    assert (recipe.name, recipe.summary) == (str(path), "mine")
    assert TrainSettings.from_dict(recipe.settings) == TrainSettings(lr=1e-5, betas=(0.9, 0.98))


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"lr = ", "is not TOML"),
        (b"\xff", "is not TOML"),
        (b"", "summary is missing"),
        (b'summary = "x"\nlr = 1', "unknown key lr"),
        (b'summary = "x"\n[settings]\nspeed = 1', "unknown key speed"),
        (b'summary = "x"\n[settings]\nbatch = 1', "batch must be 2 or more"),
        (b'summary = "' + b"x" * (1 << 20) + b'"', "more than 1,048,576 bytes"),
    ],
)
def test_a_damaged_file_is_refused_by_name(tmp_path: Path, content: bytes, message: str) -> None:
    path = tmp_path / "mine.toml"
    path.write_bytes(content)
    with pytest.raises(TrainerError, match=message) as refused:
        read_recipe(str(path))
    assert str(path) in refused.value.message
    assert "\n" not in refused.value.message


@pytest.mark.parametrize("name", ["none", "", "../negwb", "negwb/", "\0.toml", "/nowhere/x.toml"])
def test_an_unknown_recipe_is_refused(name: str) -> None:
    with pytest.raises(TrainerError) as refused:
        read_recipe(name)
    assert name.endswith(".toml") or "negationclip, negclip, negwb" in refused.value.hint


def test_a_run_records_the_recipe_and_what_overrode_it(tmp_path: Path) -> None:
    recipe = TrainRecipe("mine", "a summary", "a source", {"lr": 1e-5, "batch": 8, "betas": [0.9, 0.98]})
    settings = TrainSettings(lr=2e-5, batch=8, betas=(0.9, 0.98), steps=3)
    applied = recipe.applied(settings, {"lr": "negwb.toml", "steps": "command line", "batch": "negwb.toml"})
    assert applied.overridden == {"lr": "negwb.toml", "steps": "command line"}, "an equal value overrides nothing"
    line = recipe_line(applied, settings)
    assert line == "recipe mine: a summary; overridden: lr = 2e-05 (negwb.toml), steps = 3 (command line)"
    config = RunConfig(model="m", export="e", cache="c", settings=settings, recipe=applied)
    create_run(tmp_path / "r", config)
    assert read_config(tmp_path / "r") == config
    assert (
        recipe_line(recipe.applied(TrainSettings.from_dict(recipe.settings), {}), settings) == "recipe mine: a summary"
    )
