"""The registry of actions and keys, and keys set by the user."""

from __future__ import annotations

import pytest

from curation_db.enums import REASON_KEYS
from workbench.errors import UsageError
from workbench.workspace.keymap import GROUPS, ActionMap, KeyScope, key_cap, long_name


def by_id(actions: ActionMap) -> dict[str, list[str]]:
    return {action.id: actions.keys(action) for action in actions.at(*KeyScope)}


def test_the_default_keys() -> None:
    keys = by_id(ActionMap())
    # fmt: off
    expected = {"accept": "a", "reject": "x", "edit": "e", "unsure": "u", "skip": "space", "undo": "z", "note": "n",
                "flag": "f", "judges": "v", "zoom": "i", "find": "slash", "back": "left_square_bracket"}
    # fmt: on
    assert {name: keys[name][0] for name in expected} == expected
    assert keys["redo"] == ["Z", "ctrl+y"]
    assert keys["help"] == ["question_mark", "f1"]


def test_every_reason_has_its_key_and_every_action_a_group_and_a_help_text() -> None:
    actions = ActionMap()
    reasons = {actions.keys(each)[0]: each.call for each in actions.at(KeyScope.REASON)}
    assert {key: f"reject('{reason}')" for key, reason in REASON_KEYS.items()}.items() <= reasons.items()
    for action in actions.at(*KeyScope):
        assert action.group in GROUPS
        assert 0 < len(action.help) <= 53, "fits on a line of the help screen at 80 columns"


def test_keys_of_the_user_replace_the_defaults() -> None:
    keys = by_id(ActionMap({"accept": "c, enter", "find": "/"}))
    assert keys["accept"] == ["c", "enter"]
    assert keys["find"] == ["slash"]


@pytest.mark.parametrize(
    ("own", "message"),
    [
        ({"acept": "y"}, "no action 'acept'"),
        ({"accept": "x"}, "'x' would mean both"),
        ({"accept": "?"}, "would mean both"),
        ({"accept": " , "}, "no key"),
        ({"reason-present": "r"}, "would mean both"),
    ],
)
def test_invalid_keys_are_refused(own: dict[str, str], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        ActionMap(own)


def test_keys_may_be_swapped() -> None:
    keys = by_id(ActionMap({"accept": "x", "reject": "a"}))
    assert (keys["accept"], keys["reject"]) == (["x"], ["a"])


def test_a_key_may_have_another_action_in_the_reason_menu() -> None:
    keys = by_id(ActionMap())
    assert keys["unsure"] == keys["reason-ungrammatical"] == ["u"]


NAMES = [
    ("?", "question_mark", "?"),
    ("-", "minus", "-"),
    ("=", "equals_sign", "="),
    ("a", "a", "a"),
    ("escape", "escape", "esc"),
]


@pytest.mark.parametrize(("key", "name", "cap"), NAMES)
def test_a_key_has_a_long_name_and_a_cap(key: str, name: str, cap: str) -> None:
    assert long_name(key) == name
    assert key_cap(name) == cap


def test_the_zoomed_image_gives_way_to_own_keys_of_the_card() -> None:
    actions = ActionMap({"accept": "1,l", "reject": "f5"})
    keys = by_id(actions)
    assert (keys["pan-right"], keys["zoom-actual"], keys["accept"]) == (["right"], [], ["1", "l"])
    with pytest.raises(UsageError, match="mean both"):
        ActionMap({"accept": "escape,i,q"})
