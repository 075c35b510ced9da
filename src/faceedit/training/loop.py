"""Training: one visible loop, whatever the networks."""

import contextlib
import signal
import threading
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from faceedit.config import NetworkConfig, TrainConfig, WarpTraining
from faceedit.data.crops import Crops, load_crops
from faceedit.data.labels import TRAIN, VALIDATION
from faceedit.errors import FaceEditError, RunExistsError, UsageError, WeightsError
from faceedit.files import make_folder, remove_leftovers
from faceedit.kinds import KINDS, MODELS, class_at, kind_of, on_device
from faceedit.models.estimator import CROP_SIZE
from faceedit.training.checkpoint import (
    State,
    check_networks,
    configs_of,
    export_weights,
    has_state,
    load_state,
    locked,
    save_state,
)
from faceedit.training.distributed import World, current_world
from faceedit.training.records import SHEETS_FOLDER, Report, add_scalars, tensorboard, validate
from faceedit.training.trainer import AnyTrainer

if TYPE_CHECKING:  # it need not be installed
    from torch.utils.tensorboard import SummaryWriter

TEACHER_FOLDER = "teacher"  # in the run of an editor that was given none
TEACHER_SHARE = 0.15  # of the time
REPORT_EVERY = 10  # steps; reading a loss makes the processor wait for the device
REPORT_SECONDS = 2.0  # where steps are slow, that wait is nothing


def train(
    data: str | Path,
    run: str | Path,
    training: TrainConfig,
    network: NetworkConfig,
    device: str = "cpu",
    resume: bool = False,
    report: Callable[[Report], None] = lambda report: None,
    warn: Callable[[str], None] = lambda line: None,
) -> None:
    """Train on a prepared folder until the epochs or minutes are over, keeping all state in the folder `run`.

    data: a folder with `train` and, for sheets and figures, `validation`. training, network: one of kinds.MODELS,
    changed as wished. resume: go on with the state in `run`, whose settings hold except for the epochs and minutes; on
    the CPU, with as many threads, the end is bitwise that of a run that was not interrupted. Interrupting
    (KeyboardInterrupt) saves first.
    warn: is called with a sentence where the newest state is damaged and the one before it is used.
    An editor without a teacher gets one, trained first, in its run's folder. In a launched run all processes call this,
    each with its own GPU; the main one writes, reports and warns, and `training.batch` is the batch of one.
    Raises FaceEditError kinds; after a loss that is not a number the last good state is in `run`.
    """
    run, world = Path(run), current_world(device)
    with contextlib.ExitStack() as stack:
        state = world.run_on_main(lambda: _claim(run, resume, warn, stack))
        _train(Path(data), run, state, training, network, device, report, warn, world)


def _claim(run: Path, resume: bool, warn: Callable[[str], None], stack: contextlib.ExitStack) -> State | None:
    """The state to go on with, once the folder is locked."""
    if resume and not run.is_dir():
        raise WeightsError(f"{run} holds no training state")
    make_folder(run)
    stack.enter_context(locked(run))
    remove_leftovers([run, run / SHEETS_FOLDER])
    if not resume and has_state(run):
        raise RunExistsError(f"{run} already holds a run")
    return load_state(run, warn) if resume else None


def _train(
    data: Path,
    run: Path,
    state: State | None,
    training: TrainConfig,
    network: NetworkConfig,
    device: str,
    report: Callable[[Report], None],
    warn: Callable[[str], None],
    world: World,
) -> None:
    if state is not None:
        network, kept = configs_of(run, state)
        training = replace(kept, epochs=training.epochs, minutes=training.minutes, save_minutes=training.save_minutes)
    else:
        if isinstance(training, WarpTraining) and training.teacher is None:
            teacher, seconds = _train_teacher(data, run, training, device, report, warn, world)
            left = None if training.minutes is None else training.minutes - seconds / 60
            training = replace(training, teacher=str(teacher), minutes=left)
        # A run keeps the batch of all its processes and counts steps of it: neither its place in the data nor what it
        # learns there depends on how many processes go on with it.
        training = replace(training, batch=training.batch * world.size)
    kind = KINDS[kind_of(network)]
    if kind.trainer is None:
        raise UsageError(f"there is no training for {type(network).__name__}")
    trainer_class: Any = class_at(kind.trainer)  # each takes configurations of its own kind
    if state is not None:
        check_networks(run, state["networks"], lambda: trainer_class.networks_for(network)[1])
    size = CROP_SIZE if kind is KINDS["estimator"] else network.image_size
    crops = load_crops(data / TRAIN, size)
    held_out = data / VALIDATION
    validation = load_crops(held_out, size) if held_out.is_dir() and any(held_out.iterdir()) else None
    trainer: AnyTrainer = trainer_class(training, network, crops, device)
    if state is not None:
        try:
            trainer.load_state(state)
        except torch.OutOfMemoryError:
            raise
        except (LookupError, TypeError, ValueError, RuntimeError) as error:
            raise WeightsError(f"the state in {run} was not made by this version: {error}") from error
    trainer.join(world)
    writes = tensorboard(run) if world.rank == 0 else contextlib.nullcontext()
    with writes as writer, _interruption(world) as interrupted:
        _run(trainer, run, validation, writer, report, interrupted)


