"""Editing of the text of negwb.toml with tomlkit, and the line of a key. Comments, order and line ends stay.

tomlkit is imported at the first edit. Its result is used only where `tomllib` reads the intended content from it.
"""

from __future__ import annotations

import re
import tomllib
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache
from typing import Any

from curation_db.validation import Path

_TABLE = "pictures"
_LONE_LF = re.compile(r"(?<!\r)\n")


def with_folder(text: str, source: str, folder: str) -> str | None:
    """Return `text` with one more image folder of `source`; None if an inline table would have to be rewritten.

    Raises:
        ValueError: `text` is not TOML.
    """
    wanted = tomllib.loads(text)
    listed = wanted.setdefault(_TABLE, {}).get(source, [])
    wanted[_TABLE][source] = [*([listed] if isinstance(listed, str) else listed), folder]

    def change(home: Any) -> str:
        if isinstance(listed, str):
            home[source] = [home[source], folder]
        elif source in home:
            home[source] = _extended(home[source], folder, wanted[_TABLE][source])
        else:
            home[source] = [folder]
        return source

    return _edited(text, (_TABLE,), change, wanted)


def with_value(text: str, table: tuple[str, ...], name: str, value: str) -> str | None:
    """Return `text` with a new value for `name` of `table`; None if an inline table would have to be rewritten.

    Raises:
        ValueError: `text` is not TOML.
    """
    wanted = tomllib.loads(text)
    home = wanted
    for each in table:
        home = home.setdefault(each, {})
        if not isinstance(home, dict):
            return None
    home[name] = value

    def change(home: Any) -> str:
        home[name] = value
        return name

    return _edited(text, table, change, wanted)


def _edited(text: str, table: tuple[str, ...], change: Callable[[Any], str], wanted: dict[str, Any]) -> str | None:
    """Return `text` after `change` of a table; `change` returns the key that it assigned."""
    import tomlkit  # noqa: PLC0415
    from tomlkit.exceptions import TOMLKitError  # noqa: PLC0415
    from tomlkit.items import InlineTable, Table  # noqa: PLC0415

    try:
        document = tomlkit.parse(text if not text or text.endswith("\n") else f"{text}\n")
        home: Any = document
        for each in table:
            if each not in home:
                home[each] = tomlkit.table(is_super_table=each != table[-1])
            home = home[each]
            if isinstance(home, InlineTable):
                return None
        known = set(home)
        name = change(home)
    except TOMLKitError:  # tomlkit refuses some tables that tomllib reads
        return None
    if isinstance(home, Table) and name not in known:
        _move_up(home.value.body, name)
    new = tomlkit.dumps(document)
    if "\r\n" in text and not _LONE_LF.search(text):
        new = _LONE_LF.sub("\r\n", new)
    return new if _reads_as(new, wanted) else None


def _extended(array: Any, folder: str, wanted: list[str]) -> Any:
    """Return the array with one more text."""
    import tomlkit  # noqa: PLC0415

    before = array.as_string()
    array.append(folder)
    if _reads_as(f"x = {array.as_string()}", {"x": wanted}):
        return array
    # tomlkit 0.15 omits the comma where a comment follows the last item: try every place, from the end
    text = tomlkit.item(folder).as_string()
    for at in range(len(before) - 1, 0, -1):
        candidate = f"x = {before[:at]}, {text}{before[at:]}"
        if _reads_as(candidate, {"x": wanted}):
            return tomlkit.parse(candidate)["x"]
    return array


def _reads_as(text: str, wanted: dict[str, Any]) -> bool:
    try:
        return tomllib.loads(text) == wanted
    except tomllib.TOMLDecodeError:
        return False


def _move_up(body: list[Any], name: str) -> None:
    """Move a new key to the line after the last key, or after the comments of the header.

    tomlkit puts it after all comments of the table, which often belong to the next table.
    """
    from tomlkit.items import Whitespace  # noqa: PLC0415

    at = next(i for i, (key, _) in enumerate(body) if key is not None and key.key == name)
    last = max((i for i in range(at) if body[i][0] is not None), default=-1)
    if last < 0:
        last = next((i for i in range(at) if isinstance(body[i][1], Whitespace)), at) - 1
    body.insert(last + 1, body.pop(at))


def value_line(name: str, value: str) -> str:
    """Return the line that assigns a text to `name`."""
    return _line(name, value)


def folder_line(source: str, folders: Sequence[str]) -> str:
    return _line(source, list(folders))


def _line(name: str, value: Any) -> str:
    import tomlkit  # noqa: PLC0415

    return tomlkit.dumps({name: value}).rstrip("\n")


def line_of(text: str, *path: str) -> int | None:
    """Return the number of the line that assigns this key, or the nearest table around it; None: no line does.

    `text` is valid TOML.
    """
    lines, _ = _lines(text)
    return next((lines[path[:end]] for end in range(len(path), 0, -1) if path[:end] in lines), None)


def line_of_key_or_header(text: str, path: Path) -> int | None:
    """Return the number of the line that assigns this key, else of the header of the nearest table around it.

    `text` is valid TOML. `path` has the index of each table in an array of tables.
    """
    lines, headers = _lines(text)
    known = headers | lines
    return next((known[path[:end]] for end in range(len(path), 0, -1) if path[:end] in known), None)


@lru_cache(maxsize=1)  # the list of settings looks up a hundred keys of one text
def _lines(text: str) -> tuple[dict[Path, int], dict[Path, int]]:
    """Return the number of the first line of each assignment, and of each header, by its full path.

    An assignment in an array of tables is also found without the index; the last one counts then.
    """
    lines: dict[Path, int] = {}
    headers: dict[Path, int] = {}
    arrays: Counter[Path] = Counter()
    table: Path = ()
    statement, start = "", 0
    for number, line in enumerate(text.split("\n"), 1):
        if not statement:
            start = number
        statement += f"{line}\n"
        try:
            content = tomllib.loads(statement)
        except tomllib.TOMLDecodeError:  # the statement continues in the next line
            continue
        if statement.lstrip().startswith("["):
            table = _with_indices(_keys(content), arrays)
            if statement.lstrip().startswith("[["):
                headers.setdefault(table, start)
                table = (*table, arrays[table])
                arrays[table[:-1]] += 1
            headers[table] = start
        elif content:
            path = table + _key_of(statement)
            lines[path] = lines[tuple(part for part in path if isinstance(part, str))] = start
            for depth in range(len(table) + 1, len(path)):  # a dotted key begins tables, as a header does
                headers.setdefault(path[:depth], start)
        statement = ""
    return lines, headers


def _with_indices(keys: tuple[str, ...], arrays: Mapping[Path, int]) -> Path:
    """Return the path of a table, in which a name of an array of tables means its last element."""
    path: Path = ()
    for depth, key in enumerate(keys, 1):
        path += (key,)
        if depth < len(keys) and arrays.get(path):
            path += (arrays[path] - 1,)
    return path


def _key_of(statement: str) -> tuple[str, ...]:
    """Return the key of an assignment. A quoted key can have an equals sign, so the first that parses ends the key."""
    for equals in re.finditer("=", statement):
        try:
            return _keys(tomllib.loads(f"{statement[: equals.start()]} = 0"))
        except tomllib.TOMLDecodeError:
            continue
    raise ValueError(f"{statement!r} assigns no value")


def _keys(content: Any) -> tuple[str, ...]:
    """Return the path through nested tables of one key each."""
    path: tuple[str, ...] = ()
    while content:
        content = content[0] if isinstance(content, list) else content
        if not content:
            break
        ((name, content),) = content.items()
        path += (name,)
    return path
