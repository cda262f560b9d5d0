"""negwb.toml: strict reading, and changes that keep the rest of the file."""

from __future__ import annotations

import os
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from workbench.errors import UsageError
from workbench.workspace.create import create_workspace, settings_template
from workbench.workspace.layout import find_workspace
from workbench.workspace.picture_folders import PictureFolders
from workbench.workspace.settings.catalog import read_setting_list
from workbench.workspace.settings.settings import CurateSettings, Settings, read_settings
from workbench.workspace.settings.writer import add_picture_folder, change_setting, save_view

TEMPLATE = settings_template()


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "negwb.toml"
    path.write_text(TEMPLATE)
    return path


def test_the_template_equals_the_defaults(file: Path) -> None:
    assert read_settings(file) == Settings(curate=CurateSettings())


BAD = {
    "not TOML": ("[curate\nblind = true", "line 1", "negwb init"),
    "not UTF-8": (b"[curate]\ntheme = '\xff'", "not UTF-8: byte 0xff in line 2", "UTF-8"),
    "UTF-16": ("[curate]\n".encode("utf-16"), "the encoding is UTF-16", "UTF-8"),
    "UTF-16 without a mark": ("[curate]\n".encode("utf-16-le"), "line 1 contains the character U+0000", "UTF-8"),
    "a number that is too long": ("[curate]\naudit_rate = 1" + "0" * 5000, "digits", "negwb init"),
    "brackets nested too deeply": ("a = " + "[" * 5000, "negwb.toml", "negwb init"),
    "an unknown table": ("[cruate]", "[cruate]", "curate, "),
    "an unknown setting": ("[curate]\nordr = 'conflict'", "'ordr'", "order"),
    "no table": ("curate = 3", "curate = 3", "[curate]"),
    "a list of tables": ("[[curate]]\nblind = true", "curate = ", "[curate]"),
    "an unknown order": ("[curate]\norder = 'newest'", "order = 'newest'", "oldest, mistaken, conflict"),
    "a list for a text": ("[curate]\norder = ['oldest']", "order = ", "text in quotes"),
    "a share above 1": ("[curate]\naudit_rate = 2.0", "audit_rate = 2.0", "0 to 1"),
    "a share below 0": ("[curate]\naudit_share = -1", "audit_share = -1", "0 to 1"),
    "not a number": ("[curate]\naudit_share = nan", "audit_share = nan", "0 to 1"),
    "a text for a share": ("[curate]\naudit_rate = 'a lot'", "audit_rate = 'a lot'", "a number"),
    "a boolean for a share": ("[curate]\naudit_rate = true", "audit_rate = True", "a number"),
    "a number for a boolean": ("[curate]\nblind = 1", "blind = 1", "true or false"),
    "an unknown image protocol": ("[curate]\nimages = 'jpeg'", "images = 'jpeg'", "auto, kitty, sixel, halfcell, none"),
    "an invalid overlap": ("[curate]\noverlap = 'two'", "overlap = 'two'", '"2+1"'),
    "an overlap of zero": ("[curate]\noverlap = '0'", "overlap = '0'", '"2+1"'),
    "an overlap without quotes": ("[curate]\noverlap = 1", "overlap = 1", "text in quotes"),
    "a text for keys": ("[curate]\nkeys = 'a'", "keys = 'a'", "a table"),
    "a number for a key": ("[curate.keys]\naccept = 1", "[curate.keys] accept = 1", 'accept = "a,f5"'),
    "a list of keys": ("[curate.keys]\naccept = ['a']", "[curate.keys] accept = ", 'accept = "a,f5"'),
    "no key": ("[curate.keys]\naccept = ' , '", "accept = ' , ': no key", '"a,f5"'),
    "a key of an unknown action": ("[curate.keys]\nacept = 'a'", "no action 'acept'", "accept"),
    "a key of two actions": ("[curate.keys]\naccept = 'x'", "both accept and reject", "another key"),
    "an unknown setting of progress": ("[progress]\ncue = 'none'", "[progress] has no setting 'cue'", "targets"),
    "a target of an unknown trait": ("[progress.targets]\ncolour = 'none'", "no target for 'colour'", "cue = {"),
    "an unknown benchmark": ("[progress.targets]\ncue = 'coco'", "negrefcocog, none", "cue = {"),
    "shares above 1": ("[progress.targets]\ncue = { no = 0.7, not = 0.7 }", "1.40, more than 1", "cue = {"),
    "no table of pictures": ("pictures = ['a']", "pictures = ['a']", "[pictures]"),
    "a number for a folder": ("[pictures]\ncoco = 3", "[pictures] coco = 3", "coco = ["),
    "numbers for folders": ("[pictures]\ncoco = [3]", "[pictures] coco = [3]", "coco = ["),
    "a table of folders": ("[pictures.coco]\na = 'b'", "[pictures] coco = ", "coco = ["),
    "an invalid folder": ('[pictures]\ncoco = "a\\u0000"', "[pictures] coco = ", "u0000"),
}
"""Content of the file, part of the message, part of the hint."""


