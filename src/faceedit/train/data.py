"""Aligned crops in memory, and the order in which training sees them."""

import os
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import torch

from faceedit.errors import UnreadableError
from faceedit.image import read_photo
from faceedit.train.labels import read_labels


@dataclass
class Crops:
    """One split of a prepared folder.

    images: (M, 3, S, S) uint8. affect: (M, 2) float32 = valence, arousal in [-1, 1]. expression: (M,) int64, -1 where
    there is none.
    """

    images: torch.Tensor
    affect: torch.Tensor
    expression: torch.Tensor

    def __len__(self):
        return len(self.affect)

    def batch(self, indices: torch.Tensor, device: str) -> tuple[torch.Tensor, torch.Tensor]:
        """images (N, 3, S, S) float32 in [-1, 1] and affect (N, 2) on the device."""
        indices = indices.to(self.images.device)
        images = self.images[indices].to(device, non_blocking=True).float() / 127.5 - 1
        return images, self.affect[indices].to(device, non_blocking=True)

    def to(self, device: str) -> "Crops":
        return Crops(self.images.to(device), self.affect.to(device), self.expression)


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
            raise UnreadableError(f"{folder / labels[i].file} is not square: run `faceedit prepare` first")
        if pixels.shape[0] != size:
            shrinks = pixels.shape[0] > size
            pixels = cv2.resize(pixels, (size, size), interpolation=cv2.INTER_AREA if shrinks else cv2.INTER_CUBIC)
        images[i] = pixels.transpose(2, 0, 1)

    with ThreadPoolExecutor(os.cpu_count()) as pool:
        for _ in pool.map(load, range(len(labels))):
            pass
    return Crops(
        torch.from_numpy(images),
        torch.tensor([(label.valence, label.arousal) for label in labels], dtype=torch.float32),
        torch.tensor([-1 if label.expression is None else label.expression for label in labels]),
    )


class BalancedSampler:
    """Which crops a training step sees, as a function of the seed and the step alone: resuming needs no other state.

    In an epoch each expression class is over-sampled to the size of the largest, as in the paper; without
    expressions an epoch shows each crop once.
    """

    def __init__(self, expression: torch.Tensor, batch: int, seed: int):
        self.classes = [torch.nonzero(expression == c).flatten() for c in expression.unique()]
        self.batch = batch
        self.seed = seed
        self.epoch_size = max(map(len, self.classes)) * len(self.classes)
        self.steps_per_epoch = max(self.epoch_size // batch, 1)
        self._epoch, self._order = -1, torch.empty(0)

    def indices(self, step: int) -> torch.Tensor:
        """The crops (batch,) of a step, counted from 0."""
        epoch, place = divmod(step, self.steps_per_epoch)
        if epoch != self._epoch:
            self._epoch, self._order = epoch, self._shuffled(epoch)
        return self._order[place * self.batch : (place + 1) * self.batch]

    def _shuffled(self, epoch: int) -> torch.Tensor:
        generator = torch.Generator().manual_seed(self.seed * 1_000_003 + epoch)
        largest = max(map(len, self.classes))
        order = []
        for members in self.classes:
            repeats = -(-largest // len(members))
            order.append(
                torch.cat([members[torch.randperm(len(members), generator=generator)] for _ in range(repeats)])
            )
        order = torch.cat([members[:largest] for members in order])
        return order[torch.randperm(len(order), generator=generator)]
