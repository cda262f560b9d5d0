"""Flat JSON objects have the form that `json.dumps` gives them."""

from __future__ import annotations

import json
from typing import Any

import pytest

from curation_db.exporting.json_objects import encode_flat


@pytest.mark.parametrize(
    "text", ["".join(map(chr, range(128))), 'a/b \\ "c"', "猫 é \u2028", "\ud800 alone", "\x7f", "plain", ""]
)
def test_texts_are_encoded_as_by_json(text: str) -> None:
    values: dict[str, Any] = {"text": text, "list": (text, "x"), "none": None, "n": 2**62, "empty": (), text: "k"}
    assert encode_flat(values) == json.dumps(values)


def test_all_characters_are_encoded_as_by_json() -> None:
    for start in range(0, 0x3000, 64):
        for values in ({"": "".join(map(chr, range(start, start + 64)))}, {"": chr(start + 1)}):
            assert encode_flat(values) == json.dumps(values)
