"""What is measured once in all training crops, before the first step."""

import numpy as np
import torch

from faceedit.data.crops import Crops
from faceedit.faces.blur import blur
from faceedit.models.landmarker import Landmarker
from faceedit.models.lips import between_lips, brightness
from faceedit.models.palette import palette


@torch.inference_mode()
def measured(landmarker: Landmarker, crops: Crops, device: str) -> tuple[torch.Tensor, torch.Tensor]:
    """The landmarks (M, K, 2) and the blur (M,) in pixels, see `blur`, of all crops."""
    landmarks, softness = [], []
    for chosen in torch.arange(len(crops)).split(256):
        images, _ = crops.batch(chosen, device)
        landmarks.append(landmarker(images).cpu())
        pixels = crops.images[chosen.to(crops.images.device)].permute(0, 2, 3, 1).cpu().numpy()
        softness += [blur(np.ascontiguousarray(face)) for face in pixels]
    return torch.cat(landmarks).clone(), torch.tensor(softness)


@torch.inference_mode()
def mouths(landmarker: Landmarker, crops: Crops, device: str) -> tuple[torch.Tensor, torch.Tensor]:
    """Of all crops, the landmarks (M, K, 2), and what shows between the lips: see `lips.brightness`."""
    found = []
    for chosen in torch.arange(len(crops)).split(256):
        images, _ = crops.batch(chosen, device)
        landmarks = landmarker(images)
        found.append([x.cpu() for x in (landmarks, brightness(between_lips(images, landmarks), palette(images)))])
    landmarks, shown = (torch.cat(parts) for parts in zip(*found, strict=True))
    return landmarks, shown
