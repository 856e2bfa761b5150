"""An MTConnect agent written from the standard's schemas alone: http.server and lxml.

    mtconnect_agent.py VERSION XSD_DIRECTORY

Prints {"port": N}, then obeys one JSON command a line: {"op": "observe", "id": ..} with "text",
"series" and "rate", "entries", "table", or "level" and "code"; "time" if not now. {"op":
"restart"} begins another instance. Its own documents are held against the official schemas before
they are sent: an invalid one ends the process.
"""

import datetime
import http.server
import json
import sys
import threading
import time
import urllib.parse

from lxml import etree

VERSION, SCHEMAS = sys.argv[1:3]
BUFFER = 1000
ITEMS = {
    "avail": ("EVENT", "AVAILABILITY", "Availability", {}),
    "load": ("SAMPLE", "LOAD", "Load", {"units": "PERCENT"}),
    "place": ("SAMPLE", "PATH_POSITION", "PathPosition", {"units": "MILLIMETER_3D"}),
    "wave": (
        "SAMPLE",
        "DISPLACEMENT",
        "DisplacementTimeSeries",
        {"units": "MILLIMETER", "representation": "TIME_SERIES", "sampleRate": "1000"},
    ),
    "state": ("EVENT", "MESSAGE", "Message", {}),
    "vars": ("EVENT", "VARIABLE", "VariableDataSet", {"representation": "DATA_SET"}),
    "offsets": ("EVENT", "WORK_OFFSET", "WorkOffsetTable", {"representation": "TABLE"}),
    "alarm": ("CONDITION", "SYSTEM", None, {}),
}
LISTS = {"SAMPLE": "Samples", "EVENT": "Events", "CONDITION": "Condition"}


class Agent:
    def __init__(self):
        self.news = threading.Condition()
        self.schemas = {}
        self.begin(1)

    def begin(self, instance):
        self.instance, self.next, self.buffer = instance, 1, []
        self.active = {}
        for name, (category, *_) in ITEMS.items():
            empty = {"level": "Unavailable"} if category == "CONDITION" else {"text": "UNAVAILABLE"}
            if name == "wave":
                # Agents say UNAVAILABLE, which the schemas do not allow of a time series.
                empty = {"series": [0.0], "rate": 1}
            self.observe({"id": name, **empty})

    def observe(self, said):
        with self.news:
            said = {"time": now(), **said, "sequence": self.next}
            self.next += 1
            self.buffer = (self.buffer + [said])[-BUFFER:]
            kept = self.active.get(said["id"], [])
            if said.get("level") in ("Warning", "Fault"):
                kept = [k for k in kept if k.get("code") not in (said["code"], None)] + [said]
            elif said.get("level") == "Normal" and "code" in said:
                kept = [k for k in kept if k.get("code") != said["code"]] or [said]
            else:
                kept = [said]
            self.active[said["id"]] = kept
            self.news.notify_all()

    def document(self, root, more=None):
        space = f"urn:mtconnect.org:{root}:{VERSION}"
        made = etree.Element(f"{{{space}}}{root}", nsmap={"m": space})
        attributes = {
            "sender": "peer",
            "version": VERSION,
            "creationTime": now(),
            "instanceId": str(self.instance),
            "bufferSize": str(BUFFER),
            **(more or {}),
        }
        if root != "MTConnectError" or VERSION == "2.7":
            attributes["deviceModelChangeTime"] = now()
        add(made, "Header", **attributes)
        return made

    def send(self, root):
        name = etree.QName(root).localname
        if name not in self.schemas:
            file = f"{SCHEMAS}/{name}_{VERSION}_1.0.xsd"
            self.schemas[name] = etree.XMLSchema(etree.parse(file))
        if not self.schemas[name].validate(root):
            print(json.dumps({"invalid": str(self.schemas[name].error_log)}), flush=True)
            raise SystemExit(1)
        return etree.tostring(root, xml_declaration=True, encoding="UTF-8", pretty_print=True)

    def probe(self):
        root = self.document("MTConnectDevices", {"assetBufferSize": "1", "assetCount": "0"})
        devices = add(root, "Devices")
        agent = add(devices, "Agent", id="a", name="Agent", uuid="agent-uuid")
        add(add(agent, "DataItems"), "DataItem", id="aa", category="EVENT", type="AVAILABILITY")
        device = add(devices, "Device", id="d", name="peer", uuid="peer-uuid")
        items = add(device, "DataItems")
        for name, (category, kind, _, more) in ITEMS.items():
            add(items, "DataItem", id=name, category=category, type=kind, **more)
        return self.send(root)

    def streams(self, observations, following):
        first = self.buffer[0]["sequence"]
        sequences = {"firstSequence": first, "lastSequence": self.next - 1}
        sequences["nextSequence"] = following
        root = self.document("MTConnectStreams", {k: str(v) for k, v in sequences.items()})
        device = add(add(root, "Streams"), "DeviceStream", name="peer", uuid="peer-uuid")
        if observations:
            component = add(device, "ComponentStream", component="Device", componentId="d")
            for category, name in LISTS.items():
                of = [o for o in observations if ITEMS[o["id"]][0] == category]
                if of:
                    group = add(component, name)
                    for one in sorted(of, key=lambda o: o["sequence"]):
                        observation(group, one)
        return self.send(root)

    def refuse(self, code, text):
        root = self.document("MTConnectError")
        errors = add(root, "Errors")
        if VERSION == "2.7":
            error = add(errors, "".join(w.capitalize() for w in code.split("_")))
            add(error, "URI").text = "/"
            add(error, "ErrorMessage").text = text
            if code == "OUT_OF_RANGE":
                parameter = add(error, "QueryParameter", name="from")
                add(parameter, "Value").text = "1"
                add(parameter, "Minimum").text = "1"
                add(parameter, "Maximum").text = str(self.next)
        else:
            add(errors, "Error", errorCode=code).text = text
        return self.send(root)


