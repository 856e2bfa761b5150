"""A machine that speaks OPC UA, played by asyncua, for tests.

Prints one JSON line with its port, then obeys one JSON command a line on stdin and answers each
with one JSON line. Ends when stdin ends.

  {"op": "set", "node": "Load", "type": "Double", "value": 1.5,
   "status": 0, "source_time": "now" | "absent" | "1601" | "1970" | "future" | RFC 3339,
   "server_time": likewise}
  {"op": "ramp", "node": "Count", "count": 1000, "every_ms": 1}   counts up, in the background
  {"op": "connect_to", "port": 4843}    makes the connections itself from now on: one that is not
                                        yet used at a time, and another when that one ended
  {"op": "cut"}                         ends the connections that it made
  {"op": "forget_sent"}      has no message to repeat, though it says so
  {"op": "forget_subscriptions"}        as after a long outage
  {"op": "delete", "node": "Load"}      {"op": "add", "node": "Load", "type": "Double", "value": 0.0,
                                          "range": [0, 100], "history": true}
"""

import argparse
import asyncio
import datetime
import json
import logging
import math
import struct
import sys
import tempfile
import uuid
from pathlib import Path

from asyncua import Server, ua
from asyncua.crypto.cert_gen import setup_self_signed_certificate
from asyncua.crypto.permission_rules import User, UserRole
from asyncua.server.address_space import AddressSpace
from asyncua.server.internal_subscription import InternalSubscription
from asyncua.server.monitored_item_service import MonitoredItemService
from cryptography.x509.oid import ExtendedKeyUsageOID

URI = "urn:resonance:test-machine"
NAMESPACE = "http://resonance.example/machine/"


class OneUser:
    """Knows the one user the tests use; refuses everybody else who gives a name."""

    def __init__(self, user, password, certificate):
        self.user, self.password, self.certificate = user, password, certificate

    def get_user(self, iserver, username=None, password=None, certificate=None):
        if self.certificate:
            return User(role=UserRole.User) if certificate == self.certificate else None
        if username is None:
            return User(role=UserRole.User) if self.user is None else None
        known = username == self.user and password == self.password
        return User(role=UserRole.User, name=username) if known else None


def time_of(text):
    now = datetime.datetime.now(datetime.timezone.utc)
    return {
        "now": now,
        "absent": None,
        "1601": datetime.datetime(1601, 1, 1, tzinfo=datetime.timezone.utc),
        "1970": datetime.datetime(1970, 1, 2, tzinfo=datetime.timezone.utc),
        "future": now + datetime.timedelta(hours=2),
    }.get(text) if text in ("now", "absent", "1601", "1970", "future") else (
        datetime.datetime.fromisoformat(text.replace("Z", "+00:00")))


# What a JSON value becomes, by type.
VALUES = {
    "LocalizedText": ua.LocalizedText,
    "ByteString": str.encode,
    "DateTime": time_of,
    "Guid": uuid.UUID,
    "NodeId": ua.NodeId.from_string,
    "ExpandedNodeId": ua.ExpandedNodeId.from_string,
    "QualifiedName": ua.QualifiedName,
    "XmlElement": ua.XmlElement,
    "StatusCode": ua.StatusCode,
    "Variant": lambda value: [ua.Variant(number, ua.VariantType.Int32) for number in value],
    "DataValue": lambda value: ua.DataValue(ua.Variant(value)),
    "DiagnosticInfo": lambda value: ua.DiagnosticInfo(AdditionalInfo=value),
}


def variant(kind, value):
    if kind in ("Float", "Double") and isinstance(value, str):
        value = {"nan": math.nan, "inf": math.inf, "-inf": -math.inf}[value]
    if kind == "Argument":
        return ua.Variant(ua.Argument(Name=value), ua.VariantType.ExtensionObject)
    if kind in VALUES:
        value = VALUES[kind](value)
    return ua.Variant(value, getattr(ua.VariantType, kind))


