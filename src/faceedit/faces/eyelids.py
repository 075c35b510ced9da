"""Drawing eyes behind lids that an edit has moved.

A flow moves a face as if it were painted on rubber: opening lids would stretch an iris, closing lids would squeeze it.
But eyes lie behind their lids and stay where they are. Lids that fall hide a part of an eye. Lids that rise reveal
more of a round iris and of the white around it, which looks alike in all directions.
"""

from dataclasses import dataclass

import cv2
import numpy as np

from faceedit.faces.alignment import smoothstep


@dataclass(frozen=True)
class EyeSettings:
    """Numbers set by hand, all of them by eye."""

    # Shares of the crop's side: from the upper lid into what shows, past its lashes; from the lower lid, past its rim.
    lashes: float = 0.008
    rim: float = 0.0042
    # Likewise: so close to a lid that opens lies its shadow and lashes (upper), or its moist rim (lower).
    revealing: tuple[float, float] = (0.0045, 0.005)
    # Shares of the iris's radius. How much of its height shows, and how far its middle lies from either lid: below the
    # first an eye is left to the flow, from the second on it is drawn.
    shown: tuple[float, float] = (0.6, 1.0)
    middle: tuple[float, float] = (0.0, 0.15)
    reach: float = 1.9  # of the radius: how far from the iris's middle an eye is drawn
    fading: float = 0.6  # of the radius: over how much it fades out there
    meeting: float = 25.0  # degrees by which what is revealed from the two sides of an iris overlaps
    edge: float = 0.3  # pixels of the crop over which a lid ends


EYES = EyeSettings()
# Where lids are met: at these distances from the iris's middle, in its radius, and these angles from the vertical.
RADIAL, ANGLES = np.linspace(0.05, EYES.reach, 24), np.linspace(0, np.pi / 2, 24)


@dataclass(frozen=True, eq=False)
class Eye:
    """An eye in an aligned crop, in shares of the crop's side.

    iris: (2,) xy. radius: the iris's. lids: (2, 9, 2), the upper one and the lower one from corner to corner. trust: in
    [0, 1], how clearly the iris is seen.
    """

    iris: np.ndarray
    radius: float
    lids: np.ndarray
    trust: float

    def towards(self, other: "Eye", share: float) -> "Eye":
        """An eye between this one and the other, at a share of the way."""
        pairs = zip(vars(self).values(), vars(other).values(), strict=True)
        return Eye(*(mine + share * (its - mine) for mine, its in pairs))


class Lid:
    """A lid's edge: y as a smooth function of x, from points (N, 2) from corner to corner; level beyond them."""

    def __init__(self, points: np.ndarray):
        x, y = points.T
        self._ends = x.min(), x.max()
        self._middle, self._reach = (x.max() + x.min()) / 2, max((x.max() - x.min()) / 2, 1e-6)
        self._curve = np.polyfit((x - self._middle) / self._reach, y, 4)

    def __call__(self, x: np.ndarray) -> np.ndarray:
        return np.polyval(self._curve, (np.clip(x, *self._ends) - self._middle) / self._reach)


@dataclass(frozen=True, eq=False)
class Eyeball:
    """An eye behind lids that have moved, in pixels of the crop.

    iris: (2,), its centre before the edit. radius: of the iris. shift: (2,), how far it moved with the head. before,
    after: upper and lower lid, less that shift. strength: how much of it is drawn, in [0, 1].
    """

    iris: np.ndarray
    radius: float
    shift: np.ndarray
    before: tuple[Lid, Lid]
    after: tuple[Lid, Lid]
    strength: float

    def shown(self, points: np.ndarray, edge: float) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """What shows at points (..., 2): the points it is copied from, (2, ..., 2), left and right of the iris; the
        weight of the right one, (...); and how visible it is, (...). edge: pixels over which a lid ends.

        At one distance from the centre of the iris, hidden and visible parts look alike. So the angles that were
        visible at that distance are spread over those that are visible now.
        """
        x, y = np.moveaxis(points - self.shift - self.iris, -1, 0)
        far, turn, below = np.hypot(x, y) / self.radius, np.arctan2(x, np.abs(y)), y > 0
        sources = []
        for side in (-1, 1):
            before, after = (
                np.where(below, *(np.interp(far, RADIAL, self._hidden(lids[down], side, down)) for down in (1, 0)))
                for lids in (self.before, self.after)
            )
            angle = side * turn
            stretched = before + (angle - after).clip(0) * (np.pi / 2 - before) / np.maximum(np.pi / 2 - after, 1e-3)
            angle = np.where(after < before, np.maximum(stretched, angle), angle)
            across, down = side * np.sin(angle), np.where(below, 1, -1) * np.cos(angle)
            sources.append(self.iris + self.radius * far[..., None] * np.stack([across, down], axis=-1))
        upper, lower = self.after
        x, y = x + self.iris[0], y + self.iris[1]
        free = smoothstep(np.minimum(y - upper(x), lower(x) - y), -edge / 2, edge / 2)
        meeting = np.deg2rad(EYES.meeting)
        seen = self.strength * free * smoothstep(EYES.reach - far, 0, EYES.fading)
        return np.array(sources), smoothstep(turn, -meeting, meeting), seen

    def _hidden(self, lid: Lid, side: int, lower: int) -> np.ndarray:
        """The angles from the vertical up to which a lid hides the left (-1) or right (1) of an eye, at RADIAL."""
        radius, sign = self.radius * RADIAL[:, None], 1 if lower else -1
        x, y = self.iris[0] + side * radius * np.sin(ANGLES), self.iris[1] + sign * radius * np.cos(ANGLES)
        distance = sign * (lid(x) - y)  # below 0 behind the lid
        rows, last = np.arange(len(distance)), len(ANGLES) - 1 - (distance < 0)[:, ::-1].argmax(1)
        after = np.minimum(last + 1, len(ANGLES) - 1)
        within = -distance[rows, last] / np.maximum(distance[rows, after] - distance[rows, last], 1e-6)
        angle = ANGLES[last] + within.clip(0, 1) * (ANGLES[after] - ANGLES[last])
        return np.where((distance < 0).any(1), angle, 0)


