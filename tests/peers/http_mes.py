"""A MES on another HTTP stack: takes B2MML over POST and answers with a ConfirmBOD.

Obeys one JSON command a line: {"do": "behave", "as": "good" | "lose" | "fail" | "close"},
{"do": "refuse", "text": ...}, {"do": "taken"}, {"do": "contexts"}; the last two are followed by a
line with the ids, and with the traces that were handed on.
"""

import json
import sys
import threading
import xml.etree.ElementTree as ET
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

NS = "http://www.mesa.org/xml/B2MML"
ET.register_namespace("", NS)
state = {"as": "good", "refuse": None, "taken": [], "keys": [], "contexts": []}


def confirm(bod, rejected):
    root = ET.Element(f"{{{NS}}}ConfirmBOD")
    area = ET.SubElement(root, f"{{{NS}}}ApplicationArea")
    ET.SubElement(area, f"{{{NS}}}CreationDateTime").text = "2026-01-01T00:00:00Z"
    data = ET.SubElement(root, f"{{{NS}}}DataArea")
    confirmed = ET.SubElement(data, f"{{{NS}}}Confirm")
    criterion = ET.SubElement(confirmed, f"{{{NS}}}ResponseCriteria")
    code = "Rejected" if rejected else "Accepted"
    ET.SubElement(criterion, f"{{{NS}}}ResponseExpression", actionCode=code).text = "/"
    if rejected:
        status = ET.SubElement(criterion, f"{{{NS}}}ChangeStatus")
        ET.SubElement(status, f"{{{NS}}}Reason").text = "the order is closed"
    original = ET.SubElement(ET.SubElement(data, f"{{{NS}}}BOD"), f"{{{NS}}}OriginalApplicationArea")
    ET.SubElement(original, f"{{{NS}}}CreationDateTime").text = "2026-01-01T00:00:00Z"
    ET.SubElement(original, f"{{{NS}}}BODID").text = bod
    return ET.tostring(root, encoding="utf-8", xml_declaration=True)


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *arguments):
        pass

    def do_POST(self):
        body = self.rfile.read(int(self.headers["Content-Length"]))
        if state["as"] == "close":
            self.close_connection = True
            return
        if state["as"] == "fail":
            self.send_response(503)
            self.send_header("Retry-After", "1")
            self.send_header("Content-Length", "0")
            self.end_headers()
            return
        root = ET.fromstring(body)
        bod = root.findtext(f".//{{{NS}}}BODID")
        nouns = list(root.find(f"{{{NS}}}DataArea"))[1:]
        ids = [noun.findtext(f"{{{NS}}}ID") for noun in nouns]
        rejected = state["refuse"] is not None and state["refuse"] in body.decode()
        answer = b"" if state["as"] == "lose" else confirm(bod, rejected)
        if answer and not rejected:
            state["taken"] += [id for id in ids if id not in state["taken"]]
            state["keys"].append(self.headers["Idempotency-Key"])
            state["contexts"].append(self.headers["traceparent"])
        self.send_response(200)
        self.send_header("Content-Type", "application/xml")
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
    elif command["do"] == "refuse":
        state["refuse"] = command["text"]
    say({"ok": True})
    if command["do"] == "taken":
        say({"taken": state["taken"], "keys": state["keys"]})
    elif command["do"] == "contexts":
        say(state["contexts"])
