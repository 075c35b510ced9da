"""What is measured once in all training crops, before the first step."""

import numpy as np
import torch

from faceedit.data.crops import Crops
from faceedit.faces.blur import blur
from faceedit.models.landmarker import Landmarker


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
