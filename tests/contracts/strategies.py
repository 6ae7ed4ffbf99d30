"""Hypothesis strategies for documents of the contracts: from a schema's limits, and from those of a msgspec type."""

import json
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import msgspec
from hypothesis import strategies as st
from msgspec import inspect

SCHEMAS = Path(__file__).resolve().parents[2] / "schemas"

# A year later the last second rounds up, out of the calendar.
LAST_MOMENT = datetime(9998, 12, 31)  # noqa: DTZ001

Json = Any
Schema = dict[str, Any]


def schema_of(contract: str) -> Schema:
    """The JSON Schema of one contract, such as ``event``."""
    schema: Schema = json.loads((SCHEMAS / contract / "v1.schema.json").read_bytes())
    return schema


def resolved(schema: Schema, node: Schema) -> Schema:
    """``node`` with its reference into ``schema`` replaced by what it points to; its own keywords win."""
    if "$ref" not in node:
        return node
    target: Schema = schema["$defs"][node["$ref"].removeprefix("#/$defs/")]
    return {**target, **{key: value for key, value in node.items() if key != "$ref"}}


def events() -> st.SearchStrategy[dict[str, Json]]:
    """API request events v1, every optional field present or absent, values over the whole range of the contract."""
    return documents("event")


def documents(contract: str) -> st.SearchStrategy[dict[str, Json]]:
    """Documents that the schema of ``contract`` allows, without unknown fields."""
    schema = schema_of(contract)
    return _from_schema(schema, schema)


def instances(struct: type[msgspec.Struct]) -> st.SearchStrategy[Any]:
    """Instances of ``struct`` within the limits of its annotations, each optional field set or unset."""
    return _from_type(inspect.type_info(struct))


def rfc3339_times(
    zones: tuple[str, ...] = ("Z", "z", "+00:00", "-00:00", "+05:30", "-23:59"),
) -> st.SearchStrategy[str]:
    """Valid event times, with up to nine digits of a second and an offset out of ``zones``."""
    moments = st.datetimes(max_value=LAST_MOMENT).map(lambda at: at.replace(microsecond=0))
    fractions = st.just("") | st.integers(0, 10**9 - 1).map(".{:09d}".format) | st.integers(0, 9).map(".{}".format)
    return st.builds(
        lambda at, separator, fraction, zone: at.isoformat().replace("T", separator) + fraction + zone,
        moments,
        st.sampled_from("Tt"),
        fractions,
        st.sampled_from(zones),
    )


def _from_schema(schema: Schema, node: Schema) -> st.SearchStrategy[Any]:
    node = resolved(schema, node)
    if "enum" in node:
        return st.sampled_from(node["enum"])
    match node["type"]:
        case "object":
            return _object(schema, node)
        case "array":
            return st.lists(_from_schema(schema, node["items"]), max_size=node.get("maxItems", 3))
        case "string":
            return _string(node)
        case "integer":
            return st.integers(node.get("minimum"), min(node.get("maximum", 2**63 - 1), 2**63 - 1))
        case "number":
            return st.floats(node.get("minimum"), node.get("maximum"), allow_nan=False, allow_infinity=False)
        case "boolean":
            return st.booleans()
    raise NotImplementedError(node["type"])


def _object(schema: Schema, node: Schema) -> st.SearchStrategy[dict[str, Any]]:
    if "properties" not in node:
        values = _from_schema(schema, node["additionalProperties"])
        return st.dictionaries(_string(node["propertyNames"]), values, max_size=node["maxProperties"])
    fields = {name: _from_schema(schema, field) for name, field in node["properties"].items()}
    required = set(node.get("required", ()))
    return st.fixed_dictionaries(
        {name: fields[name] for name in fields if name in required},
        optional={name: fields[name] for name in fields if name not in required},
    )


def _string(node: Schema) -> st.SearchStrategy[str]:
    if node.get("format") == "date-time":
        in_utc = node["pattern"].endswith(r"(Z|\+00:00)$")
        return rfc3339_times(("Z", "+00:00")).map(str.upper) if in_utc else rfc3339_times()
    if node.get("pattern", "").startswith("^[0-9a-f]"):
        return _simhashes()
    nul_free = st.characters(exclude_categories=["Cs"], exclude_characters="\0")
    characters = nul_free if "pattern" in node else st.characters(exclude_categories=["Cs"])
    return st.text(characters, min_size=node.get("minLength", 0), max_size=node.get("maxLength"))


def _simhashes() -> st.SearchStrategy[str]:
    return st.integers(0, 2**64 - 1).map("{:016x}".format)


def _from_type(kind: inspect.Type) -> st.SearchStrategy[Any]:  # noqa: C901, PLR0911
    match kind:
        case inspect.Metadata(type=inner):
            return _from_type(inner)
        case inspect.StructType(cls=struct, fields=fields):
            required = {field.name: _from_type(field.type) for field in fields if field.required}
            optional = {field.name: _from_type(field.type) for field in fields if not field.required}
            return st.fixed_dictionaries(required, optional=optional).map(lambda values: struct(**values))
        case inspect.StrType(pattern=pattern) if pattern is not None:
            return rfc3339_times(("Z", "+00:00")).map(str.upper)
        case inspect.StrType(min_length=16, max_length=16):
            return _simhashes()
        case inspect.StrType(min_length=shortest, max_length=longest):
            # A NUL is refused in some fields only, a rule that is not in the types.
            return st.text(st.characters(exclude_categories=["Cs", "Cc"]), min_size=shortest or 0, max_size=longest)
        case inspect.IntType(ge=low, le=high):
            return st.integers(low, high if high is not None else 2**63 - 1)
        case inspect.FloatType(ge=low, le=high):
            return st.floats(low, high, allow_nan=False, allow_infinity=False)
        case inspect.BoolType():
            return st.booleans()
        case inspect.EnumType(cls=enum):
            return st.sampled_from(list(enum))
        case inspect.DateTimeType():
            return st.datetimes(timezones=_zones())
        case inspect.ListType(item_type=item, max_length=longest):
            return st.lists(_from_type(item), max_size=3 if longest is None else longest)
        case inspect.DictType(key_type=key, value_type=value, max_length=longest):
            return st.dictionaries(_from_type(key), _from_type(value), max_size=3 if longest is None else longest)
    raise NotImplementedError(kind)


def _zones() -> st.SearchStrategy[timezone]:
    offsets = st.integers(-1439, 1439).map(lambda minutes: timezone(timedelta(minutes=minutes)))
    return st.just(UTC) | offsets
