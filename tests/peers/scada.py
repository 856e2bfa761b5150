"""An OPC UA client as a SCADA system would be one, on asyncua. Prints JSON lines.

    scada.py certificate CERT KEY URI                 makes a client certificate
    scada.py [options] URL connect                    connects, prints {"connected": true}
    scada.py [options] URL look NAMESPACE ID...       browses and reads what the nodes have
    scada.py [options] URL watch NAMESPACE ID SAMPLING_MS COUNT QUEUE
                                                      prints COUNT notifications
    scada.py [options] URL write NAMESPACE ID...      writes back what each node has

With --listen PORT the server makes the connections; URL is not looked at then.

What the server refuses ends as {"refused": "<name of the StatusCode or exception>"}.
"""

import argparse
import asyncio
import json
import logging
import socket
import struct
from pathlib import Path

from asyncua import Client, ua
from asyncua.crypto import security_policies
from asyncua.crypto.cert_gen import setup_self_signed_certificate
from cryptography.x509.oid import ExtendedKeyUsageOID


def say(**line):
    print(json.dumps(line, default=str), flush=True)


async def make_certificate(cert, key, uri):
    await setup_self_signed_certificate(
        Path(key), Path(cert), uri, "scada", [ExtendedKeyUsageOID.CLIENT_AUTH],
        {"organizationName": "Peers"},
    )


def plain(value):
    if isinstance(value, ua.EUInformation):
        return {"unit_id": value.UnitId, "namespace": value.NamespaceUri,
                "symbol": value.DisplayName.Text, "name": value.Description.Text}
    if isinstance(value, ua.Range):
        return {"low": value.Low, "high": value.High}
    if isinstance(value, ua.EnumValueType):
        return {"value": value.Value, "name": value.DisplayName.Text}
    if isinstance(value, ua.LocalizedText):
        return value.Text
    if isinstance(value, list):
        return [plain(item) for item in value]
    return value


def described(data):
    time = data.SourceTimestamp
    return {
        "value": plain(data.Value.Value) if data.Value else None,
        "type": data.Value.VariantType.name if data.Value else None,
        "status": data.StatusCode.value,
        "source_time_us": round(time.timestamp() * 1e6) if time else None,
    }


async def look(client, namespace, ids):
    for name in ids:
        node = client.get_node(f"ns={namespace};s={name}")
        definition = await node.read_type_definition()
        found = {
            "id": name,
            "name": (await node.read_browse_name()).Name,
            "display_name": (await node.read_display_name()).Text,
            "class": (await node.read_node_class()).name,
            "type": (await client.get_node(definition).read_browse_name()).Name,
            "parent": (await node.get_parent()).nodeid.Identifier,
            "children": [child.nodeid.Identifier for child in await node.get_children()],
        }
        if found["class"] == "Variable":
            found["data"] = described(await node.read_data_value(raise_on_bad_status=False))
        entries = await node.get_referenced_nodes(
            refs=ua.ObjectIds.HasDictionaryEntry, direction=ua.BrowseDirection.Both)
        found["dictionary"] = [entry.nodeid.Identifier for entry in entries]
        for property in await node.get_properties():
            key = (await property.read_browse_name()).Name
            found[key] = plain((await property.read_data_value()).Value.Value)
        say(**found)


class Printer:
    def __init__(self, count):
        self.left = count
        self.done = asyncio.Event()

    def datachange_notification(self, node, value, data):
        if self.left > 0:
            say(**described(data.monitored_item.Value))
            self.left -= 1
        if self.left == 0:
            self.done.set()


async def watch(client, namespace, name, sampling_ms, count, queue):
    printer = Printer(int(count))
    subscription = await client.create_subscription(50, printer)
    node = client.get_node(f"ns={namespace};s={name}")
    await subscription.subscribe_data_change(
        node, queuesize=int(queue), sampling_interval=float(sampling_ms))
    say(subscribed=True)
    await asyncio.wait_for(printer.done.wait(), 20)
    await subscription.delete()


