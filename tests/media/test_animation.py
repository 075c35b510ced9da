import cv2
import numpy as np
import pytest
from PIL import Image

from faceedit.errors import UnwritableError, UsageError
from faceedit.media import colour
from faceedit.media.animation import write_animation
from faceedit.media.image import Photo
from tests.conftest import draw_face


@pytest.fixture
def frames():
    return [draw_face(65, valence) for valence in np.linspace(-1, 1, 8)]


@pytest.mark.parametrize("suffix", ["gif", "webp"])
def test_pictures_hold_every_frame_and_its_time(tmp_path, frames, suffix):
    path = tmp_path / f"a.{suffix}"
    write_animation(path, iter(frames), fps=10, loop=True)
    with Image.open(path) as image:
        assert image.n_frames == 8
        assert image.size == (65, 65)
        assert image.info["loop"] == 0
        image.seek(7)
        image.load()
        assert image.info["duration"] == 100
        assert np.abs(np.asarray(image.convert("RGB"), int) - frames[7]).mean() < 8


def test_a_video_holds_every_frame(tmp_path, frames):
    write_animation(tmp_path / "a.mp4", iter(frames), fps=25, loop=False)
    video = cv2.VideoCapture(str(tmp_path / "a.mp4"))
    assert video.get(cv2.CAP_PROP_FPS) == 25
    read = []
    while (frame := video.read())[0]:
        read.append(cv2.cvtColor(frame[1], cv2.COLOR_BGR2RGB))
    assert len(read) == 8
    assert read[0].shape == (64, 64, 3)
    assert np.abs(read[5].astype(int) - frames[5][:64, :64]).mean() < 12


def test_a_folder_holds_every_frame_or_is_not_there(tmp_path, frames):
    write_animation(tmp_path / "frames", iter(frames), fps=25, loop=False)
    assert len(list((tmp_path / "frames").iterdir())) == 8

    def failing():
        yield frames[0]
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write_animation(tmp_path / "half", failing(), fps=25, loop=False)
    with pytest.raises(UsageError, match="exists"):
        write_animation(tmp_path / "frames", iter(frames), fps=25, loop=False)
    with pytest.raises(UsageError, match=r"not as \.avi"):
        write_animation(tmp_path / "a.avi", iter(frames), fps=25, loop=False)
    with pytest.raises(UnwritableError, match="cannot write"):
        write_animation(tmp_path / "none" / "a.gif", iter(frames), fps=25, loop=False)
    assert [path.name for path in tmp_path.iterdir()] == ["frames"]


def test_formats_without_a_profile_get_their_colours_converted(tmp_path):
    wide = colour.built_profile(colour.PRIMARIES[12], colour.SRGB_CURVE)
    frame = np.full((32, 32, 3), (200, 60, 60), np.uint8)
    wanted = colour.to_srgb(frame, wide)[0, 0].astype(int)
    assert np.abs(wanted - frame[0, 0]).max() > 5
    for name in ("a.gif", "a.webp"):
        write_animation(tmp_path / name, [frame, frame], 20, True, Photo(frame, icc=wide))
        with Image.open(tmp_path / name) as image:
            shown = np.asarray(image.convert("RGB"))[16, 16].astype(int)
            assert (image.info.get("icc_profile") == wide) == (name == "a.webp")
        assert np.abs(shown - (wanted if name == "a.gif" else frame[0, 0])).max() < 4
