"""Published weights: safetensors files whose header says what they are. Loading and writing them."""

import json
from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import nn
from torch.overrides import TorchFunctionMode

from faceedit.circumplex import Support
from faceedit.config import NetworkConfig
from faceedit.errors import WeightsError
from faceedit.files import write_atomically
from faceedit.hub import digest_of, find_weights
from faceedit.kinds import KINDS, class_at, kind_of, network_config
from faceedit.pool import one_core

SUPPORT_TENSOR = "support"
HEADER_KEY = "faceedit"
Model = TypeVar("Model", bound=nn.Module)
# How tensors' names began in files written earlier, and how they begin now.
RENAMED = {
    "decoder.motion.course": "decoder.motion.coefficients",
    "decoder.motion.parted": "decoder.motion.lip_coefficients",
    "decoder.motion.poses": "decoder.motion.pose_statistics",
    "decoder.motion.shown": "decoder.motion.texture_coefficients",
    "decoder.steps.": "decoder.blocks.",
    "encoder.spread.": "encoder.norm.",
    "encoder.steps.": "encoder.blocks.",
    "painter.": "inpainter.",
}


@dataclass(frozen=True)
class Weights:
    """A model as loaded, in evaluation mode: what kind it is, where its labels lay, and the file's own facts.

    sha256: of the file, hexadecimal. training: what the file says of how it was made.
    """

    kind: str
    model: nn.Module
    support: Support
    path: Path
    sha256: str
    training: dict[str, object]


class _Unallocated(TorchFunctionMode):
    """Gives new layers weights without memory and leaves them unfilled.

    `torch.device("meta")` would do the same for everything, and import torch's compiler for some of it, for seconds.
    """

    def __torch_function__(
        self, func: Callable[..., Any], types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        kwargs = kwargs or {}
        if getattr(func, "__module__", None) == nn.init.__name__:
            return args[0] if args else kwargs["tensor"]
        return func(*args, **(kwargs | {"device": "meta"} if func is torch.empty else kwargs))


def build(config: NetworkConfig) -> nn.Module:
    """The model of a configuration, untrained."""
    model: nn.Module = class_at(KINDS[kind_of(config)].model)(config)
    return model


@one_core()  # checks and conversions of small tensors would wait for other cores too
def load_weights(name: str, device: str = "cpu", kinds: tuple[str, ...] = tuple(KINDS)) -> Weights:
    """Load published weights of one of these kinds by name or path, strictly: every tensor of its shape, and no other.

    Raises WeightsError. Nothing of the size that a file claims is allocated before its tensors were found to fit.
    """
    path = find_weights(name)
    try:
        with safe_open(path, "pt") as file:
            header = json.loads((file.metadata() or {})[HEADER_KEY])
            kind = header["kind"]
            if kind not in kinds:
                use = "cannot edit" if KINDS[kinds[0]].backend else "do not fit here"
                others = " or ".join(kinds)
                raise WeightsError(
                    f"{path} holds weights of kind {str(kind)[:40]}, which {use}: name some of kind {others}"
                )
            config = network_config(KINDS[kind].network, header["config"])
            with _Unallocated():
                model = build(config)
            wanted = shapes(model.state_dict()) | {SUPPORT_TENSOR: tuple(Support.SHAPE)}
            names = current_names(file.keys())
            check_shapes(path, wanted, {now: tuple(file.get_slice(key).get_shape()) for key, now in names.items()})
            state = {now: file.get_tensor(key) for key, now in names.items()}
        digest = digest_of(path)
        support = Support(state.pop(SUPPORT_TENSOR).numpy())
        state = {key: tensor.float() if tensor.is_floating_point() else tensor for key, tensor in state.items()}
        if not all(tensor.isfinite().all() for tensor in state.values()):
            raise ValueError("it holds what is no number")
        model.load_state_dict(state, strict=True, assign=True)
    except (
        SafetensorError,
        OSError,
        LookupError,
        TypeError,
        ValueError,
        RuntimeError,
        ArithmeticError,
        AttributeError,
    ) as error:
        raise WeightsError(f"{path} is damaged or not a file of faceedit weights: {error}") from error
    model.eval().requires_grad_(False).to(device)
    return Weights(kind, model, support, path, digest, header.get("training", {}))


def load_model(name: str, model: type[Model], device: str = "cpu") -> Model:
    """The model of published weights by name or path, which must be of this class. Raises WeightsError."""
    kinds = tuple(kind for kind, made in KINDS.items() if made.model == f"{model.__module__}:{model.__name__}")
    loaded = load_weights(name, device, kinds).model
    assert isinstance(loaded, model)  # its kind says so
    return loaded


def save_weights(
    path: str | Path, model: nn.Module, support: Support, training: dict[str, object], overwrite: bool = True
) -> None:
    """Write a model as published weights: float16 tensors, its configuration and training facts in the header."""
    tensors = {key: tensor.detach().cpu().contiguous() for key, tensor in model.state_dict().items()}
    tensors = {key: tensor.half() if tensor.is_floating_point() else tensor for key, tensor in tensors.items()}
    tensors[SUPPORT_TENSOR] = torch.from_numpy(support.counts.astype(np.int32))
    config: Any = model.config
    header = {"kind": kind_of(config), "config": asdict(config), "training": training}
    write_atomically(path, save(tensors, {HEADER_KEY: json.dumps(header)}), overwrite=overwrite)


def current_names(names: Iterable[str]) -> dict[str, str]:
    """What tensors are called now, by their names in a file. Raises ValueError where two would be called the same."""
    current = {}
    for name in names:
        old = next((old for old in RENAMED if name.startswith(old)), "")
        current[name] = RENAMED.get(old, "") + name.removeprefix(old)
    if len(set(current.values())) < len(current):
        raise ValueError("it holds one tensor under two names")
    return current


def shapes(state: dict[str, torch.Tensor]) -> dict[str, tuple[int, ...]]:
    """The shape of each tensor of a state dict."""
    return {key: tuple(tensor.shape) for key, tensor in state.items()}


def check_shapes(path: Path, wanted: dict[str, tuple[int, ...]], found: dict[str, tuple[int, ...]]) -> None:
    """Raise WeightsError, for the file, unless the same tensors are found as are wanted, each of its shape."""
    for key in sorted(set(wanted) | set(found)):
        if wanted.get(key) != found.get(key):
            raise WeightsError(f"{path} does not fit: {key} is {found.get(key)} where {wanted.get(key)} is needed")
