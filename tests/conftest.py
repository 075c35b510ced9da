"""A tiny editor, drawn faces and a detector that knows where they are: most tests need no network and no photo."""

import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image, ImageDraw

from faceedit import cli
from faceedit.circumplex import Support
from faceedit.config import CaaeConfig, EstimatorConfig, WarpConfig
from faceedit.editing.editor import FaceEditor
from faceedit.faces.alignment import TEMPLATE
from faceedit.faces.detector import Face
from faceedit.faces.estimate import AffectEstimator
from faceedit.media.image import Photo, write_photo
from faceedit.media.video import open_video, write_video
from faceedit.models.caae import Caae, he_init
from faceedit.models.estimator import Estimator
from faceedit.weights import load_weights, save_weights

ASTRONAUT = Path(__file__).parents[1] / "examples" / "astronaut.jpg"
TINY = CaaeConfig(
    image_size=32,
    z_dim=8,
    encoder_channels=(4, 8, 8, 8),
    generator_channels=(16, 8, 8, 8, 8, 4),
    discriminator_channels=(4, 4, 4, 4),
    discriminator_hidden=8,
    latent_channels=(8, 8),
)
TINY_WARP = WarpConfig(
    image_size=32,
    z_dim=8,
    channels=(8, 16),
    condition_dim=16,
    target_dim=10,
    discriminator_channels=(8, 16, 16),
    discriminator_hidden=8,
    latent_channels=(8, 8),
)
TINY_ESTIMATOR = EstimatorConfig(image_size=32, channels=(8, 16, 16), blocks=1)
FILM_SIDE = 60  # pixels, of the face that is followed through a drawn film


def draw_face(size: int = 64, valence: float = 0.0, tint: int = 0) -> np.ndarray:
    """A cartoon face (size, size, 3) with its features at the template's places; the mouth bends with valence."""
    image = Image.new("RGB", (size * 4, size * 4), (90 + tint, 120, 150 - tint))
    draw = ImageDraw.Draw(image)
    s = size * 4
    draw.ellipse((0.1 * s, 0.05 * s, 0.9 * s, 0.98 * s), fill=(225, 180, 150))
    for x, y in TEMPLATE[:2] * s:
        draw.ellipse((x - 0.06 * s, y - 0.04 * s, x + 0.06 * s, y + 0.04 * s), fill=(250, 250, 250))
        draw.ellipse((x - 0.025 * s, y - 0.03 * s, x + 0.025 * s, y + 0.03 * s), fill=(40, 30, 20))
    bend = 0.12 * s * valence
    (x0, y0), (x1, _) = TEMPLATE[3:] * s
    points = [(x0 + (x1 - x0) * t, y0 + bend * 4 * t * (1 - t)) for t in np.linspace(0, 1, 20)]
    draw.line(points, fill=(150, 40, 50), width=round(0.03 * s))
    return np.asarray(image.resize((size, size), Image.Resampling.LANCZOS))


def face_at(x: float, y: float, side: float) -> Face:
    """A face whose crop is the square of this side at (x, y)."""
    return Face(np.array([x, y, x + side, y + side]), TEMPLATE * side + (x, y) - 0.5, 0.99)


