"""The schemas and the types that read the records mean the same."""

import json
import re
from pathlib import Path
from typing import Any

import jsonschema_rs
import msgspec
import orjson
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from stream_app.detection.decisions import Decision
from stream_app.detection.decode import Rejected, decode_record
from stream_app.detection.events import Event
from stream_app.detection.operators import OperatorRecord, parse_operator
from tests.contracts.strategies import SCHEMAS, Schema, documents, events, instances, resolved, rfc3339_times, schema_of

# The same documents in every run; slowness of a shared machine is no failure.
repeatable = settings(derandomize=True, deadline=None, suppress_health_check=[HealthCheck.too_slow])

CONTRACTS = sorted(path.parent.name for path in SCHEMAS.glob("*/v1.schema.json"))
STRUCTS: dict[str, type[msgspec.Struct]] = {"event": Event, "decision": Decision, "operator": OperatorRecord}

_registry = jsonschema_rs.Registry([(schema_of(name)["$id"], schema_of(name)) for name in CONTRACTS])
VALIDATORS = {
    name: jsonschema_rs.Draft202012Validator(schema_of(name), validate_formats=True, registry=_registry)
    for name in CONTRACTS
}


def is_event(value: bytes) -> bool:
    return all(isinstance(read, Event) for read in decode_record(value, {}))


def is_decision(value: bytes) -> bool:
    try:
        msgspec.json.decode(value, type=Decision)
    except msgspec.MsgspecError:
        return False
    return True


def is_operator_record(value: bytes) -> bool:
    return not isinstance(parse_operator(value), Rejected)


READERS = {"event": is_event, "event-batch": is_event, "decision": is_decision, "operator": is_operator_record}


def fits_schema(contract: str, value: bytes) -> bool:
    try:
        document = orjson.loads(value)
    except orjson.JSONDecodeError:
        return False
    return VALIDATORS[contract].is_valid(document)


def verdicts(contract: str, document: Any) -> tuple[bool, bool]:
    """What the schema and the code say of ``document``."""
    value = json.dumps(document).encode()
    return fits_schema(contract, value), READERS[contract](value)


def files(pattern: str) -> list[Any]:
    return [pytest.param(path, id=str(path.relative_to(SCHEMAS))) for path in sorted(SCHEMAS.glob(pattern))]


def contract_of(path: Path) -> str:
    return path.relative_to(SCHEMAS).parts[0]


def _places(schema: Schema, node: Schema, path: tuple[str, ...] = ()) -> list[tuple[str, ...]]:
    children = resolved(schema, node).get("properties", {})
    below = [_places(schema, child, (*path, name)) for name, child in children.items()]
    return [*([path] if path else []), *(place for places in below for place in places)]


PLACES = _places(schema_of("event"), schema_of("event"))
LEAVES = [place for place in PLACES if not any(other[: len(place)] == place != other for other in PLACES)]


# Schemas and examples


@pytest.mark.parametrize("contract", CONTRACTS)
def test_schema_is_json_schema_2020_12_with_the_contract_s_urn(contract: str) -> None:
    schema = schema_of(contract)
    jsonschema_rs.meta.validate(schema)
    assert schema["$schema"] == "https://json-schema.org/draft/2020-12/schema"
    assert schema["$id"] == f"urn:stillwatch:{contract}:v1"


@pytest.mark.parametrize("contract", CONTRACTS)
def test_every_schema_and_property_is_described(contract: str) -> None:
    schema = schema_of(contract)
    assert schema["title"]
    undescribed = [path for path, node in _nodes(schema, contract) if not node.get("description")]
    assert undescribed == []


@pytest.mark.parametrize("contract", CONTRACTS)
def test_contract_has_examples_of_both_kinds(contract: str) -> None:
    assert list((SCHEMAS / contract / "examples" / "valid").glob("*.json"))
    assert list((SCHEMAS / contract / "examples" / "invalid").glob("*.json"))


@pytest.mark.parametrize("path", files("*/examples/valid/*.json"))
def test_valid_example_is_accepted_by_schema_and_code(path: Path) -> None:
    contract, value = contract_of(path), path.read_bytes()
    VALIDATORS[contract].validate(orjson.loads(value))
    assert contract not in READERS or READERS[contract](value)


