"""The blur of a face, so that what is drawn in it can be blurred alike."""

import math

import cv2
import numpy as np

from faceedit.faces.alignment import kept_mask

EDGES = 0.02  # of a face's pixels, the strongest edges
SOBEL = 0.5  # squared pixels of blur that the filter itself brings
MIN_WEAKENING = 0.2  # where a further blur weakens edges less, the estimate would be arbitrary


def blur(crop: np.ndarray) -> float:
    """The blur of a face: the standard deviation of a Gaussian, in pixels of its crop (S, S, 3) uint8, up to 3.7.

    Further blurs weaken a blurred edge less than a sharp one (Zhuo and Sim 2011): the median over the strongest edges.
    """
    grey = cv2.cvtColor(crop, cv2.COLOR_RGB2GRAY).astype(np.float32)
    seen = kept_mask(len(crop)) > 0.5
    once, twice = (
        cv2.magnitude(cv2.Sobel(x, cv2.CV_32F, 1, 0), cv2.Sobel(x, cv2.CV_32F, 0, 1))[seen]
        for x in (cv2.GaussianBlur(grey, (0, 0), sigma) for sigma in (1, 2))
    )
    rank = math.ceil((len(once) - 1) * (1 - EDGES))  # np.quantile and np.median import modules that take longer
    strongest = once >= max(np.partition(once, rank)[rank], 1e-3)
    if not strongest.any():
        return 0.0
    weakened = np.sort(once[strongest] / twice[strongest])
    ratio = float(weakened[[(len(weakened) - 1) // 2, len(weakened) // 2]].mean()) ** 2  # (σ² + 2²) / (σ² + 1²)
    return max((4 - ratio) / max(ratio - 1, MIN_WEAKENING) - SOBEL, 0) ** 0.5
