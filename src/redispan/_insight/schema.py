"""The JSON schemas of the reports. They are generated from the report records, so the two cannot differ."""

from __future__ import annotations

import dataclasses
import types
from collections.abc import Mapping
from typing import Any, Union, get_args, get_origin, get_type_hints

from redispan._insight.report_records import SCHEMA_VERSION

_SIMPLE: dict[Any, dict[str, Any]] = {
    str: {"type": "string"},
    bool: {"type": "boolean"},
    int: {"type": "integer"},
    float: {"type": "number"},
    type(None): {"type": "null"},
    Any: {},
}


def schema_of(record: type) -> dict[str, Any]:
    """Return the JSON schema (draft 2020-12) of a report."""
    definitions: dict[str, Any] = {}
    body = _object(record, definitions)
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": record.__name__,
        "version": SCHEMA_VERSION,
        **body,
        "$defs": definitions,
    }


def _object(record: type, definitions: dict[str, Any]) -> dict[str, Any]:
    hints = get_type_hints(record)
    fields = dataclasses.fields(record)
    described = _descriptions(record)
    return {
        "type": "object",
        "description": (record.__doc__ or "").partition("\n")[0],
        "properties": {
            field.name: {**_of(hints[field.name], definitions), **described.get(field.name, {})} for field in fields
        },
        "required": [field.name for field in fields],
        "additionalProperties": False,
    }


def _of(hint: Any, definitions: dict[str, Any]) -> dict[str, Any]:
    if hint in _SIMPLE:
        return dict(_SIMPLE[hint])
    if dataclasses.is_dataclass(hint) and isinstance(hint, type):
        if hint.__name__ not in definitions:
            definitions[hint.__name__] = {}
            definitions[hint.__name__] = _object(hint, definitions)
        return {"$ref": f"#/$defs/{hint.__name__}"}
    origin, inner = get_origin(hint), get_args(hint)
    if origin in (Union, types.UnionType):
        return {"anyOf": [_of(one, definitions) for one in inner]}
    if origin is tuple and len(inner) == 2 and inner[1] is Ellipsis:
        return {"type": "array", "items": _of(inner[0], definitions)}
    if origin is tuple:
        return {"type": "array", "prefixItems": [_of(one, definitions) for one in inner]}
    if origin in (dict, Mapping):
        return {"type": "object", "additionalProperties": _of(inner[1], definitions)}
    raise TypeError(f"no schema for {hint!r}")


def _descriptions(record: type) -> dict[str, dict[str, str]]:
    """Read field descriptions from the ``Attributes`` sections of the docstrings of a record and its base classes.

    Only the first line of an attribute counts.
    """
    found: dict[str, dict[str, str]] = {}
    for kind in reversed(record.__mro__):
        lines = (kind.__doc__ or "").partition("Attributes:")[2].splitlines()
        for line in lines:
            name, colon, text = line.strip().partition(": ")
            if colon and name.isidentifier():
                found[name] = {"description": text}
    return found
