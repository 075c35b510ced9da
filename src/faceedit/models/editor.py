"""The editor's own networks: a conditional adversarial autoencoder whose decoder draws an edit, not a face.

Throughout: `images` (N, 3, S, S) in [-1, 1], aligned crops; `landmarks` (N, K, 2) as `landmarker.Landmarker` finds
them; `source` and `target` affect (N, 2) = valence, arousal in [-1, 1]; `z` (N, z_dim) in (-1, 1). What an edit is
made of is smooth enough to be enlarged, so that it edits a photo at any resolution.
"""

from dataclasses import dataclass
from itertools import pairwise
from typing import NamedTuple

import torch
from torch import nn
from torch.nn import functional

from faceedit.config import WarpConfig
from faceedit.models.expression import Motion
from faceedit.models.layers import FilmBlock, mix_filters
from faceedit.models.lips import between_lips, lip_state, teeth_visibility
from faceedit.models.mouth import Mouth
from faceedit.models.palette import COLOURS, palette
from faceedit.models.sampling import enlarged, finer, warped


@dataclass(frozen=True)
class Encoded:
    """Faces as the decoder needs them: crops, their latent, the encoder's maps from the finest to the coarsest, the
    palette (N, 4, 3) to draw with, the landmarks, and how far lips show teeth (N,) (see `lips.teeth_visibility`)."""

    images: torch.Tensor
    z: torch.Tensor
    maps: list[torch.Tensor]
    palette: torch.Tensor
    landmarks: torch.Tensor
    teeth_visibility: torch.Tensor

    @property
    def shades(self) -> torch.Tensor:
        """What shades a face, (N, 4, 3): the palette, but instead of teeth the skin in brighter light."""
        skin, *others, _ = self.palette.unbind(1)
        return torch.stack([skin, *others, (1.5 * (skin + 1) - 1).clamp(max=1)], dim=1)

    def expand(self, count: int) -> "Encoded":
        """One face (N = 1) `count` times."""

        def repeated(x: torch.Tensor) -> torch.Tensor:
            return x.expand(count, *x.shape[1:])

        maps = [repeated(x) for x in self.maps]
        others = (repeated(x) for x in (self.palette, self.landmarks, self.teeth_visibility))
        return Encoded(repeated(self.images), repeated(self.z), maps, *others)


class Edit(NamedTuple):
    """What the decoder draws.

    flow: (N, 2, S, S), for each pixel the xy step to where its content comes from, in units of half the crop's side.
    colour: (N, 3, S/4, S/4), what is then added, in the units of images. mouth: (N, 2, H, W), of the inside of a mouth,
    in `Mouth.region` of crops: how many pixels each point lies inside its edge, half of one being the edge itself, and
    the logit of its being teeth. palette: (N, 4, 3).
    """

    flow: torch.Tensor
    colour: torch.Tensor
    mouth: torch.Tensor
    palette: torch.Tensor


class Encoder(nn.Module):
    """images → z, and a map at every size from S/2 down for the decoder's skips."""

    def __init__(self, config: WarpConfig):
        super().__init__()
        first, *_ = config.channels
        self.stem = nn.Conv2d(3, first, 5, stride=2, padding=2)  # at full size nothing else is cheap enough
        self.steps = nn.ModuleList(FilmBlock(a, b, stride=2) for a, b in pairwise(config.channels))
        side = config.image_size // 2 ** len(config.channels)
        self.to_z = nn.Linear(config.channels[-1] * side * side, config.z_dim)
        # Without it an adversary drives the tanh to where it is flat, or all faces to one point.
        self.spread = nn.BatchNorm1d(config.z_dim, momentum=0.01, affine=False)

    def forward(self, images: torch.Tensor, landmarks: torch.Tensor) -> Encoded:
        maps = [functional.silu(self.stem(images))]
        for step in self.steps:
            maps.append(step(maps[-1]))
        z = torch.tanh(self.spread(self.to_z(maps[-1].flatten(1))))
        colours = palette(images.float())
        teeth = teeth_visibility(between_lips(images.float(), landmarks), colours)
        return Encoded(images, z, maps, colours, landmarks, teeth)


@dataclass(frozen=True)
class EditSettings:
    """Numbers set by hand, all of them by eye."""

    free_length: float = 0.3  # of a way, from which on an edit is not scaled down
    flow_scale: float = 0.1  # of half the crop's side; nothing bounds a flow, as where a bound flattens, learning ends
    max_colour: float = 0.15  # what shades a face; white irises please a guide
    mask_bias: float = 3.0  # logits by which nothing is shaded before there is something to shade


EDIT = EditSettings()


