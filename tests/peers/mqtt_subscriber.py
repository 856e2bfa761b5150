"""A foreign MQTT 5 subscriber: prints every message as one line of JSON.

Its session outlives connections, so that what the broker acknowledged to a publisher reaches it.
"""

import json
import ssl
import sys

import paho.mqtt.client as mqtt
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties

options = json.loads(sys.argv[1])


def say(**what):
    print(json.dumps(what), flush=True)


def on_connect(client, userdata, flags, reason, properties):
    if reason.is_failure:
        say(refused=str(reason))
    else:
        client.subscribe(options["filter"], qos=1)


def on_subscribe(client, userdata, mid, reasons, properties):
    say(ready=not any(reason.is_failure for reason in reasons))


def on_message(client, userdata, message):
    properties = message.properties.json()
    say(
        topic=message.topic,
        payload=json.loads(message.payload),
        qos=message.qos,
        retain=message.retain,
        properties=properties,
        user=dict(getattr(message.properties, "UserProperty", [])),
        correlation=getattr(message.properties, "CorrelationData", b"").hex(),
    )


client = mqtt.Client(
    mqtt.CallbackAPIVersion.VERSION2, client_id=options["client_id"], protocol=mqtt.MQTTv5
)
client.on_connect = on_connect
client.on_subscribe = on_subscribe
client.on_message = on_message
client.reconnect_delay_set(min_delay=1, max_delay=1)
if "user" in options:
    client.username_pw_set(options["user"], options["password"])
if "ca_file" in options:
    client.tls_set(ca_certs=options["ca_file"], cert_reqs=ssl.CERT_REQUIRED)
keep = Properties(PacketTypes.CONNECT)
keep.SessionExpiryInterval = 3600
client.connect(options["host"], options["port"], clean_start=False, properties=keep)
client.loop_forever(retry_first_connection=True)
