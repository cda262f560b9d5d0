"""Runs of `negwb generate` in the process of the test, over three images with two captions each."""

from __future__ import annotations

import json
import random
import shutil
import sqlite3
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from PIL import Image
from support.commands import negwb
from support.habit_server import HabitServer
from typer.testing import Result

from workbench.errors import NegwbError
from workbench.generation.engines.http.retry import RetryPolicy
from workbench.generation.engines.openai import engine as openai_engine
from workbench.workspace.create import create_workspace
from workbench.workspace.layout import Workspace
from workbench.workspace.settings.writer import add_picture_folder

QUICK = RetryPolicy(base=0.002, longest=0.02, max_retry_after=0.02)
"""The engine's waiting times, 250 times as fast."""


def build_workspace(folder: Path, images: int = 3) -> Workspace:
    """Create a workspace with two captions for each image; the captions differ in the number of a badge."""
    workspace = create_workspace(folder)
    (folder / "pictures").mkdir()
    listed: list[dict[str, Any]] = []
    captions: list[dict[str, Any]] = []
    for number in range(images):
        image = Image.frombytes("RGB", (32, 24), random.Random(number).randbytes(32 * 24 * 3))
        image.save(folder / "pictures" / f"{number}.jpg")
        listed.append({"id": number + 1, "file_name": f"{number}.jpg"})
    for badge in range(2 * images):
        caption = f"a man with badge {badge} riding a horse"
        captions.append({"image_id": badge // 2 + 1, "id": badge + 1, "caption": caption})
    file = folder / "captions.json"
    file.write_text(json.dumps({"images": listed, "annotations": captions}))
    add_picture_folder(workspace.settings, "coco", "pictures")
    assert negwb(workspace, "import", file, "--source", "coco").exit_code == 0
    file.unlink()
    return workspace


@dataclass(frozen=True)
class Outcome:
    """What a run left behind."""

    workspace: Workspace
    result: Result

    @property
    def error(self) -> NegwbError | None:
        """The error that the command reports."""
        exception = self.result.exception
        assert exception is None or isinstance(exception, NegwbError), repr(exception)
        return exception

    @property
    def exit_code(self) -> int:
        """Exit code of the command."""
        return 0 if self.error is None else int(self.error.exit_code)

    @property
    def line(self) -> str:
        """The line about the error."""
        return "" if self.error is None else self.error.message

    @property
    def shown(self) -> str:
        """All that the user sees, with the line about the error and its hint."""
        hint = "" if self.error is None else self.error.hint
        return "\n".join((self.result.output, self.result.stderr, self.line, hint))

    @property
    def items(self) -> Counter[str]:
        """Number of items by reason; kept items under "kept"."""
        return Counter(reason or status for status, reason in self.rows("SELECT status, reason FROM generation_item"))

    def rows(self, sql: str) -> list[tuple[Any, ...]]:
        """Read from the record."""
        connection = sqlite3.connect(self.workspace.database)
        try:
            return connection.execute(sql).fetchall()
        finally:
            connection.close()

    @property
    def requests(self) -> int:
        """Number of requests that the run counted."""
        return int(self.rows("SELECT json_extract(progress, '$.requests') FROM generation_run")[0][0])

    @property
    def texts(self) -> list[str]:
        """Texts of the stored answers."""
        return [text for (text,) in self.rows("SELECT text FROM generation_answer")]


def run_generate(
    template: Workspace,
    folder: Path,
    monkeypatch: pytest.MonkeyPatch,
    server: HabitServer,
    *words: str,
    engine: Mapping[str, Any] | None = None,
    policy: RetryPolicy = QUICK,
) -> Outcome:
    """Run `negwb generate` with `server` as proposer and judge, in a copy of a workspace.

    Args:
        template: Workspace without engines.
        folder: Folder of the copy.
        words: Further arguments of the command.
        engine: Further settings of the engine.
        policy: Waiting times and limits of retries.
    """
    shutil.copytree(template.root, folder)
    workspace = Workspace(folder)
    values = {"kind": "openai", "url": server.url, "timeout": 20, **(engine or {})}
    lines = [f"{name} = {_toml(value)}" for name, value in values.items()]
    with workspace.settings.open("a") as file:
        file.write("\n".join(('\n[generate]\nproposer = "stub"\njudges = ["stub"]\n[engines.stub]', *lines, "")))
    monkeypatch.setattr(openai_engine, "RetryPolicy", lambda: policy)
    return Outcome(workspace, negwb(workspace, "generate", "--quiet", *words))


def _toml(value: Any) -> str:
    if isinstance(value, Mapping):
        return "{" + ", ".join(f"{json.dumps(name)} = {_toml(each)}" for name, each in value.items()) + "}"
    return json.dumps(value)
