"""The kinds of networks, the models that can be trained by name, and their configurations as JSON."""

import json
from dataclasses import asdict, dataclass, field
from importlib import import_module
from typing import Any, TypeVar

from faceedit.config import (
    CaaeConfig,
    CaaeTraining,
    EstimatorConfig,
    EstimatorTraining,
    FoldConfig,
    FoldTraining,
    LandmarkConfig,
    MouthConfig,
    MouthTraining,
    NetworkConfig,
    OcclusionConfig,
    OcclusionTraining,
    TrainConfig,
    WarpConfig,
    WarpTraining,
)

# Models and settings of training by the names that they had earlier.
RENAMED = {"guide": "teacher", "bend_weight": "bending_weight"}
MAX_SIDE, MAX_CHANNELS, MAX_LAYERS = 1024, 65536, 16  # beyond these, a file's configuration is taken for damaged

Network = TypeVar("Network", bound=NetworkConfig)


@dataclass(frozen=True)
class Kind:
    """A kind of networks: all that there is to add for a new one, beside its classes.

    network, training: its configurations. model, trainer, backend: the classes of what is published, of what trains it
    and of what edits with it, for `class_at`. Names, as they stand above this table; whoever needs a class is above it.
    """

    network: type[NetworkConfig]
    training: type[TrainConfig]
    model: str
    trainer: str | None = None
    backend: str | None = None


KINDS = {
    "caae": Kind(
        CaaeConfig,
        CaaeTraining,
        "faceedit.models.caae:Caae",
        "faceedit.training.caae:CaaeTrainer",
        "faceedit.editing.caae:CaaeBackend",
    ),
    "warp": Kind(
        WarpConfig,
        WarpTraining,
        "faceedit.models.editor:WarpEditor",
        "faceedit.training.editor:WarpTrainer",
        "faceedit.editing.backends:WarpBackend",
    ),
    "estimator": Kind(
        EstimatorConfig,
        EstimatorTraining,
        "faceedit.models.estimator:Estimator",
        "faceedit.training.estimator:EstimatorTrainer",
    ),
    "landmarks": Kind(LandmarkConfig, TrainConfig, "faceedit.models.landmarker:Landmarker"),
    "mouth": Kind(
        MouthConfig,
        MouthTraining,
        "faceedit.models.mouth.inpainter:MouthInpainter",
        "faceedit.training.mouth:MouthTrainer",
    ),
    "folds": Kind(FoldConfig, FoldTraining, "faceedit.models.folds:FoldNetwork", "faceedit.training.folds:FoldTrainer"),
    "occlusion": Kind(
        OcclusionConfig,
        OcclusionTraining,
        "faceedit.models.occlusion:OcclusionNetwork",
        "faceedit.training.occlusion:OcclusionTrainer",
    ),
}


@dataclass(frozen=True)
class Preset:
    """A model that can be trained by name.

    on_gpu: the settings that differ on a GPU, which takes as long for a step of few crops as for one of many. about: in
    the words of the command line.
    """

    network: NetworkConfig
    training: TrainConfig
    about: str = ""
    on_gpu: dict[str, Any] = field(default_factory=dict)


# What `faceedit train --model` takes. The judge and the teacher differ in architecture, input size, photos and seed.
MODELS = {
    "editor": Preset(
        WarpConfig(target_dim=10), WarpTraining(), "the default one", {"batch": 256, "learning_rate": 1.5e-3}
    ),
    "folds": Preset(
        FoldConfig(),
        FoldTraining(),
        "the network that folds the skin of its faces",
        {"batch": 128, "learning_rate": 2e-3},
    ),
    "mouth": Preset(
        MouthConfig(),
        MouthTraining(),
        "the network that inpaints the inside of mouths",
        {"batch": 64, "learning_rate": 1e-3},
    ),
    "occlusion": Preset(
        OcclusionConfig(),
        OcclusionTraining(),
        "the network that finds glasses and hands",
        {"batch": 128, "learning_rate": 3e-3},
    ),
    "caae": Preset(CaaeConfig(), CaaeTraining(), "the paper's"),
    "judge": Preset(EstimatorConfig(), EstimatorTraining(), "an affect estimator, to judge"),
    "teacher": Preset(
        EstimatorConfig(image_size=72, block="plain", channels=(32, 64, 128, 256), blocks=1),
        EstimatorTraining(half=1, seed=1, perturbation=0.25),
        "an affect estimator, to teach",
        {"batch": 128, "learning_rate": 2.5e-3},
    ),
}


def on_device(model: str, device: str) -> dict[str, Any]:
    """The settings, by name, in which training one of MODELS on a device differs from them."""
    return MODELS[model].on_gpu if device == "cuda" else {}


def class_at(place: str) -> Any:
    """The class that a `Kind` names, as module:class."""
    module, _, name = place.partition(":")
    return getattr(import_module(module), name)


def kind_of(network: NetworkConfig) -> str:
    """The name under which files keep a network's configuration."""
    return next(name for name, kind in KINDS.items() if type(network) is kind.network)


def configs_to_json(network: NetworkConfig, training: TrainConfig) -> str:
    return json.dumps({"kind": kind_of(network), "network": asdict(network), "training": asdict(training)})


def configs_from_json(text: str) -> tuple[NetworkConfig, TrainConfig]:
    """What `configs_to_json` was given. Raises LookupError, TypeError or ValueError for text that it did not make."""
    values = json.loads(text)
    kind = KINDS[values["kind"]]
    settings = {RENAMED.get(name, name): value for name, value in values["training"].items()}
    return network_config(kind.network, values["network"]), kind.training(**settings)


def network_config(config: type[Network], values: dict[str, Any]) -> Network:
    """A network's configuration from what JSON made of it: lists become tuples.

    Raises TypeError or ValueError for what makes no network.
    """
    values = {key: tuple(value) if isinstance(value, list) else value for key, value in values.items()}
    made = config(**values)
    lists = [value if isinstance(value, tuple) else (value,) for key, value in vars(made).items() if key != "block"]
    whole = all(type(size) is int and 0 < size <= MAX_CHANNELS for sizes in lists for size in sizes)
    layers = max(getattr(made, "blocks", 1), *map(len, lists))
    if not whole or not all(lists) or layers > MAX_LAYERS or made.image_size > MAX_SIDE:
        raise ValueError("its configuration holds sizes that make no network")
    return made
