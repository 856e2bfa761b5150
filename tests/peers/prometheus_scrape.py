"""Reads metrics at a URL with the parser of Prometheus' own client.

Prints one array of [name, labels, value].
"""

import json
import sys
import urllib.request

from prometheus_client.openmetrics.parser import text_string_to_metric_families

with urllib.request.urlopen(sys.argv[1], timeout=10) as answer:
    text = answer.read().decode()
families = text_string_to_metric_families(text)
print(json.dumps([[sample.name, sample.labels, sample.value]
                  for family in families for sample in family.samples]))
