"""Which latents edits draw mouths by: those of a few photos, chosen by what they draw in others.

The mean of photos' latents draws the mean of their mouths, which is a grey haze; that of one photo draws one mouth.
"""

import torch

from faceedit.data.crops import Crops
from faceedit.models.lips import between_lips, lip_opening, upper_teeth_end
from faceedit.models.mouth.inpainter import (
    LATENTS,
    LAUGHING,
    TYPICAL_BLUR,
    MouthInpainter,
    describe,
    mouth_mask,
    region,
    shown_to_network,
)

WIDE = 0.05  # of the crop's side: lips farther apart show enough
SOME = 64  # crops at a time
# Photos whose mouths are drawn in others' place, these others, and the share of the photos that draw clearest, of which
# some are chosen.
CANDIDATES, OTHERS, BEST = 200, 12, 0.2
BELOW = 0.04  # of the opening: so far beyond the edge of kept teeth begins what is drawn below them
TEETH_SMILING, TEETH_LAUGHING, TEETH_GAPING = 0.5, 0.4, 0.25  # of the opening, where upper teeth end, by eye
HAZE = 2.0  # by eye: grey or purple insides stand out less than grey teeth, and give more away
MIDDLE = slice(8, 24)  # columns of `lips.GRID`


@torch.no_grad()
def choose_latents(
    inpainter: MouthInpainter, encoder: torch.nn.Module, crops: Crops, landmarks: torch.Tensor, softness: torch.Tensor
) -> None:
    """Set `latents` of an inpainter to those of open mouths of sharp crops, if any of these show teeth above something
    dark.

    Whoever opens a mouth sees upper teeth and the dark below them; below teeth that are kept, the dark alone. Chosen
    are latents that draw this clearly in other mouths, be they bright or dark, and of those the ones whose teeth can be
    told apart, or the least dark.

    encoder: a MouthEncoder. landmarks (M, K, 2), softness (M,): see `training.measured`.
    """
    wide = torch.nonzero(lip_opening(landmarks) > WIDE).flatten()
    if not len(wide):
        return
    chosen = wide[softness[wide] <= max(TYPICAL_BLUR, softness[wide].quantile(0.1).item())]
    shown = [_seen(crops, some, landmarks) for some in chosen.split(SOME)]
    seen, light = (torch.cat(x) for x in zip(*shown, strict=True))
    ends = upper_teeth_end(seen)
    known = torch.nonzero(~ends.isnan()).flatten()
    if not len(known):
        return
    none = torch.zeros_like(ends)
    laughing = known[lip_opening(landmarks[chosen[known]]) > LAUGHING[1]]
    kinds = (
        (known, none, none + TEETH_SMILING),
        (laughing if len(laughing) else known, none, none + TEETH_LAUGHING),
        (known, none, none + TEETH_GAPING),
        (known, ends + BELOW, ends),
    )
    for latents, (of, keep, end) in zip(inpainter.latents, kinds, strict=True):
        by_light = of[light[of].argsort()]
        others = by_light[torch.linspace(0, len(of) - 1, OTHERS + 2)[1:-1].round().long()]
        candidates = of[_contrast(seen[of], end[of]).argsort(descending=True)[:CANDIDATES]]
        found = torch.cat(
            [_encoded(encoder, crops, chosen[some], landmarks, keep[some]) for some in candidates.split(SOME)]
        )
        contrast, detail = _drawn(
            inpainter, found, crops, chosen[others], landmarks, softness, keep[others], end[others]
        )
        best = contrast.argsort(descending=True)[: max(round(BEST * len(contrast)), LATENTS)]
        if keep is none:
            best = best[detail[best].argsort(descending=True)]
        else:  # detail would be other teeth, and the darkest look empty
            best = best.flip(0)
        latents.copy_(found[best[torch.arange(LATENTS) % len(best)]])  # of too few some come twice


def _seen(crops: Crops, some: torch.Tensor, landmarks: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """What some crops show between lips, (N, 3, *GRID), and how bright they are, (N,)."""
    images, _ = crops.batch(some, str(landmarks.device))
    return between_lips(images, landmarks[some]), images.mean((1, 2, 3))


def _contrast(seen: torch.Tensor, ends: torch.Tensor) -> torch.Tensor:
    """By how much what is seen (N, 3, *GRID) between lips is brighter above the ends (N,) of teeth than below, (N,);
    light counts HAZE times there."""
    rows = seen[..., MIDDLE].mean((1, 3))
    down = (torch.arange(rows.shape[1], device=rows.device) + 0.5) / rows.shape[1]
    above = (down < ends[:, None]).float()
    return (rows * above).sum(1) / above.sum(1).clamp(min=1) - HAZE * (rows * (1 - above)).sum(1) / (1 - above).sum(1)


def _encoded(
    encoder: torch.nn.Module, crops: Crops, some: torch.Tensor, landmarks: torch.Tensor, keep: torch.Tensor
) -> torch.Tensor:
    """The latents (N, Z) of what some mouths show below a share of theirs that is kept, (N,)."""
    images, _ = crops.batch(some, str(landmarks.device))
    rows, columns = region(images.shape[-1])
    mask = mouth_mask(landmarks[some], images.shape[-1], 1.0, keep)
    return encoder(images[..., rows, columns].contiguous(), mask)[0]


def _drawn(
    inpainter: MouthInpainter,
    latents: torch.Tensor,
    crops: Crops,
    others: torch.Tensor,
    landmarks: torch.Tensor,
    softness: torch.Tensor,
    keep: torch.Tensor,
    ends: torch.Tensor,
) -> tuple[torch.Tensor, torch.Tensor]:
    """How teeth stand out that latents (N, Z) draw in other mouths, and how much light changes across from one pixel to
    the next, where it is bright; on average, (N,) each."""
    images, _ = crops.batch(others, str(landmarks.device))
    landmarks, size = landmarks[others], images.shape[-1]
    rows, columns = region(size)
    hidden = images[..., rows, columns].contiguous()
    mask = mouth_mask(landmarks, size, 1.0, keep)
    condition = describe(softness[others], landmarks)
    shown = shown_to_network(hidden, mask, landmarks)
    contrasts, details = [], []
    for latent in latents:
        drawn = inpainter(shown, mask, condition, latent.expand(len(others), -1)).clamp(-1, 1)
        images[..., rows, columns] = drawn = torch.lerp(hidden, drawn, mask)
        contrasts.append(_contrast(between_lips(images, landmarks), ends).mean())
        brightness = drawn.mean(1, keepdim=True)
        bright = (mask * (brightness + 1))[..., 1:]
        details.append((brightness.diff(dim=3).abs() * bright).sum() / bright.sum().clamp(min=1e-3))
    return torch.stack(contrasts), torch.stack(details)
