import os
from fractions import Fraction

import av
import numpy as np
import pytest
from av.codec.context import Flags

from faceedit.errors import UnreadableError
from faceedit.media.provenance import COMPOSITE, Provenance, from_xmp, read_embedded, to_xmp
from faceedit.media.video import open_video, rewrite_video, write_video
from tests.conftest import draw_face, film

SIZE = 96, 64
BT709, BT2020, UNSAID = (1, 1, 1), (9, 9, 14), (2, 2, 2)  # matrix, primaries, transfer


def picture(index: int, bits: int = 8) -> np.ndarray:
    """A frame (64, 96, 3) whose upper half is red, and which becomes lighter."""
    width, height = SIZE
    frame = np.zeros((height, width, 3), np.uint16)
    frame[:32] = 180, 30, 40
    frame[32:] = 20 + 10 * index
    frame[32:, :, 1] += np.arange(width, dtype=np.uint16) // 4
    return frame.astype(np.uint8) if bits == 8 else frame * 257


def make(
    path, codec="libx264", pixels="yuv420p", times=range(8), base=Fraction(1, 25), sound=None, turn=0, aspect=1,
    colours=UNSAID, full=False, alpha=None, title=None,
):  # fmt: skip
    """A film by PyAV."""
    rgb = "rgba64le" if alpha is not None else "rgb24" if "10" not in pixels else "rgb48le"
    with av.open(str(path), "w") as file:
        stream = file.add_stream(codec, Fraction(25), {"crf": "4"} if "264" in codec or "265" in codec else {})
        stream.pix_fmt, stream.width, stream.height = pixels, *SIZE
        stream.sample_aspect_ratio = Fraction(aspect)
        context = stream.codec_context
        context.time_base = base
        context.flags |= Flags.frame_duration
        context.colorspace, context.color_primaries, context.color_trc = colours
        context.color_range = 2 if full else 1
        if turn:
            stream.set_display_rotation(turn)
        tone = file.add_stream(sound[0], 8000, layout="mono") if sound else None
        if title:
            file.metadata["title"] = title
        for index, time in enumerate(times):
            image = picture(index, 8 if rgb == "rgb24" else 16)
            if alpha is not None:
                image = np.dstack([image, np.full(image.shape[:2], alpha, np.uint16)])
            frame = av.VideoFrame.from_ndarray(image, rgb)
            matrix = {1: "itu709", 9: "bt2020"}.get(colours[0], "itu601")
            frame = frame.reformat(
                format=pixels, dst_colorspace=matrix, src_color_range=2, dst_color_range=2 if full else 1
            )
            frame.pts, frame.time_base, frame.duration = time, base, 1
            file.mux(stream.encode(frame))
        file.mux(stream.encode(None))
        if tone:
            samples = (np.sin(np.arange(8000) / 3) * 9000).astype(np.int16)[None]
            frame = av.AudioFrame.from_ndarray(samples, "s16", "mono")
            frame.rate, frame.pts, frame.time_base = 8000, 0, Fraction(1, 8000)
            file.mux(tone.encode(frame))
            file.mux(tone.encode(None))
    return open_video(path)


