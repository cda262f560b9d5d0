"""The demo's workspace generates with scripted engines that are marked as simulated."""

from __future__ import annotations

import json
import sqlite3
import subprocess
import sys
from pathlib import Path

from workbench.demo.build import DemoSize, build_demo


def test_the_demo_generates_with_simulated_engines(tmp_path: Path) -> None:
    size = DemoSize(pictures=8, pool=1, scenes=1, gallery=2)
    workspace = build_demo(tmp_path / "demo", size=size, progress=lambda *_: None)
    command = [
        sys.executable,
        "-P",
        "-m",
        "workbench",
        "-w",
        str(workspace.root),
        "generate",
        "--limit",
        "12",
        "--json",
    ]
    data = json.loads(subprocess.run(command, capture_output=True, text=True, check=True).stdout)
    assert (data["state"], data["items_done"], data["failed"]) == ("done", 12, 0)
    assert data["kept"] >= 6
    connection = sqlite3.connect(workspace.database)
    try:
        settings, progress = connection.execute("SELECT settings, progress FROM generation_run").fetchone()
        judged = connection.execute(
            "SELECT judge, min(simulated) FROM verdict WHERE candidate_id IN "
            "(SELECT candidate_id FROM generation_item WHERE status = 'kept') GROUP BY judge ORDER BY judge"
        ).fetchall()
    finally:
        connection.close()
    assert json.loads(settings)["simulated"] == ["script", "sim-judge-a", "sim-judge-b"]
    assert json.loads(progress)["kept"] == data["kept"]
    assert [judge for judge, _ in judged if judge != "annotations"] == ["sim-judge-a", "sim-judge-b"]
    assert all(simulated for judge, simulated in judged if judge != "annotations")
