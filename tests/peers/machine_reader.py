"""Reads a machine as any OPC UA client would: browses it once, or watches some of its nodes.

machine_reader.py URL browse MACHINE        one line: what the machine shows
machine_reader.py URL watch N NODE...       N lines: one a notification, as it comes
"""

import asyncio
import json
import sys

from asyncua import Client


def plain(value):
    if hasattr(value, "Text"):
        return value.Text
    if hasattr(value, "UnitId"):
        unit = {"id": value.UnitId, "symbol": value.DisplayName.Text}
        return {**unit, "namespace": value.NamespaceUri}
    if hasattr(value, "AxisSteps"):
        return {
            "title": value.Title.Text,
            "unit": plain(value.EngineeringUnits),
            "range": plain(value.EURange),
            "steps": value.AxisSteps,
        }
    if hasattr(value, "Low"):
        return [value.Low, value.High]
    if isinstance(value, list):
        return [plain(each) for each in value]
    if hasattr(value, "DisplayName"):
        return [value.Value, value.DisplayName.Text]
    return value


async def variables(node, found):
    for child in await node.get_children():
        if (await child.read_node_class()).name == "Variable":
            data = await child.read_data_value()
            properties = {}
            for each in await child.get_properties():
                properties[(await each.read_browse_name()).Name] = plain(await each.read_value())
            type_id = await child.read_type_definition()
            found[child.nodeid.to_string()] = {
                "type_definition": type_id.Identifier,
                "value": data.Value.Value,
                "type": data.Value.VariantType.name,
                "good": data.StatusCode.is_good(),
                "source_time": data.SourceTimestamp.timestamp(),
                "properties": properties,
            }
        else:
            await variables(child, found)
    return found


async def browse(client, machine):
    for node in await client.nodes.objects.get_children():
        if (await node.read_browse_name()).Name == machine:
            description = (await node.read_description()).Text
            shown = {"description": description, "variables": await variables(node, {})}
            print(json.dumps(shown), flush=True)


class Print:
    def __init__(self, count):
        self.left = count
        self.done = asyncio.Event()

    def datachange_notification(self, node, value, data):
        if self.left == 0:
            return
        time = data.monitored_item.Value.SourceTimestamp.timestamp()
        line = {"node": node.nodeid.to_string(), "value": value, "source_time": time}
        print(json.dumps(line), flush=True)
        self.left -= 1
        if self.left == 0:
            self.done.set()


async def watch(client, count, ids):
    handler = Print(count)
    subscription = await client.create_subscription(50, handler)
    nodes = [client.get_node(each) for each in ids]
    await subscription.subscribe_data_change(nodes, queuesize=100, sampling_interval=10)
    await handler.done.wait()


async def main(url, command, *arguments):
    async with Client(url) as client:
        if command == "browse":
            await browse(client, *arguments)
        else:
            await watch(client, int(arguments[0]), arguments[1:])


asyncio.run(main(*sys.argv[1:]))