def filter_percent(server):
    """Has asyncua filter by DeadbandType Percent as OPC 10000-8, 7.2 says; it passes all on."""
    exceeded = MonitoredItemService._is_deadband_exceeded
    ranges = {}

    async def create(service, params, *arguments, **named):
        wanted = params.RequestedParameters.Filter
        if getattr(wanted, "DeadbandType", None) == ua.DeadbandType.Percent:
            node = server.get_node(params.ItemToMonitor.NodeId)
            try:
                span = await (await node.get_child("0:EURange")).read_value()
            except ua.UaError:
                refused = ua.MonitoredItemCreateResult()
                refused.StatusCode = ua.StatusCode(ua.StatusCodes.BadDeadbandFilterInvalid)
                return refused
            ranges[id(wanted)] = span.High - span.Low
        return await create_datachange(service, params, *arguments, **named)

    def is_exceeded(service, values, wanted):
        old, now = values.get_old_datavalue(), values.get_current_datavalue()
        if wanted.DeadbandType != ua.DeadbandType.Percent or old is None:
            return exceeded(service, values, wanted)
        delta = abs(now.Value.Value - old.Value.Value)
        return delta > wanted.DeadbandValue / 100 * ranges[id(wanted)]

    create_datachange = MonitoredItemService._create_data_change_monitored_item
    MonitoredItemService._create_data_change_monitored_item = create
    MonitoredItemService._is_deadband_exceeded = is_exceeded


class Machine:
    def __init__(self, server, namespace):
        self.server, self.namespace, self.tasks = server, namespace, []

    def node_id(self, name):
        return ua.NodeId(name, self.namespace)

    async def add(self, node, type="Double", value=0.0, range=None, history=False, **_):
        variable = await self.server.nodes.objects.add_variable(
            self.node_id(node), f"{self.namespace}:{node}", variant(type, value),
            datatype=ua.NodeId(ua.ObjectIds.BaseDataType) if type == "Variant" else None)
        if history:
            await self.server.historize_node_data_change(variable, period=None)
        if range:
            await variable.add_property(0, "EURange", ua.Range(Low=range[0], High=range[1]))

    async def delete(self, node, **_):
        await self.server.delete_nodes([self.server.get_node(self.node_id(node))])

    async def set(self, node, type="Double", value=0.0, status=0, source_time="now",
                  server_time="now", **_):
        data = ua.DataValue(
            variant(type, value), ua.StatusCode(status), SourceTimestamp=time_of(source_time),
            ServerTimestamp=time_of(server_time))
        await self.server.write_attribute_value(self.node_id(node), data)

    async def ramp(self, node, count, every_ms=0, awaited=False, **_):
        async def count_up():
            for number in range(count):
                await self.set(node, "Int64", number)
                if every_ms:
                    await asyncio.sleep(every_ms / 1000)
        counting = asyncio.create_task(count_up())
        if awaited:
            await counting
        self.tasks.append(counting)

    async def forget_subscriptions(self, **_):
        iserver = self.server.iserver
        own = iserver.history_manager._sub
        gone = [number for number in iserver.subscription_service.subscriptions
                if own is None or number != own.subscription_id]
        await iserver.subscription_service.delete_subscriptions(gone)

    async def connect_to(self, port, **_):
        own = self.server.bserver._server.sockets[0].getsockname()[1]
        url = f"opc.tcp://127.0.0.1:{own}/machine/"
        self.tasks.append(asyncio.create_task(self.connect_for_ever(port, reverse_hello(URI, url))))

    async def connect_for_ever(self, port, hello):
        loop = asyncio.get_running_loop()
        while True:
            ended = asyncio.Event()
            try:
                transport, protocol = await loop.create_connection(
                    self.server.bserver._make_protocol, "127.0.0.1", port)
            except ConnectionError:
                await asyncio.sleep(0.1)
                continue
            lost = protocol.connection_lost
            protocol.connection_lost = lambda error: (lost(error), ended.set())
            transport.write(hello)
            self.connection = transport
            await ended.wait()

    async def cut(self, **_):
        self.connection.abort()

    async def forget_sent(self, **_):
        InternalSubscription.republish = lambda *_: ua.NotificationMessage()


