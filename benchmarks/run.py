"""How fast faceedit is, and whether it keeps its bars: python benchmarks/run.py [--against CLONE] [--quick]

Times are medians of rounds in which all that is compared takes its turn, so that what else the machine does touches all
of it alike: trust the ratios before the times. Needs nothing but the repository, and some minutes; --against, a clone
of an earlier version, whose packages must be installed here too. Ends with 0 whether or not the bars are kept. The last
lines are a table in Markdown.
"""

import argparse
import json
import os
import platform
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from measures import Bench
from rich.console import Console
from rich.table import Column, Table
from versions import HERE, compare_versions, name_of

from faceedit import __version__
from faceedit.device import resolve_device

GROUPS = ("start", "edits", "networks", "batches", "films", "preparing", "training", "memory")


class Figures:
    """measured: name → {value, unit}. ratios: each {name, value, bar, least, passed}, some without a bar."""

    def __init__(self):
        self.measured: dict[str, dict] = {}
        self.ratios: list[dict] = []

    def times(self, ways: dict[str, Callable[[], object]], rounds: int) -> list[float]:
        """The median seconds of each way, all in turns after a round that warms up; kept as milliseconds."""
        taken = {name: [] for name in ways}
        for turn in range(rounds + 1):
            for name, way in ways.items():
                start = time.perf_counter()
                way()
                if turn:
                    taken[name].append(time.perf_counter() - start)
        medians = {name: float(np.median(seconds)) for name, seconds in taken.items()}
        for name, seconds in medians.items():
            self.keep(name, seconds * 1e3, "ms")
        return list(medians.values())

    def keep(self, name: str, value: float, unit: str) -> None:
        self.measured[name] = {"value": value, "unit": unit}

    def compare(self, name: str, value: float, bar: float | None = None, least: bool = False) -> None:
        """bar: what the ratio may be at most, or with `least` must be at least."""
        passed = None if bar is None else bool(value >= bar if least else value <= bar)
        self.ratios.append({"name": name, "value": value, "bar": bar, "least": least, "passed": passed})

    def show(self, machine: dict) -> None:
        console = Console()
        console.print(", ".join(f"{name}: {value}" for name, value in machine.items()))
        table = Table("measured", Column("median", justify="right"), "")
        for name, figure in self.measured.items():
            value = figure["value"]
            table.add_row(name, f"{value:.3g}" if value < 100 else f"{value:.0f}", figure["unit"])
        console.print(table)
        table = Table("ratio", Column("value", justify="right"), "bar", "")
        verdicts = {True: "[green]pass", False: "[red]FAIL", None: ""}
        for ratio in self.ratios:
            bar = "" if ratio["bar"] is None else f"{'≥' if ratio['least'] else '≤'} {ratio['bar']:.3g}"
            table.add_row(ratio["name"], f"{ratio['value']:.2f}", bar, verdicts[ratio["passed"]])
        console.print(table)
        print("| ratio | value | bar |\n|---|---|---|")
        for ratio in self.ratios:
            bar = "" if ratio["bar"] is None else f"{'≥' if ratio['least'] else '≤'} {ratio['bar']:.3g}"
            print(f"| {ratio['name']} | {ratio['value']:.2f} | {bar} |")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", type=Path, metavar="FILE", help="also write all figures to this file")
    parser.add_argument("--device", default="cpu", choices=("cpu", "cuda"))
    parser.add_argument("--quick", action="store_true", help="fewer rounds and photos: does it run, and roughly how")
    parser.add_argument("--against", type=Path, metavar="CLONE", help="a clone of an earlier version to compare with")
    parser.add_argument("--only", choices=GROUPS, nargs="*", default=GROUPS, help="some of the groups")
    arguments = parser.parse_args()
    device, figures = resolve_device(arguments.device), Figures()
    watched = Console(stderr=True)
    with tempfile.TemporaryDirectory(prefix="faceedit-benchmark-") as folder:
        bench = Bench(figures, device, arguments.quick, Path(folder))
        for group in arguments.only:
            watched.print(f"measuring: {group}")
            getattr(bench, group)()
        if arguments.against:
            watched.print(f"measuring beside {arguments.against}")
            bench.fill_folder()
            compare_versions(figures, arguments.against, device, Path(folder), bench.slow_rounds)
    machine = {
        "faceedit": f"{__version__} ({name_of(HERE)})",
        **({"against": name_of(arguments.against)} if arguments.against else {}),
        "python": platform.python_version(),
        "torch": torch.__version__,
        "platform": platform.platform(),
        "device": torch.cuda.get_device_name() if device == "cuda" else device,
        "cores": os.cpu_count(),
        "load of the last 15 minutes": round(os.getloadavg()[2], 1),
        "quick": arguments.quick,
    }
    figures.show(machine)
    if arguments.json:
        arguments.json.write_text(json.dumps({"machine": machine, **vars(figures)}, indent=1) + "\n")


if __name__ == "__main__":
    main()
