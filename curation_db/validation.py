"""Strict conversion of tables from TOML or JSON into dataclasses; every problem is reported with its key.

msgspec checks the types; it is imported at the first call. This module adds three things: unknown keys are problems
(msgspec ignores them), ranges come from a field's metadata, and the check continues after the first problem.

Metadata of a field, as `setting` writes it:

    help                one line for people
    at_least, at_most   range of a number, both ends included
    choices             allowed values of a text
    expected            text of a problem instead of the type
    check               callable: value -> expected value as text; empty if the value is right
    key                 False: the field is not a key of the table
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import MISSING, Field, dataclass, field, fields, is_dataclass
from enum import Enum
from functools import cache
from types import MappingProxyType, NoneType, UnionType
from typing import (
    Annotated,
    Any,
    Literal,
    NotRequired,
    Required,
    TypeVar,
    Union,
    cast,
    get_args,
    get_origin,
    get_type_hints,
    is_typeddict,
)

T = TypeVar("T")
Path = tuple[str | int, ...]
_NO_METADATA: Mapping[str, Any] = MappingProxyType({})
_LISTS: tuple[Any, ...] = (list, tuple, Sequence, Collection, set, frozenset, AbstractSet)
_TABLES: tuple[Any, ...] = (dict, Mapping)
_ONE: Mapping[Any, str] = {str: "text in quotes", int: "a whole number", float: "a number", bool: "true or false"}
_MANY: Mapping[Any, str] = {str: "texts", int: "whole numbers", float: "numbers", bool: "true or false"}
_LONGEST = 80
"""Characters of a wrong value that a message shows."""


class ProblemKind(Enum):
    UNKNOWN = "unknown"
    MISSING = "missing"
    WRONG_TYPE = "wrong type"
    NOT_ALLOWED = "not allowed"
    """The type is right; the range, the choices or the field's own check refuse the value."""


@dataclass(frozen=True, slots=True)
class Problem:
    path: Path
    """Keys and list indices from the top; empty for the whole value."""
    kind: ProblemKind
    expected: str
    """A type with its range, or a list of choices; for an unknown key the known keys of the table."""
    value: object = None
    """The refused value; None for a missing key."""
    suggestion: str = ""
    """A known key that resembles the unknown one."""

    @property
    def key(self) -> str:
        """The path as text: judge[0].model."""
        return key_text(self.path)

    @property
    def shown(self) -> str:
        """The refused value, cut to one short line."""
        try:
            text = repr(self.value)
        except ValueError:  # a hexadecimal integer of more digits than Python converts
            text = "a very large number"
        return text if len(text) <= _LONGEST else f"{text[:_LONGEST]}…"

    def __str__(self) -> str:
        if self.kind is ProblemKind.UNKNOWN:
            hint = f"did you mean {self.suggestion}?" if self.suggestion else f"known: {self.expected}"
            return f"unknown key {self.key}; {hint}"
        if self.kind is ProblemKind.MISSING:
            return f"{self.key} is missing: {self.expected} is expected"
        assigned = f"{self.key} = {self.shown}" if self.path else self.shown
        if self.expected.startswith("one of"):
            return f"{assigned}: {self.expected}"
        return f"{assigned}: {self.expected} is expected"


class ValidationError(ValueError):
    """The value does not fit the type; `problems` has one entry for each wrong key, in the order of the fields."""

    def __init__(self, problems: Sequence[Problem]) -> None:
        super().__init__("; ".join(map(str, problems)))
        self.problems = tuple(problems)


def setting(default: Any, text: str, **metadata: Any) -> Any:
    """A dataclass field with a default, a help text and further metadata."""
    return field(default=default, metadata={"help": text, **metadata})


def validate(value: object, kind: type[T], *, path: Path = (), unknown_keys: bool = False) -> T:
    """Convert `value` to `kind`: a dataclass, a TypedDict, or a type of the standard library.

    A whole number is accepted as a number; lists become tuples if the type is a tuple. Exceptions of the
    `__post_init__` of a dataclass are not caught.

    Args:
        path: first part of the path of every problem.
        unknown_keys: accept keys that the type does not have. A dataclass drops them, a TypedDict keeps them.

    Raises:
        ValidationError: with all problems.
    """
    return cast(T, _Validator(unknown_keys).run(value, kind, path, _NO_METADATA))


def validate_field(value: object, owner: type, name: str, *, path: Path | None = None) -> Any:
    """Convert `value` to the type of the field `name` of the dataclass `owner`; raises as `validate`."""
    metadata = next(each.metadata for each in fields(owner) if each.name == name)
    return _Validator(False).run(value, _hints(owner)[name], (name,) if path is None else path, metadata)