class Decoder(nn.Module):
    """Encoded faces, source, target → an edit.

    The colour turns the warped face, where a mask says so, towards a mixture of its shades. Every step is modulated by
    z, by where the affect shall go, and by the state of the lips. An edit to the source itself is nothing: all of it is
    scaled by the length of the way, up to a length where it is free. Mouths are drawn where landmarks move on average:
    whether and how far lips part is not left to convolutions, which at times stretch them instead.
    """

    def __init__(self, config: WarpConfig):
        super().__init__()
        self.condition = nn.Sequential(
            nn.Linear(config.z_dim + 8, config.condition_dim),
            nn.SiLU(),
            nn.Linear(config.condition_dim, config.condition_dim),
            nn.SiLU(),
        )
        channels = config.channels[::-1]
        self.bottom = FilmBlock(channels[0], channels[0], condition_dim=config.condition_dim)
        # A coarser map is narrowed, enlarged, and joins the encoder's map of the same size.
        self.narrow = nn.ModuleList(nn.Conv2d(coarse, fine, 1) for coarse, fine in pairwise(channels))
        self.steps = nn.ModuleList(FilmBlock(fine, fine, condition_dim=config.condition_dim) for fine in channels[1:])
        self.to_edit = nn.Conv2d(channels[-1], (3 + COLOURS) * 4, 3, padding=1)
        assert self.to_edit.bias is not None
        nn.init.normal_(self.to_edit.weight, std=1e-3)  # training starts from an edit of nearly nothing
        nn.init.zeros_(self.to_edit.bias)
        self.motion = Motion()

    def forward(self, encoded: Encoded, source: torch.Tensor, target: torch.Tensor, *, correct_lips: bool) -> Edit:
        """correct_lips: whether lips are moved by `Mouth.lip_correction` too. Not in training: inner lips would teach
        networks nothing then."""
        way = target - source
        lips_now = lip_state(encoded.landmarks, encoded.teeth_visibility)
        condition = self.condition(torch.cat([encoded.z, source, target, way, lips_now], dim=1))
        *finer, x = encoded.maps
        x = self.bottom(x, condition)
        for narrow, step, skip in zip(self.narrow, self.steps, finer[::-1], strict=True):
            x = step(enlarged(narrow(x)) + skip, condition)
        # To first order an edit is linear in the way; what the condition does to every step is the rest.
        length = way.norm(dim=1, keepdim=True)
        shares = torch.cat([torch.ones_like(length), length * 2, way * 2], dim=1)  # (N, 4)
        fields = mix_filters(self.to_edit, x, shares).float()
        amount = (length / EDIT.free_length).clamp(max=1)[:, :, None, None]
        flow = fields[:, :2] * EDIT.flow_scale * amount
        colour = _shading(encoded, fields[:, 2:], flow, amount)
        before, after = encoded.landmarks, self.motion(encoded.landmarks, source, target)
        _, kept_teeth = lips_now.unbind(1)
        mouth = Mouth(before, after, kept_teeth, self.motion.texture(target), encoded.images.shape[-1])
        flow = mouth.move_lips(enlarged(flow), amount if correct_lips else None)
        return Edit(flow, colour, mouth.fields(amount), encoded.palette)


def _shading(encoded: Encoded, fields: torch.Tensor, flow: torch.Tensor, amount: torch.Tensor) -> torch.Tensor:
    """The colour that an edit adds, (N, 3, S/4, S/4), from a mask and a mixture of shades (N, 1 + COLOURS, S/2, S/2).

    flow: (N, 2, S/2, S/2). amount: (N, 1, 1, 1), at 0 nothing is added.
    """
    moved = warped(functional.avg_pool2d(encoded.images.float(), 2), flow)
    mask, mixture = torch.sigmoid(fields[:, :1] - EDIT.mask_bias), torch.softmax(fields[:, 1:], dim=1)
    paint = torch.einsum("nkhw,nkc->nchw", mixture, encoded.shades)
    change = mask * (paint - moved) * amount
    # Means over eight by eight pixels of crops, as fine detail is the photo's own, moved: left to itself, a guide
    # has dark blots drawn on cheeks and brows.
    colour = EDIT.max_colour * torch.tanh(change / EDIT.max_colour)
    return functional.avg_pool2d(colour, 4, stride=2, padding=1, count_include_pad=False)


class WarpEditor(nn.Module):
    """What an editor needs: encode a face once, decode an edit for any target."""

    def __init__(self, config: WarpConfig):
        super().__init__()
        self.config = config
        self.encoder = Encoder(config)
        self.decoder = Decoder(config)

    def forward(
        self,
        images: torch.Tensor,
        landmarks: torch.Tensor,
        source: torch.Tensor,
        target: torch.Tensor,
        *,
        correct_lips: bool,
    ) -> Edit:
        return self.decoder(self.encoder(images, landmarks), source, target, correct_lips=correct_lips)


def painted(edit: Edit, scale: int = 1) -> torch.Tensor:
    """What an edit adds to the moved crops, in the units of images, and how much of them it hides: (N, 4, H, W), where
    H and W are the scale times S."""
    return Mouth.paint(finer(edit.colour, 4 * scale), edit.mouth, edit.palette, scale)


def rendered(images: torch.Tensor, edit: Edit, masks: torch.Tensor) -> torch.Tensor:
    """The edited crops, as the edit of a photo would leave them; masks (2, S, S): see `compositing.edit_masks`."""
    moves, paints = masks
    paint = painted(edit) * paints
    return (warped(images, edit.flow * moves) * (1 - paint[:, 3:]) + paint[:, :3]).clamp(-1, 1)
