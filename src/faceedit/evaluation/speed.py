"""How long an edit takes, and its networks alone."""

import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch

from faceedit.circumplex import Affect
from faceedit.config import CaaeConfig
from faceedit.editing.backends import FASTEST, as_floats, as_image
from faceedit.editing.editor import FaceEditor
from faceedit.evaluation.controls import CopyEditor
from faceedit.faces.alignment import alignment, crop_face
from faceedit.faces.detector import FaceDetector
from faceedit.media.image import read_photo
from faceedit.models.caae import Caae
from faceedit.pool import one_core

EDITS = 10


@one_core()  # as the networks of an edit, and beside other work, figures stay comparable
def speed(editor: FaceEditor | CopyEditor, path: Path, detector: FaceDetector, targets: np.ndarray) -> dict[str, float]:
    """Median milliseconds on one core: of the networks alone, beside the paper's in turns; of one edit once a face is
    encoded; and from the photo's pixels to the edited pixels.
    """
    image = read_photo(path).pixels
    face = detector.detect(image)[0]
    encoded = editor.encode(image, face)

    def edit(target: np.ndarray) -> None:
        next(editor.edits(image, encoded, target[None]))

    def whole(target: np.ndarray) -> None:
        next(editor.edits(image, editor.encode(image, detector.detect(image)[0]), target[None]))

    ways: dict[str, Callable[[np.ndarray], None]] = {"edit_ms": edit, "photo_to_photo_ms": whole}
    if isinstance(editor, FaceEditor):
        mouths = editor.mouths
        paper = Caae(CaaeConfig()).eval().to(editor.device).to(memory_format=FASTEST)
        crop, papers_crop = (
            crop_face(image, alignment(face.landmarks, size), size)
            for size in (editor.backend.size, paper.config.image_size)
        )

        def own(target: np.ndarray) -> None:
            editor.backend.network(crop, encoded.source, Affect(*target.tolist()))
            mouths.network()

        @torch.inference_mode()
        def papers(target: np.ndarray) -> None:
            paper(as_image(papers_crop, editor.device), as_floats(target[None]).to(editor.device)).cpu()

        ways |= {"network_ms": own, "paper_network_ms": papers}
    times: dict[str, list[float]] = {name: [] for name in ways}
    for target in targets[:EDITS]:
        for name, way in ways.items():
            start = time.perf_counter()
            way(target)
            times[name].append(time.perf_counter() - start)
    return {name: float(np.median(taken) * 1e3) for name, taken in times.items()}
