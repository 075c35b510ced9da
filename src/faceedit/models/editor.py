"""The editor's own networks: a conditional adversarial autoencoder whose decoder draws an edit, not a face.

Throughout: `images` (N, 3, S, S) in [-1, 1], aligned crops; `landmarks` (N, K, 2) as `landmarker.Landmarker` finds
them; `source` affect (N, 2) = valence, arousal in [-1, 1]; `target` (N, T), affect and then, where the networks know
expressions, the weight in [0, 1] of each that the target is called by, all zeros where any will do; `z` (N, z_dim) in
(-1, 1). What an edit is made of is smooth enough to be enlarged, so that it edits a photo at any resolution.
"""

from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise
from typing import NamedTuple

import torch
from torch import nn
from torch.nn import functional

from faceedit.config import WarpConfig
from faceedit.models.expression import Motion
from faceedit.models.face_mesh import TWINS
from faceedit.models.finish import finished_flow, kept_parts
from faceedit.models.layers import FilmBlock, mix_filters
from faceedit.models.lips import between_lips, lip_condition, teeth_visibility
from faceedit.models.mouth import Mouth
from faceedit.models.palette import COLOURS, palette
from faceedit.models.sampling import constant, enlarged, finer, indices, warped


@dataclass(frozen=True)
class FaceFeatures:
    """What the decoder needs of N faces.

    images: the crops. z: the latent. maps: the encoder's, from the finest to the coarsest. palette: (N, 4, 3), the
    colours to draw with. landmarks: (N, K, 2). teeth_visibility: (N,), see `lips.teeth_visibility`.
    """

    images: torch.Tensor
    z: torch.Tensor
    maps: list[torch.Tensor]
    palette: torch.Tensor
    landmarks: torch.Tensor
    teeth_visibility: torch.Tensor

    @property
    def shades(self) -> torch.Tensor:
        """The colours that shade a face, (N, 4, 3): the palette with brighter skin in place of teeth."""
        skin, *others, _ = self.palette.unbind(1)
        return torch.stack([skin, *others, (1.5 * (skin + 1) - 1).clamp(max=1)], dim=1)

    def expand(self, count: int) -> "FaceFeatures":
        """The features, those of each face `count` times in a row; of one face without copies."""
        return self._each(lambda x: x[:, None].expand(-1, count, *x.shape[1:]).flatten(0, 1))

    def half(self) -> "FaceFeatures":
        """Those of the first half of the faces."""
        return self._each(lambda x: x[: len(x) // 2])

    def _each(self, change: Callable[[torch.Tensor], torch.Tensor]) -> "FaceFeatures":
        maps = [change(x) for x in self.maps]
        others = (change(x) for x in (self.palette, self.landmarks, self.teeth_visibility))
        return FaceFeatures(change(self.images), change(self.z), maps, *others)


class Edit(NamedTuple):
    """The decoder's output.

    flow: (N, 2, S, S), the xy deformation from each pixel to where its content comes from, in units of half the crop's
    side. colour: (N, 3, S/4, S/4), added to the moved crop, in the units of images. mouth: (N, 2, H, W), in
    `Mouth.region` of crops: the signed distance in pixels from the mouth's edge, which lies at a half, and the logit of
    teeth. palette: (N, 4, 3). landmarks: (N, K, 2), where it moves them.
    """

    flow: torch.Tensor
    colour: torch.Tensor
    mouth: torch.Tensor
    palette: torch.Tensor
    landmarks: torch.Tensor


class Encoder(nn.Module):
    """images → z, and a map at every size from S/2 down for the decoder's skips."""

    def __init__(self, config: WarpConfig):
        super().__init__()
        first, *_ = config.channels
        self.stem = nn.Conv2d(3, first, 5, stride=2, padding=2)  # at full size nothing else is cheap enough
        self.blocks = nn.ModuleList(FilmBlock(a, b, stride=2) for a, b in pairwise(config.channels))
        side = config.image_size // 2 ** len(config.channels)
        self.to_z = nn.Linear(config.channels[-1] * side * side, config.z_dim)
        # Without it the discriminator drives the tanh to where it is flat, or all faces to one point.
        self.norm = nn.BatchNorm1d(config.z_dim, momentum=0.01, affine=False)

    def forward(self, images: torch.Tensor, landmarks: torch.Tensor) -> FaceFeatures:
        maps = [functional.silu(self.stem(images))]
        for block in self.blocks:
            maps.append(block(maps[-1]))
        z = torch.tanh(self.norm(self.to_z(maps[-1].flatten(1))))
        colours = palette(images.float())
        teeth = teeth_visibility(between_lips(images.float(), landmarks), colours)
        return FaceFeatures(images, z, maps, colours, landmarks, teeth)


@dataclass(frozen=True)
class EditSettings:
    """Numbers set by hand, all of them by eye."""

    free_length: float = 0.3  # of the way from source to target, above which an edit is not scaled down
    flow_scale: float = 0.1  # of half the crop's side; nothing bounds a flow, as where a bound flattens, learning ends
    max_colour: float = 0.15  # that shades a face: more would give it white irises, which please the teacher
    mask_bias: float = 3.0  # of the mask's logits, so that training starts with little colour
    # How much of each named expression of CLASS_MEANS is asked of the networks, where training asks for 1: it gets
    # plainer (as guidance without a classifier, Ho and Salimans 2022), and less like a photograph. Happy faces are told
    # from all others anyway. Landmarks go no further for it.
    emphasis: tuple[float, ...] = (1.8, 1.0, 1.5, 1.8, 2.0, 1.4, 1.8, 1.8)
    # How much of what averages say lips part for each of them, and where none is named. Judge and people know all but
    # surprise and fear by closed lips as well, and those by smaller openings: no inpainted mouth is as real as one that
    # a photo shows.
    parting: tuple[float, ...] = (0.0, 0.0, 0.0, 0.7, 0.6, 0.0, 0.0, 0.0)
    unnamed_parting: float = 0.75


EDIT = EditSettings()


class Decoder(nn.Module):
    """Features of faces, source, target → an edit.

    A mask and a mixture of shades change the colour of the warped face. FiLM conditions every block on z, source,
    target and the lips. An edit to the source itself is empty: everything is scaled by the distance from
    source to target, up to `EDIT.free_length`. Mouths are drawn where `Motion` takes landmarks: convolutions at times
    stretch lips that should part.
    """

    def __init__(self, config: WarpConfig):
        super().__init__()
        self.condition = nn.Sequential(
            nn.Linear(config.z_dim + 6 + config.target_dim, config.condition_dim),
            nn.SiLU(),
            nn.Linear(config.condition_dim, config.condition_dim),
            nn.SiLU(),
        )
        channels = config.channels[::-1]
        self.bottom = FilmBlock(channels[0], channels[0], condition_dim=config.condition_dim)
        # A coarser map is narrowed, enlarged, and joins the encoder's map of the same size.
        self.narrow = nn.ModuleList(nn.Conv2d(coarse, fine, 1) for coarse, fine in pairwise(channels))
        self.blocks = nn.ModuleList(FilmBlock(fine, fine, condition_dim=config.condition_dim) for fine in channels[1:])
        self.to_edit = nn.Conv2d(channels[-1], (3 + COLOURS) * 4, 3, padding=1)
        assert self.to_edit.bias is not None
        nn.init.normal_(self.to_edit.weight, std=1e-3)  # training starts from an edit of nearly nothing
        nn.init.zeros_(self.to_edit.bias)
        self.motion = Motion(config.target_dim - 2)
        self.target_dim = config.target_dim
        # How far edits go of the way that is asked, where no expression is named, so that they arrive.
        self.gain: torch.Tensor | None
        self.register_buffer("gain", torch.ones(2) if config.target_dim > 2 else None)

    def forward(
        self,
        features: FaceFeatures,
        source: torch.Tensor,
        target: torch.Tensor,
        *,
        finished: bool,
        mirrored: bool = False,
    ) -> Edit:
        """finished: whether lips and lids are moved to their landmarks, names count by `EDIT.emphasis`, and lips part
        by `EDIT.parting`. Not in training: networks would learn nothing from inner lips then. mirrored: whether the
        features are those of 2 N faces, the second half of which are the first, mirrored: the mean of both edits is
        drawn, as what pulls at one side of a face alone is no expression.
        """
        if mirrored:
            source, target = (x.repeat(2, 1) for x in (source, target))
        target = functional.pad(target, (0, self.target_dim - target.shape[1]))  # affect alone: any expression
        target, named = target[:, :2], target[:, 2:]
        if self.gain is not None:
            # Not for names, whose places lie far out: eyes would open further than faces show.
            unnamed = 1 - named.sum(1, keepdim=True).clamp(max=1)
            target = target + unnamed * (self.gain - 1) * (target - source)
        way = target - source
        amount = (way.norm(dim=1, keepdim=True) / EDIT.free_length).clamp(max=1)
        lips_now = lip_condition(features.landmarks, features.teeth_visibility)
        asked = named * constant(EDIT.emphasis, named.device)[: named.shape[1]] if finished else named
        fields = self._fields(features.maps, way, torch.cat([features.z, source, target, way, lips_now, asked], dim=1))
        named = named * amount
        parting = None
        if finished:
            names = constant(EDIT.parting, named.device)[: named.shape[1]]
            parting = EDIT.unnamed_parting + named @ (names - EDIT.unnamed_parting)
        before, after = features.landmarks, self.motion(features.landmarks, source, target, named, parting)
        amount = amount[:, :, None, None]
        flow = fields[:, :2] * EDIT.flow_scale * amount
        colour = _shading(features, fields[:, 2:], flow, amount)
        if mirrored:
            flow, colour, moves = _mean_of_mirrored(flow, colour, after - before)
            features = features.half()
            before, target, amount, lips_now = (x[: len(moves)] for x in (before, target, amount, lips_now))
            after = before + moves
        _, kept_teeth = lips_now.unbind(1)
        mouth = Mouth(before, after, kept_teeth, features.images.shape[-1])
        flow = enlarged(flow)
        flow = finished_flow(flow, mouth, amount) if finished else mouth.move_lips(kept_parts(flow, mouth))
        return Edit(flow, colour, mouth.fields(self.motion.texture(target), amount), features.palette, after)

    def _fields(self, maps: list[torch.Tensor], way: torch.Tensor, condition: torch.Tensor) -> torch.Tensor:
        """Flow, mask and mixture of shades, (N, 3 + COLOURS, S/2, S/2); way: (N, 2), from source to target."""
        condition = self.condition(condition)
        *finer, x = maps
        x = self.bottom(x, condition)
        for narrow, block, skip in zip(self.narrow, self.blocks, finer[::-1], strict=True):
            x = block(enlarged(narrow(x)) + skip, condition)
        # To first order an edit is linear in the way. The conditioned blocks add the rest.
        length = way.norm(dim=1, keepdim=True)
        shares = torch.cat([torch.ones_like(length), length * 2, way * 2], dim=1)  # (N, 4)
        return mix_filters(self.to_edit, x, shares).float()


def _mean_of_mirrored(
    flow: torch.Tensor, colour: torch.Tensor, moves: torch.Tensor
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """A flow (2 N, 2, H, W), colour (2 N, 3, H, W) and moves of landmarks (2 N, K, 2) of faces, then of their mirror
    images: the means of the former and of what the latter are, mirrored again."""
    flipped = constant((-1.0, 1.0), flow.device)
    (flow, of_flow), (colour, of_colour), (moves, of_moves) = (x.chunk(2) for x in (flow, colour, moves))
    of_flow = flipped[:, None, None] * of_flow.flip(3)
    of_moves = flipped * of_moves[:, indices(TWINS, moves.device)]
    return (flow + of_flow) / 2, (colour + of_colour.flip(3)) / 2, (moves + of_moves) / 2


def _shading(features: FaceFeatures, fields: torch.Tensor, flow: torch.Tensor, amount: torch.Tensor) -> torch.Tensor:
    """The colour that an edit adds, (N, 3, S/4, S/4), from a mask and a mixture of shades (N, 1 + COLOURS, S/2, S/2).

    flow: (N, 2, S/2, S/2). amount: (N, 1, 1, 1), at 0 nothing is added.
    """
    moved = warped(functional.avg_pool2d(features.images.float(), 2), flow)
    mask, mixture = torch.sigmoid(fields[:, :1] - EDIT.mask_bias), torch.softmax(fields[:, 1:], dim=1)
    shade = torch.einsum("nkhw,nkc->nchw", mixture, features.shades)
    change = mask * (shade - moved) * amount
    # Means over eight by eight pixels of crops: fine detail is the photo's own, moved. Finer colours please the teacher
    # as dark blots on cheeks and brows.
    colour = EDIT.max_colour * torch.tanh(change / EDIT.max_colour)
    return functional.avg_pool2d(colour, 4, stride=2, padding=1, count_include_pad=False)


class WarpEditor(nn.Module):
    """Encodes a face once and decodes an edit for any target."""

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
        finished: bool,
    ) -> Edit:
        return self.decoder(self.encoder(images, landmarks), source, target, finished=finished)


def residual(edit: Edit) -> torch.Tensor:
    """The residual that an edit adds to the moved crops, in the units of images, and its occlusion map, in [0, 1]:
    (N, 4, S, S).

    The inside of a mouth is a sketch, for the teacher and the discriminator in training. In photos, it is inpainted.
    """
    return Mouth.residual(finer(edit.colour, 4), edit.mouth, edit.palette)


def rendered(images: torch.Tensor, edit: Edit, masks: torch.Tensor) -> torch.Tensor:
    """The edited crops (N, 3, S, S), blended as in a photo. masks: (2, S, S), see `compositing.edit_masks`."""
    flow_mask, residual_mask = masks
    added = residual(edit) * residual_mask
    return (warped(images, edit.flow * flow_mask) * (1 - added[:, 3:]) + added[:, :3]).clamp(-1, 1)
