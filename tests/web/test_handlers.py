"""What the page's handlers do, without a browser."""

import base64
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageCms

from faceedit.circumplex import Affect, Target, named_emotion
from faceedit.faces.estimate import FaceEstimate
from faceedit.media.animation import write_animation
from faceedit.media.image import Photo, read_photo, write_photo
from faceedit.media.provenance import COMPOSITE, from_xmp, read_embedded
from faceedit.media.video import open_video
from tests.conftest import FILM_SIDE, ByShape, FakeDetector, face_at, film, film_place

gr = pytest.importorskip("gradio", reason="the page needs Gradio: faceedit[web]")
from faceedit.web.handlers import Handlers  # noqa: E402 - it imports Gradio
from faceedit.web.shown import circumplex_value, looks  # noqa: E402


@pytest.fixture
def page(tiny_editor, tmp_path):
    tiny_editor.detector = ByShape()
    return Handlers(tiny_editor, tmp_path)


def opened(page, path):
    """The session of a photo or film, its faces found."""
    return page.find(page.open(str(path))[0])[0]


def pixels_of(source: str) -> np.ndarray:
    return read_photo(base64.b64decode(source.partition(",")[2])).pixels.astype(int)


def provenance_of(path):
    path = Path(path)
    return from_xmp(read_photo(path).xmp if path.suffix == ".webp" else read_embedded(path))


def after(shown) -> Photo:
    """The picture of what a handler shows."""
    return read_photo(base64.b64decode(shown[1]["after"].partition(",")[2]))


def test_the_preview_shows_what_the_download_holds(page, photo):
    session = opened(page, photo)
    for number in (1, 2):
        session = page._choose(page.reset(session)[0], number)[0]
        session, *_ = shown = page.edit(session, 0.7, 0.3)
        full = read_photo(page.download(session))
        assert full.pixels.shape == (1500, 2000, 3)
        before = pixels_of(page._all(session, pictures=True)[1]["before"])
        changed = np.abs(after(shown).pixels.astype(int) - before).max(-1) > 24
        full_changed = np.abs(full.pixels.astype(int) - session.photo.pixels).max(-1) > 24
        for a, b in zip(np.nonzero(changed), np.nonzero(full_changed), strict=True):
            assert abs(a.mean() - b.mean() * session.scale) < 5
        assert from_xmp(full.xmp).source_type == COMPOSITE
        assert from_xmp(after(shown).xmp).source_type == COMPOSITE


def test_edits_of_several_faces_add_up(page, photo):
    first = page.edit(opened(page, photo), 0.7, 0.3)[0]
    both = page.edit(page._choose(first, 2)[0], 0.2, -0.4)[0]
    assert len(both.choices) == 2
    edited = read_photo(page.download(both))
    changed = np.abs(edited.pixels.astype(int) - both.photo.pixels).max(-1) > 8
    assert changed[200:1200, 100:1100].any()
    assert changed[500:1000, 1300:1800].any()
    assert from_xmp(edited.xmp).edits.count("face") == 2
    shown = np.abs(after(page._all(both)).pixels.astype(int) - both.preview).max(-1) > 24
    assert shown[:, :700].any()
    assert shown[:, 840:].any()


def test_steps_are_undone_and_done_again(page, photo):
    session = opened(page, photo)
    for target in ((0.1, 0.1), (0.3, 0.2)):
        session = page.edit(session, *target)[0]
    session = page._choose(session, 2)[0]
    session = page.edit(session, 0.5, 0)[0]
    back = page.undo(session)[0]
    assert back.edits.keys() == {1}
    assert back.number == 2
    earlier = page._choose(page.undo(back)[0], 1)[0]
    assert earlier.target == Affect(0.1, 0.1)
    nothing = page.undo(page.undo(earlier)[0])[0]
    assert not nothing.edits
    assert np.array_equal(nothing.drawn(page.editor), nothing.preview)
    again = page.redo(page.redo(page.redo(page.redo(nothing)[0])[0])[0])[0]
    assert again.edits == session.edits
    reset = page.reset(again)[0]
    assert not reset.edits
    assert page.undo(reset)[0].edits == session.edits
    assert page.redo(page.edit(back, 0.2, 0.2)[0])[0].edits.get(2) != session.edits[2]  # what was undone is gone


