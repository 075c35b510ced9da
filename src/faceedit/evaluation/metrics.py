"""Figures: how two series of numbers agree, how alike two images are, and how sure a figure is."""

from collections.abc import Callable

import cv2
import numpy as np

RESAMPLES = 500
MAX_PSNR = 99.0  # dB, said of equal images

Interval = list[float]  # value, low, high: of 95 %


def agreement(wanted: np.ndarray, got: np.ndarray) -> dict[str, float]:
    """How the numbers `got` (N,) agree with those `wanted` (N,).

    ccc: Lin's concordance correlation coefficient, 1 only when they are equal. correlation: Pearson's. slope: of the
    least-squares line of `got` over `wanted`; below 1 means that the extremes are not reached. error: root mean square.
    """
    wanted, got = np.asarray(wanted, np.float64), np.asarray(got, np.float64)
    covariance = np.mean((wanted - wanted.mean()) * (got - got.mean()))
    denominator = wanted.var() + got.var() + (wanted.mean() - got.mean()) ** 2
    scale = np.sqrt(wanted.var() * got.var())
    return {
        "ccc": float(2 * covariance / denominator) if denominator > 0 else 0.0,
        "correlation": float(covariance / scale) if scale > 0 else 0.0,
        "slope": float(covariance / wanted.var()) if wanted.var() > 0 else 0.0,
        "error": float(np.sqrt(np.mean((wanted - got) ** 2))),
    }


def bootstrap(figure: Callable[[np.ndarray], float], subjects: np.ndarray) -> Interval:
    """[value, low, high]: a figure of subjects, and its 95 % interval when they are drawn anew with replacement.

    figure: takes indices (N,), possibly repeated.
    """
    rng = np.random.default_rng(0)
    drawn = [figure(rng.choice(subjects, len(subjects))) for _ in range(RESAMPLES)]
    return [float(figure(subjects)), *(float(value) for value in np.quantile(drawn, (0.025, 0.975)))]


def psnr(image: np.ndarray, other: np.ndarray) -> float:
    """Peak signal-to-noise ratio of two uint8 images in dB; 99 where they are equal."""
    error = np.mean((image.astype(np.float64) - other) ** 2)
    return float(min(10 * np.log10(255**2 / error), MAX_PSNR)) if error > 0 else MAX_PSNR


def ssim(image: np.ndarray, other: np.ndarray) -> float:
    """Structural similarity (Wang et al. 2004) of the luminance of two uint8 RGB images, 1 where they are equal."""
    a, b = (cv2.cvtColor(x, cv2.COLOR_RGB2GRAY).astype(np.float64) for x in (image, other))

    def blurred(x: np.ndarray) -> np.ndarray:
        return cv2.GaussianBlur(x, (11, 11), 1.5)

    mean_a, mean_b = blurred(a), blurred(b)
    var_a, var_b = blurred(a * a) - mean_a**2, blurred(b * b) - mean_b**2
    covariance = blurred(a * b) - mean_a * mean_b
    c1, c2 = (0.01 * 255) ** 2, (0.03 * 255) ** 2
    values = (2 * mean_a * mean_b + c1) * (2 * covariance + c2)
    return float(np.mean(values / ((mean_a**2 + mean_b**2 + c1) * (var_a + var_b + c2))))


def sharpness(image: np.ndarray, region: np.ndarray) -> float:
    """The energy of the Laplacian of the luminance over a region, (H, W) bool, of an uint8 RGB image."""
    edges = cv2.Laplacian(cv2.cvtColor(image, cv2.COLOR_RGB2GRAY), cv2.CV_32F)
    return float(np.mean(edges[region] ** 2))
