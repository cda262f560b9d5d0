"""Draws the README's picture of `negwb audit --candidates`, in the demo of the side screens.

`python -m tools.audit_screenshot FOLDER`. A test draws it again and compares all words.
"""

from __future__ import annotations

import io
import sys
import tempfile
from pathlib import Path

from rich.console import Console
from tools.side_screen_screenshots import build_workspace

from curation_db.corpus_audit.audit_report import report_json
from curation_db.corpus_audit.part_result import AuditOptions
from curation_db.corpus_audit.readers.record import CANDIDATES, record_parts
from curation_db.corpus_audit.run import audit_corpus
from curation_db.storage.store import open_read_only
from workbench.console.tables import show
from workbench.reports.corpus_audit import rate_listing
from workbench.workspace.layout import Workspace

NAME = "audit"
_TITLE = "negwb audit --candidates"


def draw(workspace: Workspace) -> str:
    """Return the table of rates as SVG."""
    with open_read_only(workspace.database) as store:
        parts = record_parts(store, CANDIDATES)
    report = report_json(audit_corpus(parts, AuditOptions()), source=workspace.root.name, texts="candidates")
    console = Console(record=True, width=120, file=io.StringIO(), force_terminal=True)
    show([rate_listing(report)], console=console)
    return console.export_svg(title=_TITLE, unique_id=NAME)


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as temporary:
        path = Path(sys.argv[1]) / f"{NAME}.svg"
        path.write_text(draw(build_workspace(Path(temporary))), encoding="utf-8", newline="\n")
        sys.stdout.write(f"{path}\n")
