"""A MES behind an MQTT 5 broker: confirms B2MML-JSON on the response topic it is given.

Options, JSON: host, port, lose (messages at the start that it forgets), refuse (text it rejects).
Prints every message it had as one line of JSON.
"""

import json
import sys

import paho.mqtt.client as mqtt
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties

options = json.loads(sys.argv[1])
state = {"lose": options.get("lose", 0)}


def say(**what):
    print(json.dumps(what), flush=True)


def on_connect(client, userdata, flags, reason, properties):
    client.subscribe("plant/#", qos=1)


def on_subscribe(client, userdata, mid, reasons, properties):
    say(ready=not any(reason.is_failure for reason in reasons))


def on_message(client, userdata, message):
    text = message.payload.decode()
    (name, bod), = json.loads(text).items()
    area = bod["ApplicationArea"]
    data = bod["DataArea"]
    noun = next(value for key, value in data.items() if key not in ("Sync", "Process"))
    lost = state["lose"] > 0
    state["lose"] -= 1
    rejected = options.get("refuse", "\0") in text
    say(message=name, ids=[each["ID"] for each in noun], lost=lost, rejected=rejected,
        content_type=message.properties.ContentType)
    if lost:
        return
    criterion = {"ResponseExpression": {"@actionCode": "Rejected" if rejected else "Accepted"}}
    if rejected:
        criterion["ChangeStatus"] = {"Reason": ["the order is closed"]}
    original = {"CreationDateTime": area["CreationDateTime"], "BODID": area["BODID"]}
    answer = {
        "ConfirmBOD": {
            "ApplicationArea": {"CreationDateTime": area["CreationDateTime"]},
            "DataArea": {
                "Confirm": {"OriginalApplicationArea": original, "ResponseCriteria": [criterion]},
                "BOD": [{"OriginalApplicationArea": original}],
            },
        }
    }
    properties = Properties(PacketTypes.PUBLISH)
    properties.CorrelationData = message.properties.CorrelationData
    topic = message.properties.ResponseTopic
    client.publish(topic, json.dumps(answer), qos=1, properties=properties)


client = mqtt.Client(mqtt.CallbackAPIVersion.VERSION2, client_id="mes", protocol=mqtt.MQTTv5)
client.on_connect = on_connect
client.on_subscribe = on_subscribe
client.on_message = on_message
client.connect(options["host"], options["port"])
client.loop_forever(retry_first_connection=True)
