"""Reads the tensors of a TorchScript archive, such as OpenAI's CLIP files, without running its code.

`torch.jit.load` compiles the code of an archive, and `torch.load(weights_only=True)` refuses such archives. The pickle
in an archive names classes of that code (`__torch__...`), tensors, and a few constructors of lists. Here each name maps
to an inert stand-in from a closed list, and any other name is an error, so nothing in the file can run.
"""

from __future__ import annotations

import io
import math
import pickle
import zipfile
from collections import OrderedDict
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

_MAX_PICKLE = 64 << 20
_MAX_CODE = 16 << 20
_DTYPES = {
    f"{name}Storage": dtype
    for name, dtype in {
        "Float": torch.float32,
        "Half": torch.float16,
        "BFloat16": torch.bfloat16,
        "Double": torch.float64,
        "Long": torch.int64,
        "Int": torch.int32,
        "Short": torch.int16,
        "Char": torch.int8,
        "Byte": torch.uint8,
        "Bool": torch.bool,
    }.items()
}
_FACTOR = 1.702
"""The factor in QuickGELU, x * sigmoid(1.702 x): in the code of scripted models, among the constants of traced ones."""


_TEXTS = (".py", ".debug_pkl")


class DamagedArchive(ValueError):
    """The archive is damaged or holds something else than tensors in modules."""


def is_torchscript(path: Path) -> bool:
    """Return whether the file is a zip archive with TorchScript code, by the rule of torch: it has a constants.pkl."""
    try:
        with zipfile.ZipFile(path) as archive:
            return any(name.count("/") == 1 and name.endswith("/constants.pkl") for name in archive.namelist())
    except (OSError, zipfile.BadZipFile):
        return False


def read_torchscript(path: Path) -> tuple[dict[str, Tensor], bool]:
    """Return the tensors by their path of modules, and whether the code contains QuickGELU.

    Raises:
        DamagedArchive: see there.
    """
    with zipfile.ZipFile(path) as archive:
        records = [entry for entry in archive.infolist() if not entry.filename.endswith(_TEXTS)]
        if any(entry.compress_type != zipfile.ZIP_STORED for entry in records):
            raise DamagedArchive("a compressed record, which torch never writes")
        root = next(name for name in archive.namelist() if name.endswith("/constants.pkl")).partition("/")[0]
        if f"{root}/byteorder" in archive.namelist() and archive.read(f"{root}/byteorder") != b"little":
            raise DamagedArchive("big-endian tensors")
        state = dict(_tensors(_unpickle(archive, root, "data")))
        return state, _has_quick_gelu(archive, root)


def _unpickle(archive: zipfile.ZipFile, root: str, name: str) -> Any:
    """Read NAME.pkl, whose tensors lie in the folder NAME."""
    entry = archive.getinfo(f"{root}/{name}.pkl")
    if entry.file_size > _MAX_PICKLE:
        raise DamagedArchive(f"a structure of {entry.file_size:,} bytes")

    class Module:
        """Stand-in for a class of the archive's code: it keeps the attributes."""

        def __setstate__(self, attributes: object) -> None:
            self.attributes = attributes

    def rebuild(storage: Tensor, offset: int, size: tuple[int, ...], stride: tuple[int, ...], *_: object) -> Tensor:
        count = 1
        for length in size:
            count *= length
        if count > len(storage):  # strides of 0 would let a small file fill the memory
            raise DamagedArchive(f"a tensor of {count:,} values in a record of {len(storage):,}")
        return storage.as_strided(size, stride, offset)  # checks the bounds

    def constructed(*values: object) -> object:
        return values[0] if values else None

    inert = {
        ("torch._utils", "_rebuild_tensor_v2"): rebuild,
        ("collections", "OrderedDict"): OrderedDict,
        ("torch.jit._pickle", "build_intlist"): constructed,
        ("torch.jit._pickle", "build_doublelist"): constructed,
        ("torch.jit._pickle", "build_boollist"): constructed,
        ("torch.jit._pickle", "build_tensorlist"): constructed,
        ("torch.jit._pickle", "restore_type_tag"): constructed,
    }

    class Unpickler(pickle.Unpickler):
        def find_class(self, module: str, attribute: str) -> Any:
            if module.startswith("__torch__"):
                return Module
            if module == "torch" and attribute in _DTYPES:
                return _DTYPES[attribute]
            if (module, attribute) not in inert:
                raise DamagedArchive(f"the unexpected name {module}.{attribute}")
            return inert[module, attribute]

        def persistent_load(self, saved: Any) -> Tensor:
            _, dtype, key, _, count = saved
            record = archive.read(f"{root}/{name}/{key}")
            if not isinstance(dtype, torch.dtype) or len(record) != count * dtype.itemsize:
                raise DamagedArchive(f"a tensor record of {len(record):,} bytes instead of {count:,} values")
            return torch.frombuffer(bytearray(record), dtype=dtype) if record else torch.empty(0, dtype=dtype)

    return Unpickler(io.BytesIO(archive.read(entry))).load()


def _tensors(module: Any, prefix: str = "", depth: int = 0) -> Iterator[tuple[str, Tensor]]:
    """Yield parameters and buffers; a causal mask is a plain attribute in OpenAI's code, not a buffer."""
    attributes = getattr(module, "attributes", None)
    if not isinstance(attributes, dict) or depth > 50:
        return
    for name, value in attributes.items():
        if isinstance(value, Tensor) and name != "attn_mask":
            yield f"{prefix}{name}", value
        else:
            yield from _tensors(value, f"{prefix}{name}.", depth + 1)


def _has_quick_gelu(archive: zipfile.ZipFile, root: str) -> bool:
    sources = [entry for entry in archive.infolist() if "/code/" in entry.filename and entry.filename.endswith(".py")]
    if sum(entry.file_size for entry in sources) > _MAX_CODE:
        raise DamagedArchive("more code than a model has")
    constants = _unpickle(archive, root, "constants")
    scalars = [value for value in constants if isinstance(value, Tensor) and value.numel() == 1]
    if any(math.isclose(float(value), _FACTOR, rel_tol=1e-3) for value in scalars):  # 1.702 in half precision
        return True
    return any(str(_FACTOR).encode() in archive.read(entry) for entry in sources)
