"""What an integrator writes today: asyncua + onnxruntime + paho-mqtt in one script.

    script.py URL ASSETS POINTS_EACH MODEL.onnx BROKER_PORT
    script.py URL ASSETS POINTS_EACH                     only subscribes

Every asset has POINTS_EACH inputs; when any of them changed, the model judges the asset's last
values and the answer is published as JSON with QoS 1. Written with care: all inputs live in one
array, all assets that a notification changed are judged by one call of the session, which uses one
thread, subscriptions are made in bulk, paho's network loop has its own thread.
Prints one line of JSON, its counters, for each line on standard input.
"""

import asyncio
import json
import sys

import numpy as np
import onnxruntime
import paho.mqtt.client as mqtt
from asyncua import Client, ua


class Changes:
    """Takes data changes: last values, and which assets are to be judged."""

    def __init__(self, assets, points_each):
        self.values = np.full((assets, points_each), np.nan, np.float32)
        self.times = [None] * assets
        self.where = {}
        self.dirty = set()
        self.wake = asyncio.Event()
        self.changes = 0

    def datachange_notification(self, node, value, data):
        self.changes += 1
        asset, point = self.where[node.nodeid]
        self.values[asset, point] = value
        self.times[asset] = data.monitored_item.Value.SourceTimestamp
        self.dirty.add(asset)
        self.wake.set()


async def judge(changes, model, port, counters):
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession(model, options)
    client = mqtt.Client(mqtt.CallbackAPIVersion.VERSION2, protocol=mqtt.MQTTv5)
    client.max_inflight_messages_set(64)
    client.connect("127.0.0.1", port)
    client.loop_start()
    while True:
        await changes.wake.wait()
        changes.wake.clear()
        assets, changes.dirty = np.fromiter(changes.dirty, np.intp), set()
        rows = changes.values[assets]
        complete = ~np.isnan(rows).any(axis=1)
        if not complete.any():
            continue
        (y,) = session.run(None, {"x": rows[complete]})
        counters["inferences"] += len(y)
        for asset, answer in zip(assets[complete].tolist(), y.tolist()):
            time = changes.times[asset].isoformat(timespec="microseconds")
            client.publish(f"script/m{asset}/result", json.dumps({
                "asset": f"m{asset}", "source_time": time, "y": answer,
            }), qos=1)
        await asyncio.sleep(0)


async def main(url, assets, points_each, model=None, port=None):
    changes = Changes(int(assets), int(points_each))
    counters = {"inferences": 0}
    async with Client(url) as client:
        nodes = []
        for asset in range(int(assets)):
            for point in range(int(points_each)):
                at = asset * int(points_each) + point
                node = client.get_node(f"ns=2;s=Load.Counters.P{at:05}")
                changes.where[node.nodeid] = (asset, point)
                nodes.append(node)
        subscription = await client.create_subscription(100, changes)
        for first in range(0, len(nodes), 500):
            await subscription.subscribe_data_change(
                nodes[first:first + 500], ua.AttributeIds.Value, queuesize=16,
                sampling_interval=0)
        judging = asyncio.create_task(judge(changes, model, int(port), counters)) if model else None
        print("ready", flush=True)
        lines = asyncio.get_running_loop()
        while await lines.run_in_executor(None, sys.stdin.readline):
            if judging and judging.done():
                judging.result()
            print(json.dumps({"changes": changes.changes, **counters}), flush=True)
        if judging:
            judging.cancel()


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