@pytest.mark.parametrize("path", files("*/examples/invalid/*.json"))
def test_invalid_example_is_refused_by_schema_and_code(path: Path) -> None:
    contract, value = contract_of(path), path.read_bytes()
    assert not fits_schema(contract, value)
    assert contract not in READERS or not READERS[contract](value)


@pytest.mark.parametrize("path", files("*/samples/v*/*.json"))
def test_sample_of_a_released_version_is_read_for_ever(path: Path) -> None:
    contract, value = contract_of(path), path.read_bytes()
    assert fits_schema(contract, value)
    assert READERS[contract](value)


@pytest.mark.parametrize("contract", STRUCTS)
def test_reading_and_writing_a_sample_keeps_every_value(contract: str) -> None:
    for path in (SCHEMAS / contract / "samples").glob("*/*.json"):
        struct = msgspec.json.decode(path.read_bytes(), type=STRUCTS[contract])
        again = msgspec.json.decode(msgspec.json.encode(struct), type=STRUCTS[contract])
        assert again == struct
        assert set(orjson.loads(msgspec.json.encode(struct))) == set(orjson.loads(path.read_bytes()))


def test_mapping_to_other_vocabularies_names_every_field_of_an_event() -> None:
    table = (SCHEMAS / "README.md").read_text().split("## Other vocabularies")[1]
    rows = re.findall(r"^\| `([a-z0-9_.]+)` \|", table, re.MULTILINE)
    assert rows == [".".join(place) for place in LEAVES]


# Schema and type have the same properties, requirements and limits


@pytest.mark.parametrize("contract", STRUCTS)
def test_schema_and_struct_agree_on_names_types_and_limits(contract: str) -> None:
    generated = msgspec.json.schema(STRUCTS[contract])
    assert _meaning(schema_of(contract), schema_of(contract)) == _meaning(generated, generated)


def _meaning(schema: Schema, node: Schema) -> Any:
    """The asserting keywords of ``node``, with references replaced and those left out that a type cannot express."""
    node = resolved(schema, node)
    meaning: dict[str, Any] = {}
    for key, value in node.items():
        if key == "properties":
            meaning[key] = {name: _meaning(schema, child) for name, child in value.items()}
        elif key in {"items", "additionalProperties", "propertyNames"}:
            meaning[key] = _meaning(schema, value)
        elif key in {"required", "enum"} and value:
            meaning[key] = sorted(value)
        elif key in {"type", "minimum", "maximum", "minLength", "maxLength", "maxItems", "maxProperties"}:
            meaning[key] = value
    return meaning


def _nodes(schema: Schema, path: str) -> list[tuple[str, Schema]]:
    """Every schema of the document that says something about a value, with its path."""
    nodes = [(path, schema)]
    for keyword in ("properties", "$defs"):
        for name, child in schema.get(keyword, {}).items():
            nodes += _nodes(child, f"{path}/{name}")
    for keyword in ("items", "additionalProperties"):
        if "$ref" not in (child := schema.get(keyword, {})) and child:
            nodes += _nodes(child, f"{path}/{keyword}")
    return nodes


# Generated documents, both ways


@repeatable
@given(events())
def test_event_within_the_schema_s_limits_is_accepted(event: dict[str, Any]) -> None:
    assert verdicts("event", event) == (True, True)


@repeatable
@given(st.lists(events(), min_size=1, max_size=3))
def test_array_of_events_is_accepted(batch: list[dict[str, Any]]) -> None:
    assert verdicts("event-batch", batch) == (True, True)


@repeatable
@given(documents("decision"))
def test_decision_within_the_schema_s_limits_is_accepted(decision: dict[str, Any]) -> None:
    assert verdicts("decision", decision) == (True, True)


@pytest.mark.parametrize("contract", ["event", "decision"])
@repeatable
@given(data=st.data())
def test_struct_within_its_limits_fits_the_schema(contract: str, data: st.DataObject) -> None:
    value = msgspec.json.encode(data.draw(instances(STRUCTS[contract])))
    VALIDATORS[contract].validate(orjson.loads(value))
    assert READERS[contract](value)


