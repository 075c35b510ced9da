"""The state of a training run: one file, written whole or not at all, from which a run resumes exactly.

The state before it is kept too, in case the newest is damaged.
"""

import contextlib
import zipfile
from collections.abc import Callable, Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any, TypedDict

import torch
from filelock import FileLock, Timeout
from torch import nn

from faceedit.circumplex import Support
from faceedit.config import NetworkConfig, TrainConfig
from faceedit.errors import UnwritableError, UsageError, WeightsError
from faceedit.files import remove_leftovers, write_atomically
from faceedit.kinds import configs_from_json
from faceedit.weights import build, check_shapes, current_names, save_weights, shapes

STATE_FILE, EARLIER_FILE, LOCK_FILE = "state.pt", "state-earlier.pt", "run.lock"


class State(TypedDict):
    """All that a run needs to resume exactly: configurations as JSON, counts of labels, and state dicts by name."""

    configs: str
    step: int
    seconds: float
    support: torch.Tensor
    ema: dict[str, torch.Tensor]
    networks: dict[str, dict[str, torch.Tensor]]
    optimizers: dict[str, dict[str, Any]]


def has_state(run: Path) -> bool:
    """Whether the folder holds a run to resume."""
    return any((run / name).exists() for name in (STATE_FILE, EARLIER_FILE))


@contextlib.contextmanager
def locked(run: Path) -> Iterator[None]:
    """Lock the folder against other training processes. Raises UsageError where one has it."""
    lock = FileLock(run / LOCK_FILE)
    try:
        lock.acquire(timeout=0)
    except Timeout as error:
        raise UsageError(f"another training run is at work in {run}: choose another folder") from error
    try:
        remove_leftovers([run])
        yield
    finally:
        lock.release()


def save_state(run: Path, state: State) -> None:
    """Write the state once the disk has it.

    The state that was there before stays, as the earlier one. Raises UnwritableError where the disk is full: then both
    are as they were.
    """
    path, earlier = run / STATE_FILE, run / EARLIER_FILE
    new = run / f"{STATE_FILE}.new"
    try:
        write_atomically(new, lambda file: torch.save(state, file), durable=True)
    except RuntimeError as error:  # what torch makes of a disk that is full
        raise UnwritableError(f"cannot write {path}: {error}") from error
    # Killed between these, a run goes on from the earlier state.
    if path.exists():
        path.replace(earlier)
    new.replace(path)


def load_state(run: Path, warn: Callable[[str], None] = lambda line: None) -> State:
    """The newest state of a run that is whole, on the CPU. Raises WeightsError when there is none.

    warn: is called with a sentence where that is the earlier one.
    """
    if not has_state(run):
        raise WeightsError(f"{run} holds no training state ({STATE_FILE})")
    try:
        return _read_state(run / STATE_FILE)
    except WeightsError as error:
        if not (run / EARLIER_FILE).exists():
            raise
        state = _read_state(run / EARLIER_FILE)
        warn(f"{error}; going on from the state before it, of step {state['step']}")
        return state


def _read_state(path: Path) -> State:
    try:
        with zipfile.ZipFile(path) as archive:  # torch does not look at the checksums
            if damaged := archive.testzip():
                raise WeightsError(f"{path} is damaged: {damaged} is not what was written")
        state: State = torch.load(path, map_location="cpu", weights_only=True, mmap=True)
        if missing := State.__required_keys__ - state.keys():
            raise WeightsError(f"{path} was not made by this version: it has no {min(missing)}")
        for tensors in (state["ema"], *state["networks"].values()):
            for name, now in current_names(tensors).items():
                tensors[now] = tensors.pop(name)
        return state
    except FileNotFoundError as error:
        raise WeightsError(f"{path} is missing") from error
    except WeightsError:
        raise
    except Exception as error:  # a damaged zip or pickle raises many kinds
        raise WeightsError(f"{path} is damaged: {error}") from error


def load_configs(run: Path) -> tuple[NetworkConfig, TrainConfig]:
    """The networks' sizes and the training settings of a run. Raises WeightsError."""
    return configs_of(run, load_state(run))


def configs_of(run: Path, state: State) -> tuple[NetworkConfig, TrainConfig]:
    """The configurations in a state. Raises WeightsError for a state of another program or an older version."""
    try:
        return configs_from_json(state["configs"])
    except (LookupError, TypeError, ValueError, AttributeError) as error:
        raise WeightsError(f"the state in {run} was not made by this version: {error}") from error


def check_networks(
    run: Path, held: dict[str, dict[str, torch.Tensor]], make: Callable[[], dict[str, nn.Module]]
) -> None:
    """Raise WeightsError unless the state dicts held, by name, are those of the networks that `make` builds.

    They are built without memory here: a file can claim sizes that no machine has.
    """
    try:
        with torch.device("meta"):
            networks = make()
        for name, network in networks.items():
            check_shapes(run / STATE_FILE, shapes(network.state_dict()), shapes(held[name]))
    except (LookupError, TypeError, ValueError, AttributeError, RuntimeError) as error:
        raise WeightsError(f"the state in {run} was not made by this version: {error}") from error


def export_weights(run: str | Path, path: str | Path, overwrite: bool = True) -> None:
    """Write the averaged (EMA) network of a run as published weights. Raises WeightsError."""
    state = load_state(Path(run))
    network, training = configs_of(Path(run), state)
    check_networks(Path(run), {"ema": state["ema"]}, lambda: {"ema": build(network)})
    model = build(network)
    model.load_state_dict(state["ema"])
    facts = {key: value for key, value in asdict(training).items() if key not in ("minutes", "epochs", "save_minutes")}
    for name in ("perceptual", "teacher"):  # the file's name, not where it lay
        if facts.get(name):
            facts[name] = Path(facts[name]).name
    facts |= {
        "steps": state["step"],
        "images": state["step"] * training.batch,
        "minutes": round(state["seconds"] / 60, 1),
    }
    save_weights(path, model, Support(state["support"].numpy()), facts, overwrite)
