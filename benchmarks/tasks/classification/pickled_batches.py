"""Reads the pickled batches of CIFAR without running anything that a file names.

The published files were pickled by Python 2: an object of lists, texts and one numpy array. The unpickler knows four
global names and replaces each by a stand-in of this module, which only stores what it is given: no function of numpy
or of another module is called. Every other name is refused.
"""

from __future__ import annotations

import io
import pickle
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from benchmarks.errors import BenchError
from curation_db.language.sanitize import first_line

SIZE_LIMIT: Final = 256_000_000
"""Bytes; the largest published batch has 31 million."""


class _Type:
    """Stands for numpy.ndarray where a file passes it as an argument."""


class _ByteType:
    """Stands for numpy.dtype."""

    def __init__(self, name: object = "", *_: object) -> None:
        self.name = name

    def __setstate__(self, state: object) -> None:
        """Byte order and alignment: without a meaning for bytes."""


class _Array:
    """Stands for an array; `values` checks it."""

    def __init__(self, *_: object) -> None:
        self._state: object = None

    def __setstate__(self, state: object) -> None:
        self._state = state

    def values(self) -> npt.NDArray[np.uint8]:
        """Return the array.

        Raises:
            ValueError: It does not hold bytes, or its shape is not that of its content.
        """
        if not isinstance(self._state, tuple) or len(self._state) != 5:
            raise ValueError("'data' is not an array")
        _, shape, kind, in_columns, content = self._state
        if not isinstance(kind, _ByteType) or kind.name not in ("u1", b"u1") or not isinstance(content, bytes):
            raise ValueError("'data' is not an array of bytes")
        if not isinstance(shape, tuple) or not all(type(side) is int and side >= 0 for side in shape):
            raise ValueError("'data' has an invalid shape")
        return np.frombuffer(content, np.uint8).reshape(shape, order="F" if in_columns else "C")


def _encode(text: object, encoding: object = "latin1") -> bytes:
    """Stands for _codecs.encode, with which Python 3 writes bytes in old versions of the format."""
    if not isinstance(text, str) or encoding != "latin1":
        raise pickle.UnpicklingError("unexpected encoding")
    return text.encode("latin1")


_STAND_INS: Final[Mapping[tuple[str, str], type | Callable[..., object]]] = {
    ("numpy.core.multiarray", "_reconstruct"): _Array,
    ("numpy._core.multiarray", "_reconstruct"): _Array,
    ("numpy", "ndarray"): _Type,
    ("numpy", "dtype"): _ByteType,
    ("_codecs", "encode"): _encode,
}


class _Unpickler(pickle.Unpickler):
    def find_class(self, module: str, name: str) -> Any:
        if (module, name) not in _STAND_INS:
            raise pickle.UnpicklingError(f"it names {module}.{name}, which no published file does")
        return _STAND_INS[module, name]


def read_batch(path: Path, *, hint: str) -> tuple[dict[str, Any], bytes]:
    """Return the entries of a file, texts decoded and arrays as bytes, and its content.

    Args:
        hint: What to do if the file is missing.

    Raises:
        BenchError: The file is missing, too large, or not a batch; nothing in it was run.
    """
    try:
        if path.stat().st_size > SIZE_LIMIT:
            raise BenchError(f"{path} is larger than {SIZE_LIMIT:,} bytes and no published file", hint=hint)
        content = path.read_bytes()
    except FileNotFoundError as error:
        raise BenchError(f"no such file: {path}", hint=hint) from error
    except OSError as error:
        raise BenchError(f"{path} cannot be read: {error.strerror or error}") from error
    try:
        entries = _Unpickler(io.BytesIO(content), encoding="bytes").load()
        if not isinstance(entries, dict):
            raise ValueError("expected an object of entries by name")
        return {str(_text(key)): _plain(value) for key, value in entries.items()}, content
    except Exception as error:  # a damaged pickle raises errors of many classes
        raise BenchError(f"{path} cannot be read as a batch of CIFAR: {first_line(error)}", hint=hint) from error


def _plain(value: object) -> object:
    if isinstance(value, _Array):
        return value.values()
    if isinstance(value, bytes):
        return _text(value)
    return [_text(each) if isinstance(each, bytes) else each for each in value] if isinstance(value, list) else value


def _text(value: object) -> object:
    return value.decode("utf-8") if isinstance(value, bytes) else value