def key_text(path: Path) -> str:
    """Return a path as text: ("judge", 0, "model") is judge[0].model; a key that TOML would quote is quoted."""
    text = ""
    for part in path:
        if isinstance(part, int):
            text += f"[{part}]"
            continue
        bare = part.isascii() and part.replace("-", "_").replace("_", "a").isalnum()
        text += f"{'.' if text else ''}{part if bare else repr(part)}"
    return text


def closest(word: str, known: Collection[str]) -> str:
    """Return the known word that resembles `word` most; empty if none does."""
    from difflib import get_close_matches  # noqa: PLC0415 -- only for an error

    return next(iter(get_close_matches(word, known, n=1)), "")


def describe(hint: Any, metadata: Mapping[str, Any] = _NO_METADATA) -> str:
    """Return a description of the type's values: "a number from 0 to 1"."""
    if expected := metadata.get("expected"):
        return str(expected)
    if choices := metadata.get("choices"):
        return f"one of: {', '.join(map(str, choices))}"
    if (low := metadata.get("at_least")) is not None and (high := metadata.get("at_most")) is not None:
        return f"{_describe(hint)} from {low:g} to {high:g}"
    if (low := metadata.get("at_least")) is not None:
        return f"{_describe(hint)} of at least {low:g}"
    if (high := metadata.get("at_most")) is not None:
        return f"{_describe(hint)} of at most {high:g}"
    return _describe(hint)


def _describe(hint: Any) -> str:
    hint, _ = _without_none(hint)
    origin, arguments = get_origin(hint), get_args(hint)
    if choices := _choices(hint):
        return f"one of: {', '.join(choices)}"
    if origin in _TABLES or hint in _TABLES or _is_record(hint):
        return "a table"
    if origin in _LISTS or hint in _LISTS:
        if origin is tuple and Ellipsis not in arguments:
            return f"a list of {len(arguments)} {_MANY.get(arguments[0], 'values')}"
        return f"a list of {_MANY[arguments[0]]}" if arguments and arguments[0] in _MANY else "a list"
    if origin in (Union, UnionType):
        return " or ".join(_describe(each) for each in arguments)
    return _ONE.get(hint, str(getattr(hint, "__name__", hint)))


class _Validator:
    """Walks a value and its type together and collects the problems."""

    def __init__(self, unknown_keys: bool) -> None:
        self._unknown_keys = unknown_keys
        self._problems: list[Problem] = []

    def run(self, value: object, hint: Any, path: Path, metadata: Mapping[str, Any]) -> Any:
        converted = self._convert(value, hint, path, metadata)
        if self._problems:
            raise ValidationError(self._problems)
        return converted

    def _convert(self, value: Any, hint: Any, path: Path, metadata: Mapping[str, Any]) -> Any:
        hint, optional = _without_none(hint)
        if value is None and optional:
            return None
        problems = len(self._problems)
        if _is_record(hint):
            converted = self._record(value, hint, path)
        elif get_origin(hint) in _TABLES and not _is_leaf(get_args(hint)[1]):
            converted = self._table(value, hint, path)
        elif get_origin(hint) in _LISTS and not _is_leaf(get_args(hint)[0]):
            converted = self._list(value, hint, path)
        else:
            converted = self._leaf(value, hint, path, metadata)
        if len(self._problems) == problems:
            self._check(converted, value, hint, path, metadata)
        return converted

    def _record(self, value: Any, kind: type, path: Path) -> Any:
        if is_dataclass(kind) and isinstance(value, kind):
            return value
        if not isinstance(value, Mapping):
            self._problems.append(Problem(path, ProblemKind.WRONG_TYPE, "a table", value))
            return None
        hints, known = _hints(kind), _fields(kind)
        problems = len(self._problems)
        for key in () if self._unknown_keys else value:
            if key not in known:
                near = closest(str(key), known)
                names = ", ".join(known)
                self._problems.append(Problem((*path, key), ProblemKind.UNKNOWN, names, value[key], near))
        converted = {} if is_dataclass(kind) else {key: value[key] for key in value if key not in known}
        for name, (required, metadata) in known.items():
            if name in value:
                converted[name] = self._convert(value[name], hints[name], (*path, name), metadata)
            elif required:
                expected = describe(hints[name], metadata)
                self._problems.append(Problem((*path, name), ProblemKind.MISSING, expected))
        if not is_dataclass(kind):
            return converted
        return kind(**converted) if len(self._problems) == problems else None

    def _table(self, value: Any, hint: Any, path: Path) -> Any:
        if not isinstance(value, Mapping):
            self._problems.append(Problem(path, ProblemKind.WRONG_TYPE, describe(hint), value))
            return None
        item = get_args(hint)[1]
        return {key: self._convert(each, item, (*path, key), _NO_METADATA) for key, each in value.items()}

    def _list(self, value: Any, hint: Any, path: Path) -> Any:
        if not isinstance(value, list | tuple):
            self._problems.append(Problem(path, ProblemKind.WRONG_TYPE, describe(hint), value))
            return None
        item = get_args(hint)[0]
        converted = [self._convert(each, item, (*path, i), _NO_METADATA) for i, each in enumerate(value)]
        return tuple(converted) if get_origin(hint) is tuple else converted

    def _leaf(self, value: Any, hint: Any, path: Path, metadata: Mapping[str, Any]) -> Any:
        import msgspec  # noqa: PLC0415 -- 25 ms that a command without settings does not pay

        try:
            return msgspec.convert(value, hint, strict=True)
        except msgspec.ValidationError:
            self._problems.extend(_leaf_problems(value, hint, path, metadata, msgspec))
        return None

    def _check(self, converted: Any, value: Any, hint: Any, path: Path, metadata: Mapping[str, Any]) -> None:
        low, high = metadata.get("at_least"), metadata.get("at_most")
        choices = metadata.get("choices")
        if (
            (low is not None and not converted >= low)  # nan is in no range
            or (high is not None and not converted <= high)
            or (choices is not None and converted not in choices)
        ):
            self._problems.append(Problem(path, ProblemKind.NOT_ALLOWED, describe(hint, metadata), value))
        elif (check := metadata.get("check")) and (expected := check(converted)):
            self._problems.append(Problem(path, ProblemKind.NOT_ALLOWED, expected, value))


