"""The demo registers the engine kind "scripted"."""

from __future__ import annotations

import subprocess
import sys

_PROGRAM = """
import sys
from workbench.generation.engines.registry import known_kinds
import workbench.generation.runs.session, workbench.generation.runs.rejudging, workbench.generation.runs.batch_files
assert "scripted" not in known_kinds()
assert not [name for name in sys.modules if name.startswith("workbench.demo")]
from workbench.demo.engine_kinds import register_demo_engines
register_demo_engines()
register_demo_engines()
assert known_kinds().count("scripted") == 1
assert "workbench.demo.world.world" not in sys.modules, "the drawn world is imported when an engine is opened"
"""


def test_the_engine_kind_is_unknown_until_registered() -> None:
    done = subprocess.run([sys.executable, "-c", _PROGRAM], capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
