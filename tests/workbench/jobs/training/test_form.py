"""The form that starts a training: a problem belongs to its field, and a valid form is the order of `negwb train`."""

from __future__ import annotations

from pathlib import Path

import pytest
from support.clip_models import freeze
from support.results import build_workspace, make_run

from curation_db.exporting.manifest import ExportItem
from workbench.jobs.training.form import FormField, check_form
from workbench.jobs.training.runs import make_config
from workbench.jobs.training.training import TrainingOrder
from workbench.workspace.layout import Workspace

GOOD = {FormField.EXPORT: "set-001", FormField.MODEL: "ViT-B-32:openai"}


@pytest.fixture(scope="module")
def workspace(tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    created = build_workspace(tmp_path_factory.mktemp("form") / "workspace")
    freeze(created.exports / "set-001", [ExportItem(key="k", source="s", image_key="1", text="no dog")])
    make_run(created, "earlier", 2, done=False)
    return created


def test_a_valid_form_is_the_training_of_the_command(workspace: Workspace) -> None:
    values = GOOD | {
        FormField.RECIPE: "negwb", FormField.EPOCHS: "", FormField.STEPS: "300", FormField.LR: "5e-5",
        FormField.OTHER: 'replay_share=0.25 keep="last"', FormField.NAME: "mine", FormField.DEVICE: "cuda",
    }  # fmt: skip
    checked = check_form(workspace, values)
    settings = {"steps": 300, "lr": 5e-5, "replay_share": 0.25, "keep": "last"}
    assert not checked.problems
    assert checked.order == TrainingOrder("set-001", "ViT-B-32:openai", "mine", settings, recipe="negwb", device="cuda")
    assert checked.config == make_config(
        workspace, "set-001", model="ViT-B-32:openai", recipe="negwb", settings=settings, device="cuda"
    )


def test_empty_fields_are_defaults(workspace: Workspace) -> None:
    checked = check_form(workspace, GOOD | {FormField.MODEL: " "})
    assert checked.order == TrainingOrder("set-001", "base", None, {})
    assert checked.defaults == {
        FormField.EPOCHS: "15", FormField.STEPS: "", FormField.BATCH: "512",
        FormField.LR: "1e-06", FormField.SEED: "42",
    }  # fmt: skip
    assert check_form(workspace, GOOD | {FormField.RECIPE: "negclip"}).defaults[FormField.BATCH] == "256"


@pytest.mark.parametrize(
    ("field", "text"),
    [
        (FormField.EXPORT, ""),
        (FormField.EXPORT, "set-999"),
        (FormField.MODEL, "nothing"),
        (FormField.MODEL, "earlier"),
        (FormField.RECIPE, "nothing"),
        (FormField.EPOCHS, "0"),
        (FormField.EPOCHS, "many"),
        (FormField.STEPS, "1.5"),
        (FormField.BATCH, "1"),
        (FormField.LR, "-1"),
        (FormField.LR, "1e999"),
        (FormField.SEED, "-1"),
        (FormField.OTHER, "keep"),
        (FormField.OTHER, "nonsense=1"),
        (FormField.OTHER, "val_share=0"),  # keep = best needs a validation
        (FormField.OTHER, "threads=100000"),
        (FormField.NAME, "earlier"),
        (FormField.NAME, "../out"),
        (FormField.NAME, "base"),
    ],
)
def test_a_problem_belongs_to_its_field(workspace: Workspace, field: FormField, text: str) -> None:
    checked = check_form(workspace, GOOD | {field: text})
    assert list(checked.problems) == [field]
    assert (checked.order, checked.config) == (None, None)


def test_all_fields_with_a_problem_have_one(workspace: Workspace) -> None:
    wrong = {
        FormField.EXPORT: "set-999", FormField.BATCH: "1", FormField.LR: "x", FormField.NAME: "base",
    }  # fmt: skip
    assert set(check_form(workspace, GOOD | wrong).problems) == set(wrong)


def test_a_number_that_the_other_settings_allow_has_no_problem(workspace: Workspace, tmp_path: Path) -> None:
    """Recipe and change are checked together: split = caption of the recipe allows no seed above 2^32."""
    seed = {FormField.RECIPE: "negationclip", FormField.SEED: str(2**40)}
    assert list(check_form(workspace, GOOD | seed).problems) == [FormField.SEED]
    assert not check_form(workspace, GOOD | seed | {FormField.OTHER: "split=image"}).problems