async def write(client, namespace, ids):
    for name in ids:
        node = client.get_node(f"ns={namespace};s={name}")
        data = await node.read_data_value(raise_on_bad_status=False)
        try:
            await node.write_value(ua.DataValue(data.Value))
            say(id=name, written=True)
        except ua.UaStatusCodeError as error:
            say(id=name, refused=type(error).__name__)


class Awaited:
    """Connections that the server makes, in the place of those that asyncua would make."""

    def __init__(self, port):
        self.listener = socket.create_server(("127.0.0.1", port))
        self.listener.settimeout(20)
        self.waiting = self.accept()

    def accept(self):
        """A connection, once the server has said on it who it is (OPC 10000-6, 7.1.2.6)."""
        connection, _ = self.listener.accept()
        stream = connection.makefile("rb")
        kind, size = struct.unpack("<4sI", stream.read(8))
        assert kind == b"RHEF", kind
        uri, url = [stream.read(*struct.unpack("<i", stream.read(4))).decode() for _ in range(2)]
        assert size == 16 + len(uri) + len(url), (size, uri, url)
        self.said = {"server_uri": uri, "endpoint_url": url}
        return connection

    async def create_connection(self, protocol, *_, **__):
        loop = asyncio.get_running_loop()
        connection, self.waiting = self.waiting or self.accept(), None
        connection.setblocking(False)
        return await loop.connect_accepted_socket(protocol, connection)


async def run(arguments):
    url, said = arguments.url, {}
    if arguments.listen:
        awaited = Awaited(arguments.listen)
        asyncio.get_running_loop().create_connection = awaited.create_connection
        url, said = awaited.said["endpoint_url"], awaited.said
    client = Client(url, timeout=10)
    if arguments.policy:
        policy = getattr(security_policies, "SecurityPolicy" + arguments.policy)
        mode = getattr(ua.MessageSecurityMode, arguments.mode)
        client.application_uri = arguments.uri
        await client.set_security(policy, arguments.cert, arguments.key, mode=mode)
    if arguments.user_cert:
        await client.load_client_certificate(arguments.user_cert)
        await client.load_private_key(arguments.user_key)
    if arguments.user:
        client.set_user(arguments.user)
        client.set_password(arguments.password)
    try:
        async with client:
            if arguments.action == "connect":
                say(connected=True, **said)
                return
            uri, *rest = arguments.rest
            namespace = await client.get_namespace_index(uri)
            if arguments.action == "look":
                await look(client, namespace, rest)
            elif arguments.action == "watch":
                await watch(client, namespace, *rest)
            elif arguments.action == "write":
                await write(client, namespace, rest)
    except ua.UaStatusCodeError as error:
        say(refused=type(error).__name__)
    except (ConnectionError, TimeoutError, asyncio.TimeoutError, ua.UaError) as error:
        say(refused=type(error).__name__, reason=str(error))


def main():
    logging.disable(logging.CRITICAL)
    parser = argparse.ArgumentParser()
    parser.add_argument("--policy", help="Basic256Sha256, Aes128Sha256RsaOaep, ...")
    parser.add_argument("--mode", default="SignAndEncrypt")
    parser.add_argument("--cert")
    parser.add_argument("--key")
    parser.add_argument("--uri")
    parser.add_argument("--user")
    parser.add_argument("--password")
    parser.add_argument("--user-cert")
    parser.add_argument("--user-key")
    parser.add_argument("--listen", type=int, metavar="PORT")
    parser.add_argument("url")
    parser.add_argument("action")
    parser.add_argument("rest", nargs="*")
    arguments = parser.parse_args()
    if arguments.url == "certificate":
        asyncio.run(make_certificate(arguments.action, *arguments.rest))
    else:
        asyncio.run(run(arguments))


if __name__ == "__main__":
    main()