@pytest.mark.parametrize("case", BAD)
def test_the_error_of_a_bad_setting_names_the_file_and_the_allowed_values(file: Path, case: str) -> None:
    content, message, hint = BAD[case]
    file.write_bytes(content if isinstance(content, bytes) else content.encode())
    with pytest.raises(UsageError) as refused:
        read_settings(file)
    assert refused.value.message.startswith(f"{file}: ")
    assert message in refused.value.message
    assert hint in refused.value.hint
    assert "\n" not in refused.value.message + refused.value.hint
    assert refused.value.exit_code == 2


def test_a_bad_setting_ends_a_command_in_one_line(tmp_path: Path) -> None:
    workspace = create_workspace(tmp_path / "ws")
    workspace.settings.write_text("[curate]\noverlap = 'all'\n")
    (tmp_path / "set.csv").write_text("image,caption\na.jpg,a dog\n")
    negwb = Path(sys.executable).with_name("negwb")
    command = [negwb, "-w", workspace.root, "import", tmp_path / "set.csv"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 2
    first, hint = done.stderr.splitlines()
    assert "negwb.toml: [curate] overlap = 'all'" in first
    assert '"2+1"' in hint


def test_valid_settings_of_all_kinds_are_read(file: Path) -> None:
    file.write_text(
        "[curate]\norder = 'oldest'\noverlap = '2+1'\naudit_rate = 0\naudit_share = 1.0\ngold_share = 0\nblind = true\n"
        "images = 'none'\ntheme = 'nord'\nkeys = {accept = 'enter,f5'}\n[pictures]\ncoco = 'a'\n"
    )
    assert read_settings(file) == Settings(
        {"coco": ("a",)}, CurateSettings("oldest", "2+1", 0, 1.0, 0, True, "none", "nord", {"accept": "enter,f5"})
    )


def test_adding_an_image_folder_keeps_the_rest_of_the_file(file: Path) -> None:
    file.write_text("# mine\n[pictures]\nmine = 'a'   # the first\n[curate]\nblind = true\n")
    for folder in ("b", 'c "quoted" \\ back', "b", "two\nlines\x1b\x7f"):
        add_picture_folder(file, "mine", folder)
    add_picture_folder(file, "two words", "d")
    settings = read_settings(file)
    nasty = ('c "quoted" \\ back', "two\nlines\x1b\x7f")
    assert settings.pictures == {"mine": ("a", "b", *nasty), "two words": ("d",)}
    assert settings.curate.blind
    first, _, mine, *_, last = file.read_text().splitlines()
    assert (first, last) == ("# mine", "blind = true")
    assert mine.startswith("mine = ['a', ")
    assert mine.endswith("]   # the first")


def test_a_changed_file_keeps_its_line_ends_and_permissions(file: Path) -> None:
    file.write_bytes(b"[pictures]\r\n# mine\r\n[curate]\r\n")
    file.chmod(0o640)
    add_picture_folder(file, "coco", "x")
    assert file.read_bytes() == b'[pictures]\r\n# mine\r\ncoco = ["x"]\r\n[curate]\r\n'
    assert file.stat().st_mode & 0o777 == 0o640


def test_a_byte_order_mark_is_read_and_stays(file: Path) -> None:
    file.write_bytes(b"\xef\xbb\xbf[curate]\r\nblind = true\r\n")
    assert read_settings(file).curate.blind
    change_setting(file, "order", "oldest")
    assert file.read_bytes() == b'\xef\xbb\xbf[curate]\r\nblind = true\r\norder = "oldest"\r\n'
    assert read_settings(file).curate.order == "oldest"


def test_a_link_to_the_settings_stays_a_link(file: Path, tmp_path: Path) -> None:
    link = tmp_path / "link.toml"
    link.symlink_to(file)
    add_picture_folder(link, "coco", "x")
    assert link.is_symlink()
    assert read_settings(file).pictures == {"coco": ("x",)}


def test_a_folder_that_cannot_be_added_safely_gives_a_line_to_add_by_hand(file: Path) -> None:
    file.write_text(content := 'pictures = {coco = ["a"]} # mine\n')
    with pytest.raises(UsageError, match=r"negwb\.toml") as refused:
        add_picture_folder(file, "coco", 'b"\n')
    assert refused.value.hint.endswith(r'coco = ["a", "b\"\n"]')
    assert file.read_text() == content


def test_a_folder_name_that_is_not_unicode_is_refused(file: Path) -> None:
    with pytest.raises(UsageError, match="cannot name the folder"):
        add_picture_folder(file, "coco", os.fsdecode(b"\xff"))
    assert file.read_text() == TEMPLATE


def test_a_settings_file_that_cannot_be_written_is_an_error(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("workbench.workspace.settings.writer.replace_file", fail)
    with pytest.raises(UsageError, match=r"cannot write .*No space left") as refused:
        add_picture_folder(file, "coco", "x")
    assert refused.value.hint.endswith('coco = ["x"]')


def test_a_settings_file_without_pictures_gets_the_table(file: Path) -> None:
    file.write_text("[curate]\nblind = true\n")
    add_picture_folder(file, "coco", "x")
    assert tomllib.loads(file.read_text()) == {"curate": {"blind": True}, "pictures": {"coco": ["x"]}}


def test_a_picture_is_found_below_its_folders_only(tmp_path: Path) -> None:
    (tmp_path / "secret.jpg").write_bytes(b"x")
    (tmp_path / "one" / "sub").mkdir(parents=True)
    (tmp_path / "two").mkdir()
    (tmp_path / "one" / "sub" / "a.jpg").write_bytes(b"x")
    (tmp_path / "two" / "b.jpg").symlink_to(tmp_path / "secret.jpg")
    folders = PictureFolders(tmp_path, {"coco": ("one", "two")})
    assert folders.locate("coco", "sub/a.jpg") == tmp_path / "one" / "sub" / "a.jpg"
    assert folders.locate("coco", "b.jpg") is None
    following = PictureFolders(tmp_path, {"coco": ("one", "two")}, follow_links=True)
    assert following.locate("coco", "b.jpg") == tmp_path / "two" / "b.jpg"  # people link their data
    for name in ("../secret.jpg", str(tmp_path / "secret.jpg"), "nothing.jpg", "", None, "a\0b", "x" * 5000, "sub"):
        assert folders.locate("coco", name) is None
    assert folders.locate("other", "sub/a.jpg") is None


def test_the_workspace_is_found_upwards_by_name_and_by_environment(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("NEGWB_WORKSPACE", raising=False)
    root, deep = tmp_path / "ws", tmp_path / "ws" / "a" / "b"
    deep.mkdir(parents=True)
    (root / "negwb.toml").write_text("")
    assert find_workspace(start=deep).root == root
    assert find_workspace(root).root == root
    with pytest.raises(UsageError, match="no workspace"):
        find_workspace(start=tmp_path)
    with pytest.raises(UsageError, match="no workspace"):
        find_workspace(deep)
    monkeypatch.setenv("NEGWB_WORKSPACE", str(root))
    assert find_workspace(start=tmp_path).root == root


def test_changing_a_setting_changes_nothing_else(file: Path) -> None:
    change_setting(file, "theme", "nord")
    change_setting(file, "order", "0.7*conflict + 0.3*lint")
    assert file.read_text() == TEMPLATE.replace('theme = "auto"  ', 'theme = "nord"  ').replace(
        'order = "conflict"  ', 'order = "0.7*conflict + 0.3*lint"  '
    )
    assert read_settings(file).curate.theme == "nord"


@pytest.mark.parametrize(("name", "value"), [("images", "jpeg"), ("order", "newest"), ("blind", "true")])
def test_an_invalid_value_is_not_written(file: Path, name: str, value: str) -> None:
    with pytest.raises(UsageError):
        change_setting(file, name, value)
    assert file.read_text() == TEMPLATE


def test_targets_of_the_user_are_added_to_the_defaults(file: Path) -> None:
    file.write_text("[progress.targets]\ncue = { no = 0.5 }\n")
    assert read_settings(file).targets == {"cue": {"no": 0.5}, "position": "negrefcocog"}


def test_views_are_saved_and_read(tmp_path: Path) -> None:
    file = tmp_path / "negwb.toml"
    file.write_text(TEMPLATE, encoding="utf-8")
    save_view(file, "mine", 'state:open "red hat"')
    save_view(file, "mine", "state:accepted")
    assert read_settings(file).views == {"mine": "state:accepted"}
    file.write_text("[browse]\nview = 1\n")
    with pytest.raises(UsageError, match="no setting 'view'"):
        read_settings(file)
    file.write_text("[browse.views]\nmine = 1\n")
    with pytest.raises(UsageError, match=r"\[browse.views\] mine = 1 \(line 2\)"):
        save_view(file, "other", "x")


@pytest.mark.parametrize(
    ("text", "follow"),
    [
        ("", False),
        ("[pictures]\nfollow_links = true\ncoco = ['a']\n", True),
        ("follow_links = true\n[pictures]\ncoco = ['a']\n", True),
        ("[pictures]\nfollow_links = false\n", False),
        ("[pictures]\nfollow_links = ['a']\n", False),
    ],
)
def test_symbolic_links_are_followed_only_when_enabled(tmp_path: Path, text: str, follow: bool) -> None:
    """A list named `follow_links` holds the folders of a source of that name."""
    file = tmp_path / "negwb.toml"
    file.write_text(text)
    settings = read_settings(file)
    assert settings.follow_links is follow
    assert settings.pictures.get("coco", ("a",)) == ("a",)
    assert ("follow_links" in settings.pictures) is ("['a']" in text and "coco" not in text)


@pytest.mark.parametrize("text", ["follow_links = 1\n", "[pictures]\nfollow_links = 1\n"])
def test_follow_links_is_true_or_false(tmp_path: Path, text: str) -> None:
    file = tmp_path / "negwb.toml"
    file.write_text(text)
    with pytest.raises(UsageError, match="follow_links"):
        read_settings(file)


@pytest.mark.parametrize(
    ("toml", "limit"),
    [
        ('[train]\nmodel = "PE-Core-B-16:meta"\n', 32),
        ('[train]\nmodel = "PE-Core-B-16:meta"\n[lint]\nmost_tokens = 20\n', 20),
        ('[train]\nmodel = "PE-Core-B-16:meta"\n[lint]\nacross_pictures = false\n', 32),
        ('[train]\nmodel = "demo"\n', 40),
        ("", 77),
    ],
)
def test_the_token_limit_is_that_of_the_model(tmp_path: Path, toml: str, limit: int) -> None:
    from curation_db.lint.linter import DEFAULTS

    (tmp_path / "negwb.toml").write_text(toml)
    assert (read_settings(tmp_path / "negwb.toml").lint or DEFAULTS).most_tokens == limit
    _, rows = read_setting_list(tmp_path / "negwb.toml")
    (row,) = (row for row in rows if row.name == "lint.most_tokens")
    assert row.line is not None or row.value == row.default == str(limit), "unset: the limit of the model"
