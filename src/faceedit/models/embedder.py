"""MobileFaceNet (Chen et al. 2018), a face embedder of one million parameters, and where it expects a face to lie.

Tensors are named as in the published PyTorch weights (foamliu/MobileFaceNet).
"""

import torch
from torch import nn

from faceedit.models.sampling import constant

SIZE = 112
# Where the network's own training put eyes, nose and mouth corners, in pixels of its 112×112 input.
LANDMARKS = ((38.29, 51.70), (73.53, 51.50), (56.03, 71.74), (41.55, 92.37), (70.73, 92.20))
IMAGENET_MEAN, IMAGENET_DEVIATION = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
STAGES = (
    (2, 64, 5, 2),
    (4, 128, 1, 2),
    (2, 128, 6, 1),
    (4, 128, 1, 2),
    (2, 128, 2, 1),
)  # expansion, width, blocks, stride


def _conv_norm(
    fan_in: int, fan_out: int, kernel: int, stride: int = 1, groups: int = 1, activation: bool = True
) -> nn.Sequential:
    padding = (kernel - 1) // 2
    layers = [nn.Conv2d(fan_in, fan_out, kernel, stride, padding, groups=groups, bias=False), nn.BatchNorm2d(fan_out)]
    return nn.Sequential(*layers, *([nn.ReLU6()] if activation else []))


class _Stem(nn.Module):
    """Depthwise, then pointwise convolution."""

    def __init__(self, channels: int):
        super().__init__()
        self.depthwise = nn.Conv2d(channels, channels, 3, padding=1, groups=channels, bias=False)
        self.bn1 = nn.BatchNorm2d(channels)
        self.pointwise = nn.Conv2d(channels, channels, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(channels)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = torch.relu(self.bn1(self.depthwise(x)))
        return torch.relu(self.bn2(self.pointwise(x)))


class _GlobalDepthwise(nn.Module):
    """(N, 512, 7, 7) → (N, 512, 1, 1): one learnt weight for each place of each channel."""

    def __init__(self, channels: int):
        super().__init__()
        self.depthwise = nn.Conv2d(channels, channels, 7, groups=channels, bias=False)
        self.bn = nn.BatchNorm2d(channels)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.bn(self.depthwise(x))


class _InvertedResidual(nn.Module):
    def __init__(self, fan_in: int, fan_out: int, stride: int, expansion: int):
        super().__init__()
        wide = fan_in * expansion
        self.adds_input = stride == 1 and fan_in == fan_out
        self.conv = nn.Sequential(
            _conv_norm(fan_in, wide, 1),
            _conv_norm(wide, wide, 3, stride, groups=wide),
            nn.Conv2d(wide, fan_out, 1, bias=False),
            nn.BatchNorm2d(fan_out),
        )

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x + self.conv(x) if self.adds_input else self.conv(x)


class MobileFaceNet(nn.Module):
    """images (N, 3, 112, 112) in [-1, 1], aligned to LANDMARKS → embeddings (N, 128), compared by cosine."""

    def __init__(self) -> None:
        super().__init__()
        self.conv1 = _conv_norm(3, 64, 3, stride=2)
        self.dw_conv = _Stem(64)
        blocks, fan_in = [], 64
        for expansion, width, repeats, stride in STAGES:
            for i in range(repeats):
                blocks.append(_InvertedResidual(fan_in, width, stride if i == 0 else 1, expansion))
                fan_in = width
        self.features = nn.Sequential(*blocks)
        self.conv2 = _conv_norm(fan_in, 512, 1)
        self.gdconv = _GlobalDepthwise(512)
        self.conv3 = nn.Conv2d(512, 128, 1)
        self.bn = nn.BatchNorm2d(128)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        x = self.activations(images)[-1]
        return self.bn(self.conv3(self.gdconv(self.conv2(x)))).flatten(1)

    def activations(self, images: torch.Tensor) -> list[torch.Tensor]:
        """The feature maps at 56, 28, 14 and 7 pixels."""
        x = self.dw_conv(self.conv1(imagenet_normalised(images)))
        kept = [x]
        for i, block in enumerate(self.features):
            x = block(x)
            if i in (4, 11, 14):  # the last block of each size
                kept.append(x)
        return kept


def imagenet_normalised(images: torch.Tensor) -> torch.Tensor:
    """Images (N, 3, H, W) in [-1, 1] as networks trained on ImageNet take them: of mean 0 and deviation 1."""
    mean, deviation = (
        constant(v, images.device).to(images).view(1, 3, 1, 1) for v in (IMAGENET_MEAN, IMAGENET_DEVIATION)
    )
    return ((images + 1) / 2 - mean) / deviation
