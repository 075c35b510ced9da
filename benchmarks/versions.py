"""This version beside an earlier one, a clone, each in a process of its own and in turns."""

import subprocess
import sys
from functools import partial
from pathlib import Path

import numpy as np

HERE = Path(__file__).parents[1]
WORKER = Path(__file__).with_name("version.py")
# Task, photo or folder, what it is called, and the bar of the ratio of times.
TASKS = (
    ("detect", "2.jpg", "detection of the largest face, 2 MP", 1 / 4),
    ("detect", "12.jpg", "detection of the largest face, 12 MP", 1 / 4),
    ("edit", "2.jpg", "whole edit, 2 MP", 0.45),
    ("edit", "12.jpg", "whole edit, 12 MP", 0.75),
    ("folder", "folder", "folder of photos, 2 MP", 1 / 2),
)


class Version:
    """A clone of faceedit, with its models loaded."""

    def __init__(self, clone: Path, device: str, folder: Path):
        command = [sys.executable, str(WORKER), str(clone / "src"), device]
        self._process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self._output = folder
        folder.mkdir()
        if self._process.stdout.readline() != "ready\n":
            raise SystemExit(f"{clone} is no clone of faceedit that runs here")

    def __enter__(self) -> "Version":
        return self

    def __exit__(self, *_: object) -> None:
        self._process.stdin.close()
        self._process.wait()

    def seconds(self, task: str, source: Path) -> float:
        """What a task took there."""
        output = self._output / source.name
        print(task, source, output, sep="\t", file=self._process.stdin, flush=True)
        return float(self._process.stdout.readline())


def name_of(clone: Path) -> str:
    """The commit of a clone, for people to check out again."""
    describe = ["git", "-C", str(clone), "describe", "--always", "--tags", "--dirty"]
    return subprocess.run(describe, capture_output=True, text=True).stdout.strip() or "unknown"


def compare_versions(figures, clone: Path, device: str, photos: Path, rounds: int) -> None:
    """Keep medians of both versions, and the median of their ratios, pair by pair."""
    other = partial(Version, clone, device, photos / "earlier-outputs")
    with Version(HERE, device, photos / "own-outputs") as own, other() as earlier:
        for task, source, name, bar in TASKS:
            pairs = [[version.seconds(task, photos / source) for version in (own, earlier)] for _ in range(rounds + 1)]
            taken = np.array(pairs[1:])  # the first round warms up
            for label, seconds in zip(("this version", "the earlier"), np.median(taken, axis=0), strict=True):
                figures.keep(f"{name}, {label}", seconds * 1e3, "ms")
            figures.compare(f"{name} / the earlier version's", float(np.median(taken[:, 0] / taken[:, 1])), bar)
