"""The JSON Schema of negwb.toml, from the dataclasses of its tables: editors complete and check the file with it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import MISSING, Field, fields, is_dataclass
from enum import Enum
from types import NoneType, UnionType
from typing import Any, Final, Literal, Union, get_args, get_origin, get_type_hints

from workbench.workspace.own_commands import OwnCommand
from workbench.workspace.settings.catalog import TARGETS, sentence
from workbench.workspace.settings.engines import EngineSettings
from workbench.workspace.settings.generation import GenerateSettings
from workbench.workspace.settings.settings import FOLLOW_LINKS_HELP, RECIPE_HELP, CurateSettings, ExportSettings

Schema = dict[str, Any]
_DIALECT: Final = "http://json-schema.org/draft-07/schema#"
_NAMES: Final[Mapping[type, str]] = {str: "string", bool: "boolean", int: "integer", float: "number"}
_TEXTS: Final[Schema] = {"type": "array", "items": {"type": "string"}}


def settings_schema() -> Schema:
    """Return the schema. Values that depend on each other are left to `negwb config validate`."""
    from curation_db.lint.settings import LintSettings  # noqa: PLC0415 -- with numbers of the tokenizer
    from trainers.settings import TrainSettings  # noqa: PLC0415

    follow_links = {"type": "boolean", "description": sentence(FOLLOW_LINKS_HELP)}
    folders = {"oneOf": [{"type": "string"}, _TEXTS], "description": "Folders with the images of this source."}
    train = schema_of(TrainSettings)
    train["properties"] |= {
        "model": {"type": "string", "description": "The model to start from."},
        "recipe": {"type": "string", "description": sentence(RECIPE_HELP)},
        "report_to": {"oneOf": [{"type": "string"}, _TEXTS], "description": "Trackers that show the metrics."},
    }
    shares = {"type": "object", "additionalProperties": {"type": "number", "minimum": 0, "maximum": 1}}
    targets = {name: {"oneOf": [{"type": "string"}, shares], "description": text} for name, text in TARGETS.items()}
    return {
        "$schema": _DIALECT,
        "description": "negwb.toml, the settings of a workspace of negwb.",
        "type": "object",
        "properties": {
            "pictures": {
                "type": "object",
                "properties": {"follow_links": {"oneOf": [follow_links, *folders["oneOf"]]}},
                "additionalProperties": folders,
            },
            "follow_links": follow_links,
            "curate": schema_of(CurateSettings),
            "commands": {"type": "object", "additionalProperties": schema_of(OwnCommand)},
            "lint": schema_of(LintSettings),
            "progress": _table({"targets": _table(targets)}),
            "browse": _table({"views": {"type": "object", "additionalProperties": {"type": "string"}}}),
            "export": schema_of(ExportSettings),
            "generate": schema_of(GenerateSettings),
            "engines": {"type": "object", "additionalProperties": schema_of(EngineSettings)},
            "train": train,
        },
        "additionalProperties": False,
    }


def schema_of(kind: type[Any]) -> Schema:
    """Return the schema of a table that `curation_db.validation.validate` converts to the dataclass `kind`."""
    hints = get_type_hints(kind)
    keys = [each for each in fields(kind) if each.init and each.metadata.get("key", True)]
    schema = _table({each.name: _property(each, hints[each.name]) for each in keys})
    required = [each.name for each in keys if each.default is MISSING and each.default_factory is MISSING]
    return {**schema, "required": required} if required else schema


def _table(properties: Schema) -> Schema:
    return {"type": "object", "properties": properties, "additionalProperties": False}


def _property(each: Field[Any], hint: Any) -> Schema:
    schema, metadata = _of_type(hint), each.metadata
    for name, keyword in (("at_least", "minimum"), ("at_most", "maximum")):
        if name in metadata:
            schema[keyword] = metadata[name]
    if "choices" in metadata:
        schema["enum"] = list(metadata["choices"])
    if "help" in metadata:
        schema["description"] = sentence(metadata["help"])
    if each.default is not MISSING and each.default is not None:  # TOML has no null
        default = each.default
        schema["default"] = sorted(default) if isinstance(default, AbstractSet | tuple) else default
    return schema


def _of_type(hint: Any) -> Schema:
    origin, arguments = get_origin(hint), get_args(hint)
    if origin in (Union, UnionType):
        options = [_of_type(each) for each in arguments if each is not NoneType]
        return options[0] if len(options) == 1 else {"oneOf": options}
    if origin is Literal:
        return {"enum": list(arguments)}
    return _of_class(hint) if origin is None else _of_collection(origin, arguments)


def _of_class(kind: Any) -> Schema:
    if not isinstance(kind, type):
        return {}
    if issubclass(kind, Enum):
        return {"enum": [each.value for each in kind]}
    if is_dataclass(kind):
        return schema_of(kind)
    return {"type": _NAMES[kind]} if kind in _NAMES else {}


def _of_collection(kind: type, items: Sequence[Any]) -> Schema:
    if issubclass(kind, Mapping):
        return {"type": "object", "additionalProperties": _of_type(items[1])}
    return {"type": "array", "items": _of_type(items[0])}
