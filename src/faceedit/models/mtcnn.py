"""MTCNN's three networks (Zhang, Zhang, Li and Qiao 2016): tensors in, tensors out.

Their weights come in the wheel of facenet-pytorch, as state dicts whose names the layers here bear. Images are
N×3×H×W float32 in [-1, 1]. A face's box is said as offsets of the window's x0, y0, x1, y1, in shares of its sides.
"""

import torch
from torch import nn


class ProposalNetwork(nn.Module):
    """P-Net: whether each window of 12 pixels, 2 apart, holds a face."""

    WINDOW, STRIDE = 12, 2

    def __init__(self) -> None:
        super().__init__()
        self.conv1, self.prelu1 = nn.Conv2d(3, 10, 3), nn.PReLU(10)
        self.pool1 = nn.MaxPool2d(2, ceil_mode=True)
        self.conv2, self.prelu2 = nn.Conv2d(10, 16, 3), nn.PReLU(16)
        self.conv3, self.prelu3 = nn.Conv2d(16, 32, 3), nn.PReLU(32)
        self.conv4_1, self.conv4_2 = nn.Conv2d(32, 2, 1), nn.Conv2d(32, 4, 1)

    def forward(self, images: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Probabilities (N, H', W') and offsets (N, 4, H', W') of an image's windows."""
        x = self.pool1(self.prelu1(self.conv1(images)))
        x = self.prelu3(self.conv3(self.prelu2(self.conv2(x))))
        return self.conv4_1(x).softmax(1)[:, 1], self.conv4_2(x)


class RefineNetwork(nn.Module):
    """R-Net: the same, more closely, of windows of 24 pixels."""

    WINDOW, OUTPUTS = 24, 5

    def __init__(self) -> None:
        super().__init__()
        self.conv1, self.prelu1 = nn.Conv2d(3, 28, 3), nn.PReLU(28)
        self.conv2, self.prelu2 = nn.Conv2d(28, 48, 3), nn.PReLU(48)
        self.conv3, self.prelu3 = nn.Conv2d(48, 64, 2), nn.PReLU(64)
        self.pool = nn.MaxPool2d(3, 2, ceil_mode=True)
        self.dense4, self.prelu4 = nn.Linear(576, 128), nn.PReLU(128)
        self.dense5_1, self.dense5_2 = nn.Linear(128, 2), nn.Linear(128, 4)

    def forward(self, windows: torch.Tensor) -> torch.Tensor:
        """A probability and four offsets for each window, (N, 5)."""
        x = self.pool(self.prelu1(self.conv1(windows)))
        x = self.pool(self.prelu2(self.conv2(x)))
        x = self.prelu3(self.conv3(x))
        x = self.prelu4(self.dense4(_column_major(x)))
        return torch.cat([self.dense5_1(x).softmax(1)[:, 1:], self.dense5_2(x)], 1)


class OutputNetwork(nn.Module):
    """O-Net: the same, and five landmarks, of windows of 48 pixels."""

    WINDOW, OUTPUTS = 48, 15

    def __init__(self) -> None:
        super().__init__()
        self.conv1, self.prelu1 = nn.Conv2d(3, 32, 3), nn.PReLU(32)
        self.conv2, self.prelu2 = nn.Conv2d(32, 64, 3), nn.PReLU(64)
        self.conv3, self.prelu3 = nn.Conv2d(64, 64, 3), nn.PReLU(64)
        self.conv4, self.prelu4 = nn.Conv2d(64, 128, 2), nn.PReLU(128)
        self.pool, self.pool3 = nn.MaxPool2d(3, 2, ceil_mode=True), nn.MaxPool2d(2, ceil_mode=True)
        self.dense5, self.prelu5 = nn.Linear(1152, 256), nn.PReLU(256)
        self.dense6_1, self.dense6_2, self.dense6_3 = nn.Linear(256, 2), nn.Linear(256, 4), nn.Linear(256, 10)

    def forward(self, windows: torch.Tensor) -> torch.Tensor:
        """A probability, four offsets, and five landmarks' x and then their y, in shares of the sides, (N, 15)."""
        x = self.pool(self.prelu1(self.conv1(windows)))
        x = self.pool(self.prelu2(self.conv2(x)))
        x = self.pool3(self.prelu3(self.conv3(x)))
        x = self.prelu5(self.dense5(_column_major(self.prelu4(self.conv4(x)))))
        return torch.cat([self.dense6_1(x).softmax(1)[:, 1:], self.dense6_2(x), self.dense6_3(x)], 1)


def _column_major(x: torch.Tensor) -> torch.Tensor:
    """The features (N, C, H, W) as (N, W · H · C): the weights were converted from a framework with this order."""
    return x.permute(0, 3, 2, 1).flatten(1)
