"""The commands and links of the READMEs are valid, and every command of the tour runs, from `negwb init` on."""

from __future__ import annotations

import json
import os
import re
import shutil
import sqlite3
import subprocess
from collections.abc import Iterator, Sequence
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import typer
from support.benches import negrefcocog_folder, serving
from support.loops import NEGWB, ONE_THREAD
from support.terminal import Terminal
from support.tour import (
    PAIRS,
    PICTURES,
    README,
    READMES,
    ROOT,
    Words,
    block_calls,
    commands,
    seed_openai_clip,
    sentence_calls,
    shell_blocks,
    write_coco,
)

from workbench.cli import app

TOUR = "## The tour"
INVALID = typer.BadParameter.__mro__[2]
"""The exception of any command line that cannot be parsed."""
INCOMPLETE = ("MissingParameter", "NoArgsIsHelpError")
OTHER_OPTIONS = {"--help", "--long", "--logdir", "--cost"}
"""Of every command, `.ci/run`, TensorBoard and `python -m trainers`."""
STATIONS = [
    "init",
    "import",
    "import",
    "generate",
    "import",
    "curate",
    "browse",
    "status",
    "export",
    "train",
    "bench",
    "bench",
    "report",
]


def test_the_tour_goes_from_init_to_report() -> None:
    """Ensures that the long test below has commands to run."""
    calls = [words for block in shell_blocks(TOUR) for words in commands(block) if words[0] != "cd"]
    assert {words[0] for words in calls} == {"negwb"}
    assert [words[1] for words in calls] == STATIONS


def _parse(words: Sequence[str], *, complete: bool = True) -> None:
    """Parse a command line of negwb with commands that have no action; it may lack parameters if not `complete`."""
    try:
        _parser().main(list(words), prog_name="negwb", standalone_mode=False)
    except INVALID as error:
        if complete or type(error).__name__ not in INCOMPLETE:
            raise


@cache
def _parser() -> Any:
    get_command = typer.main.get_command
    fresh = getattr(get_command, "__wrapped__", get_command)  # the commands that other tests share stay as they are
    return _without_action(fresh(app))


def _without_action(command: Any) -> Any:
    command.callback = None
    for each in getattr(command, "commands", {}).values():
        _without_action(each)
    return command


def _name(readme: Path) -> str:
    return str(readme.relative_to(ROOT))


@pytest.mark.parametrize("readme", READMES, ids=_name)
def test_every_command_in_a_readme_is_valid(readme: Path) -> None:
    """The command, its options and their values exist."""
    calls = [(words, True) for words in block_calls(readme)] + [(words, False) for words in sentence_calls(readme)]
    invalid = []
    for words, complete in calls:
        try:
            _parse(words, complete=complete)
        except INVALID as error:
            invalid.append(f"negwb {' '.join(words)}: {error}")
    assert invalid == []


def _options(command: Any) -> set[str]:
    own = {option for parameter in command.params for option in (*parameter.opts, *parameter.secondary_opts)}
    return own.union(*(_options(each) for each in getattr(command, "commands", {}).values()))


@pytest.mark.parametrize("readme", READMES, ids=_name)
def test_every_option_in_a_readme_exists(readme: Path) -> None:
    """Also in sentences that name no command."""
    named = set(re.findall(r"(?<![\w-])--[a-z][a-z-]+", readme.read_text(encoding="utf-8")))
    assert named - _options(_parser()) - OTHER_OPTIONS == set()


def test_a_command_in_a_sentence_may_lack_its_parameters_only() -> None:
    _parse(["bench", "run"], complete=False)
    _parse(["import"], complete=False)
    with pytest.raises(INVALID):
        _parse(["import", "--no-such-option"], complete=False)


@pytest.mark.parametrize("words", ["imprt x.json", "report --slice", "bench run", "train --lr x", "status now"])
def test_an_invalid_command_fails_this_check(words: str) -> None:
    with pytest.raises(INVALID):
        _parse(words.split())


