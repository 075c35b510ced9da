"""Blocks that several networks are built of."""

import math

import torch
from torch import nn
from torch.nn import functional


def resize(images: torch.Tensor, size: int) -> torch.Tensor:
    """Images of any size resized to (N, 3, size, size)."""
    if images.shape[2:] == (size, size):
        return images
    return functional.interpolate(images, (size, size), mode="bilinear", antialias=True, align_corners=False)


def _two_convolutions(fan_in: int, fan_out: int, stride: int, activation: type[nn.Module]) -> list[nn.Module]:
    """Two 3×3 convolutions, each normalised, and what lies between them."""
    return [
        nn.Conv2d(fan_in, fan_out, 3, stride, 1, bias=False),
        nn.BatchNorm2d(fan_out),
        activation(),
        nn.Conv2d(fan_out, fan_out, 3, 1, 1, bias=False),
        nn.BatchNorm2d(fan_out),
    ]


class ResidualBlock(nn.Module):
    """Two 3×3 convolutions beside a shortcut (He et al. 2016)."""

    def __init__(self, fan_in: int, fan_out: int, stride: int):
        super().__init__()
        self.body = nn.Sequential(*_two_convolutions(fan_in, fan_out, stride, nn.ReLU))
        self.shortcut: nn.Module = nn.Identity()
        if stride > 1 or fan_in != fan_out:
            self.shortcut = nn.Sequential(
                nn.AvgPool2d(stride), nn.Conv2d(fan_in, fan_out, 1, bias=False), nn.BatchNorm2d(fan_out)
            )

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return torch.relu(self.shortcut(x) + self.body(x))


class PlainBlock(nn.Module):
    """Two 3×3 convolutions and nothing beside them; smooth, as what learns from its gradients needs it."""

    def __init__(self, fan_in: int, fan_out: int, stride: int):
        super().__init__()
        self.body = nn.Sequential(*_two_convolutions(fan_in, fan_out, stride, nn.SiLU), nn.SiLU())

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.body(x)


class FilmBlock(nn.Module):
    """A residual block with FiLM (Perez et al. 2018): a condition (N, D), if any, scales and shifts its features."""

    def __init__(self, fan_in: int, fan_out: int, stride: int = 1, condition_dim: int | None = None):
        super().__init__()
        self.conv1 = nn.Conv2d(fan_in, fan_out, 3, stride, 1, bias=False)
        self.norm1 = nn.GroupNorm(8, fan_out)
        self.conv2 = nn.Conv2d(fan_out, fan_out, 3, 1, 1, bias=False)
        self.norm2 = nn.GroupNorm(8, fan_out)
        self.shortcut = nn.Identity() if fan_in == fan_out else nn.Conv2d(fan_in, fan_out, 1, bias=False)
        self.stride = stride
        self.to_modulation = None if condition_dim is None else nn.Linear(condition_dim, 2 * fan_out)

    def forward(self, x: torch.Tensor, condition: torch.Tensor | None = None) -> torch.Tensor:
        short = self.shortcut(functional.avg_pool2d(x, self.stride) if self.stride > 1 else x)
        x = self.norm1(self.conv1(x))
        if self.to_modulation is not None:
            scale, shift = self.to_modulation(condition)[:, :, None, None].chunk(2, dim=1)  # each (N, fan_out, 1, 1)
            x = torch.addcmul(shift, x, 1 + scale)
        x = self.norm2(self.conv2(functional.silu(x)))
        return functional.silu(x + short)


class ModulatedBlock(nn.Module):
    """A residual block with FiLM: a condition (N, D) scales and shifts what lies between its two convolutions."""

    def __init__(self, channels: int, condition_dim: int):
        super().__init__()
        self.norm1 = nn.GroupNorm(8, channels)
        self.conv1 = nn.Conv2d(channels, channels, 3, padding=1)
        self.norm2 = nn.GroupNorm(8, channels, affine=False)
        self.conv2 = nn.Conv2d(channels, channels, 3, padding=1)
        self.to_modulation = nn.Linear(condition_dim, 2 * channels)
        nn.init.zeros_(self.to_modulation.weight)
        nn.init.zeros_(self.to_modulation.bias)
        nn.init.normal_(self.conv2.weight, std=0.01 / math.sqrt(channels))  # begins near the identity

    def forward(self, x: torch.Tensor, condition: torch.Tensor) -> torch.Tensor:
        inner = self.conv1(functional.silu(self.norm1(x)))
        scale, shift = self.to_modulation(condition)[:, :, None, None].chunk(2, dim=1)
        return x + self.conv2(functional.silu(self.norm2(inner) * (1 + scale) + shift))


def mix_filters(layer: nn.Conv2d, x: torch.Tensor, shares: torch.Tensor) -> torch.Tensor:
    """What a layer of four times C filters makes of x (N, D, H, W), these mixed by shares (N, 4): (N, C, H, W).

    On a CPU that takes half as long as to mix what all filters make of it, and a single convolution in groups longer;
    on a GPU a call for each face takes longest.
    """
    if x.is_cuda:
        return (shares[..., None, None, None] * layer(x).unflatten(1, (4, -1))).sum(1)
    assert layer.bias is not None
    weights, biases = (mixed(shares, part.unflatten(0, (4, -1))) for part in (layer.weight, layer.bias))
    faces = zip(x.split(1), weights, biases, strict=True)
    return torch.cat([functional.conv2d(face, weight, bias, padding=1) for face, weight, bias in faces])


def mixed(shares: torch.Tensor, values: torch.Tensor) -> torch.Tensor:
    """Values (T, ...) mixed by shares (N, T): (N, ...). No matrix product, which autocast would make coarse."""
    return (shares.view(*shares.shape, *[1] * (values.dim() - 1)) * values).sum(1)