def test_a_drag_is_one_step(page, photo):
    session = opened(page, photo)
    for share in (0.1, 0.2, 0.3):
        session = page.edit(session, share, 0, 1.0, True)[0]
    session = page.edit(session, 0.4, 0)[0]
    assert session.target == Affect(0.4, 0)
    assert not page.undo(session)[0].edits
    assert len(page.edit(session, 0.5, 0)[0].steps) == 3


def test_an_emotion_means_more_than_its_place(page, photo):
    session = opened(page, photo)
    places = circumplex_value(session)["places"]
    value = {"valence": places["afraid"][0], "arousal": places["afraid"][1], "moving": False, "emotion": "afraid"}
    named = page.edit_at(session, value, 1.0)[0]
    (request,) = named.edits.values()
    assert request.target(named.chosen.encoded.source) == Target(*places["afraid"], named_emotion("afraid").expressions)
    moved = page.edit(named, *places["afraid"])[0]
    assert moved.edits[1].emotion is None  # the same place by the sliders: any face that lies there


def test_strength_goes_part_of_the_way(page, photo):
    session = page.edit(opened(page, photo), 0.8, 0.2, 0.5)[0]
    ((face, target),) = session.choices
    source = face.encoded.source
    assert target.valence == pytest.approx((source.valence + 0.8) / 2)
    assert session.target == Affect(0.8, 0.2)
    assert page.undo(page.edit(session, 0.8, 0.2, 0)[0])[0].strength == 0.5


def test_beyond_the_training_labels_the_page_says_so(page, photo):
    session = opened(page, photo)
    assert "nearest supported" in page.edit(session, -0.9, -0.9)[2]
    assert "nearest" not in page.edit(session, 0.4, 0.1)[2]
    assert page.edit(None, 0, 0)[0] is None


def test_a_smile_is_happy_whatever_class_it_is_given():
    smile = FaceEstimate(face_at(0, 0, 9), Affect(0.38, -0.13), {"contempt": 0.54, "happy": 0.25})
    assert looks(smile) == "happy"
    assert looks(FaceEstimate(smile.face, Affect(-0.55, -0.2), {"contempt": 1.0})) == "sad"


def test_the_preview_shows_colours_and_transparency_as_a_page_does(page, photo, tmp_path):
    pixels = read_photo(photo).pixels.copy()
    pixels[:150] = (255, 0, 0)
    opacity = np.full(pixels.shape[:2], 255, np.uint8)
    opacity[:100] = 0
    swapped = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    swapped = swapped.replace(b"rXYZ", b"?XYZ", 1).replace(b"gXYZ", b"rXYZ", 1).replace(b"?XYZ", b"gXYZ", 1)
    write_photo(tmp_path / "a.png", Photo(pixels, alpha=opacity, icc=swapped))
    session = opened(page, tmp_path / "a.png")
    assert session.scale < 1
    session, *_ = shown = page.edit(session, 0.5, 0.2)
    for preview in (session.preview, after(shown).pixels):
        assert (preview[:50] > 250).all()
        assert np.abs(preview[75:85].astype(int) - (0, 255, 0)).max() <= 4
    with Image.open(page.animate(session, "neutral,happy", 0.2, True, "WebP")["file"]["path"]) as film:
        assert np.abs(np.asarray(film.convert("RGB"))[:40].astype(int) - 255).max() <= 3
    assert np.array_equal(read_photo(page.download(session)).alpha, opacity)


@pytest.mark.parametrize("kind", ["WebP", "GIF", "MP4"])
def test_animations_say_what_they_are(page, photo, kind):
    made = page.animate(opened(page, photo), "circle", 1, False, kind)
    assert made["film"] == (kind == "MP4")
    assert made["file"]["path"].endswith(f"face-animated.{kind.lower()}")
    assert provenance_of(made["file"]["path"]).edits == "path circle"


