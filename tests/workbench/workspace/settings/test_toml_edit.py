"""Insertion of folders and values into the text of negwb.toml: nothing else of the text changes."""

from __future__ import annotations

import tomllib
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from curation_db.validation import Path
from workbench.workspace.settings.toml_edit import (
    folder_line,
    line_of,
    line_of_key_or_header,
    value_line,
    with_folder,
    with_value,
)

CASES = {
    "in one line": ('[pictures]\ncoco = ["a"] # my disk\n', '[pictures]\ncoco = ["a", "new"] # my disk\n'),
    "empty": ("[pictures]\ncoco = []\n", '[pictures]\ncoco = ["new"]\n'),
    "a folder without a list": ("[pictures]\ncoco = 'a' # one\n", "[pictures]\ncoco = ['a', \"new\"] # one\n"),
    "over several lines": (
        '[pictures]\ncoco = [\n  "a", # one ]\n  "b"  # two\n]\n[curate]\n',
        '[pictures]\ncoco = [\n  "a", # one ]\n  "b",  # two\n  "new"\n]\n[curate]\n',
    ),
    "over several lines, with a comma at the end": (
        "[pictures]\ncoco = [\n\t'a',\n\t# 'b',\n]\n",
        "[pictures]\ncoco = [\n\t'a',\n\t# 'b',\n\t\"new\"\n]\n",
    ),
    "an empty list over several lines": (
        "[pictures]\n  coco = [\n    # none\n  ]\n",
        '[pictures]\n  coco = [\n    # none\n    "new"\n  ]\n',
    ),
    "a comment after the last folder": (
        "[pictures]\ncoco = [\n  'a'\n  # 'b'\n] # mine\n",
        "[pictures]\ncoco = [\n  'a'\n  # 'b'\n, \"new\"] # mine\n",
    ),
    "a bracket at the end of a line": (
        '[pictures]\ncoco = ["a",\n        "b"]\n',
        '[pictures]\ncoco = ["a",\n        "b",\n        "new"]\n',
    ),
    "a comma before the bracket": ('[pictures]\ncoco = ["a", ]\n', '[pictures]\ncoco = ["a", "new" ]\n'),
    "a bracket and a quote in a name": (
        '[pictures]\ncoco = ["a]", \'b"\', "c\\"]"]\n',
        '[pictures]\ncoco = ["a]", \'b"\', "c\\"]", "new"]\n',
    ),
    "a name over several lines": (
        '[pictures]\ncoco = ["""\na]\n[x]"""]\n',
        '[pictures]\ncoco = ["""\na]\n[x]""", "new"]\n',
    ),
    "a header with a comment": ("[pictures] # mine\n", '[pictures] # mine\ncoco = ["new"]\n'),
    "a header followed by comments": (
        "[pictures]\n# folders\n  # coco = []\n\n[curate]\n",
        '[pictures]\n# folders\n  # coco = []\ncoco = ["new"]\n\n[curate]\n',
    ),
    "a header followed by comments to the end": ("[pictures]\n# folders", '[pictures]\n# folders\ncoco = ["new"]\n'),
    "a header with blanks": ("[ pictures ]\nx = 'a'\n\n# c\n", "[ pictures ]\nx = 'a'\ncoco = [\"new\"]\n\n# c\n"),
    "a quoted header": ('["pictures"]\n"coco" = ["a"]\n', '["pictures"]\n"coco" = ["a", "new"]\n'),
    "a key in other quotes": ("[pictures]\n'coco'=[]\n", "[pictures]\n'coco'=[\"new\"]\n"),
    "a key with an escape": ('[pictures]\n"c\\u006fco" = []\n', '[pictures]\n"c\\u006fco" = ["new"]\n'),
    "the same key in another table": (
        "[curate.keys]\ncoco = 'x'\n",
        "[curate.keys]\ncoco = 'x'\n\n[pictures]\ncoco = [\"new\"]\n",
    ),
    "a header in a text": (
        'x = """\n[pictures]\n"""\n[curate]\n',
        'x = """\n[pictures]\n"""\n[curate]\n\n[pictures]\ncoco = ["new"]\n',
    ),
    "dotted": ("pictures . coco = []\n[curate]\n", 'pictures . coco = ["new"]\n[curate]\n'),
    "dotted, another source": (
        "pictures.x = []\n[curate]\n",
        'pictures.x = []\npictures.coco = ["new"]\n[curate]\n',
    ),
    "no table, no line end": ("[curate]\nblind = true", '[curate]\nblind = true\n\n[pictures]\ncoco = ["new"]\n'),
    "no line end": ("[pictures]\nx = []", '[pictures]\nx = []\ncoco = ["new"]\n'),
    "nothing": ("", '[pictures]\ncoco = ["new"]\n'),
    "line ends of Windows": (
        '[pictures]\r\ncoco = [\r\n  "a",\r\n]\r\n',
        '[pictures]\r\ncoco = [\r\n  "a",\r\n  "new",\r\n]\r\n',
    ),
}


