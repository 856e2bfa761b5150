"""An MTConnect client written from the standard's schemas alone: http.client and lxml.

    mtconnect_client.py XSD_DIRECTORY HOST:PORT VERSION PARTS

Asks an agent for everything, holds each document against the official schema of its version, reads
PARTS documents of a streaming sample and prints one line of JSON: what was invalid, which data
items there are, what each observation said, the stream's sequence numbers, the latest condition
states.
"""

import http.client
import json
import pathlib
import re
import sys

from lxml import etree

PARSER = etree.XMLParser(resolve_entities=False, no_network=True)


def main():
    schemas, address, version, parts = sys.argv[1:5]
    client = Client(pathlib.Path(schemas), address, version)
    said = {"invalid": client.invalid}
    status, probe = client.get("/probe")
    said["probe"] = status
    items = {}
    for item in probe.iter("{*}DataItem"):
        items[item.get("id")] = {k: item.get(k) for k in ("category", "type", "units")}
    said["items"] = items
    status, current = client.get("/current")
    said["current"] = {o["id"]: o for o in observations(current)}
    header = current.find("{*}Header")
    last = int(header.get("lastSequence"))
    said["instance"] = int(header.get("instanceId"))
    status, oldest = client.get("/sample?count=50")
    said["oldest"] = [o["sequence"] for o in observations(oldest)]
    refusals = {}
    for name, target in {
        "past": "/sample?from=%d" % (last + 1_000_000),
        "count": "/sample?count=0",
        "device": "/nobody/current",
        "path": "/a/b/c",
        "number": "/sample?from=now",
    }.items():
        status, refusal = client.get(target)
        refusals[name] = [status] + [
            e.get("errorCode") or etree.QName(e).localname for e in refusal.find("{*}Errors")
        ]
    said["refusals"] = refusals
    sequences, documents = [], 0
    for document in client.stream("/sample?interval=20&heartbeat=500&count=500", int(parts)):
        sequences += sorted(o["sequence"] for o in observations(document))
        documents += 1
    said["stream"] = {"documents": documents, "sequences": sequences}
    print(json.dumps(said), flush=True)


class Client:
    def __init__(self, schemas, address, version):
        self.schemas, self.address, self.version = schemas, address, version
        self.loaded, self.invalid = {}, []

    def get(self, target):
        connection = http.client.HTTPConnection(self.address, timeout=30)
        connection.request("GET", target)
        response = connection.getresponse()
        root = self.document(response.read(), target)
        connection.close()
        return response.status, root

    def document(self, body, target):
        root = etree.fromstring(body, PARSER)
        name = etree.QName(root)
        if name.namespace != f"urn:mtconnect.org:{name.localname}:{self.version}":
            self.invalid.append(f"{target}: namespace {name.namespace}")
        schema = self.schema(name.localname)
        if not schema.validate(root):
            self.invalid += [f"{target}: {e.message}" for e in schema.error_log][:5]
        return root

    def schema(self, root):
        if root not in self.loaded:
            file = self.schemas / f"{root}_{self.version}_1.0.xsd"
            self.loaded[root] = etree.XMLSchema(etree.parse(str(file)))
        return self.loaded[root]

    def stream(self, target, count):
        connection = http.client.HTTPConnection(self.address, timeout=30)
        connection.request("GET", target)
        response = connection.getresponse()
        kind = response.getheader("Content-Type")
        boundary = re.fullmatch(r"multipart/x-mixed-replace; ?boundary=(\S+)", kind).group(1)
        for _ in range(count):
            line = b""
            while line.strip() == b"":
                line = response.readline()
            if line.strip() != b"--" + boundary.encode():
                self.invalid.append(f"{target}: {line!r} is no boundary")
                return
            headers = http.client.parse_headers(response)
            if headers.get_content_type() != "text/xml":
                self.invalid.append(f"{target}: a part of {headers.get_content_type()}")
            yield self.document(response.read(int(headers["Content-length"])), target)
        connection.close()


def observations(root):
    for category in ("Samples", "Events", "Condition"):
        for group in root.iter("{*}" + category):
            for one in group:
                yield {
                    "id": one.get("dataItemId"),
                    "sequence": int(one.get("sequence")),
                    "name": etree.QName(one).localname,
                    "text": one.text,
                    "time": one.get("timestamp"),
                }


main()