# Mutations: one place of a valid document becomes something else


def _replaced(document: dict[str, Any], place: tuple[str, ...], value: Any) -> dict[str, Any]:
    name, *rest = place
    inner = document.get(name, {})
    return {**document, name: _replaced(inner, tuple(rest), value) if rest else value}


# Whole numbers written with a fraction (1.0) are the one known difference, pinned below.
FRACTIONS = st.floats(allow_nan=False, allow_infinity=False).filter(lambda number: not number.is_integer())
EDGES = st.sampled_from(
    [-1, 0, 1, 2, 99, 100, 101, 599, 600, 10_000, 10_001, 10**9, 10**9 + 1, 2**32 - 1, 2**32, 2**64, 10**30]
)
SIZES = st.sampled_from([0, 1, 4, 5, 6, 15, 16, 17, 128, 129, 512, 513])
TEXTS = st.builds(lambda size, letter: letter * size, SIZES, st.sampled_from(["a", "0", "A", "é", "😀", "\0", "\n"]))
SCALARS = st.none() | st.booleans() | EDGES | FRACTIONS | TEXTS | rfc3339_times()
ARRAYS = st.builds(lambda size, item: [item] * size, SIZES.filter(lambda size: size < 20), SCALARS)
OBJECTS = st.builds(lambda size, item: {f"k{at}": item for at in range(size)}, SIZES.filter(lambda s: s < 20), SCALARS)
ANYTHING = SCALARS | ARRAYS | OBJECTS


@pytest.mark.parametrize("place", PLACES, ids="/".join)
@repeatable
@given(data=st.data())
def test_schema_and_code_agree_on_any_value_of(place: tuple[str, ...], data: st.DataObject) -> None:
    event = _replaced(_sample("event/samples/v1.0/full.json"), place, data.draw(ANYTHING))
    by_schema, by_code = verdicts("event", event)
    assert by_schema == by_code


@repeatable
@given(events(), st.data())
def test_event_without_a_required_field_is_refused(event: dict[str, Any], data: st.DataObject) -> None:
    del event[data.draw(st.sampled_from(schema_of("event")["required"]))]
    assert verdicts("event", event) == (False, False)


@repeatable
@given(events(), st.dictionaries(st.text(st.characters(categories=["Ll"]), min_size=20), ANYTHING, max_size=3))
def test_unknown_fields_change_nothing(event: dict[str, Any], unknown: dict[str, Any]) -> None:
    assert verdicts("event", event | unknown) == (True, True)


@repeatable
@given(ANYTHING)
def test_value_that_is_no_event_is_refused(document: Any) -> None:
    assert verdicts("event", document) == (False, False) or isinstance(document, list)


# Boundaries


def _sample(name: str) -> dict[str, Any]:
    sample: dict[str, Any] = orjson.loads((SCHEMAS / name).read_bytes())
    return sample


