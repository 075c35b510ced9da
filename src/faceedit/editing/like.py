"""The expression of another photo's face as a target: its affect, and how far its mouth and eyes are open."""

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from faceedit.circumplex import Affect, Target
from faceedit.errors import no_upright_face
from faceedit.faces.detector import FaceDetector
from faceedit.faces.estimate import AffectEstimator
from faceedit.faces.eyes import LandmarkFinder
from faceedit.media.image import Photo
from faceedit.models.face_mesh import point_indices

if TYPE_CHECKING:
    from faceedit.editing.editor import FaceEditor
    from faceedit.editing.photo import EncodedFace

# Pairs of points above one another: the middles of the lips' inner edges, and of both eyes' lids.
MOUTH = ((13, 14),)
EYES = ((159, 145), (386, 374))
IRISES = ((468, 473),)
# How far from the affect another is looked for, and what may differ as much as that whole way: by eye.
REACH, STEPS = 0.3, 5
ALIKE = np.array([0.04, 0.03])  # openness of mouth and eyes


@dataclass(frozen=True)
class Look:
    """How a face looks: its affect and expressions, and how far its mouth and eyes are open, in distances between its
    irises."""

    affect: Affect
    openness: tuple[float, float]


def look_of(photo: Photo, device: str = "cpu") -> Look:
    """How the largest face of a photo looks. Raises NoFaceError."""
    faces = FaceDetector(device).detect(photo.pixels, largest=True)
    if not faces:
        raise no_upright_face(photo.name)
    (estimate,) = AffectEstimator.from_pretrained(device=device).estimate(photo.pixels, faces)
    landmarks = LandmarkFinder(device).find_in_photo(photo.pixels, faces[0])
    return Look(Target(*estimate.affect.pair, tuple(estimate.probabilities.values())), openness(landmarks))


def target_like(editor: "FaceEditor", encoded: "EncodedFace", look: Look) -> Affect:
    """The affect near a look's at which a face comes nearest to it, openness of mouth and eyes included.

    The affect itself where the mouth is not among the parts that are edited.
    """
    offsets = np.linspace(-REACH, REACH, STEPS)
    targets = np.array([(v, a) for v in offsets for a in offsets]) + look.affect.pair
    targets = targets[(np.abs(targets) <= 1).all(1) & (np.hypot(*(targets - look.affect.pair).T) <= REACH + 1e-9)]
    best, least = look.affect, np.inf
    around = [replace(look.affect, valence=v, arousal=a) for v, a in targets.tolist()]
    rows = np.stack([target.row for target in around])
    for target, edit in zip(around, editor.face_edits(encoded, rows), strict=True):
        if edit.mouth is None:
            return look.affect
        apart = (np.array(openness(edit.mouth.landmarks)) - look.openness) / ALIKE
        way = np.subtract(target.pair, look.affect.pair)
        cost = float((apart**2).sum() + (way**2).sum() / REACH**2)
        if cost < least:
            best, least = target, cost
    return best


def openness(landmarks: np.ndarray) -> tuple[float, float]:
    """How far the mouth and, on average, the eyes of landmarks (K, 2) are open, in distances between the irises."""
    mouth, eyes, apart = (
        float(np.mean([np.hypot(*np.diff(landmarks[point_indices(pair)], axis=0)[0]) for pair in pairs]))
        for pairs in (MOUTH, EYES, IRISES)
    )
    return mouth / apart, eyes / apart
