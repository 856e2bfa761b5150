"""Validates B2MML messages with parsers and validators nobody here wrote.

Argument: the folder with AllSchemas.xsd and AllSchemas.json. Standard input: an array of
{"form": "xml" | "json", "text": ...}. Prints an array: null for a valid message, else what is
wrong with it.
"""

import json
import os
import sys

import jsonschema
from lxml import etree

folder = sys.argv[1]
xsd = etree.XMLSchema(etree.parse(os.path.join(folder, "AllSchemas.xsd")))
with open(os.path.join(folder, "AllSchemas.json"), encoding="utf-8") as file:
    schema = json.load(file)
# Its own name ends in "#", against which references do not resolve.
schema.pop("$id", None)
validator = jsonschema.Draft202012Validator(schema)


def problem(message):
    if message["form"] == "json":
        errors = validator.iter_errors(json.loads(message["text"]))
        worst = jsonschema.exceptions.best_match(errors)
        return worst and f"{worst.json_path}: {worst.message[:300]}"
    document = etree.fromstring(message["text"].encode())
    return None if xsd.validate(document) else str(xsd.error_log.last_error)


print(json.dumps([problem(message) for message in json.load(sys.stdin)]))