@pytest.mark.parametrize("case", CASES)
def test_a_folder_is_inserted_in_its_list(case: str) -> None:
    before, after = CASES[case]
    assert with_folder(before, "coco", "new") == after


@pytest.mark.parametrize("text", ['pictures = {coco = ["a"]}\n', "pictures = {}\n"])
def test_an_inline_table_is_not_changed(text: str) -> None:
    assert with_folder(text, "coco", "new") is None
    assert with_folder(text, "flickr", "new") is None


names = st.text(st.characters(exclude_categories=["Cs"]), max_size=8)
blanks = st.sampled_from(["", " ", "\n", "\n  ", " # [x] = 'y', \"\n", "\r\n\t"])
quotes = st.sampled_from(["basic", "literal", "long", "long literal"])


@st.composite
def strings(draw: st.DrawFn) -> str:
    """Draw a TOML string in one of its four notations, with quotes and brackets in it."""
    content = draw(st.text("ab'\"\\[]{}#=, ", max_size=6))
    notation = draw(quotes)
    if notation == "literal" and "'" not in content:
        return f"'{content}'"
    if notation == "long literal" and "''" not in content and not content.endswith("'"):
        return f"'''{content}\n'''"
    escaped = content.replace("\\", "\\\\").replace('"', '\\"')
    return f'"""\n{escaped}"""' if notation == "long" else f'"{escaped}"'


@st.composite
def files(draw: st.DrawFn) -> str:
    """Draw a settings file with several sources, lists of all shapes, and comments everywhere."""
    lines = draw(st.sampled_from(["", "# [pictures]\n", "a = 1 # b\n"]))
    lines += draw(st.sampled_from(["[pictures]\n", "[ 'pictures' ] # [\n", '["pictures"]\n\n']))
    for key in draw(st.lists(st.sampled_from(["coco", "'flickr'", '"v g"']), unique=True)):
        each = [draw(blanks) + draw(strings()) + draw(blanks) for _ in range(draw(st.integers(0, 3)))]
        comma = "," + draw(blanks) if each and draw(st.booleans()) else ""
        lines += f"{key} = [{','.join(each)}{comma}{draw(blanks)}] # {key}\n"
    return lines + draw(st.sampled_from(["", "[curate]\nblind = true\n", "# the end"]))


def is_subsequence(old: str, new: str) -> bool:
    """Return whether all characters of `old` are in `new`, in order."""
    letters = iter(new)
    return all(letter in letters for letter in old)


@given(files(), st.sampled_from(["coco", "flickr", "v g", "x.y", ""]), names)
def test_any_file_reads_back_with_the_folder_and_keeps_every_character(text: str, source: str, folder: str) -> None:
    wanted: dict[str, Any] = tomllib.loads(text)
    wanted["pictures"].setdefault(source, []).append(folder)
    changed = with_folder(text, source, folder)
    assert changed is not None
    assert tomllib.loads(changed) == wanted
    assert is_subsequence(text, changed)


@given(names, st.lists(names))
def test_the_line_to_add_by_hand_is_one_valid_line(source: str, folders: list[str]) -> None:
    line = folder_line(source, folders)
    assert tomllib.loads(line) == {source: folders}
    assert not set(line) & {"\n", "\r", "\x00", "\x1b", "\x7f"}


VALUES = {
    "in its place": (
        "[curate]\ntheme = 'a' # mine\nblind = true\n",
        '[curate]\ntheme = "new" # mine\nblind = true\n',
    ),
    "beside others": (
        "[curate] # c\nblind = true\n\n[train]\n",
        '[curate] # c\nblind = true\ntheme = "new"\n\n[train]\n',
    ),
    "before a subtable": (
        "[curate]\n\n[curate.keys]\nundo = 'b'\n",
        "[curate]\ntheme = \"new\"\n\n[curate.keys]\nundo = 'b'\n",
    ),
    "only a subtable": (
        "[curate.keys]\nundo = 'b'\n",
        "[curate]\ntheme = \"new\"\n\n[curate.keys]\nundo = 'b'\n",
    ),
    "over several lines": ('[curate]\ntheme = """\na"""\n', '[curate]\ntheme = "new"\n'),
    "dotted": ("curate.blind = true\n[train]\n", 'curate.blind = true\ncurate.theme = "new"\n[train]\n'),
    "in another table": ("[train]\ntheme = 'a'", "[train]\ntheme = 'a'\n\n[curate]\ntheme = \"new\"\n"),
    "line ends of Windows": ("[curate]\r\ntheme = 'a'\r\n", '[curate]\r\ntheme = "new"\r\n'),
    "nothing": ("", '[curate]\ntheme = "new"\n'),
}


