"""The state of a training run: one file, written whole or not at all, from which a run goes on exactly."""

from dataclasses import asdict
from pathlib import Path

import torch

from faceedit.circumplex import Support
from faceedit.config import NetworkConfig, TrainConfig, configs_from_json
from faceedit.errors import WeightsError
from faceedit.files import write_atomically
from faceedit.weights import build, save_weights

STATE_FILE = "state.pt"


def save_state(run: Path, state: dict) -> None:
    """Write the state, a dict of plain values, tensors and dicts of them, once the disk has it."""
    write_atomically(run / STATE_FILE, lambda file: torch.save(state, file), durable=True)


def load_state(run: Path) -> dict:
    """The state of a run, on the CPU. Raises WeightsError when there is none or it is damaged."""
    path = run / STATE_FILE
    if not path.is_file():
        raise WeightsError(f"{run} holds no training state ({STATE_FILE})")
    try:
        return torch.load(path, map_location="cpu", weights_only=True, mmap=True)
    except Exception as error:  # a damaged zip or pickle raises many kinds
        raise WeightsError(f"{path} is damaged: {error}") from error


def load_configs(run: Path) -> tuple[NetworkConfig, TrainConfig]:
    """The networks' sizes and the training settings of a run. Raises WeightsError."""
    return configs_of(run, load_state(run))


def configs_of(run: Path, state: dict) -> tuple[NetworkConfig, TrainConfig]:
    """What a state says of its networks and settings. Raises WeightsError where it is another program's, or older."""
    try:
        return configs_from_json(state["configs"])
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise WeightsError(f"the state in {run} was not made by this version: {error}") from error


def export_weights(run: str | Path, path: str | Path) -> None:
    """Write the averaged (EMA) network of a run as published weights. Raises WeightsError."""
    state = load_state(Path(run))
    network, training = configs_of(Path(run), state)
    model = build(network)
    model.load_state_dict(state["ema"])
    facts = {key: value for key, value in asdict(training).items() if key not in ("minutes", "epochs", "save_minutes")}
    for name in ("perceptual", "guide"):  # the file's name, not where it lay
        if facts.get(name):
            facts[name] = Path(facts[name]).name
    facts |= {
        "steps": state["step"],
        "images": state["step"] * training.batch,
        "minutes": round(state["seconds"] / 60, 1),
    }
    save_weights(path, model, Support(state["support"].numpy()), facts)
