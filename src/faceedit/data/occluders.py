"""Drawing things before faces, such as glasses, hands and masks, for a network that learns to find them.

As in synthetic occlusion (Voo, Jiang and Loy, CVPR 2022), what is drawn need not be beautiful, but must differ from
draw to draw. All sizes are by eye.
"""

import colorsys

import cv2
import numpy as np

from faceedit.models.face_mesh import EYE_CORNERS, point_indices
from faceedit.models.jaw import JAW

OVERSAMPLED = 2
DARK = 0.3  # of glasses
WHITE = np.full(3, 255, np.float32)
NOSE, CHIN, LEFT, RIGHT, *MOUTH = point_indices((4, 152, 234, 454, 61, 291))
BELOW_TEMPLES = list(JAW[2:-2])


class Canvas:
    """An image (S, S, 3) float32 of 255, its face's axes, and the mask (S, S) of what was drawn before it."""

    def __init__(self, image: np.ndarray, landmarks: np.ndarray, texture: np.ndarray, rng: np.random.Generator):
        self.size, self.rng, self.texture = image.shape[0] * OVERSAMPLED, rng, texture
        self.image = cv2.resize(image, (self.size, self.size), interpolation=cv2.INTER_CUBIC).astype(np.float32)
        self.mask = np.zeros((self.size, self.size), np.float32)
        self.points = landmarks * self.size - 0.5
        left, right = (self.points[point_indices(half)].mean(0) for half in (EYE_CORNERS[:2], EYE_CORNERS[2:]))
        self.eyes = left, right
        self.across = right - left
        self.unit = float(np.linalg.norm(self.across))
        self.down = np.array([-self.across[1], self.across[0]])

    def uniform(self, low: float, high: float) -> float:
        return float(self.rng.uniform(low, high))

    def somewhere(self, deviation: float) -> np.ndarray:
        """A point (2,) near the nose, the mouth or the edge of the face."""
        middle = self.points[self.rng.choice([NOSE, CHIN, LEFT, RIGHT, *MOUTH])]
        return middle + self.rng.normal(0, deviation, 2) * self.unit

    def at(self, origin: np.ndarray, shape: np.ndarray) -> np.ndarray:
        """Points (N, 2) in distances between the eyes, from an origin, along the face's axes."""
        return origin + shape[:, :1] * self.across + shape[:, 1:] * self.down

    def area(self, *polygons: np.ndarray) -> np.ndarray:
        """What polygons (N, 2) cover, (S, S) in [0, 1]."""
        covered = np.zeros((self.size, self.size), np.uint8)
        for polygon in polygons:
            cv2.fillPoly(covered, [np.rint(polygon * 16).astype(np.int32)], 255, cv2.LINE_AA, 4)
        return covered.astype(np.float32) / 255

    def line(self, points: np.ndarray, width: float, closed: bool = False) -> np.ndarray:
        """What a line along points (N, 2) covers; width: in distances between the eyes."""
        covered = np.zeros((self.size, self.size), np.uint8)
        thickness = max(1, round(width * self.unit))
        cv2.polylines(covered, [np.rint(points * 16).astype(np.int32)], closed, 255, thickness, cv2.LINE_AA, 4)
        return covered.astype(np.float32) / 255

    def lay(self, area: np.ndarray, colour: np.ndarray, alpha: float = 1.0, hides: bool = True) -> None:
        """Draw a colour, (3,) or (S, S, 3), where an area is."""
        share = (area * alpha)[..., None]
        self.image += (colour - self.image) * share
        if hides:
            self.mask = np.maximum(self.mask, area)

    def shadow(self, area: np.ndarray) -> None:
        """Darken what lies beside an area."""
        offset = np.eye(2, 3)
        offset[:, 2] = self.uniform(-0.05, 0.05) * self.unit, self.uniform(0, 0.1) * self.unit
        fallen = cv2.warpAffine(area, offset, area.shape)
        fallen = cv2.GaussianBlur(fallen, (0, 0), self.uniform(0.02, 0.08) * self.unit)
        self.image *= (1 - self.uniform(0, 0.5) * fallen)[..., None]

    def colour(self, value: float = 1.0, saturation: float = 1.0) -> np.ndarray:
        rng = self.rng
        hue = colorsys.hsv_to_rgb(rng.random(), saturation * rng.random() ** 2, value * rng.random())
        return 255 * np.array(hue, np.float32)

    def noise(self, scale: float) -> np.ndarray:
        """Smooth noise (S, S, 1) of deviation 1; scale: in distances between the eyes."""
        few = max(2, round(self.size / (scale * self.unit)))
        noise = self.rng.standard_normal((few, few)).astype(np.float32)
        return cv2.resize(noise, (self.size, self.size), interpolation=cv2.INTER_CUBIC)[..., None]

    def stuff(self) -> np.ndarray:
        """A cloth or a piece of another picture, (S, S, 3)."""
        if self.rng.random() < 0.5:
            stuff = self.colour() + self.uniform(0, 30) * self.noise(0.6) + self.uniform(0, 12) * self.noise(0.06)
            angle, wave = self.uniform(0, np.pi), self.uniform(0.03, 0.4) * self.unit
            y, x = np.mgrid[: self.size, : self.size]
            stripes = np.sin((x * np.cos(angle) + y * np.sin(angle)) * 2 * np.pi / wave)[..., None]
            return stuff + self.rng.choice([0, 0, 10, 40]) * stripes
        turn = cv2.getRotationMatrix2D((self.size / 2, self.size / 4), self.uniform(0, 360), self.uniform(1, 4))
        whole = cv2.resize(self.texture, (self.size, self.size)).astype(np.float32)
        piece = cv2.warpAffine(whole, turn, (self.size, self.size), borderMode=cv2.BORDER_REFLECT)
        return piece * self.uniform(0.5, 1.3) + self.uniform(-30, 30)