def _anchors(readme: Path) -> set[str]:
    """Return the anchors that GitHub gives to the headings of a README."""
    text = re.sub(r"^ *```.*?^ *```$", "", readme.read_text(encoding="utf-8"), flags=re.MULTILINE | re.DOTALL)
    headings = re.findall(r"^#+ (.+)$", text, flags=re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def _broken_links(readme: Path) -> list[str]:
    links = re.findall(r"\]\(\s*(?!https?://)([^)\s]+)\s*\)", readme.read_text(encoding="utf-8"))
    broken = []
    for link in links:
        path, _, anchor = link.partition("#")
        target = readme.parent / path if path else readme
        if not target.is_file() or (anchor and anchor not in _anchors(target)):
            broken.append(link)
    return broken


@pytest.mark.parametrize("readme", READMES, ids=_name)
def test_the_links_of_a_readme_exist(readme: Path) -> None:
    assert _broken_links(readme) == []


def test_a_broken_link_is_found(tmp_path: Path) -> None:
    readme = tmp_path / "README.md"
    readme.write_text("# A `b` (c), d\n[x](README.md#a-b-c-d) [x](#a-b-c-d) [x](#e) ![y](y.svg) [z](https://z.org)\n")
    assert _broken_links(readme) == ["#e", "y.svg"]


def test_the_readme_links_every_other_readme() -> None:
    """Also over one other README."""
    linked, todo = set(), [README]
    while todo:
        readme = todo.pop()
        links = re.findall(r"\]\(\s*([^)#\s]+README\.md)", readme.read_text(encoding="utf-8"))
        todo += {(readme.parent / link).resolve() for link in links} - linked
        linked |= set(todo)
    assert [_name(readme) for readme in READMES[1:] if readme not in linked] == []


class TourRunner:
    """Runs the tour's commands one after another."""

    def __init__(self) -> None:
        self.completed: dict[str, subprocess.CompletedProcess[str]] = {}
        """Completed process of each negwb command, by its arguments."""

    def type(self, words: Words) -> None:
        """Run a command like a shell; it must succeed."""
        match words:
            case ["cd", folder]:
                os.chdir(folder)
            case ["negwb", "curate", *_]:
                self._curate(words)
            case ["negwb", *rest]:
                done = subprocess.run(
                    [NEGWB, *rest], capture_output=True, text=True, stdin=subprocess.DEVNULL, timeout=900, check=False
                )
                assert done.returncode == 0, f"{' '.join(words)}: {done.stderr}"
                self.completed[" ".join(rest)] = done
            case _:
                raise AssertionError(f"unknown command: {' '.join(words)}")

    @staticmethod
    def _curate(words: Words) -> None:
        """Accept every card, then quit."""
        with Terminal([NEGWB, *words[1:]]) as terminal:
            terminal.wait_for(b"NEGATED")
            for done in range(PAIRS):
                terminal.press_until("a", lambda done=done: _decided() > done)
            terminal.wait_for(b"Your queue is empty")
            terminal.press("q")
            assert terminal.end() == 0


def _decided() -> int:
    connection = sqlite3.connect("curation.db")
    try:
        return int(connection.execute("SELECT count(*) FROM event WHERE kind = 'accept'").fetchone()[0])
    finally:
        connection.close()


@pytest.fixture
def folder(tmp_path: Path, shared_data: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Folder with COCO, OpenAI's CLIP and a benchmark mirror, without network access."""
    write_coco(tmp_path / "my-set", tmp_path / "coco" / "train2014")
    negrefcocog_folder(tmp_path / "mirror", shared_data / "NegRefCOCOg.json")
    seed_openai_clip(tmp_path / "hf")
    with serving(tmp_path / "mirror") as address, monkeypatch.context() as changed:
        variables = {"NEGWB_MIRROR": address, "HF_HOME": str(tmp_path / "hf"), "HF_HUB_OFFLINE": "1"}
        for name, value in (variables | ONE_THREAD).items():  # two threads stall if another process uses a core
            changed.setenv(name, value)
        changed.chdir(tmp_path)
        yield tmp_path
    shutil.rmtree(tmp_path)  # two CLIPs are 1.2 GB, and pytest would keep them for three further runs


@pytest.mark.long
def test_the_whole_tour(folder: Path) -> None:
    tourist = TourRunner()
    for block in shell_blocks(TOUR):
        for words in commands(block):
            tourist.type(words)

    assert Path.cwd() == folder / "my-set"
    output = tourist.completed
    assert output["export"].stdout == f"{Path.cwd() / 'exports' / 'set-001'}\n"
    assert f"froze {PAIRS} pairs of {PICTURES} images" in output["export"].stderr
    assert output["train set-001"].stdout == f"{Path.cwd() / 'runs' / 'run-001' / 'model'}\n"
    done = json.loads(Path("runs/run-001/done.json").read_text())
    assert (done["steps"], done["base"]["arch"], done["base"]["activation"]) == (15, "ViT-B-32", "quickgelu")
    assert done["model"]["visual_hash"] == done["base"]["visual_hash"], "the image tower is frozen"
    assert done["model"]["model_hash"] != done["base"]["model_hash"]
    assert "402 images fetched" in output["bench fetch negrefcocog"].stderr
    report = re.sub(" +", " ", output["report --allow-overlap"].stdout)
    for rule in ("strict", "official"):
        for model in ("ViT-B-32:openai (base)", "run-001"):
            assert len(re.findall(rf"\n{rule} {re.escape(model)} \d", report)) == 1, report
    assert "smaller box 252/440 57.3" in report
    assert "official blind: first box 440/440 100.0" in report
    assert "NegationCLIP ViT-B/32 440 64.1 59.5–68.4" in report
