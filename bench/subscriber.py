"""Measures the age of results when they arrive over MQTT: subscriber.py PORT SECONDS TOPIC.

Prints one line of JSON: messages, and percentiles of receipt minus `source_time`, milliseconds.
"""

import json
import sys
import time
from datetime import datetime, timezone

import paho.mqtt.client as mqtt


def main(port, seconds, topic):
    received = []
    client = mqtt.Client(mqtt.CallbackAPIVersion.VERSION2, protocol=mqtt.MQTTv5)
    client.on_message = lambda _c, _u, message: received.append((time.time(), message.payload))
    client.connect("127.0.0.1", int(port))
    client.subscribe(topic, qos=1)
    client.loop_start()
    time.sleep(float(seconds))
    client.loop_stop()
    ages = []
    for at, payload in received:
        source = datetime.fromisoformat(json.loads(payload)["source_time"])
        ages.append(1e3 * (at - source.replace(tzinfo=source.tzinfo or timezone.utc).timestamp()))
    ages.sort()
    share = lambda part: ages[min(len(ages) - 1, int(len(ages) * part))] if ages else None
    print(json.dumps({"messages": len(ages), "p50_ms": share(0.5), "p99_ms": share(0.99)}))


if __name__ == "__main__":
    main(*sys.argv[1:])
