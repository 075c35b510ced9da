"""Constants and coordinate grids on a device, and sampling images, flows and curves at coordinates."""

from functools import cache
from typing import Any

import torch
from torch.nn import functional


@cache
@torch.inference_mode(False)  # training uses the cached tensors too
def constant(values: tuple[Any, ...], device: torch.device) -> torch.Tensor:
    """Numbers as a float32 tensor that stays on the device: copies at each call would make a GPU wait."""
    return torch.tensor(values, dtype=torch.float32, device=device)


@cache
@torch.inference_mode(False)
def indices(values: tuple[Any, ...], device: torch.device) -> torch.Tensor:
    """Numbers as an int64 tensor that stays on the device, to index with."""
    return torch.tensor(values, dtype=torch.int64, device=device)


@cache
@torch.inference_mode(False)
def pixel_centres(count: int, device: torch.device) -> torch.Tensor:
    """The centres of so many pixels in a row, as shares of its length: (count,)."""
    return (torch.arange(count, device=device) + 0.5) / count


@cache
@torch.inference_mode(False)
def coordinate_grid(height: int, width: int, device: torch.device) -> torch.Tensor:
    """The xy of each pixel, in [-1, 1], as grid_sample wants it: (H, W, 2)."""
    y, x = (2 * pixel_centres(side, device) - 1 for side in (height, width))
    return torch.stack(torch.meshgrid(x, y, indexing="xy"), dim=2)


def warped(images: torch.Tensor, flow: torch.Tensor) -> torch.Tensor:
    """Images (N, C, H, W) warped backwards by a flow (N, 2, H, W): each pixel gets what lies where its flow points.

    The flow is in units of half the side.
    """
    grid = coordinate_grid(*images.shape[2:], images.device) + flow.permute(0, 2, 3, 1)
    return functional.grid_sample(images, grid, padding_mode="reflection", align_corners=False)


def enlarged(x: torch.Tensor) -> torch.Tensor:
    """(N, C, H, W) at twice the size, bilinear."""
    return functional.interpolate(x, scale_factor=2.0, mode="bilinear", align_corners=False)


def finer(x: torch.Tensor, scale: int) -> torch.Tensor:
    """(N, C, H, W) at `scale` times the size, bicubic. With antialias it takes a third of the time."""
    return functional.interpolate(x, scale_factor=scale, mode="bicubic", antialias=True)


def heights(lines: torch.Tensor, columns: torch.Tensor) -> torch.Tensor:
    """Curves at columns (N, W): (N, C, V, W), by linear interpolation.

    lines: (N, C, P, 1 + V), points from left to right, each x, then y and other values.
    """
    x, values = lines[..., 0], lines[..., 1:]
    # x must rise strictly, and does not in some photos, where the landmarks are wrong.
    x = (x.cummax(dim=2).values + 1e-4 * torch.arange(x.shape[2], device=x.device)).contiguous()
    columns = columns[:, None].expand(-1, x.shape[1], -1).contiguous()
    right = torch.searchsorted(x, columns).clamp(1, x.shape[2] - 1)
    x0, x1 = x.gather(2, right - 1), x.gather(2, right)
    share = (columns - x0) / (x1 - x0)
    right = right[..., None].expand(-1, -1, -1, values.shape[3])
    return values.gather(2, right - 1).lerp(values.gather(2, right), share[..., None]).transpose(2, 3)


@cache
@torch.inference_mode(False)
def _nearest_parabola(count: int, device: torch.device) -> torch.Tensor:
    along = torch.linspace(-1, 1, count, dtype=torch.float64)
    powers = torch.stack([along**0, along, along**2], dim=1)
    return (powers @ torch.linalg.pinv(powers)).float().to(device)


def parabolas(values: torch.Tensor) -> torch.Tensor:
    """The parabolas that come nearest to values (..., J) at J places in a row, there."""
    return values @ _nearest_parabola(values.shape[-1], values.device).to(values).T


def linear_ramp(x: torch.Tensor, low: float, high: float) -> torch.Tensor:
    """0 up to `low`, 1 from `high` on, linear in between."""
    return ((x - low) / (high - low)).clamp(0, 1)


def bell(distance: torch.Tensor, deviation: float) -> torch.Tensor:
    """1 at a distance of 0, and less further away, as a Gaussian of this standard deviation."""
    return torch.exp(-((distance / deviation) ** 2) / 2)


def smoothed(images: torch.Tensor, sigma: float) -> torch.Tensor:
    """Images (N, C, H, W) smoothed by a Gaussian of a deviation in pixels, mirroring what lies outside."""
    rows, columns = (_smoothing(side, sigma, images.device) for side in images.shape[2:])
    return rows @ images @ columns.T  # on a CPU, a quarter of the time that convolutions take


@cache
@torch.inference_mode(False)  # what is kept serves training too
def _smoothing(size: int, sigma: float, device: torch.device) -> torch.Tensor:
    """The matrix (size, size) that smooths a column of pixels."""
    reach = int(3 * sigma + 1)
    steps = torch.arange(-reach, reach + 1)
    kernel = torch.exp(-((steps / sigma) ** 2) / 2)
    places = (torch.arange(size)[:, None] + steps).abs()
    places = size - 1 - (size - 1 - places).abs()
    matrix = torch.zeros(size, size).scatter_add_(1, places, (kernel / kernel.sum()).expand(size, -1))
    return matrix.to(device)
