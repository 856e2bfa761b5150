"""What a benchmark found, as a table and as docs/benchmarks.md."""

from dataclasses import asdict, dataclass


@dataclass
class Row:
    """One figure; `met` is None where there is no target."""

    benchmark: str
    what: str
    figure: str
    target: str = ""
    met: bool | None = None

    def verdict(self):
        return {None: "", True: "met", False: "NOT MET"}[self.met]


def at_least(benchmark, what, value, target, form="{:,.0f}", unit=""):
    return Row(benchmark, what, form.format(value) + unit,
               "≥ " + form.format(target) + unit, value >= target)


def at_most(benchmark, what, value, target, form="{:,.0f}", unit=""):
    return Row(benchmark, what, form.format(value) + unit,
               "≤ " + form.format(target) + unit, value <= target)


def figure(benchmark, what, value, form="{:,.0f}", unit=""):
    return Row(benchmark, what, form.format(value) + unit)


def table(rows):
    """For a terminal."""
    heads = ("benchmark", "measured", "figure", "target", "")
    cells = [(r.benchmark, r.what, r.figure, r.target, r.verdict()) for r in rows]
    widths = [max(len(row[at]) for row in [heads, *cells]) for at in range(5)]
    lines = []
    for head, what, number, target, verdict in [heads, *cells]:
        lines.append("  ".join((
            head.ljust(widths[0]), what.ljust(widths[1]), number.rjust(widths[2]),
            target.rjust(widths[3]), verdict,
        )).rstrip())
    return "\n".join(lines)


def markdown(rows, notes, machine, runs):
    """The generated part of docs/benchmarks.md. `runs`: benchmark → (date, command)."""
    lines = [
        f"Machine: {machine['processor']}, {machine['cores']} cores, {machine['memory_gb']} GB, "
        f"{machine['system']}.",
        "",
    ]
    for name in dict.fromkeys(row.benchmark for row in rows):
        date, command = runs[name]
        lines += [f"## {name}", "", notes[name], "", f"`{command}`, {date}.", "",
                  "| measured | figure | target | |", "| --- | ---: | ---: | --- |"]
        lines += [f"| {r.what} | {r.figure} | {r.target} | {r.verdict()} |"
                  for r in rows if r.benchmark == name]
        lines.append("")
    return "\n".join(lines)


def as_json(rows):
    return [asdict(row) for row in rows]
