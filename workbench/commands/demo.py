"""`negwb demo`: a whole small world on this machine, to try the keys on or to watch the loop run by itself."""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from curation_db.store import Store
    from workbench.paths import Workspace

BANNER = "demo: drawn pictures, scripted captions, simulated judges"
_EPILOG = "Example:  negwb demo   |   negwb demo --auto my-demo | tail -1"


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command(epilog=_EPILOG)(demo)


def demo(
    path: Annotated[Path, typer.Argument(help="Where to build the demo's workspace.")] = Path("negwb-demo"),
    auto: Annotated[
        bool, typer.Option("--auto", help="Let a scripted annotator who knows the truth decide, then export.")
    ] = False,
    pictures: Annotated[int, typer.Option(min=1, max=100_000, help="How many pictures to draw.")] = 700,
) -> None:
    """Build a small drawn world and curate it.

    Its pictures are drawn, its captions and judges are scripts: nothing is downloaded and no model runs. In a
    terminal you decide, with the keyboard. Without one, or with --auto, a script that knows the truth does, the
    accepted pairs are frozen, and the last line of stdout is one JSON object.
    """
    started = time.monotonic()
    workspace = _build(path, pictures)
    if auto or not (sys.stdin.isatty() and sys.stdout.isatty()):
        typer.echo(json.dumps(_run_by_itself(workspace, started)))
        return
    from workbench.commands.curate import run_curate  # noqa: PLC0415 -- the screens cost half a second

    code = run_curate(workspace, banner=BANNER)
    _say_what_next(path)
    raise typer.Exit(code)


def _build(path: Path, pictures: int) -> Workspace:
    from workbench.commands.progress import step_bars  # noqa: PLC0415
    from workbench.demo.build import build_demo  # noqa: PLC0415

    typer.echo(f"negwb: {BANNER} → {path}", err=True)
    with step_bars() as progress:
        return build_demo(path, pictures=pictures, progress=progress)


def _run_by_itself(workspace: Workspace, started: float) -> dict[str, Any]:
    """Decide everything by the truth, freeze the accepted pairs, and count."""
    from curation_db.store import open_store  # noqa: PLC0415
    from workbench import version  # noqa: PLC0415
    from workbench.commands.export import freeze_set  # noqa: PLC0415
    from workbench.commands.progress import step_bars  # noqa: PLC0415
    from workbench.demo.annotator import decide_all, read_truth  # noqa: PLC0415
    from workbench.demo.build import DemoFiles  # noqa: PLC0415

    with open_store(workspace.database) as store, step_bars() as progress:
        total = _counts(store)["candidates"]
        truth = read_truth(DemoFiles(workspace.root).truth)
        decide_all(store, truth, version=version(), progress=lambda n: progress("deciding by the truth", n, total))
        counts = _counts(store)
    manifest = freeze_set(workspace)
    seconds = round(time.monotonic() - started, 1)
    return {**counts, "export_sha256": manifest.export_sha256, "seconds": seconds}


def _counts(store: Store) -> dict[str, int]:
    from sqlalchemy import text  # noqa: PLC0415

    with store.read() as connection:
        row = connection.execute(
            text("""SELECT count(*) AS candidates, sum(state = 'accepted') AS accepted,
                    sum(state = 'rejected') AS rejected FROM candidate_state""")
        ).one()
        caught = connection.execute(
            text("""SELECT count(*) FROM candidate_state s WHERE state = 'rejected' AND EXISTS
                    (SELECT 1 FROM event e WHERE e.candidate_id = s.candidate_id AND e.reason = 'present')""")
        ).scalar_one()
    return {
        "candidates": row.candidates,
        "accepted": row.accepted or 0,
        "rejected": row.rejected or 0,
        "judge_errors_caught": caught,
    }


def _say_what_next(path: Path) -> None:
    typer.echo(f"negwb: your decisions are in {path}. Next:", err=True)
    typer.echo(f"       negwb -w {path} status", err=True)
    typer.echo(f"       negwb -w {path} export", err=True)
    typer.echo(f"       negwb demo {path}   (goes on where you left)", err=True)