def now():
    return datetime.datetime.now(datetime.UTC).isoformat().replace("+00:00", "Z")


def add(parent, tag, /, **attributes):
    space = etree.QName(parent).namespace
    return etree.SubElement(parent, f"{{{space}}}{tag}", **attributes)


def observation(group, said):
    category, kind, name, _ = ITEMS[said["id"]]
    more = {"sequence": str(said["sequence"]), "timestamp": said["time"]}
    if category == "CONDITION":
        name, more["type"] = said["level"], kind
        if "code" in said:
            more["nativeCode"] = said["code"]
            if said["level"] != "Normal" and VERSION >= "2.3":
                more["conditionId"] = said["code"]
    if "series" in said:
        more["sampleCount"], more["sampleRate"] = str(len(said["series"])), str(said["rate"])
    elif name and name.endswith("TimeSeries"):
        more["sampleCount"] = "0"
    for form in ("entries", "table"):
        if form in said:
            more["count"] = str(len(said[form]))
    if name and name.endswith(("DataSet", "Table")) and "count" not in more:
        more["count"] = "0"
    one = add(group, name, dataItemId=said["id"], **more)
    if "series" in said:
        one.text = " ".join(map(str, said["series"]))
    one.text = said.get("text", one.text)
    for key, value in said.get("entries", {}).items():
        if value is None:
            add(one, "Entry", key=key, removed="true")
        else:
            add(one, "Entry", key=key).text = value
    for key, cells in said.get("table", {}).items():
        entry = add(one, "Entry", key=key)
        for cell, value in cells.items():
            add(entry, "Cell", key=cell).text = value


AGENT = Agent()


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *_):
        pass

    def do_GET(self):
        url = urllib.parse.urlparse(self.path)
        query = {k: int(v) for k, v in urllib.parse.parse_qsl(url.query)}
        what = url.path.strip("/")
        with AGENT.news:
            if what == "probe":
                return self.whole(200, AGENT.probe())
            if what == "current":
                latest = [o for kept in AGENT.active.values() for o in kept]
                return self.whole(200, AGENT.streams(latest, AGENT.next))
            if what != "sample":
                return self.whole(404, AGENT.refuse("INVALID_REQUEST", "no such thing"))
            first, instance = AGENT.buffer[0]["sequence"], AGENT.instance
            since = query.get("from", first)
            if not first <= since <= AGENT.next:
                return self.whole(404, AGENT.refuse("OUT_OF_RANGE", "'from' is out of range"))
        self.send_response(200)
        self.send_header("Content-Type", "multipart/x-mixed-replace; boundary=peer.1")
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        try:
            while AGENT.instance == instance:
                with AGENT.news:
                    if since == AGENT.next:
                        AGENT.news.wait(query["heartbeat"] / 1000)
                    if AGENT.instance != instance:
                        break
                    new = [o for o in AGENT.buffer if o["sequence"] >= since][: query["count"]]
                    since += len(new)
                    document = AGENT.streams(new, since)
                part = b"--peer.1\r\nContent-type: application/xml\r\nContent-length: %d\r\n\r\n"
                self.chunk(part % len(document))
                self.chunk(document[: len(document) // 3])
                self.chunk(document[len(document) // 3 :] + b"\r\n")
                time.sleep(query["interval"] / 1000)
        except OSError:
            pass
        self.close_connection = True

    def whole(self, status, document):
        self.send_response(status)
        self.send_header("Content-Type", "text/xml")
        self.send_header("Content-Length", str(len(document)))
        self.end_headers()
        self.wfile.write(document)

    def chunk(self, data):
        self.wfile.write(b"%x\r\n%s\r\n" % (len(data), data))


server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
threading.Thread(target=server.serve_forever, daemon=True).start()
print(json.dumps({"port": server.server_address[1]}), flush=True)
for line in sys.stdin:
    command = json.loads(line)
    if command.pop("op") == "observe":
        AGENT.observe(command)
    else:
        with AGENT.news:
            AGENT.begin(AGENT.instance + 1)
            AGENT.news.notify_all()
    print(json.dumps({"ok": True}), flush=True)