@pytest.fixture
def one_thread():
    """With more threads, or after their number was set once, sums may be rounded differently in another process."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def film_place(index: int) -> tuple[int, int]:
    return 20 + 2 * index, 30


def film(count: int = 24) -> list[np.ndarray]:
    """A drawn face that moves to the right, and another that stays."""
    frames = []
    for index in range(count):
        frame = np.full((121, 221, 3), 90, np.uint8)
        frame[50:90, 175:215] = draw_face(40, -0.5)
        x, y = film_place(index)
        frame[y : y + FILM_SIDE, x : x + FILM_SIDE] = draw_face(FILM_SIDE, 0.5)
        frames.append(frame)
    return frames


class FakeDetector:
    """Finds the faces that it was told of."""

    def __init__(self, faces):
        self.faces = faces

    def detect(self, image, largest=False):
        return self.faces[:1] if largest else self.faces

    def probability(self, image, box):
        return 0.0  # nothing is followed from frame to frame: faces are found in each


@pytest.fixture(scope="session")
def tiny_weights(tmp_path_factory) -> Path:
    """Published weights of a tiny untrained CAAE; labels lie in the right half of the plane only."""
    torch.manual_seed(0)
    model = Caae(TINY)
    he_init(model)
    labels = np.random.default_rng(0).uniform((0, -0.5), (0.9, 0.5), (20_000, 2))
    path = tmp_path_factory.mktemp("weights") / "tiny.safetensors"
    save_weights(path, model, Support.from_affect(labels), {"steps": 0})
    return path


@pytest.fixture(scope="session")
def tiny_judge(tmp_path_factory) -> Path:
    """Published weights of a tiny untrained estimator."""
    torch.manual_seed(0)
    path = tmp_path_factory.mktemp("judge") / "tiny-judge.safetensors"
    save_weights(path, Estimator(TINY_ESTIMATOR), Support.from_affect(np.zeros((1, 2))), {})
    return path


@pytest.fixture
def judge(tiny_judge) -> AffectEstimator:
    return AffectEstimator(load_weights(str(tiny_judge)))


@pytest.fixture
def tiny_editor(tiny_weights, judge) -> FaceEditor:
    editor = FaceEditor(load_weights(str(tiny_weights)), judge)
    editor.occlusion.find = lambda crop, landmarks: None  # to it, drawn faces are things that lie before one
    return editor


@pytest.fixture
def clip(tmp_path):
    write_video(tmp_path / "clip.mp4", film(), 12.0)
    return open_video(tmp_path / "clip.mp4")


@pytest.fixture
def prepared(tmp_path) -> Path:
    return draw_faces(tmp_path / "data")


def draw_faces(data: Path) -> Path:
    """A prepared folder of drawn faces: 12 for training, 4 for validation."""
    for split, count in (("train", 12), ("validation", 4)):
        folder = data / split
        folder.mkdir(parents=True)
        rows = ["file,valence,arousal,expression"]
        for i in range(count):
            valence = i / count * 1.5 - 0.75
            Image.fromarray(draw_face(48, valence, tint=i)).save(folder / f"{i}.jpg", quality=95)
            rows.append(f"{i}.jpg,{valence:.3f},{-valence / 2:.3f},{i % 3}")
        (folder / "labels.csv").write_text("\n".join(rows) + "\n")
    return data


class ByShape:
    """Finds the two faces of the drawn photo, none in any other."""

    def detect(self, image, largest=False):
        return [face_at(100, 200, 1000), face_at(1300, 500, 500)] if image.shape == (1500, 2000, 3) else []


@pytest.fixture(scope="module")
def photo(tmp_path_factory):
    """A photo larger than its preview, with two faces."""
    image = np.full((1500, 2000, 3), 128, np.uint8)
    image[200:1200, 100:1100] = draw_face(250).repeat(4, 0).repeat(4, 1)
    image[500:1000, 1300:1800] = draw_face(250, 0.7).repeat(2, 0).repeat(2, 1)
    path = tmp_path_factory.mktemp("photo") / "two faces.jpg"
    write_photo(path, Photo(image))
    return path


@pytest.fixture(scope="module")
def address(tiny_weights, tiny_judge, tmp_path_factory):
    """Where the page is served, by a tiny editor."""
    pytest.importorskip("gradio", reason="the page needs Gradio: faceedit[web]")
    from faceedit.web.server import launch

    judge = AffectEstimator(load_weights(str(tiny_judge), "cpu", ("estimator",)))
    editor = FaceEditor(load_weights(str(tiny_weights), "cpu"), judge)
    editor.detector = ByShape()
    blocks = launch(editor, tmp_path_factory.mktemp("web"), "127.0.0.1", None)
    yield blocks.local_url
    blocks.close(verbose=False)


@pytest.fixture
def run(monkeypatch, capsys):
    """Runs a command line in this process: exit code, stdout, stderr."""

    def runner(*arguments):
        monkeypatch.setattr(sys, "argv", ["faceedit", *map(str, arguments)])
        with pytest.raises(SystemExit) as end:
            cli.main()
        out, err = capsys.readouterr()
        return end.value.code or 0, out, err

    return runner
