"""Kitty's graphics protocol: the sequences, and the life of the files."""

from __future__ import annotations

import base64
import gc
import io
import re
import unicodedata
from pathlib import Path

import pytest
from PIL import Image

from workbench.images import kitty
from workbench.images.kitty import FILE_PREFIX, KittyImage, encode_kitty

COMMAND = re.compile(r"\x1b_G([^;\x1b]*)(?:;([A-Za-z0-9+/=]*))?\x1b\\")


def commands(sequences: str) -> list[tuple[dict[str, str], str]]:
    """Return the keys and the payload of all commands; there is nothing else in `sequences`."""
    assert COMMAND.sub("", sequences) == ""
    return [(dict(key.split("=") for key in keys.split(",")), data) for keys, data in COMMAND.findall(sequences)]


@pytest.fixture(autouse=True)
def outside_tmux(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("TMUX", raising=False)


def test_a_terminal_on_this_machine_reads_the_pixels_from_a_file() -> None:
    image = Image.effect_noise((300, 200), 90).convert("RGB")
    ready = encode_kitty(image, by_file=True, most=(10, 10))
    ((keys, data),) = commands(ready.sending())
    assert keys == {"a": "t", "i": str(ready.number), "q": "2", "f": "24", "s": "300", "v": "200", "t": "t"}
    path = Path(base64.b64decode(data).decode())
    assert path.name.startswith(FILE_PREFIX)
    assert "tty-graphics-protocol" in FILE_PREFIX  # otherwise the terminal does not delete it
    assert path.stat().st_mode & 0o077 == 0
    assert path.read_bytes() == image.tobytes()
    assert len(ready.sending()) < 300
    del ready
    gc.collect()
    assert not path.exists()  # not sent: no terminal deletes it


def test_any_other_terminal_gets_a_png_of_the_size_that_is_shown() -> None:
    image = Image.effect_noise((300, 200), 90).convert("RGB")
    sent = commands(encode_kitty(image, by_file=False, most=(150, 150)).sending())
    assert [keys["m"] for keys, _ in sent] == ["1"] * (len(sent) - 1) + ["0"]
    assert all(len(data) <= 4096 for _, data in sent)
    assert sent[0][0]["f"] == "100"
    assert Image.open(io.BytesIO(base64.b64decode("".join(data for _, data in sent)))).size == (150, 100)
    assert image.size == (300, 200)


def test_placing_and_deleting() -> None:
    ready = KittyImage(0x123456, (30, 20), "", "")
    ((placed, _),) = commands(ready.placing(40, 12))
    assert placed == {"a": "p", "i": str(0x123456), "p": "1", "q": "2", "U": "1", "c": "40", "r": "12"}
    ((deleted, _),) = commands(ready.deleting())
    assert (deleted["a"], deleted["d"], deleted["i"]) == ("d", "I", str(0x123456))


def test_placeholders_number_rows_and_columns() -> None:
    lines = KittyImage(7, (30, 20), "", "").lines(297, 3)
    marks = kitty._MARKS
    assert len(set(marks)) == len(marks) == 297
    assert {unicodedata.combining(mark) for mark in marks} == {230}
    assert [line[:3] for line in lines] == ["\U0010eeee" + marks[row] + marks[0] for row in range(3)]
    assert lines[2][-3:] == "\U0010eeee" + marks[2] + marks[296]
    with pytest.raises(ValueError, match="297"):
        KittyImage(7, (30, 20), "", "").lines(298, 3)


def test_tmux_gets_wrapped_commands(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TMUX", "/tmp/tmux,1,0")
    assert KittyImage(7, (3, 2), "", "").deleting() == "\x1bPtmux;\x1b\x1b_Ga=d,d=I,i=7,q=2\x1b\x1b\\\x1b\\"


def test_numbers_differ_and_fit_a_colour() -> None:
    image = Image.new("RGB", (2, 2))
    numbers = [encode_kitty(image, by_file=False, most=(2, 2)).number for _ in range(5)]
    assert len(set(numbers)) == 5
    assert all(0 < number < 1 << 24 for number in numbers)