def draw_eyes(
    eyes: tuple[Eye, ...],
    flow: np.ndarray,
    image: np.ndarray,
    moved: np.ndarray,
    origin: tuple[int, int],
    matrix: np.ndarray,
) -> None:
    """Draw the eyes of an image (H, W, 3) uint8 between their lids, over a part of it that a flow has moved.

    All drawing of eyes goes through this function. eyes: of the crop. flow: (S, S, 2) float32, the deformation in crop
    pixels. moved: (h, w, 3) uint8, the part of the image from the xy `origin` on; changed in place. matrix: (2, 3),
    photo to crop pixels.
    """
    for eye in eyeballs(eyes, flow):
        _show(eye, image, moved, origin, matrix)


def eyeballs(eyes: tuple[Eye, ...], flow: np.ndarray) -> list[Eyeball]:
    """Those eyes of a crop of which enough is visible, after a flow (S, S, 2) float32 in pixels."""
    if not eyes:
        return []
    size = len(flow)
    found, all_lids = [], np.stack([eye.lids for eye in eyes]) * size - 0.5  # (N, 2, 9, 2)
    all_lids[:, :, 1:-1, 1] += np.array([[EYES.lashes], [EYES.rim]]) * size
    all_moved = _arrived(flow, all_lids)
    shift = (all_moved - all_lids)[:, 0, [0, -1]].mean((0, 1))  # both alike, or they would squint
    for eye, lids, moved in zip(eyes, all_lids, all_moved - shift, strict=True):
        iris, radius = eye.iris * size - 0.5, eye.radius * size
        # The shadow, lashes or rim next to a lid move with it. They are not revealed.
        for lid, there, inwards, limit in zip(lids, moved, (1, -1), EYES.revealing, strict=True):
            opened = inwards * float((lid - there)[3:6, 1].mean())
            lid[1:-1, 1] += inwards * min(max(opened, 0) / 2, limit * size)
        upper, lower = (Lid(lid) for lid in lids)
        above, below = (iris[1] - upper(iris[0])) / radius, (lower(iris[0]) - iris[1]) / radius
        strength = eye.trust * smoothstep(above + below, *EYES.shown)
        for gap in (above, below):
            strength = strength * smoothstep(gap, *EYES.middle)
        if strength > 0:
            found.append(Eyeball(iris, radius, shift, (upper, lower), (Lid(moved[0]), Lid(moved[1])), float(strength)))
    return found


def _arrived(flow: np.ndarray, points: np.ndarray) -> np.ndarray:
    """Where a flow takes points (..., 2): the fixed point from which it points back to them."""
    there = points.copy()
    for _ in range(10):
        there += 0.8 * (points - there - sampled(flow, there))
    return there


def sampled(field: np.ndarray, points: np.ndarray) -> np.ndarray:
    """The values (..., C) of a field (H, W) or (H, W, C) at points (..., 2) xy."""
    x, y = np.moveaxis(points.reshape(-1, 1, 2).astype(np.float32), -1, 0)
    values = cv2.remap(field.astype(np.float32), x, y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    return values.reshape(*points.shape[:-1], -1).astype(np.float64)


def _show(eye: Eyeball, image: np.ndarray, moved: np.ndarray, origin: tuple[int, int], matrix: np.ndarray) -> None:
    """Draw one eye over the part that moved: see `draw_eyes`.

    matrix: (2, 3), photo to crop pixels.
    """
    inverse = cv2.invertAffineTransform(matrix)
    centre = inverse[:, :2] @ (eye.iris + eye.shift) + inverse[:, 2] - origin
    pixel = float(np.hypot(*matrix[0, :2]))  # of the photo, in pixels of the crop
    reach = EYES.reach * eye.radius / pixel
    x0, y0 = np.floor(centre - reach).astype(int).clip(0)
    x1, y1 = np.minimum(np.ceil(centre + reach).astype(int) + 1, moved.shape[1::-1])
    if x0 >= x1 or y0 >= y1:
        return
    points = np.stack(np.meshgrid(np.arange(x0, x1), np.arange(y0, y1)), axis=-1) + origin
    sources, right, seen = eye.shown(points @ matrix[:, :2].T + matrix[:, 2], max(EYES.edge, pixel))
    sources = (sources @ inverse[:, :2].T + inverse[:, 2]).astype(np.float32)
    left, other = (
        cv2.remap(image, x, y, cv2.INTER_CUBIC, borderMode=cv2.BORDER_REFLECT).astype(np.float32)
        for x, y in np.moveaxis(sources, -1, 1)
    )
    window = moved[y0:y1, x0:x1]
    shown = left + (other - left) * right[..., None]
    window[:] = np.rint(window + (shown - window) * seen[..., None])
