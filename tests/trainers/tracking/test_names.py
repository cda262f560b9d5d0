"""Names of trackers, as the command line and negwb.toml give them."""

from __future__ import annotations

import pytest

from trainers.errors import TrainerError
from trainers.tracking.names import parse_report_to


@pytest.mark.parametrize(
    ("value", "names"),
    [
        ("tensorboard", ("tensorboard",)),
        ("trackio, WandB,tensorboard,wandb", ("tensorboard", "wandb", "trackio")),
        (["wandb"], ("wandb",)),
        ("none", ()),
    ],
)
def test_names_are_in_one_order_and_once(value: str | list[str], names: tuple[str, ...]) -> None:
    assert parse_report_to(value) == names


@pytest.mark.parametrize(("value", "hint"), [("tensorbord", "tensorboard"), ("x", "known"), ("", "known")])
def test_an_unknown_name_has_a_hint(value: str, hint: str) -> None:
    with pytest.raises(TrainerError, match="unknown tracker") as caught:
        parse_report_to(value)
    assert hint in caught.value.hint


def test_none_stands_alone() -> None:
    with pytest.raises(TrainerError, match="cannot be combined"):
        parse_report_to("none,wandb")
