"""A mill with the types and names of the companion specification UA/CNC, played by asyncua.

Prints one JSON line with its port once it listens. Ends when stdin ends.
"""

import asyncio
import json
import logging
import sys

from asyncua import Server, ua

CNC = "http://opcfoundation.org/UA/CNC"
UNITS = "http://www.opcfoundation.org/UA/units/un/cefact"
RPM, KILOWATT = 5394509, 4937556


async def quantity(server, namespace, parent, name, value, unit, symbol, low, high):
    """A variable as companion specifications have it, with unit and range."""
    variable = await parent.add_variable(
        ua.NodeId(f"Spindle.{name}", namespace), ua.QualifiedName(name, await server.get_namespace_index(CNC)),
        ua.Variant(value, ua.VariantType.Double))
    await variable.add_property(
        ua.NodeId(f"Spindle.{name}.Units", namespace), ua.QualifiedName("EngineeringUnits", 0),
        ua.EUInformation(UNITS, unit, ua.LocalizedText(symbol), ua.LocalizedText(symbol)))
    await variable.add_property(
        ua.NodeId(f"Spindle.{name}.Range", namespace), ua.QualifiedName("EURange", 0),
        ua.Range(low, high))


async def main():
    logging.disable(logging.CRITICAL)
    server = Server()
    await server.init()
    server.set_endpoint("opc.tcp://127.0.0.1:0/machine/")
    server.set_security_policy([ua.SecurityPolicyType.NoSecurity])
    index = await server.register_namespace(CNC)
    namespace = await server.register_namespace("http://maker.example/mill/")
    kind = server.nodes.base_object_type
    for number, name in enumerate(("CncComponentType", "CncDriveType", "CncSpindleType"), 1001):
        kind = await kind.add_object_type(ua.NodeId(number, index), ua.QualifiedName(name, index))
    # As makers do: a type of their own, derived from the specification's.
    kind = await kind.add_object_type(ua.NodeId("Spindle7Type", namespace), f"{namespace}:Spindle7Type")
    mill = await server.nodes.objects.add_object(
        ua.NodeId("Mill", namespace), f"{namespace}:Mill 7")
    spindle = await mill.add_object(
        ua.NodeId("Spindle", namespace), f"{namespace}:Spindle", kind.nodeid)
    await quantity(server, namespace, spindle, "ActSpeed", 3000.0, RPM, "r/min", 0.0, 12000.0)
    await quantity(server, namespace, spindle, "ActPower", 44.0, KILOWATT, "kW", 0.0, 30.0)
    await mill.add_variable(
        ua.NodeId("Door", namespace), f"{namespace}:Door", ua.Variant(True, ua.VariantType.Boolean))
    await mill.add_variable(
        ua.NodeId("Signature", namespace), f"{namespace}:Signature",
        ua.Variant(ua.Argument(Name="x"), ua.VariantType.ExtensionObject))
    await server.start()
    port = server.bserver._server.sockets[0].getsockname()[1]
    print(json.dumps({"port": port}), flush=True)
    await asyncio.get_running_loop().run_in_executor(None, sys.stdin.read)
    await server.stop()


asyncio.run(main())
