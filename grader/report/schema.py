"""The JSON Schema of a record, made from the record's own types."""

from __future__ import annotations

import json

import msgspec

from grader.records import Record

DIALECT = "https://json-schema.org/draft/2020-12/schema"


def record_schema() -> bytes:
    """The schema as indented UTF-8 JSON with a final newline. Titles and descriptions are those of the types."""
    schema = msgspec.json.schema(Record)
    named = {"$schema": DIALECT, "title": "Record", "description": Record.__doc__, **schema}
    return json.dumps(named, indent=2, ensure_ascii=False).encode() + b"\n"
