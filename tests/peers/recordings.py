"""What pyarrow finds in the files of a recording, and what others might make of them.

    recordings.py read FOLDER        what the files hold, as one line of JSON; each model is run on
                                     the inputs that were read, by onnxruntime
    recordings.py damage FILE OUT    files that are not as they were recorded, into the folder OUT
    recordings.py nudge MODEL.onnx   changes its weights by a millionth
    recordings.py table OUT          tables in the types that other programs write, into the folder
"""

import datetime
import decimal
import glob
import json
import os
import sys

import numpy as np
import onnx
import onnxruntime
import pyarrow as pa
import pyarrow.parquet as pq


def stacked(column):
    return np.stack([np.asarray(row) for row in column.to_pylist()])


def read(folder):
    windows, observations = [], []
    for file in sorted(glob.glob(os.path.join(folder, "windows-*.parquet"))):
        table = pq.read_table(file)
        about = json.loads(table.schema.metadata[b"resonance.windows"])
        model = f"{about['model']}-{about['digest'].removeprefix('sha256:')[:16]}"
        session = onnxruntime.InferenceSession(os.path.join(folder, "models", model, "model.onnx"))
        signature = about["signature"]
        inputs = {spec["name"]: stacked(table["input_" + spec["name"]]).astype(np.float32)
                  .reshape([-1] + spec["shape"][1:]) for spec in signature["inputs"]}
        names = [spec["name"] for spec in signature["outputs"]]
        worst = 0.0
        for name, found in zip(names, session.run(names, inputs)):
            recorded = stacked(table["output_" + name]).reshape(found.shape)
            difference = np.abs(recorded.astype(np.float64) - found.astype(np.float64))
            worst = max(worst, float(difference.max()))
        windows.append({
            "file": os.path.basename(file),
            "types": {field.name: str(field.type) for field in table.schema},
            "rows": table.num_rows,
            "deployments": sorted(set(table["deployment"].to_pylist())),
            "result_ids": table["result_id"].to_pylist(),
            "worst": worst,
        })
    for file in sorted(glob.glob(os.path.join(folder, "observations-*.parquet"))):
        table = pq.read_table(file)
        points = table["point"].to_pylist()
        observations.append({
            "rows": table.num_rows,
            "points": sorted(set(points)),
            "kinds": sorted(set(table["kind"].to_pylist())),
            "types": {field.name: str(field.type) for field in table.schema},
            "numbers": sum(value is not None for value in table["value"].to_pylist()),
        })
    print(json.dumps({"windows": windows, "observations": observations}))


def damage(file, out):
    table = pq.read_table(file)

    def write(name, changed):
        pq.write_table(changed.replace_schema_metadata(table.schema.metadata),
                       os.path.join(out, name))

    first = next(name for name in table.column_names if name.startswith("input_"))
    at = table.column_names.index(first)
    write("absent.parquet", table.drop_columns(["deployment"]))
    write("texts.parquet", table.set_column(at, first, table[first].cast(pa.list_(pa.string()))))
    write("doubles.parquet", table.set_column(at, first, table[first].cast(pa.list_(pa.float64()))))
    write("single.parquet", table.set_column(at, first, pa.array(np.zeros(len(table), np.float32))))
    row = table.column_names.index("row")
    write("rows.parquet", table.set_column(row, pa.field("row", pa.int32(), False),
                                           pa.array(np.full(len(table), 7, np.int32))))
    short = pa.array([list(cells)[:-1] for cells in table[first].to_pylist()],
                     pa.list_(pa.field("element", pa.float32(), False)))
    schema = table.schema.set(at, pa.field(first, short.type, False))
    columns = [short if name == first else table[name] for name in table.column_names]
    pq.write_table(pa.table(columns, schema=schema), os.path.join(out, "short.parquet"))
    pq.write_table(pa.table({"a": [1, 2]}), os.path.join(out, "foreign.parquet"))
    whole = open(file, "rb").read()
    open(os.path.join(out, "cut.parquet"), "wb").write(whole[: len(whole) // 2])
    open(os.path.join(out, "empty.parquet"), "wb").close()
    open(os.path.join(out, "text.parquet"), "w").write("a,b\n1,2\n")
    print(json.dumps({"ok": True}))


def nudge(file):
    model = onnx.load(file)
    weights = next(w for w in model.graph.initializer if w.name == "coefficient")
    changed = onnx.numpy_helper.to_array(weights) * np.float32(1.000001)
    weights.CopyFrom(onnx.numpy_helper.from_array(changed, weights.name))
    onnx.save(model, file)
    print(json.dumps({"ok": True}))


def table(out):
    day = datetime.datetime(2026, 3, 1, 6, tzinfo=datetime.timezone.utc)
    count = 2_500
    times = [day + datetime.timedelta(milliseconds=at // 100) for at in range(count)]
    columns = {
        "count": pa.array(range(count), pa.int64()),
        "at": pa.array(times, pa.timestamp("us", tz="UTC")),
        "also": pa.array(times, pa.timestamp("ns")),
        "day": pa.array([day.date()] * count, pa.date32()),
        "torque": pa.array([at / 8 for at in range(count)], pa.float64()),
        "half": pa.array(np.full(count, 1.5, np.float16)),
        "small": pa.array([-(at % 100) for at in range(count)], pa.int8()),
        "large": pa.array([2**64 - 1] * count, pa.uint64()),
        "wide": pa.array([2**32 - 2] * count, pa.uint32()),
        "price": pa.array([decimal.Decimal("12.34")] * count, pa.decimal128(7, 2)),
        "running": pa.array([at % 2 == 1 for at in range(count)]),
        "program": pa.array([f"O{at % 3}" for at in range(count)]).dictionary_encode(),
        "holes": pa.array([None if at % 2 else float(at) for at in range(count)]),
        "profile": pa.array([[1.0, 2.0]] * count),
    }
    whole = pa.table(columns)
    pq.write_table(whole, os.path.join(out, "table.parquet"), row_group_size=1_100,
                   store_decimal_as_integer=True)
    pq.write_table(whole, os.path.join(out, "zstd.parquet"), compression="zstd")
    pq.write_table(whole.select(["profile"]), os.path.join(out, "lists.parquet"))
    bytes = open(os.path.join(out, "table.parquet"), "rb").read()
    open(os.path.join(out, "cut.parquet"), "wb").write(bytes[:-9])
    print(json.dumps({"ok": True}))


if __name__ == "__main__":
    {"read": read, "damage": damage, "nudge": nudge, "table": table}[sys.argv[1]](*sys.argv[2:])
