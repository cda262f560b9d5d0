"""The next images are decoded before they are needed, outside the UI thread, and once."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Any

import pytest
from support.curating import running, shown, until, wait_for_card
from support.workspaces import press, settled

from workbench.annotation.models import DEPTH
from workbench.images import decode


@pytest.fixture
def decodes(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, str]]:
    """(file name, thread) of every decoded image."""
    decoded: list[tuple[str, str]] = []
    real = decode.load_thumbnail

    def counted(path: Path, *args: Any, **kwargs: Any) -> decode.Thumbnail:
        decoded.append((path.name, threading.current_thread().name))
        return real(path, *args, **kwargs)

    monkeypatch.setattr(decode, "load_thumbnail", counted)
    return decoded


def names(count: int) -> list[str]:
    return [f"{number:03}.png" for number in range(1, count + 1)]


async def test_every_image_is_decoded_before_its_card_is_shown(
    make_workspace: Any, open_app: Any, decodes: Any
) -> None:
    workspace = make_workspace(8)
    app = open_app(workspace)
    async with running(app) as pilot:
        await settled(pilot)
        for number in range(1, 6):
            await until(pilot, lambda number=number: len(decodes) >= number + DEPTH)  # without a key
            assert shown(app) == number
            ahead = [name for name, _ in decodes]
            await press(pilot, "a")
            assert shown(app) == number + 1
            assert app.screen.shown.thumbnail.image is not None
            assert f"{number + 1:03}.png" in ahead
        await press(pilot, "a", "a", "a")
    assert sorted(name for name, _ in decodes) == names(8), "each once, and none that was not needed"
    assert {thread for _, thread in decodes} == {"negwb-prefetch"}


async def test_going_back_and_undo_decode_no_image_again(make_workspace: Any, open_app: Any, decodes: Any) -> None:
    workspace = make_workspace(3)
    app = open_app(workspace)
    async with running(app) as pilot:
        await settled(pilot)
        await until(pilot, lambda: len(decodes) == 3)
        await press(pilot, "a", "left_square_bracket", "right_square_bracket", "z", "a", "i", "escape")
        assert sorted(name for name, _ in decodes) == names(3)
    assert threading.main_thread().name not in {thread for _, thread in decodes}


def test_at_most_the_prefetch_depth_is_decoded_ahead(make_workspace: Any, open_session: Any, decodes: Any) -> None:
    session = open_session(make_workspace(20), depth=2)
    wait_for_card(session)
    session.close()
    assert 1 <= len(decodes) <= 1 + 2
