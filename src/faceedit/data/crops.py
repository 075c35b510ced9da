"""Aligned crops in memory, and the order in which training sees them."""

import os
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path

import cv2
import numpy as np
import torch

from faceedit.circumplex import CLASS_MEANS
from faceedit.data.labels import LABELS_FILE, Label, read_labels
from faceedit.errors import UnreadableError
from faceedit.media.image import read_photo
from faceedit.models.estimator import EXPRESSIONS

BIN = 0.25
CLASS_SPREAD = 0.3  # of affect in each direction about an expression's mean; by eye, on what then counts as neutral


@dataclass
class Crops:
    """One split of a prepared folder, all with the same M.

    images: (M, 3, S, S) uint8. affect: (M, 2) float32 = valence, arousal in [-1, 1]. expression: (M,) int64, -1 where
    there is none. probabilities: (M, 8) float32 of the expressions, given affect, zeros where nothing is known.
    """

    images: torch.Tensor
    affect: torch.Tensor
    expression: torch.Tensor
    probabilities: torch.Tensor

    def __len__(self) -> int:
        return len(self.affect)

    def batch(self, indices: torch.Tensor, device: str) -> tuple[torch.Tensor, torch.Tensor]:
        """images (N, 3, S, S) float32 in [-1, 1] and affect (N, 2) on the device."""
        indices = indices.to(self.images.device)
        images = self.images[indices].to(device, non_blocking=True).float() / 127.5 - 1
        return images, self.affect[indices].to(device, non_blocking=True)

    def subset(self, indices: torch.Tensor) -> "Crops":
        """The crops at these indices, in their order."""
        return Crops(*(tensor[indices] for tensor in vars(self).values()))

    def to(self, device: str) -> "Crops":
        """The same crops with images and affect on a device."""
        return replace(self, images=self.images.to(device), affect=self.affect.to(device))


def to_pixels(images: torch.Tensor) -> np.ndarray:
    """images (N, 3, S, S) in [-1, 1] → (N, S, S, 3) uint8."""
    return ((images.float() + 1) * 127.5).round().clamp(0, 255).byte().permute(0, 2, 3, 1).cpu().numpy()


def load_crops(folder: str | Path, size: int) -> Crops:
    """All crops of a folder with their labels, resized to `size` pixels square. Raises UnreadableError.

    They are decoded once and stay in memory: 28 KB each at 96 pixels.
    """
    folder = Path(folder)
    labels = read_labels(folder)
    images = np.empty((len(labels), 3, size, size), np.uint8)

    def load(i: int) -> None:
        pixels = read_photo(folder / labels[i].file).pixels
        if pixels.shape[0] != pixels.shape[1]:
            raise UnreadableError(f"{folder / labels[i].file} is not square: prepare the photos first")
        if pixels.shape[0] != size:
            shrinks = pixels.shape[0] > size
            pixels = cv2.resize(pixels, (size, size), interpolation=cv2.INTER_AREA if shrinks else cv2.INTER_CUBIC)
        images[i] = pixels.transpose(2, 0, 1)

    with ThreadPoolExecutor(os.cpu_count()) as pool:
        for _ in pool.map(load, range(len(labels))):
            pass
    affect = torch.tensor([(label.valence, label.arousal) for label in labels], dtype=torch.float32)
    return Crops(
        torch.from_numpy(images),
        affect,
        torch.tensor([-1 if label.expression is None else label.expression for label in labels]),
        agreeing(torch.tensor([_probabilities(label, folder) for label in labels]), affect),
    )


def agreeing(probabilities: torch.Tensor, affect: torch.Tensor) -> torch.Tensor:
    """Probabilities (M, 8) of expressions, given affect (M, 2) too, a second witness: classifiers call mild smiles
    contempt and laughter disgust, and hardly any calm face neutral."""
    way = affect[:, None] - torch.tensor(list(CLASS_MEANS.values()))
    fits = torch.exp(-(way / CLASS_SPREAD).square().sum(2) / 2)
    both = probabilities * fits
    return both / both.sum(1, keepdim=True).clamp_min(1e-12)


def _probabilities(label: Label, folder: Path) -> list[float]:
    """From the columns p_neutral … p_contempt where there are any, else certainty of the expression, else zeros."""
    columns = [label.extra.get(f"p_{name}", "") for name in EXPRESSIONS]
    if all(columns):
        try:
            return [float(value) for value in columns]
        except ValueError as error:
            raise UnreadableError(
                f"{folder / LABELS_FILE}: {label.file} has probabilities that are no numbers"
            ) from error
    return [float(i == label.expression) for i in range(len(EXPRESSIONS))]


class BalancedSampler:
    """Chooses the crops of a training step by the seed and the step alone, so that resuming needs no other state.

    groups: (M,) int64, the group of each crop. power: how far groups are balanced: with 1, each is over-sampled to the
    size of the largest in every epoch, with 0 each crop is seen once. max_repeats: how often a crop is seen in an epoch
    at most.
    """

    def __init__(self, groups: torch.Tensor, batch: int, seed: int, power: float = 1.0, max_repeats: int | None = None):
        self.groups = [torch.nonzero(groups == group).flatten() for group in groups.unique()]
        self.seed = seed
        largest = max(map(len, self.groups))
        self.sizes = [round(largest * (len(members) / largest) ** (1 - power)) for members in self.groups]
        if max_repeats is not None:
            self.sizes = [
                min(size, max_repeats * len(members)) for size, members in zip(self.sizes, self.groups, strict=True)
            ]
        self.batch = min(batch, sum(self.sizes))
        self.steps_per_epoch = sum(self.sizes) // self.batch
        self._epoch, self._order = -1, torch.empty(0)

    def indices(self, step: int) -> torch.Tensor:
        """The crops (batch,) of a step, counted from 0."""
        epoch, place = divmod(step, self.steps_per_epoch)
        if epoch != self._epoch:
            self._epoch, self._order = epoch, self._shuffled(epoch)
        return self._order[place * self.batch : (place + 1) * self.batch]

    def _shuffled(self, epoch: int) -> torch.Tensor:
        generator = torch.Generator().manual_seed(self.seed * 1_000_003 + epoch)
        parts = []
        for size, members in zip(self.sizes, self.groups, strict=True):
            repeats = -(-size // len(members))
            shuffles = [members[torch.randperm(len(members), generator=generator)] for _ in range(repeats)]
            parts.append(torch.cat(shuffles)[:size])
        order = torch.cat(parts)
        return order[torch.randperm(len(order), generator=generator)]


def plane_bins(affect: torch.Tensor) -> torch.Tensor:
    """The group (M,) int64 of each affect (M, 2): the square of side 0.25 of the plane that it lies in."""
    rows = (affect / BIN).round().long() + round(1 / BIN)
    return rows[:, 0] * (2 * round(1 / BIN) + 1) + rows[:, 1]


def expression_groups(crops: Crops) -> torch.Tensor:
    """The group (M,) int64 of each crop: its bin of the plane and its most probable expression."""
    return plane_bins(crops.affect) * crops.probabilities.shape[1] + crops.probabilities.argmax(1)