@pytest.mark.parametrize("case", VALUES)
def test_a_value_is_inserted_in_its_table(case: str) -> None:
    before, after = VALUES[case]
    assert with_value(before, ("curate",), "theme", "new") == after


def test_a_value_in_an_inline_table_is_not_changed() -> None:
    assert with_value("curate = { theme = 'a' }\n", ("curate",), "order", "new") is None


@given(files(), names)
def test_any_value_reads_back_and_every_other_character_stays(text: str, value: str) -> None:
    wanted: dict[str, Any] = tomllib.loads(text)
    wanted.setdefault("curate", {})["theme"] = value
    changed = with_value(text, ("curate",), "theme", value)
    assert changed is not None
    assert tomllib.loads(changed) == wanted
    assert is_subsequence(text, changed)
    again = with_value(changed, ("curate",), "theme", "other")
    assert again == changed.replace(value_line("theme", value), 'theme = "other"')


def test_the_line_of_a_setting_is_found() -> None:
    text = "# a\n[curate]\n  theme = 'x'\n[curate.keys]\nundo = 'b'\n[progress]\ntargets = { cue = 'none' }\n"
    assert (line_of(text, "curate", "theme"), line_of(text, "curate", "keys", "undo")) == (3, 5)
    assert line_of(text, "progress", "targets", "cue") == 7
    assert line_of(text, "curate", "order") is None


def test_the_line_of_a_key_in_an_array_of_tables_is_that_of_its_element() -> None:
    text = "[[a.b]]\nx = 1\n[[a.b]]\nx = 2\n[a.b.c]\ny.z = 3\n[d]"
    lines: dict[Path, int | None] = {
        ("a", "b", 0, "x"): 2,
        ("a", "b", 1, "x"): 4,
        ("a", "b", 1): 3,
        ("a", "b", 1, "c", "missing"): 5,
        ("a", "b", 1, "c", "y"): 6,
        ("a", "b", 0, "c"): 1,
        ("d", "missing"): 7,
        ("e",): None,
    }
    assert {path: line_of_key_or_header(text, path) for path in lines} == lines


def test_the_line_of_a_setting_is_its_first_line_in_any_notation() -> None:
    text = (
        '[a]\r\n"x=y"."z" = """\n[b]\n"""\nlong = [\n  1, # ]\n  2,\n]\n[[b]]\nc = { d = 1 }\n[e."f.g"] # h\nlast = 1'
    )
    paths = [("a", "x=y", "z"), ("a", "long"), ("b", "c", "d"), ("e", "f.g", "last"), ("a", "x=y"), ("e",)]
    assert [line_of(text, *path) for path in paths] == [2, 5, 10, 12, None, None]


TEXT_CASES = {
    "an empty file": ("", '[browse.views]\nmine = "new"\n'),
    "a new table": ("[curate]\nx = 1 # c\n", '[curate]\nx = 1 # c\n\n[browse.views]\nmine = "new"\n'),
    "in its table": ("[browse.views]\na = 'b'\n\n[train]\n", "[browse.views]\na = 'b'\nmine = \"new\"\n\n[train]\n"),
    "in place of the old value": (
        "[browse.views]\nmine = 'old' # c\nb = 'c'\n",
        "[browse.views]\nmine = \"new\" # c\nb = 'c'\n",
    ),
    "of several lines": ('[browse.views]\nmine = """\nold\n""" # c\n', '[browse.views]\nmine = "new" # c\n'),
    "dotted": ("browse.views.a = 'b'\n", "browse.views.a = 'b'\nbrowse.views.mine = \"new\"\n"),
    "dotted in its table": ("[browse]\nviews.a = 'b'\n", "[browse]\nviews.a = 'b'\nviews.mine = \"new\"\n"),
    "before the comments of the next table": (
        "[browse.views]\n# saved views\n\n# [generate]\n\n[train]\n",
        '[browse.views]\n# saved views\nmine = "new"\n\n# [generate]\n\n[train]\n',
    ),
    "quoted": ("[browse.\"views\"]\n'mine' = 'x'\n", '[browse."views"]\n\'mine\' = "new"\n'),
}


@pytest.mark.parametrize("case", TEXT_CASES)
def test_a_view_is_inserted_or_replaced(case: str) -> None:
    before, after = TEXT_CASES[case]
    assert with_value(before, ("browse", "views"), "mine", "new") == after


def test_a_view_in_an_inline_table_is_not_changed() -> None:
    assert with_value("browse = { views = { a = 'b' } }\n", ("browse", "views"), "mine", "new") is None
    assert with_value("browse = 1\n", ("browse", "views"), "mine", "new") is None


@given(st.text(max_size=20), st.text(min_size=1, max_size=20))
def test_any_view_under_any_name_reads_back(name: str, value: str) -> None:
    text = with_value("# c\n[browse.views]\nx = 'y'\n", ("browse", "views"), name, value)
    assert text is not None
    assert tomllib.loads(text)["browse"]["views"][name] == value
