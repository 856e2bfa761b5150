"""Validates the JSON values on standard input (one array) against a JSON Schema file.

Prints one array of booleans.
"""

import json
import sys

import jsonschema

with open(sys.argv[1], encoding="utf-8") as file:
    schema = json.load(file)
kind = jsonschema.validators.validator_for(schema)
kind.check_schema(schema)
validator = kind(schema)
print(json.dumps([validator.is_valid(value) for value in json.load(sys.stdin)]))
