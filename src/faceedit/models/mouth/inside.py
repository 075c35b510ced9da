"""The inside of open mouths in colour: teeth, a tongue, and the dark behind them.

Throughout: `occlusion` (N, 1, H, W) from 0 to 1, where the inside of a mouth shows. `shown` (N, 1, 1, W), the number of
its pixels in each column. `down` (N, 1, H, W), the number of those above and at each point. `x` (N, 1, 1, W), the
position of columns to the right of its middle, in shares of the crop's side. `size`, the side in pixels of the
crop.
"""

from functools import cache

import torch

from faceedit.models.mouth.settings import MOUTH
from faceedit.models.sampling import linear_ramp


def inside_colour(
    distance: torch.Tensor,
    occlusion: torch.Tensor,
    teeth: torch.Tensor,
    columns: torch.Tensor,
    palette: torch.Tensor,
    size: int,
) -> torch.Tensor:
    """The colour of what mouths show, (N, 3, H, W) in [-1, 1].

    distance: (N, 1, H, W), pixels of the crop inside the mouth's edge. teeth: (N, 1, H, W), logits. columns: (W,), in
    shares of the crop's side. palette: (N, 4, 3), skin, lips, inside and teeth.
    """
    shown, down = occlusion.sum(dim=2, keepdim=True), occlusion.cumsum(2)
    # From the middle of what shows. The constants bring that of a mouth that hardly opens to the middle of the crop.
    x = columns - ((shown * columns).sum(3, keepdim=True) + 1) / (shown.sum(3, keepdim=True) + 2)
    _, lips, _, white = (palette + 1)[..., None, None].unbind(1)
    teeth = _teeth(teeth, occlusion, down, size)
    dark = (MOUTH.dark + MOUTH.tongue_light * _tongue(shown, down, x, size)) * lips
    return _shade(distance, x) * torch.lerp(dark, white, torch.sigmoid(teeth)) - 1


def _shade(distance: torch.Tensor, x: torch.Tensor) -> torch.Tensor:
    """The share of light that reaches each point: less at lips and cheeks."""
    beside_lips = (1 - MOUTH.lip_shade) + MOUTH.lip_shade * (distance / MOUTH.lip_shade_distance).clamp(0, 1)
    return beside_lips * (1 - MOUTH.arch_shade * (x / MOUTH.arch) ** 2).clamp(min=MOUTH.darkest)


def _teeth(teeth: torch.Tensor, occlusion: torch.Tensor, down: torch.Tensor, size: int) -> torch.Tensor:
    """The logits of teeth, with a lower edge."""
    # A mean mouth shows a hint of lower teeth below the dark. Drawn, they would be grey and transparent.
    dark = (occlusion * torch.sigmoid(-teeth)).cumsum(2)
    return teeth - MOUTH.fading * ((dark - MOUTH.dark_edge).clamp(min=0) + (down - MOUTH.tall * size).clamp(min=0))


def _tongue(shown: torch.Tensor, down: torch.Tensor, x: torch.Tensor, size: int) -> torch.Tensor:
    """The visibility of a tongue, from 0 to 1: low in wide mouths."""
    wide = linear_ramp(shown.amax(3, keepdim=True) / size, *MOUTH.tongue_opening)
    tongue = ((down / (shown + 1) - MOUTH.tongue_top - (x / MOUTH.tongue) ** 2) / MOUTH.tongue_edge).clamp(0, 1)
    return wide * tongue.square() * (3 - 2 * tongue)


@cache
@torch.inference_mode(False)  # training uses the cached tensor too
def window(height: int, width: int, device: torch.device) -> torch.Tensor:
    """A window (H, W) from 0 at the border to 1, so that a box blends with what is around it."""
    y, x = (torch.arange(side, device=device) + 0.5 for side in (height, width))
    y, x = (torch.minimum(place, side - place) / height for place, side in ((y, height), (x, width)))
    return (6 * torch.minimum(y[:, None], x)).clamp(max=1)