def _train_teacher(
    data: Path,
    run: Path,
    training: WarpTraining,
    device: str,
    report: Callable[[Report], None],
    warn: Callable[[str], None],
    world: World,
) -> tuple[Path, float]:
    """Train a teacher in the editor's run, or resume its training: its weights, and the seconds that it took."""
    folder, weights = run / TEACHER_FOLDER, run / f"{TEACHER_FOLDER}.safetensors"
    network, teacher = MODELS["teacher"].network, MODELS["teacher"].training
    if training.minutes is not None:
        teacher = replace(teacher, minutes=training.minutes * TEACHER_SHARE)
    teacher = replace(teacher, save_minutes=training.save_minutes, **on_device("teacher", device))
    trained, begun = world.run_on_main(lambda: (weights.exists(), has_state(folder)))
    if not trained:
        train(data, folder, teacher, network, device, begun, report, warn)
        world.run_on_main(lambda: export_weights(folder, weights))
    return weights, world.run_on_main(lambda: load_state(folder)["seconds"])


def _run(
    trainer: AnyTrainer,
    run: Path,
    validation: Crops | None,
    writer: "SummaryWriter | None",
    report: Callable[[Report], None],
    interrupted: threading.Event,
) -> None:
    def keep() -> None:
        _save(trainer, run)
        validate(trainer, run, validation, writer)

    config, world, steps_per_epoch = trainer.training, trainer.world, trainer.sampler.steps_per_epoch
    steps = None if config.minutes is not None else config.epochs * steps_per_epoch
    limit = float("inf") if config.minutes is None else config.minutes * 60
    recent: list[dict[str, torch.Tensor]] = []
    clock = last_save = last_report = world.synchronise()[0]
    try:
        while trainer.seconds < limit and (steps is None or trainer.step < steps):
            progress = trainer.seconds / limit if steps is None else trainer.step / steps
            recent.append(trainer.train_step(progress))
            now, stop = world.synchronise(interrupted.is_set())
            if stop:
                raise KeyboardInterrupt
            trainer.seconds += now - clock
            clock = now
            epoch, place = divmod(trainer.step, steps_per_epoch)
            if len(recent) == REPORT_EVERY or place == 0 or now - last_report > REPORT_SECONDS:
                losses = _means(recent, trainer)
                rate = len(recent) * config.batch / max(now - last_report, 1e-9)
                left = limit - trainer.seconds if steps is None else (steps - trainer.step) * config.batch / rate
                if world.rank == 0:
                    report(Report(trainer.step, steps, epoch + (place > 0), trainer.seconds, left, rate, losses))
                add_scalars(writer, "train", losses, trainer.step)
                recent, last_report = [], now
            if trainer.step != steps and (place == 0 or now - last_save > config.save_minutes * 60):
                world.run_on_main(keep)
                last_save = last_report = world.synchronise()[0]
    except KeyboardInterrupt:
        world.run_on_main(lambda: _save(trainer, run))
        raise
    trainer.finish()
    world.run_on_main(keep)


@contextlib.contextmanager
def _interruption(world: World) -> Iterator[threading.Event]:
    """Make Ctrl-C, SIGTERM and SIGHUP wait for the end of a step, so that no half of one is saved; a second one does
    not wait.

    Yields an event that is set once a signal came. Outside the main thread there is no signal to wait for. Of several
    processes none leaves before the others, however often it is asked.
    """
    came = threading.Event()
    if threading.current_thread() is not threading.main_thread():
        yield came
        return

    numbers = [getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, name)]
    before = {number: signal.getsignal(number) for number in numbers}

    def restore() -> None:
        for number, handler in before.items():
            signal.signal(number, handler)

    def handle(number: int, frame: FrameType | None) -> None:
        if world.size == 1:
            restore()
        came.set()

    for number, handler in before.items():
        if callable(handler):  # not ignored, as nohup has it
            signal.signal(number, handle)
    try:
        yield came
    finally:
        restore()


def _means(recent: list[dict[str, torch.Tensor]], trainer: AnyTrainer) -> dict[str, float]:
    means = {name: torch.stack([losses[name] for losses in recent]).mean() for name in recent[0]}
    trainer.shard.average(list(means.values()))
    losses = {name: mean.item() for name, mean in means.items()}
    broken = [name for name, value in losses.items() if not np.isfinite(value)]
    if broken:
        raise _not_a_number(trainer.step, f"the {broken[0]} loss")
    return losses


def _save(trainer: AnyTrainer, run: Path) -> None:
    if not trainer.is_finite():
        raise _not_a_number(trainer.step, "a weight")
    save_state(run, trainer.state())


def _not_a_number(step: int, what: str) -> FaceEditError:
    return FaceEditError(f"training stopped at step {step}: {what} is not a number; the last good state is kept")
