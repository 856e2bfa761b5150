"""Validates the JSON values on standard input (one array) against a JSON Schema file.

Prints one array of booleans.
"""

import json
import sys

import jsonschema
import regex

with open(sys.argv[1], encoding="utf-8") as file:
    schema = json.load(file)


def pattern(_validator, expected, instance, _schema):
    # JSON Schema's patterns are ECMA 262's and know \p{...}, which Python's own do not.
    if isinstance(instance, str) and not regex.search(expected, instance):
        yield jsonschema.ValidationError(f"{instance!r} does not match {expected!r}")


kind = jsonschema.validators.validator_for(schema)
# Without formats: `regex` would mean Python's.
kind.check_schema(schema, format_checker=jsonschema.FormatChecker(formats=()))
validator = jsonschema.validators.extend(kind, {"pattern": pattern})(schema)
print(json.dumps([validator.is_valid(value) for value in json.load(sys.stdin)]))
