"""Many photos on many machines: `batch.run` as a pipeline of Ray Data, with one editor in each worker."""

import logging
import os
import pickle
import socket
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import cv2

from faceedit import batch
from faceedit.batch import Job
from faceedit.errors import FaceEditError, UsageError, unexpected
from faceedit.files import remove_leftovers

if TYPE_CHECKING:  # only workers load networks
    from ray.actor import ActorProxy

    from faceedit.editing.editor import FaceEditor
    from faceedit.media.image import Photo

# Ray reads both when it is imported. Under `uv run` it would build its workers an environment of their own.
os.environ.setdefault("RAY_ENABLE_UV_RUN_RUNTIME_ENV", "0")
os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")

import ray
import ray.data

TASKS = 1000  # at least, where there are so many photos; the driver keeps account of each
MAX_IN_TASK = 16  # photos
ATTEMPTS = 2  # at a task whose workers die
Facts = TypeVar("Facts")


def run(
    jobs: list[Job], work: Callable[["FaceEditor", "Photo"], tuple["Photo", Facts]], weights: str, device: str
) -> Iterator[tuple[Job, Facts | FaceEditError]]:
    """As `batch.run`, on the cluster that RAY_ADDRESS names, or on one that is started on this machine.

    work: is given its worker's editor, made with these weights and on this device, before the photo. What a worker was
    at when it died is done again by another, under the same name; a photo that no worker survives is a failure like
    others. Raises UsageError, and what keeps an editor from being made.
    """
    left = {replace(job, photo=job.photo.absolute(), output=job.output.absolute()): job for job in jobs}
    outputs = {job.output for job in left}
    if any(job.photo in outputs for job in left):
        raise UsageError("a result would replace a photo, which then could be edited twice: let none be replaced")
    if weights.endswith(".safetensors") and Path(weights).is_file():  # workers run in folders of their own
        weights = str(Path(weights).absolute())
    size = min(1 + len(left) // TASKS, MAX_IN_TASK)
    start = not ray.is_initialized()
    if start:
        _connect(os.environ.get("RAY_ADDRESS"))
    logging.getLogger("ray.data").setLevel(logging.ERROR)
    ray.data.DataContext.get_current().enable_progress_bars = False
    try:
        for photos in sorted({size, 1}, reverse=True):  # those that a task lost are tried one by one
            for outcome_row in _outcomes(list(left), photos, work, weights, device, photos < size):
                if isinstance(outcome_row, Exception):
                    raise outcome_row
                job, made, outcome = outcome_row
                if job in left:
                    mine = left.pop(job)
                    yield replace(mine, output=mine.output.with_name(made.output.name), done=made.done), outcome
        for job in left.values():
            yield job, FaceEditError(f"{job.photo} could not be edited: the workers that tried it died")
    finally:
        if start:
            ray.shutdown()
        remove_leftovers(output.parent for output in outputs)


@ray.remote(num_cpus=0, max_restarts=-1, max_task_retries=-1)
class Attempts:
    """Counts how often each task was begun and not ended, which a worker that it killed cannot."""

    def __init__(self, max_attempts: int):
        self.max_attempts = max_attempts
        self.begun: Counter[int] = Counter()

    @ray.method
    def begin(self, task: int) -> int:
        """The number of this attempt at the task, from 1; 0 where it may not be tried once more."""
        self.begun[task] += 1
        return self.begun[task] if self.begun[task] <= self.max_attempts else 0

    @ray.method
    def end(self, task: int) -> None:
        """Without this, what a worker had done, but Ray not yet heard of when it died, would count as a death."""
        self.begun[task] -= 1


class Worker:
    """An editor in a process of the cluster. Called with a row of jobs, it gives a row of what became of them."""

    def __init__(
        self,
        attempts: "ActorProxy[Attempts]",
        work: Callable[["FaceEditor", "Photo"], tuple["Photo", object]],
        weights: str,
        device: str,
    ):
        self.attempts = attempts
        self.work = work
        self.options = (weights, device)
        # Made when it is needed: where a worker starts, Ray would wrap the errors.
        self.editor: FaceEditor | None = None
        cv2.setNumThreads(1)  # torch's threads are Ray's to choose

    def __call__(self, row: dict[str, Any]) -> dict[str, bytes]:
        # Ray itself would try a task for ever, one worker after another.
        attempt = ray.get(self.attempts.begin.remote(row["task"]))
        again = row["again"] or attempt > 1
        outcomes = list(self._outcomes(pickle.loads(row["jobs"]), again)) if attempt else []
        ray.get(self.attempts.end.remote(row["task"]))
        return {"outcomes": ray.cloudpickle.dumps(outcomes)}

    def _outcomes(self, jobs: list[Job], again: bool = False) -> Iterator[tuple[Job, Job, object] | Exception]:
        try:
            if self.editor is None:
                from faceedit.editing.editor import FaceEditor

                self.editor = FaceEditor.from_pretrained(*self.options)
            for job in jobs:  # one at a time, as there is a worker for each core
                for made, outcome in batch.run([job], partial(self.work, self.editor), again):
                    yield job, made, outcome
        except Exception as error:  # holds for all photos, and ends the run as it does on one machine
            yield error


def _connect(address: str | None) -> None:
    """To the cluster at the address, or to one that is started here."""
    host, _, port = (address or "").removeprefix("ray://").rpartition(":")
    try:
        if port.isdecimal():  # Ray itself would ask for a quarter of an hour
            socket.create_connection((host.strip("[]"), int(port)), timeout=10).close()
        ray.init(address or "local", include_dashboard=False, logging_level=logging.ERROR)
    except (ConnectionError, TimeoutError, socket.gaierror) as error:
        raise UsageError(f"no Ray cluster answers at {address}") from error
    except Exception as error:  # as Ray raises it where a part of it does not start in time
        raise unexpected("Ray did not start", error) from error


def _outcomes(
    jobs: list[Job],
    size: int,
    work: Callable[["FaceEditor", "Photo"], tuple["Photo", Facts]],
    weights: str,
    device: str,
    again: bool,
) -> Iterator[tuple[Job, Job, Facts | FaceEditError] | Exception]:
    """What became of each job but those whose workers died: (as it was given, as it was done, its facts).

    An error by itself holds for all. again: the jobs were tried before.
    """
    tasks = range(0, len(jobs), size)
    rows = [{"task": i, "again": again, "jobs": pickle.dumps(jobs[i : i + size])} for i in tasks]
    if not rows:
        return
    resources = ray.cluster_resources()
    gpu = device == "cuda" or (device == "auto" and "GPU" in resources)
    workers = int(resources.get("GPU" if gpu else "CPU", 0))
    if not workers:
        raise UsageError(f"the Ray cluster has no {'GPU: choose the CPU' if gpu else 'CPU'}")
    attempts = Attempts.remote(ATTEMPTS)  # type: ignore[attr-defined] # mypy overlooks what decorates a class
    done = ray.data.from_items(rows, override_num_blocks=len(rows)).map(
        Worker,  # type: ignore[arg-type] # Ray's types leave out the classes that it takes
        fn_constructor_args=(attempts, work, weights, device),
        compute=ray.data.ActorPoolStrategy(size=min(workers, len(rows))),
        num_gpus=1 if gpu else None,
    )
    for row in done.iter_rows():
        yield from pickle.loads(row["outcomes"])
