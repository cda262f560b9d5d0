"""Snapshots of Curate in both sizes and themes. View them before accepting a change."""

from __future__ import annotations

from typing import Any

import pytest
from support.workspaces import Case, settled

CASES = [
    Case(
        siblings=("a lady on a brown horse", "a rider with a hat"),
        simulated=True,
    ),
    Case(),
]


@pytest.mark.parametrize(
    ("size", "theme", "keys"),
    [((120, 36), "negwb-dark", []), ((80, 24), "negwb-light", ["x"])],
    ids=["wide-dark", "narrow-light-reject"],
)
def test_the_card_matches_its_snapshot(
    snap_compare: Any, make_workspace: Any, open_app: Any, size: tuple[int, int], theme: str, keys: list[str]
) -> None:
    app = open_app(
        make_workspace(cases=CASES), app={"theme": theme, "banner": "demo: drawn pictures, simulated judges"}
    )

    async def before(pilot: Any) -> None:
        await settled(pilot)
        await pilot.press(*keys)
        await settled(pilot)
        for _ in range(2):  # the segments of blank cells depend on earlier layouts
            app.screen.refresh(layout=True)
            await pilot.pause()

    assert snap_compare(app, terminal_size=size, run_before=before)