def _leaf_problems(value: Any, hint: Any, path: Path, metadata: Mapping[str, Any], msgspec: Any) -> Iterator[Problem]:
    """Yield the problems of a value that msgspec refused: one for each wrong item, otherwise one for the value."""
    arguments, origin = get_args(hint), get_origin(hint)
    items: list[tuple[str | int, Any, Any]] = []
    if origin in _TABLES and isinstance(value, Mapping):
        items = [(key, each, arguments[1]) for key, each in value.items()]
    elif origin in _LISTS and isinstance(value, list | tuple) and (origin is not tuple or Ellipsis in arguments):
        items = [(index, each, arguments[0]) for index, each in enumerate(value)]
    any_item = False
    for key, each, kind in items:
        try:
            msgspec.convert(each, kind, strict=True)
        except msgspec.ValidationError:
            any_item = True
            yield from _leaf_problems(each, kind, (*path, key), _NO_METADATA, msgspec)
    if not any_item:
        yield Problem(path, _refusal(hint, value), describe(hint, metadata), value)


def _refusal(hint: Any, value: object) -> ProblemKind:
    is_choice = isinstance(value, str) and _choices(_without_none(hint)[0])
    return ProblemKind.NOT_ALLOWED if is_choice else ProblemKind.WRONG_TYPE


def _choices(hint: Any) -> tuple[str, ...]:
    """Return the values of a Literal or an enum; empty for another type."""
    if get_origin(hint) is Literal:
        return tuple(map(str, get_args(hint)))
    return tuple(str(each.value) for each in hint) if isinstance(hint, type) and issubclass(hint, Enum) else ()


def _is_record(hint: Any) -> bool:
    return isinstance(hint, type) and (is_dataclass(hint) or is_typeddict(hint))


def _is_leaf(hint: Any) -> bool:
    """Return whether the type contains no dataclass or TypedDict, so that msgspec can convert it directly."""
    hint = _plain(hint)
    return not _is_record(hint) and all(_is_leaf(each) for each in get_args(hint) if each is not Ellipsis)


def _plain(hint: Any) -> Any:
    while get_origin(hint) in (Annotated, NotRequired, Required):
        hint = get_args(hint)[0]
    return hint


def _without_none(hint: Any) -> tuple[Any, bool]:
    """Return the type without None, and whether the type allowed None."""
    hint = _plain(hint)
    if get_origin(hint) not in (Union, UnionType):
        return hint, False
    others = [each for each in get_args(hint) if each is not NoneType]
    optional = len(others) < len(get_args(hint))
    return (_plain(others[0]) if len(others) == 1 else hint), optional


@cache
def _hints(kind: type) -> Mapping[str, Any]:
    return get_type_hints(kind, include_extras=True)


@cache
def _fields(kind: type) -> Mapping[str, tuple[bool, Mapping[str, Any]]]:
    """Return (required, metadata) by field name."""
    if is_dataclass(kind):
        return {
            each.name: (_is_required(each), each.metadata)
            for each in fields(kind)
            if each.init and each.metadata.get("key", True)
        }
    # __required_keys__ is wrong if annotations are strings, so NotRequired is read from the resolved hints
    total = getattr(kind, "__total__", True)
    return {
        name: (get_origin(hint) is Required or (total and get_origin(hint) is not NotRequired), _NO_METADATA)
        for name, hint in _hints(kind).items()
    }


def _is_required(item: Field[Any]) -> bool:
    return item.default is MISSING and item.default_factory is MISSING
