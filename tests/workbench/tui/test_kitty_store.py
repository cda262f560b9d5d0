"""Kitty's terminal gets each image once, and none of them stays."""

from __future__ import annotations

import re
from types import SimpleNamespace
from typing import Any

import pytest

from workbench.images.kitty import KittyImage
from workbench.tui.kitty_store import KittyStore, kitty_store
from workbench.tui.terminal_parser import leaving_no_images

ACTION = re.compile(r"\x1b_Ga=(.),(?:d=I,)?i=(\d+)")


class Written:
    """An app whose driver collects what is written."""

    def __init__(self) -> None:
        self.text = ""
        self._driver = SimpleNamespace(write=self._write)

    def _write(self, text: str) -> None:
        self.text += text

    def take(self) -> list[tuple[str, int]]:
        """Return action and image of the commands since the last call."""
        text, self.text = self.text, ""
        return [(action, int(number)) for action, number in ACTION.findall(text)]


@pytest.fixture(autouse=True)
def outside_tmux(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("TMUX", raising=False)


def image(number: int) -> KittyImage:
    return KittyImage(number, (4, 4), "", "QUJD")


def test_an_image_is_sent_once_and_only_placed_again_in_another_size() -> None:
    app: Any = Written()
    store = KittyStore(app)
    first = image(1)
    for size in ((10, 5), (10, 5)):
        store.keep(first, size)
    assert app.take() == [("t", 1), ("p", 1)]
    store.keep(first, (20, 10))
    assert app.take() == [("p", 1)]


def test_the_image_used_longest_ago_makes_room_and_all_are_removed_at_the_end() -> None:
    app: Any = Written()
    store = KittyStore(app)
    images = [image(number) for number in range(1, 14)]
    for each in images[:12]:
        store.keep(each, (10, 5))
    store.keep(images[0], (10, 5))
    app.take()
    store.keep(images[12], (10, 5))
    assert app.take() == [("t", 13), ("p", 13), ("d", 2)]
    assert [each.is_lost for each in images] == [False, True, *[False] * 11]
    store.clear()
    assert sorted(app.take()) == [("d", number) for number in (1, *range(3, 14))]
    assert all(each.is_lost for each in images)
    store.clear()
    assert app.take() == []


def test_a_driver_removes_the_images_before_it_gives_the_terminal_back() -> None:
    order: list[str] = []

    class Driver:
        def __init__(self, app: Any) -> None:
            self._app = app

        def stop_application_mode(self) -> None:
            order.append("stopped")

    app: Any = Written()
    kitty_store(app).keep(image(1), (10, 5))
    app.take()
    app._driver = SimpleNamespace(write=order.append)
    driver: Any = leaving_no_images(Driver)  # type: ignore[arg-type]
    driver(app).stop_application_mode()
    assert order == ["\x1b_Ga=d,d=I,i=1,q=2\x1b\\", "stopped"]