def test_a_film_is_edited_as_its_frame_shows(page, tmp_path):
    """The face of the fake detector stays where it is; the film's other face is not touched."""
    blank = [np.full((121, 221, 3), 90, np.uint8)] * 2
    x, y = film_place(0)

    class Film:
        def detect(self, image, largest=False):
            return [] if image.std() < 9 else [face_at(x, y, FILM_SIDE)]

        probability = FakeDetector([]).probability

    page.editor.detector = Film()
    write_animation(tmp_path / "clip.mp4", [*blank, *[film(1)[0]] * 6], 12.0, False)
    session = opened(page, tmp_path / "clip.mp4")
    assert session.preview.std() > 9
    session = page.edit(session, 0.7, 0.3)[0]
    path = Path(page.download(session))
    frames = [frame.astype(int) for frame in open_video(path)]
    assert len(frames) == 8
    change = np.abs(frames[-1] - [*open_video(tmp_path / "clip.mp4")][-1])
    assert change[y : y + FILM_SIDE, x : x + FILM_SIDE].mean() > 2 * change[:, 175:].mean()
    assert provenance_of(path).source_type == COMPOSITE


@pytest.mark.parametrize("data", [b"", b"junk" * 100, b"\x89PNG\r\n\x1a\n" + b"junk" * 10])
@pytest.mark.parametrize("name", ["a.png", "a.mp4"])
def test_what_is_no_photo_is_a_message(page, tmp_path, name, data):
    (tmp_path / "secret-folder").mkdir()
    path = tmp_path / "secret-folder" / name
    path.write_bytes(data)
    with pytest.raises(gr.Error, match=f"cannot read {name}") as raised:
        page.open(str(path))
    assert "secret-folder" not in str(raised.value)


def test_a_photo_without_a_face_is_a_message(page, tmp_path):
    write_photo(tmp_path / "a.png", Photo(np.zeros((50, 50, 3), np.uint8)))
    session = page.open(str(tmp_path / "a.png"))[0]
    with pytest.raises(gr.Error, match="no upright face"):
        page.find(session)
    assert page.edit(session, 0.1, 0.1)[0].edits == {}


def test_a_long_film_is_a_message(page, clip, monkeypatch):
    monkeypatch.setattr("faceedit.web.session.MAX_FRAMES", 10)
    with pytest.raises(gr.Error, match="24 frames"):
        page.open(str(clip.path))


def test_memory_that_runs_out_is_a_message(page, photo, monkeypatch):
    session = page.edit(opened(page, photo), 0.2, 0.2)[0]
    monkeypatch.setattr(page.editor, "edit_face", lambda *arguments: np.empty(2**50))
    with pytest.raises(gr.Error, match="memory"):
        page.download(session)


def test_without_a_photo_or_an_edit_buttons_ask_for_one(page, photo):
    for call in (lambda: page.download(None), lambda: page.grid(None, 3)):
        with pytest.raises(gr.Error, match="photo with a face first"):
            call()
    with pytest.raises(gr.Error, match="expression first"):
        page.download(opened(page, photo))


def test_photos_of_all_visitors_together_are_bounded(page, photo, monkeypatch, tmp_path):
    monkeypatch.setattr("faceedit.web.session.MAX_HELD", 20_000_000)  # each has 9
    first, second = page.open(str(photo))[0], page.open(str(photo))[0]
    with pytest.raises(gr.Error, match="try again later"):
        page.open(str(photo))
    del first
    assert page.open(str(photo))[0] is not None
    monkeypatch.setattr("faceedit.web.session.MAX_MEGAPIXELS", 2)
    with pytest.raises(gr.Error, match="3 megapixels"):
        page.open(str(photo))
    assert second
    deep = read_photo(photo)
    deep = replace(deep, deep=deep.pixels.astype(np.uint16) * 257)
    write_photo(tmp_path / "deep.png", deep)  # of 27
    monkeypatch.undo()
    monkeypatch.setattr("faceedit.web.session.MAX_HELD", 20_000_000)
    del second
    with pytest.raises(gr.Error, match="try again later"):
        page.open(str(tmp_path / "deep.png"))
    write_photo(tmp_path / "texts.png", Photo(np.zeros((8, 8, 3), np.uint8), comments=(b"x" * 12_000_000,) * 2))
    with pytest.raises(gr.Error, match="try again later"):
        page.open(str(tmp_path / "texts.png"))


def test_where_files_lie_on_the_server_is_not_told(page, photo, monkeypatch, tmp_path):
    session = page.edit(opened(page, photo), 0.5, 0)[0]
    monkeypatch.setattr(page, "_output", lambda name: tmp_path / "none" / name)
    with pytest.raises(gr.Error) as raised:
        page.download(session)
    assert "cannot write edited.jpg" in str(raised.value)