def occlude(
    image: np.ndarray, landmarks: np.ndarray, texture: np.ndarray, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """A face with something before it, (S, S, 3) uint8, and where that hides it, (S, S) float32 in [0, 1].

    image: (S, S, 3) uint8, an aligned crop. landmarks: (K, 2), in shares of its side. texture: another such image, for
    what is drawn to be made of.
    """
    canvas = Canvas(image, landmarks, texture, rng)
    for chosen in rng.permutation(len(DRAWN))[: rng.choice([0, 1, 1, 1, 2])]:
        DRAWN[chosen](canvas)
    soft = cv2.GaussianBlur(canvas.image, (0, 0), rng.uniform(0.3, 2.0))
    small = [cv2.resize(x, image.shape[1::-1], interpolation=cv2.INTER_AREA) for x in (soft, canvas.mask)]
    return np.rint(small[0]).clip(0, 255).astype(np.uint8), small[1]


def _glasses(canvas: Canvas) -> None:
    rng = canvas.rng
    lenses, temples, bridge = _outlines(canvas)
    width = rng.choice([canvas.uniform(0.01, 0.03), canvas.uniform(0.03, 0.1)])
    style = rng.choice(["whole", "whole", "whole", "half", "rimless"])
    frame = [canvas.line(lens, width, closed=True) for lens in lenses if style == "whole"]
    frame += [canvas.line(lens[np.r_[32:64, 0]], width) for lens in lenses if style == "half"]
    thin = width * canvas.uniform(0.5, 1.2)
    frame += [canvas.line(points, thin) for points in (bridge, *temples[: rng.choice([1, 2, 2])])]
    rims, glass = np.max(frame, axis=0), canvas.area(*lenses)
    canvas.shadow(rims)
    if rng.random() < DARK:
        alpha = canvas.uniform(0.3, 1)
        canvas.lay(glass, canvas.colour(0.4) + 20 * canvas.noise(1), alpha, hides=alpha > 0.6)
    for _ in range(rng.choice([0, 0, 1, 2])):
        streak = canvas.at(canvas.eyes[rng.integers(2)], rng.uniform(-0.5, 0.5, (4, 2)))
        shine = cv2.GaussianBlur(glass * canvas.area(streak), (0, 0), canvas.uniform(0.5, 4))
        canvas.lay(shine, WHITE, canvas.uniform(0.1, 0.8), hides=False)
    colour = canvas.colour(rng.choice([0.25, 0.25, 0.6, 1]), rng.choice([0.3, 1]))
    canvas.lay(rims, colour + 10 * canvas.noise(0.5), canvas.uniform(0.75, 1))
    light = np.max([canvas.line(lens, width / 4, closed=True) for lens in lenses], axis=0)
    canvas.lay(light * rims, WHITE, canvas.uniform(0, 0.4))


def _outlines(canvas: Canvas) -> tuple[list[np.ndarray], list[np.ndarray], np.ndarray]:
    """The lenses (64, 2) and temples (2, 2) of both sides of glasses, and their bridge (4, 2)."""
    wide, high, power = canvas.uniform(0.26, 0.44), canvas.uniform(0.16, 0.4), canvas.uniform(2, 6)
    angles = np.linspace(0, 2 * np.pi, 64, endpoint=False)
    x, y = (np.sign(f(angles)) * np.abs(f(angles)) ** (2 / power) for f in (np.cos, np.sin))  # a superellipse
    x = x * (1 + canvas.uniform(-0.2, 0.1) * y)  # wider above, or below
    outwards, lower, slant = canvas.uniform(0, 0.12), canvas.uniform(-0.05, 0.15), canvas.uniform(-0.15, 0.1)
    rise, reach = canvas.uniform(-0.15, 0.15), canvas.uniform(0.2, 0.7)
    lenses, temples = [], []
    for eye, side in zip(canvas.eyes, (-1, 1), strict=True):
        lens = np.stack([side * (outwards + wide * x), lower + high * (y + slant * x)], axis=1)
        lenses.append(canvas.at(eye, lens + canvas.rng.normal(0, 0.01, 2)))
        end = np.array((side * (outwards + wide), lower - high * 0.4))
        temples.append(canvas.at(eye, end + np.array([(0, 0), (side * reach, rise)])))
    half, arch = max(0.5 + outwards - wide, 0.03), canvas.uniform(-0.2, 0.1)
    heights = lower - high * canvas.uniform(0, 0.7) + arch * np.array([0, 0.5, 0.5, 0])
    bridge = np.stack([half * np.array([-1, -0.4, 0.4, 1]), heights], axis=1)
    return lenses, temples, canvas.at((canvas.eyes[0] + canvas.eyes[1]) / 2, bridge)


def _hand(canvas: Canvas) -> None:
    """Fingers side by side, of a skin like another's."""
    side = canvas.texture.shape[0]
    skin = canvas.texture[int(0.4 * side) : int(0.6 * side), int(0.2 * side) : int(0.8 * side)]
    skin = skin.reshape(-1, 3).mean(0) * canvas.uniform(0.8, 1.15)
    tip = canvas.somewhere(0.3)
    angle, width = canvas.uniform(0, 2 * np.pi), canvas.uniform(0.16, 0.3)
    along, beside = np.array([np.cos(angle), np.sin(angle)]), np.array([-np.sin(angle), np.cos(angle)])
    for number in range(canvas.rng.integers(1, 6)):
        spread = (number + canvas.uniform(-0.1, 0.1)) * width
        start = tip + (beside * spread + along * canvas.uniform(0, 0.3)) * canvas.unit
        end = start + (along + beside * canvas.uniform(-0.15, 0.15)) * canvas.uniform(1, 2.5) * canvas.unit
        finger = canvas.line(np.stack([start, end]), width)
        inside = cv2.GaussianBlur(finger, (0, 0), width * canvas.unit / 4)
        canvas.shadow(finger)
        shade = skin * (1 - canvas.uniform(0.2, 0.6) * (1 - inside[..., None])) + 6 * canvas.noise(0.1)
        canvas.lay(finger, shade)


def _thing(canvas: Canvas) -> None:
    """Something with a smooth outline."""
    centre = canvas.somewhere(0.4)
    angles = np.linspace(0, 2 * np.pi, 64, endpoint=False)
    radius = np.full(64, canvas.uniform(0.2, 0.8))
    for order in (2, 3, 4, 5):
        radius = radius * (1 + canvas.uniform(-0.3, 0.3) / order * np.cos(order * angles + canvas.uniform(0, 6.3)))
    stretch = canvas.uniform(0.5, 2)
    outline = np.stack([radius * np.cos(angles) * stretch, radius * np.sin(angles)], axis=1) * canvas.unit
    turn = canvas.uniform(0, np.pi)
    turned = outline @ np.array([[np.cos(turn), np.sin(turn)], [-np.sin(turn), np.cos(turn)]])
    area = canvas.area(centre + turned)
    canvas.shadow(area)
    round_ = cv2.GaussianBlur(area, (0, 0), 0.15 * canvas.unit)[..., None]
    canvas.lay(area, canvas.stuff() * (1 - canvas.uniform(0, 0.6) * (1 - round_)))


def _cloth(canvas: Canvas) -> None:
    """A mask or a scarf over the lower face."""
    nose, left, right = canvas.points[[NOSE, LEFT, RIGHT]]
    top = nose - canvas.uniform(-0.4, 0.5) * canvas.down
    if canvas.rng.random() < 0.6:
        jaw = nose + (canvas.points[BELOW_TEMPLES] - nose) * canvas.uniform(0.9, 1.1)
        outline = cv2.convexHull(np.concatenate([top[None], jaw]).astype(np.float32))[:, 0]
        ends = [np.stack([end, ear]) for end, ear in ((jaw[0], left), (jaw[-1], right))]
        straps = [canvas.line(end, canvas.uniform(0.02, 0.06)) for end in ends]
    else:
        far, deep = 3 * canvas.across, 4 * canvas.down
        slope = canvas.uniform(-0.3, 0.3) * canvas.down
        outline, straps = np.stack([top - far - slope, top, top + far + slope, top + far + deep, top - far + deep]), []
    area = np.max([canvas.area(outline), *straps], axis=0)
    canvas.shadow(area)
    canvas.lay(area, canvas.stuff())


DRAWN = [_glasses, _glasses, _glasses, _hand, _thing, _cloth]