def reverse_hello(server_uri, endpoint_url):
    """The message with which a server that connects begins (OPC 10000-6, 7.1.2.6)."""
    texts = b"".join(struct.pack("<i", len(text)) + text.encode()
                     for text in (server_uri, endpoint_url))
    return b"RHEF" + struct.pack("<I", 8 + len(texts)) + texts


async def secure(server, folder):
    key, certificate = folder / "key.pem", folder / "certificate.der"
    await setup_self_signed_certificate(
        key, certificate, URI, "localhost",
        [ExtendedKeyUsageOID.CLIENT_AUTH, ExtendedKeyUsageOID.SERVER_AUTH],
        {"organizationName": "Resonance tests"})
    await server.load_certificate(str(certificate))
    await server.load_private_key(str(key))


async def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--user")
    parser.add_argument("--password")
    parser.add_argument("--user-certificate", metavar="FILE.der")
    parser.add_argument("--encrypted", action="store_true")
    parser.add_argument("--certificate", metavar="FILE.der", help="instead of one of its own making")
    parser.add_argument("--key", metavar="FILE.pem")
    parser.add_argument("--history-page", type=int, help="values of history in one answer")
    parser.add_argument("--policy", action="append", metavar="Basic256Sha256_SignAndEncrypt")
    parser.add_argument("--running-for", type=float, default=0, metavar="SECONDS",
                        help="how long ago it says that it started")
    parser.add_argument("--node", action="append", default=[], metavar="NAME:TYPE:JSON")
    options = parser.parse_args()
    logging.disable(logging.CRITICAL)
    # A real machine's program may change a variable's type; asyncua would refuse to play that.
    AddressSpace._is_expected_variant_type = lambda *_: True

    known = Path(options.user_certificate).read_bytes() if options.user_certificate else None
    server = Server(user_manager=OneUser(options.user, options.password, known))
    await server.init()
    await server.set_application_uri(URI)
    server.set_endpoint(f"opc.tcp://127.0.0.1:{options.port}/machine/")
    policies = [ua.SecurityPolicyType.NoSecurity]
    if options.encrypted:
        names = options.policy or ["Basic256Sha256_SignAndEncrypt"]
        policies = [ua.SecurityPolicyType[name] for name in names]
        if options.certificate:
            await server.load_certificate(options.certificate)
            await server.load_private_key(options.key)
        else:
            await secure(server, Path(tempfile.mkdtemp()))
    server.set_security_policy(policies)
    filter_percent(server)
    namespace = await server.register_namespace(NAMESPACE)
    machine = Machine(server, namespace)
    for text in options.node:
        name, kind, value = text.split(":", 2)
        await machine.add(name, kind, json.loads(value))
    await server.start()
    started = server.get_node(ua.ObjectIds.Server_ServerStatus_StartTime)
    running_for = datetime.timedelta(seconds=options.running_for)
    await started.write_value(await started.read_value() - running_for)
    if options.history_page:
        storage = server.iserver.history_manager.storage
        storage.max_history_data_response_size = options.history_page
    port = server.bserver._server.sockets[0].getsockname()[1]
    print(json.dumps({"port": port, "namespace": namespace}), flush=True)

    reader = asyncio.StreamReader()
    await asyncio.get_running_loop().connect_read_pipe(
        lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
    while line := await reader.readline():
        command = json.loads(line)
        try:
            await getattr(machine, command.pop("op"))(**command)
            print(json.dumps({"ok": True}), flush=True)
        except Exception as error:  # noqa: BLE001 - the test reads what went wrong
            print(json.dumps({"error": repr(error)}), flush=True)
    await server.stop()


asyncio.run(main())
