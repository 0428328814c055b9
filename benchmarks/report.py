"""Every analysis at growing numbers of features, on the CPU and every other device:   python -m benchmarks.report

Writes one record for each measurement to docs/speed.json, and from all records the tables of docs/speed.md. A record
replaces an older one of the same machine, device, analysis and size. Each result is checked against float64.

    python -m benchmarks.report --sizes 4096 24576 --only nearest --devices cpu cuda --write FOLDER
"""

import argparse
import json
import os
import platform
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from statistics import median

import numpy as np

from benchmarks.cases import CASES, Case
from benchmarks.common import median_seconds, peak_gb, product_backends
from core.devices.device import CPU, Device, available, chosen
from core.installation import PROJECT
from core.work.threads import available_cpus

SIZES = (4096, 8192, 16384, 24576, 32768, 65536, 131072)
PEER_S = 3.0
"""About the longest run of a peer, in seconds. A peer that would take longer runs fewer features and is scaled."""
BEGIN, END = "<!-- made by python -m benchmarks.report -->", "<!-- end -->"


def measure(case: Case, n: int, device: Device, repeats: int) -> dict:
    """Check once, then time the analysis, its floor and its peer."""
    found: dict = {}
    peak = _peak(lambda: found.update(result=case.run(device)), device)
    error = case.check(found.pop("result"))
    times = [_seconds(lambda: case.run(device), device) for _ in range(repeats)]
    floor = _floor(case, device) * case.products
    peer, features = _peer(case, n, device)
    record = {
        "machine": machine(),
        "device": device.name if device != CPU else f"CPU, {available_cpus()} threads",
        "what": case.what,
        "features": n,
        "seconds": median(times),
        "runs": repeats,
        "floor_seconds": floor,
        "peer": case.peer,
        "peer_seconds": peer,
        "peer_features": features,
        "peak_gb": peak,
        "error": error,
    }
    print(json.dumps({name: value for name, value in record.items() if name != "machine"}), flush=True)
    return record


def machine() -> str:
    """Return a line about this machine: number and kind of processors, and torch's version."""
    import torch

    name = platform.processor() or platform.machine()
    for line in Path("/proc/cpuinfo").read_text().splitlines() if Path("/proc/cpuinfo").exists() else ():
        if line.startswith("model name"):
            name = line.partition(":")[2].strip()
            break
    return f"{available_cpus()} of {os.cpu_count()} threads of {name}, torch {torch.__version__}"


def _seconds(work: Callable[[], object], device: Device) -> float:
    device.wait()
    start = time.perf_counter()
    work()
    device.wait()
    return time.perf_counter() - start


def _peak(work: Callable[[], object], device: Device) -> float | None:
    """Return the largest rise in GB of the device's memory, or on the CPU of this process's memory."""
    return peak_gb(work) if device.kind == "cpu" else device.peak_bytes(work) / 1e9


def _floor(case: Case, device: Device) -> float:
    """Return the seconds of the bare product; on the CPU, of the fastest exact backend on some rows, scaled to all."""
    rows, others = case.product
    if device == CPU:
        few = np.ascontiguousarray(rows[:1024])
        return min(median_seconds(product_backends(others, few), 3).values()) * len(rows) / len(few)
    from core.devices.placed import place
    from core.devices.products import ieee_products

    a, b = (place(part, device) for part in case.product)

    def product() -> None:
        for part in a.split(8192):
            part @ b.T

    with ieee_products():
        _seconds(product, device)
        return median(_seconds(product, device) for _ in range(3))


def _peer(case: Case, n: int, device: Device) -> tuple[float, int]:
    """Run the peer on four times as many features until it takes long enough; return scaled seconds and features."""
    import torch

    features = min(n, 64)
    with torch.inference_mode():
        case.peer_run(device, min(n, 8))
        while True:
            taken = _seconds(lambda features=features: case.peer_run(device, features), device)
            if taken > PEER_S / 4 or features == n:
                return taken * n / features * case.peer_scale, features
            features = min(n, features * 4)