@pytest.mark.parametrize(
    ("place", "literal", "accepted"),
    [
        ("id", '"' + "x" * 128 + '"', True),
        ("id", '"' + "x" * 129 + '"', False),
        ("id", '"' + "\\ud83d\\ude00" * 128 + '"', True),
        ("id", '"\\ud83d"', False),
        ("tenant_id", '"' + "x" * 512 + '"', True),
        ("tenant_id", '"' + "x" * 513 + '"', False),
        ("tenant_id", '"a\\u0000b"', False),
        ("operation", '"a\\u0000b"', True),
        ("operation", '""', True),
        ("operation", "null", False),
        ("status_code", "100", True),
        ("status_code", "99", False),
        ("status_code", "599", True),
        ("status_code", "600", False),
        ("input_tokens", "1000000000", True),
        ("input_tokens", "1000000001", False),
        ("input_tokens", "-0", True),
        ("input_tokens", "-1", False),
        ("input_tokens", "true", False),
        ("input_tokens", "0.5", False),
        ("input_tokens", "NaN", False),
        ("input_tokens", "1e400", False),
        ("input_tokens", "99999999999999999999999", False),
        ("input_tokens", '"1"', False),
        ("temperature", "0", True),
        ("temperature", "-0.0", True),
        ("temperature", "100", True),
        ("temperature", "100.00001", False),
        ("temperature", "NaN", False),
        ("temperature", "Infinity", False),
        ("temperature", "true", False),
        ("latency_ms", "1e9", True),
        ("latency_ms", "1000000000.5", False),
        ("stream", "0", False),
        ("stream", '"true"', False),
        ("client", '{"asn": 4294967295}', True),
        ("client", '{"asn": 4294967296}', False),
        ("prompt", '{"simhash": "0123456789abcdef"}', True),
        ("prompt", '{"simhash": "0123456789abcdef\\n"}', False),
        ("prompt", '{"templates": ["a", "b", "c", "d"]}', True),
        ("prompt", '{"templates": ["a", "b", "c", "d", "e"]}', False),
        ("scores", '{"a": 1.0}', True),
        ("scores", '{"a": 1.0000001}', False),
        ("scores", '{"a": 1, "b": null}', False),
    ],
)
def test_schema_and_code_agree_at_the_boundary(place: str, literal: str, accepted: bool) -> None:
    event = _sample("event/samples/v1.0/minimal.json")
    fields = {name: json.dumps(value) for name, value in event.items()} | {place: literal}
    value = ("{" + ",".join(f'"{name}":{text}' for name, text in fields.items()) + "}").encode()
    assert (fits_schema("event", value), is_event(value)) == (accepted, accepted)


# Times


@st.composite
def _almost_times(draw: st.DrawFn) -> str:
    """Strings of the shape of a time, with every part in or just out of its range."""
    year = draw(st.sampled_from(["0000", "0001", "1900", "2000", "2024", "2026", "9999", "026", "+2026"]))
    month = draw(st.sampled_from(["01", "02", "12", "00", "13"]))
    day = draw(st.sampled_from(["01", "28", "29", "30", "31", "32", "00", "1"]))
    hour = draw(st.sampled_from(["00", "23", "24", "9"]))
    minute, second = draw(st.sampled_from(["00", "59", "60"])), draw(st.sampled_from(["00", "59", "60", "61"]))
    fraction = draw(st.sampled_from(["", ".", ".5", ",5", ".999999", ".9999994", ".9999995", ".123456789012"]))
    separator = draw(st.sampled_from(["T", "t", "_", ""]))
    zone = draw(
        st.sampled_from(["Z", "z", "", "+00:00", "-00:00", "+23:59", "+24:00", "+05:60", "+05", "+5:30", "Z\n"])
    )
    return f"{year}-{month}-{day}{separator}{hour}:{minute}:{second}{fraction}{zone}"


@repeatable
@given(_almost_times())
@example("2016-12-31T23:59:60Z")
@example("2026-03-02t09:15:30z")
@example("2026-03-02T09:15:30")
@example("9999-12-31T23:59:59.9999995Z")
@example("9999-12-31T23:59:59.9999994Z")
@example("0000-01-01T00:00:00Z")
@example("2023-02-29T00:00:00Z")
@example("٢٠٢٦-03-02T09:15:30Z")
def test_schema_and_code_agree_on_times(time: str) -> None:
    by_schema, by_code = verdicts("event", _sample("event/samples/v1.0/minimal.json") | {"time": time})
    assert by_schema == by_code


# The differences there are; schemas/README.md tells them


@pytest.mark.parametrize("time", ["2026-03-02 09:15:30Z", "2026-03-02T09:15:30+0100"])
def test_detector_also_reads_two_spellings_of_time_outside_the_contract(time: str) -> None:
    assert verdicts("event", _sample("event/samples/v1.0/minimal.json") | {"time": time}) == (False, True)


@pytest.mark.parametrize("tokens", [1.0, 1e3])
def test_whole_number_written_with_a_fraction_fits_the_schema_but_is_refused(tokens: float) -> None:
    assert verdicts("event", _sample("event/samples/v1.0/minimal.json") | {"input_tokens": tokens}) == (True, False)


def test_day_that_no_calendar_has_is_refused_by_the_decision_s_schema_only() -> None:
    sample = _sample("decision/samples/v1.0/throttled-tenant.json")
    assert verdicts("decision", sample | {"issued_at": "2026-02-30T00:00:00Z"}) == (False, True)