def marked(frames):
    """An edit: every other frame gets a white corner."""
    for index, frame in enumerate(frames):
        if index % 2:
            frame = frame.copy()
            frame[: len(frame) // 4, : frame.shape[1] // 4] = 255
        yield frame


def facts(path) -> dict:
    """What a player would know, and the frames as RGB of 16 bits."""
    with av.open(str(path)) as file:
        stream = file.streams.video[0]
        frames = list(file.decode(stream))
        sound = [(stream.codec.canonical_name, stream.rate) for stream in file.streams.audio]
        first = frames[0]
        return {
            "times": [round(float(frame.pts * frame.time_base), 4) for frame in frames],
            "aspect": stream.sample_aspect_ratio or 1,
            "colours": (int(first.colorspace), int(first.color_primaries), int(first.color_trc)),
            "full": int(first.color_range) == 2,
            "pixels": first.format.name,
            "size": (first.width, first.height),
            "sound": sound,
            "title": file.metadata.get("title"),
            "length": round(float(stream.duration * stream.time_base), 3),
        }


def shown(path) -> list[np.ndarray]:
    return [frame.astype(int) for frame in open_video(path)]


def close(a: np.ndarray, b: np.ndarray, most: float = 4) -> bool:
    return np.abs(a - b).mean() < most


def test_a_video_is_read_as_it_was_written(clip):
    assert (clip.fps, clip.frames, clip.width, clip.height) == (12.0, 24, 220, 120)  # codecs halve: the odd ones go
    frames = list(clip)
    assert len(frames) == 24
    assert close(frames[5].astype(int), film()[5][:120, :220], 6)


def test_what_is_no_video_is_refused(tmp_path):
    (tmp_path / "a.mp4").write_bytes(b"no video" * 100)
    write_video(tmp_path / "whole.mp4", film(3), 12.0)
    (tmp_path / "cut.mp4").write_bytes((tmp_path / "whole.mp4").read_bytes()[:300])
    with av.open(str(tmp_path / "sound.mp4"), "w") as file:
        file.mux(file.add_stream("aac", 8000, layout="mono").encode(None))
    for name in ("a.mp4", "none.mp4", "cut.mp4", "sound.mp4", "."):
        with pytest.raises(UnreadableError, match=r"cannot read|no file"):
            open_video(tmp_path / name)


def test_a_playlist_opens_no_other_file(tmp_path):
    make(tmp_path / "secret.ts")
    (tmp_path / "a.mp4").write_text(f"#EXTM3U\n#EXTINF:1,\nfile:{tmp_path / 'secret.ts'}\n#EXT-X-ENDLIST\n")
    with pytest.raises(UnreadableError):
        open_video(tmp_path / "a.mp4")


def test_a_video_says_what_was_done_in_it(tmp_path):
    packet = to_xmp(Provenance(COMPOSITE, "tiny", "ab" * 32, "one face"))
    write_video(tmp_path / "a.mp4", film(5), 12.0, packet)
    rewrite_video(open_video(tmp_path / "a.mp4"), tmp_path / "b.mov", marked, packet)
    for path in (tmp_path / "a.mp4", tmp_path / "b.mov"):
        assert from_xmp(read_embedded(path)).edits == "one face"
        assert len(list(open_video(path))) == 5


@pytest.mark.parametrize(
    ("given", "kept"),
    [
        ({"times": [0, 1, 2, 9, 10, 30, 31, 40]}, {"times": [0, 0.04, 0.08, 0.36, 0.4, 1.2, 1.24, 1.6]}),
        ({"times": range(20, 28), "sound": ("aac",)}, {"times": [0.8, 0.84, 0.88, 0.92, 0.96, 1, 1.04, 1.08]}),
        ({"base": Fraction(1001, 30000)}, {"length": 0.267}),
        ({"aspect": "16/15"}, {"aspect": Fraction(16, 15), "size": SIZE}),
        ({"aspect": "1/2"}, {"aspect": Fraction(1, 2), "size": SIZE}),
        ({"colours": BT709}, {"colours": BT709, "full": False, "pixels": "yuv420p"}),
        ({"colours": BT709, "full": True}, {"colours": BT709, "full": True}),
        ({"colours": UNSAID}, {"colours": UNSAID}),
        ({"pixels": "yuv444p"}, {"pixels": "yuv444p"}),
        ({"codec": "libx265", "pixels": "yuv420p10le", "colours": BT2020}, {"colours": BT2020}),
        ({"sound": ("aac",), "title": "A title"}, {"sound": [("aac", 8000)], "title": "A title"}),
    ],
    ids=["rate", "delay", "ntsc", "wide", "tall", "709", "full", "unsaid", "444", "10", "sound"],
)  # fmt: skip
def test_what_a_video_is_like_is_kept(tmp_path, given, kept):
    source = make(tmp_path / "a.mp4", **given)
    rewrite_video(source, tmp_path / "b.mp4", marked)
    before, after = facts(tmp_path / "a.mp4"), facts(tmp_path / "b.mp4")
    assert {name: after[name] for name in kept} == kept
    assert {**after, "length": 0} == {**before, "length": 0}
    assert (
        after["length"] == pytest.approx(before["length"], abs=0.01) or len(set(np.diff(after["times"]).round(2))) > 1
    )
    for index, (old, new) in enumerate(zip(shown(tmp_path / "a.mp4"), shown(tmp_path / "b.mp4"), strict=True)):
        rows, columns = len(old) // 4, old.shape[1] // 4
        assert close(new[rows + 6 :], old[rows + 6 :], 2.5)
        assert close(new[: rows - 6, : columns - 6], 255 if index % 2 else old[: rows - 6, : columns - 6])


def test_frames_are_shown_with_square_pixels_and_their_colours(tmp_path):
    for name, given in {"a": {"colours": BT709}, "b": {"colours": BT709, "full": True}, "c": {}}.items():
        source = make(tmp_path / f"{name}.mp4", aspect=2, **given)
        assert (source.width, source.height) == (192, 64)
        frame = next(iter(source)).astype(int)
        assert close(frame[:28], np.array([180, 30, 40]))
        assert close(frame[40:, ::2], picture(0)[40:].astype(int))


@pytest.mark.parametrize("turn", [90, 180, -90])
def test_a_video_that_lies_on_its_side_is_turned(tmp_path, turn):
    source = make(tmp_path / "a.mp4", turn=turn, aspect="1/2")
    frame = next(iter(source)).astype(int)
    red = frame[..., 0] - frame[..., 2] > 80
    halves = {90: red[:, : red.shape[1] // 2], 180: red[len(red) // 2 :], -90: red[:, red.shape[1] // 2 :]}
    assert halves[turn].mean() > 0.9
    assert red.mean() == pytest.approx(0.5, abs=0.05)
    rewrite_video(source, tmp_path / "b.mp4", marked)
    after = shown(tmp_path / "b.mp4")
    assert after[0].shape == (source.height, source.width, 3)
    assert close(after[0], frame)


def test_more_than_8_bits_are_kept(tmp_path):
    """A ramp of which 8 bits hold a quarter of the steps."""
    with av.open(str(tmp_path / "a.mp4"), "w") as file:
        stream = file.add_stream("libx265", 25, {"crf": "1", "x265-params": "log-level=error"})
        stream.pix_fmt, stream.width, stream.height = "yuv420p10le", *SIZE
        grey = (20000 + np.arange(96) * 64).astype(np.uint16)
        ramp = np.broadcast_to(grey[None, :, None], (64, 96, 3))
        for _ in range(3):
            file.mux(stream.encode(av.VideoFrame.from_ndarray(np.ascontiguousarray(ramp), "rgb48le")))
        file.mux(stream.encode(None))
    rewrite_video(open_video(tmp_path / "a.mp4"), tmp_path / "b.mp4", marked)
    with av.open(str(tmp_path / "b.mp4")) as file:
        _, edited, _ = file.decode(video=0)
        levels = np.unique(edited.to_ndarray(format="rgb48le")[40:, :, 1] // 64)
    assert len(levels) > 60  # of 96; in 8 bits there are 24


def test_transparency_is_kept_where_the_container_has_it(tmp_path):
    source = make(tmp_path / "a.mov", codec="prores_ks", pixels="yuva444p10le", alpha=20000)
    assert source.alpha
    rewrite_video(source, tmp_path / "b.mov", marked)
    with av.open(str(tmp_path / "b.mov")) as file:
        edited = list(file.decode(video=0))[1].to_ndarray(format="rgba64le").astype(int)
    assert close(edited[..., 3], 20000, 300)
    assert close(edited[:12, :20, :3], 65535, 2000)
    rewrite_video(source, tmp_path / "b.mp4", marked)
    assert not open_video(tmp_path / "b.mp4").alpha


@pytest.mark.parametrize(("name", "sound"), [("a.avi", "pcm_u8"), ("a.mkv", "flac")])
def test_sound_that_mp4_does_not_hold_is_encoded_anew(tmp_path, name, sound):
    source = make(tmp_path / name, sound=(sound,))
    rewrite_video(source, tmp_path / "b.mp4", marked, metadata=False)
    ((codec, rate),) = facts(tmp_path / "b.mp4")["sound"]
    assert (codec, rate) == ("flac" if sound == "flac" else "aac", 8000)
    with av.open(str(tmp_path / "b.mp4")) as file:
        samples = np.concatenate([frame.to_ndarray()[0] for frame in file.decode(audio=0)])
    assert len(samples) == pytest.approx(8000, abs=2100)
    assert np.abs(samples).max() > 0.1


def test_a_damaged_packet_costs_its_frames_alone(tmp_path):
    make(tmp_path / "a.avi", codec="mjpeg", pixels="yuvj420p")
    data = bytearray((tmp_path / "a.avi").read_bytes())
    place = data.index(b"\xff\xd8", len(data) // 2)
    data[place : place + 40] = bytes(40)
    (tmp_path / "a.avi").write_bytes(data)
    assert 6 <= len(list(open_video(tmp_path / "a.avi"))) <= 8


def test_what_ends_an_edit_leaves_no_file(tmp_path, monkeypatch):
    source = make(tmp_path / "a.mp4")
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    for error in (KeyboardInterrupt(), ZeroDivisionError()):

        def failing(frames, error=error):
            yield next(frames)
            raise error

        with pytest.raises(type(error)):
            rewrite_video(source, tmp_path / "b.mp4", failing)
        assert os.listdir(tmp_path) == ["a.mp4"]


def test_frames_without_an_even_size_lose_what_is_over(tmp_path):
    write_video(tmp_path / "a.mp4", [draw_face(65)[:, :63]] * 3, 12.0)
    assert (open_video(tmp_path / "a.mp4").width, open_video(tmp_path / "a.mp4").height) == (62, 64)
