"""`negwb serve` in a real browser: keys have an effect at once, clicks decide nothing."""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Awaitable, Callable, Iterator
from functools import partial
from pathlib import Path

import pytest
from support import chromium
from support.serving import serving
from support.workspaces import Case, WorkspaceFixture, build

pytestmark = [
    pytest.mark.long,
    pytest.mark.skipif(chromium.EXECUTABLE is None, reason="Chromium is not installed"),
]


@pytest.fixture
def workspace(tmp_path: Path) -> Iterator[WorkspaceFixture]:
    created = build(tmp_path / "workspace", [Case(text=f"a man without hat {n}") for n in range(4)])
    yield created
    created.store.close()


async def until(condition: Callable[[], Awaitable[bool]]) -> None:
    deadline = time.monotonic() + 90
    while not await condition():
        assert time.monotonic() < deadline, "the condition did not hold in time"
        await asyncio.sleep(0.1)


async def test_keys_work_at_once_and_clicks_decide_nothing(workspace: WorkspaceFixture, tmp_path: Path) -> None:
    async def press_until(events: int) -> bool:
        if len(workspace.events()) < events:  # a key has an effect once its card was visible for a moment
            await page.press("a")
            await asyncio.sleep(0.5)
        return len(workspace.events()) >= events

    with serving(workspace) as served:
        async with chromium.chromium(tmp_path / "profile") as page:
            await page.call("Page.navigate", url=served.entrance)
            await until(partial(is_shown, page))
            await until(partial(press_until, 1))  # without a click: the terminal has the focus
            assert workspace.events() == [(1, "accept", None)]

            await page.call("Page.reload")  # a session of its own
            await until(partial(is_shown, page))
            for x, y in ((600, 400), (300, 200), (900, 500), (1190, 640)):
                await page.click(x, y)
            await asyncio.sleep(1)
            assert len(workspace.events()) == 1
            if folder := os.environ.get("NEGWB_SCREENSHOTS"):
                await asyncio.to_thread(Path(folder, "serve.png").write_bytes, await page.screenshot())
            await until(partial(press_until, 2))
            assert workspace.events()[1][1] == "accept"


async def is_shown(page: chromium.Page) -> bool:
    return await page.evaluate("document.body?.classList.contains('-first-byte')") is True
