"""Validator of the part of JSON Schema draft 7 that the schemas in the tests use; any other keyword is an error.

Not a dependency, because no other test needs one; on the schemas of Every Eval Ever it agrees with `jsonschema`.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any

_TYPES: Mapping[str, tuple[type, ...]] = {
    "object": (dict,),
    "array": (list,),
    "string": (str,),
    "integer": (int,),
    "number": (int, float),
    "boolean": (bool,),
    "null": (type(None),),
}
_ANNOTATIONS = {"$schema", "$defs", "version", "description", "default", "then", "else"}


def problems(value: Any, schema: Mapping[str, Any], root: Mapping[str, Any], at: str = "") -> Iterator[str]:
    """Yield what of `value` violates `schema`; `root` resolves its references."""
    for keyword, rule in schema.items():
        if keyword not in _ANNOTATIONS:
            yield from _violations(keyword, rule, value, schema, root, at)


def _valid(value: Any, schema: Mapping[str, Any], root: Mapping[str, Any]) -> bool:
    return next(problems(value, schema, root), None) is None


def _violations(
    keyword: str, rule: Any, value: Any, schema: Mapping[str, Any], root: Mapping[str, Any], at: str
) -> Iterator[str]:
    table = value if isinstance(value, dict) else {}
    items = value if isinstance(value, list) else []
    if keyword == "$ref":
        yield from problems(value, root["$defs"][rule.removeprefix("#/$defs/")], root, at)
    elif keyword == "properties":
        for name in table.keys() & rule.keys():
            yield from problems(table[name], rule[name], root, f"{at}/{name}")
    elif keyword == "additionalProperties":
        for name in table.keys() - schema.get("properties", {}).keys():
            yield from [f"{at}: unknown {name}"] if rule is False else problems(table[name], rule, root, f"{at}/{name}")
    elif keyword == "items":
        for number, item in enumerate(items):
            yield from problems(item, rule, root, f"{at}/{number}")
    elif keyword == "allOf":
        for each in rule:
            yield from problems(value, each, root, at)
    elif keyword == "if":
        yield from problems(value, schema.get("then" if _valid(value, rule, root) else "else", {}), root, at)
    elif not _holds(keyword, rule, value, root):
        yield f"{at}: {value!r:.80} violates {keyword} {rule!r:.80}"


def _holds(keyword: str, rule: Any, value: Any, root: Mapping[str, Any]) -> bool:
    if keyword == "type":
        return any(_has_type(value, name) for name in ([rule] if isinstance(rule, str) else rule))
    if keyword == "required":
        return not isinstance(value, dict) or not set(rule) - value.keys()
    if keyword == "oneOf":
        return sum(_valid(value, each, root) for each in rule) == 1
    if keyword in ("minimum", "maximum"):
        is_number = _has_type(value, "number")
        return not is_number or (value >= rule if keyword == "minimum" else value <= rule)
    rules: dict[str, Callable[[], bool]] = {
        "enum": lambda: value in rule,
        "const": lambda: value == rule,
        "not": lambda: not _valid(value, rule, root),
        "pattern": lambda: not isinstance(value, str) or re.search(rule, value) is not None,
        "minItems": lambda: not isinstance(value, list) or len(value) >= rule,
    }
    return rules[keyword]()


def _has_type(value: Any, name: str) -> bool:
    return isinstance(value, _TYPES[name]) and (name == "boolean" or not isinstance(value, bool))
