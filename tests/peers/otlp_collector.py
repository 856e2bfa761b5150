"""A collector of OpenTelemetry traces: takes OTLP over HTTP as protobuf, by the protocol's own
definition.

Obeys one JSON command a line: {"do": "behave", "as": "good" | "busy" | "refuse" | "part"},
{"do": "spans"}; the last is followed by a line with everything taken so far.
"""

import json
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import (
    ExportTraceServiceRequest,
    ExportTraceServiceResponse,
)

state = {"as": "good", "spans": [], "requests": 0, "wrong": [], "token": None}


def value(any_value):
    return getattr(any_value, any_value.WhichOneof("value"))


def attributes(pairs):
    return {pair.key: value(pair.value) for pair in pairs}


def take(body):
    request = ExportTraceServiceRequest()
    request.ParseFromString(body)
    request.DiscardUnknownFields()
    if request.SerializeToString() != body:
        state["wrong"].append("the request has something that the protocol does not know")
    for resource_spans in request.resource_spans:
        resource = attributes(resource_spans.resource.attributes)
        for scope_spans in resource_spans.scope_spans:
            for span in scope_spans.spans:
                state["spans"].append(
                    {
                        "resource": resource,
                        "scope": scope_spans.scope.name,
                        "trace": span.trace_id.hex(),
                        "id": span.span_id.hex(),
                        "parent": span.parent_span_id.hex(),
                        "name": span.name,
                        "kind": span.kind,
                        "from": span.start_time_unix_nano,
                        "to": span.end_time_unix_nano,
                        "attributes": attributes(span.attributes),
                        "error": span.status.message if span.status.code == 2 else None,
                    }
                )


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *arguments):
        pass

    def do_POST(self):
        body = self.rfile.read(int(self.headers["Content-Length"]))
        state["requests"] += 1
        state["token"] = self.headers["Authorization"]
        code, answer = 200, ExportTraceServiceResponse()
        if self.path != "/v1/traces" or self.headers["Content-Type"] != "application/x-protobuf":
            state["wrong"].append(f"{self.path} {self.headers['Content-Type']}")
        if state["as"] == "busy":
            code = 503
        elif state["as"] == "refuse":
            code = 400
        elif state["as"] == "part":
            answer.partial_success.rejected_spans = 1
            answer.partial_success.error_message = "one too many"
            take(body)
        else:
            take(body)
        answer = answer.SerializeToString()
        self.send_response(code)
        self.send_header("Content-Type", "application/x-protobuf")
        self.send_header("Content-Length", str(len(answer)))
        self.end_headers()
        self.wfile.write(answer)


def say(what):
    print(json.dumps(what), flush=True)


server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
threading.Thread(target=server.serve_forever, daemon=True).start()
say({"ready": True, "port": server.server_address[1]})
for line in sys.stdin:
    command = json.loads(line)
    if command["do"] == "behave":
        state["as"] = command["as"]
    say({"ok": True})
    if command["do"] == "spans":
        say(state)
