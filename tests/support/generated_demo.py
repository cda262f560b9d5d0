"""Demo workspaces in which a half of what `negwb generate` proposes goes to the audit."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from support.commands import negwb

from workbench.demo.build import DemoSize, build_demo
from workbench.workspace.layout import Workspace


def build_half_audited(folder: Path, size: DemoSize) -> Workspace:
    """Build the demo, with an audit rate of 0.5 for new candidates."""
    workspace = build_demo(folder, size=size, progress=lambda *_: None)
    settings = workspace.settings.read_text(encoding="utf-8")
    assert "audit_rate = 0.1 " in settings
    workspace.settings.write_text(settings.replace("audit_rate = 0.1 ", "audit_rate = 0.5 "), encoding="utf-8")
    return workspace


def json_of(workspace: Workspace, *args: object) -> Any:
    """Return the JSON object that a command prints last."""
    done = negwb(workspace, *args)
    assert done.exception is None, (done.exception, done.stderr)
    return json.loads(done.stdout.splitlines()[-1])
