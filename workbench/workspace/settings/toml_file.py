"""Reading of the TOML files that people write: negwb.toml and prompt files."""

from __future__ import annotations

import codecs
import tomllib
from pathlib import Path
from typing import Any, Final

from workbench.errors import UsageError

_MARK: Final = "\ufeff"
_OTHER_ENCODINGS: Final = (
    (codecs.BOM_UTF32_LE, "UTF-32"),
    (codecs.BOM_UTF32_BE, "UTF-32"),
    (codecs.BOM_UTF16_LE, "UTF-16"),
    (codecs.BOM_UTF16_BE, "UTF-16"),
)
"""Byte order marks. That of UTF-32 begins with that of UTF-16."""
_HINT: Final = "save the file as UTF-8"


def read_toml_text(path: Path) -> str:
    """Return the text of a file with its line ends, without a byte order mark, which TOML does not allow.

    Raises:
        UsageError: the file cannot be read, or is not UTF-8.
    """
    try:
        content = path.read_bytes()
    except OSError as error:
        raise UsageError(f"{path}: {error.strerror or error}", hint="check the permissions of the file") from error
    for mark, encoding in _OTHER_ENCODINGS:
        if content.startswith(mark):
            raise UsageError(f"{path}: the encoding is {encoding}, not UTF-8", hint=_HINT)
    try:
        return content.decode("utf-8").removeprefix(_MARK)
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise UsageError(f"{path}: not UTF-8: byte 0x{content[error.start]:02x} in line {line}", hint=_HINT) from error


def parse_toml(text: str, where: str, *, hint: str) -> dict[str, Any]:
    """Parse a text.

    Raises:
        UsageError: not TOML, nested too deeply, or a number with too many digits.
    """
    try:
        return tomllib.loads(text)
    except RecursionError as error:
        raise UsageError(f"{where}: tables are nested too deeply", hint=hint) from error
    except ValueError as error:  # TOMLDecodeError, or a number of 5,000 digits
        if "\0" in text:
            problem = f"line {text.count(chr(10), 0, text.index(chr(0))) + 1} contains the character U+0000"
            raise UsageError(f"{where}: {problem}: the file is not UTF-8 text", hint=_HINT) from error
        raise UsageError(f"{where}: {error}", hint=hint) from error