def growth(records: Iterable[dict]) -> str:
    """Fit seconds = c n^p to the sizes of one analysis; return the power in words, empty for fewer than three sizes."""
    points = sorted({record["features"]: record["seconds"] for record in records}.items())
    if len(points) < 3:
        return ""
    n, taken = np.log(np.array(points)).T
    return f"n^{np.polyfit(n, taken, 1)[0]:.2f}"


def tables(records: list[dict]) -> str:
    """Return the tables in Markdown: a heading for each machine, and a table of all devices for each analysis."""
    parts = []
    for machine_name in dict.fromkeys(record["machine"] for record in records):
        here = [record for record in records if record["machine"] == machine_name]
        parts.append(f"### {machine_name}\n")
        for what in dict.fromkeys(record["what"] for record in here):
            of_what = [record for record in here if record["what"] == what]
            parts.append(f"**{what}**, against {of_what[0]['peer']}\n")
            parts.append(
                "| on | features | time | product | × product | peer | × faster | peak | error | time grows as |"
            )
            parts.append("|---|--:|--:|--:|--:|--:|--:|--:|--:|---|")
            for device in dict.fromkeys(record["device"] for record in of_what):
                rows = sorted((r for r in of_what if r["device"] == device), key=lambda record: record["features"])
                parts += [_row(record, growth(rows) if record is rows[-1] else "") for record in rows]
            parts.append("")
    return "\n".join(parts)


def _row(record: dict, grows: str) -> str:
    n, seconds = record["features"], record["seconds"]
    cells = [
        record["device"],
        f"{n:,}",
        f"{seconds:.3g} s",
        f"{record['floor_seconds']:.3g} s",
        f"{seconds / record['floor_seconds']:.2f}",
        f"{record['peer_seconds']:.3g} s"
        + ("" if record["peer_features"] == n else f" from {record['peer_features']:,}"),
        f"{record['peer_seconds'] / seconds:.3g}",
        "" if record["peak_gb"] is None else f"{record['peak_gb']:.2f} GB",
        f"{record['error']:.0e}",
        grows,
    ]
    return "| " + " | ".join(cells) + " |"


def merged(old: list[dict], new: list[dict]) -> list[dict]:
    """Return the old records, with new ones in place of those that were measured again, and then all other new ones."""

    def name(record: dict) -> tuple:
        return tuple(record[part] for part in ("machine", "device", "what", "features"))

    fresh = {name(record): record for record in new}
    return [fresh.pop(name(record), record) for record in old] + list(fresh.values())


def write(folder: Path, new: list[dict]) -> None:
    """Add records to speed.json, and write the tables of all records into speed.md."""
    data, page = folder / "speed.json", folder / "speed.md"
    records = merged(json.loads(data.read_text()) if data.exists() else [], new)
    data.write_text(json.dumps(records, indent=1) + "\n")
    text = page.read_text(encoding="utf-8") if page.exists() else f"{BEGIN}\n{END}\n"
    before, _, rest = text.partition(BEGIN)
    page.write_text(f"{before}{BEGIN}\n\n{tables(records)}\n{END}{rest.partition(END)[2]}", encoding="utf-8")


def main() -> None:
    names = [case.__name__ for case in CASES]
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sizes", type=int, nargs="+", default=SIZES, help="numbers of features")
    parser.add_argument("--only", nargs="+", default=names, choices=names, help="which analyses")
    parser.add_argument("--devices", nargs="+", help="cpu, cuda, ...; default: all that are there")
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--write", type=Path, default=PROJECT / "docs", help="the folder of speed.json and speed.md")
    options = parser.parse_args()
    devices = [chosen(name) for name in options.devices] if options.devices else list(available())
    for case in CASES:
        for n in options.sizes if case.__name__ in options.only else ():
            with case(n) as made:
                records = [measure(made, n, device, options.repeats) for device in devices]
            write(options.write, records)  # after each case, so that a run that breaks off has stored its results


if __name__ == "__main__":
    main()
