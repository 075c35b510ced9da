import csv
import io
import json
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from faceedit import __version__
from faceedit.circumplex import EMOTIONS, named_emotion
from faceedit.cli.app import say_error
from faceedit.errors import RunExistsError, unexpected
from faceedit.media.image import Photo, write_photo
from faceedit.media.provenance import COMPOSITE, DRAWN, Provenance, to_xmp
from faceedit.media.video import open_video, write_video
from tests.conftest import ASTRONAUT


@pytest.fixture
def photo(tmp_path):
    path = tmp_path / "photo.jpg"
    path.write_bytes(ASTRONAUT.read_bytes())
    return path


@pytest.fixture
def edit(run, tiny_weights):
    return lambda photo, *arguments: run(
        "edit", photo, "--valence", "0.5", "--arousal", "-0.3", "--weights", tiny_weights, "--device", "cpu", *arguments
    )


def pixels(path):
    with Image.open(path) as image:
        return np.asarray(image.convert("RGB"), int)


def test_edit_writes_the_whole_photo_beside_the_photo(edit, photo, tmp_path):
    code, out, err = edit(photo)
    assert (code, out) == (0, f"{tmp_path / 'photo-edited.jpg'}\n")
    assert "valence +0.50, arousal -0.30" in err
    before, after = pixels(photo), pixels(tmp_path / "photo-edited.jpg")
    assert after.shape == before.shape
    changed = np.abs(after - before)
    assert changed[60:180, 170:280].mean() > 2
    assert changed[300:].mean() < 0.5
    assert edit(photo)[1] == f"{tmp_path / 'photo-edited-2.jpg'}\n"  # nothing is written over
    assert edit(photo, "--overwrite")[1] == f"{tmp_path / 'photo-edited.jpg'}\n"


def test_pixels_outside_the_face_are_bit_identical_in_a_lossless_file(edit, photo, tmp_path):
    assert edit(photo, "-o", tmp_path / "out.png")[0] == 0
    before, after = pixels(photo), pixels(tmp_path / "out.png")
    changed = np.argwhere((before != after).any(-1))
    assert len(changed) > 1000
    assert (after[250:] == before[250:]).all()
    assert (after[:, :120] == before[:, :120]).all()


@pytest.mark.parametrize("suffix", ["jpg", "png", "webp", "tiff", "avif"])
def test_an_edited_file_says_so(edit, run, photo, tmp_path, suffix):
    path = tmp_path / f"out.{suffix}"
    assert edit(photo, "-o", path)[0] == 0
    code, out, _ = run("info", path)
    assert code == 0
    assert f"source type: {COMPOSITE}" in out
    assert "weights: tiny\n" in out
    assert "valence +0.50, arousal -0.30" in out
    assert "does not say" in run("info", photo)[1]


def test_source_metadata_can_be_left_out(edit, run, tmp_path):
    exif = Image.Exif()
    exif[0x010F] = "Maker"
    with Image.open(ASTRONAUT) as image:
        image.save(tmp_path / "a.jpg", exif=exif.tobytes(), xmp=b"<x:xmpmeta xmlns:x='adobe:ns:meta/'/>", quality=95)
    for option, maker in ((), "Maker"), (("--no-source-metadata",), None):
        assert edit(tmp_path / "a.jpg", "-o", tmp_path / "b.jpg", "--overwrite", *option)[0] == 0
        with Image.open(tmp_path / "b.jpg") as image:
            assert image.getexif().get(0x010F) == maker
        assert COMPOSITE in run("info", tmp_path / "b.jpg")[1]


def test_a_folder_is_edited_and_what_fails_is_told(edit, photo, tmp_path):
    folder = tmp_path / "in"
    folder.mkdir()
    (folder / "a.jpg").write_bytes(photo.read_bytes())
    (folder / "text.jpg").write_text("no photo")
    Image.new("RGB", (300, 300), (90, 90, 90)).save(folder / "wall.png")
    out = tmp_path / "out"
    code, shown, err = edit(folder, "-o", out, "--json")
    rows = {Path(row["input"]).name: row for row in map(json.loads, shown.splitlines())}
    assert code == 7
    assert "2 of 3 photos failed" in err
    assert rows["a.jpg"]["output"] == str(out / "a-edited.jpg")
    assert rows["a.jpg"]["faces"][0]["target"] == {"valence": 0.5, "arousal": -0.3}
    assert "no upright face" in rows["wall.png"]["error"]
    assert [path.name for path in out.iterdir()] == ["a-edited.jpg"]
    (folder / "text.jpg").unlink()
    (folder / "wall.png").unlink()
    before = (out / "a-edited.jpg").stat().st_mtime_ns
    code, shown, err = edit(folder, "-o", out, "--skip-existing", "--json")
    assert code == 0
    assert "skipped" in json.loads(shown)
    assert (out / "a-edited.jpg").stat().st_mtime_ns == before


def test_a_cluster_takes_its_extra_and_photos_in_files(edit, photo, monkeypatch):
    monkeypatch.setitem(sys.modules, "ray", None)
    monkeypatch.delitem(sys.modules, "faceedit.cluster", raising=False)
    for given, told in (
        (photo, "pip install 'faceedit[ray]'"),
        ("-", "- stands for one photo"),
        ("a.mp4", "a video is edited"),
    ):
        code, out, err = edit(given, "--engine", "ray")
        assert (code, out) == (2, "")
        assert told in err


def test_ray_that_does_not_start_is_one_line(edit, photo, monkeypatch):
    cluster = pytest.importorskip("faceedit.cluster")

    def init(*arguments, **named):
        raise Exception("The current node timed out during startup.")

    monkeypatch.setattr(cluster.ray, "init", init)
    code, _, err = edit(photo, "--engine", "ray")
    assert (code, err.count("\n"), "Ray did not start: " in err) == (1, 1, True), err


def test_a_signal_before_the_command_is_known_is_no_traceback(run, monkeypatch):
    def interrupted(*arguments, **named):
        raise KeyboardInterrupt

    monkeypatch.setattr("typer.main.get_command", interrupted)
    assert run("info") == (130, "", "")


def test_standard_input_and_output(photo, tiny_weights):
    command = [sys.executable, "-m", "faceedit", "edit", "-", "--emotion", "angry", "--weights", str(tiny_weights)]
    done = subprocess.run(command, input=photo.read_bytes(), capture_output=True, check=True)
    with Image.open(io.BytesIO(done.stdout)) as image:
        assert (image.format, image.size) == ("JPEG", (512, 512))
    assert f"→ {EMOTIONS['angry']}".encode() in done.stderr
    done = subprocess.run(command, input=b"no photo", capture_output=True, check=False)
    assert done.returncode == 4
    assert done.stdout == b""


def test_info_tells_what_is_here(run):
    code, out, _ = run("info")
    assert code == 0
    assert f"faceedit {__version__}" in out
    assert "cpu" in out
    assert "weights caae-96: " in out


def test_animate(run, photo, tiny_weights, tmp_path):
    short = ("--seconds", 0.4, "--fps", 10, "--weights", tiny_weights)
    code, out, _ = run("animate", photo, "--crop", *short)
    assert (code, out) == (0, f"{tmp_path / 'photo-animated.webp'}\n")
    with Image.open(tmp_path / "photo-animated.webp") as image:
        assert (image.n_frames, image.size) == (4, (384, 384))
    assert run("animate", photo, "--path", "happy,sad", "-o", tmp_path / "a.gif", *short)[0] == 0
    with Image.open(tmp_path / "a.gif") as image:
        assert image.size == (512, 512)
    assert run("animate", photo, "--path", "happy", *short)[0] == 2
    assert run("animate", photo, "-o", tmp_path / "a.avi", *short)[0] == 2


def test_a_video_is_edited_and_says_so(edit, run, photo, tmp_path):
    clip = tmp_path / "clip.mp4"
    write_video(clip, [pixels(photo).astype(np.uint8)] * 4, 10)
    output = tmp_path / "clip-edited.mp4"
    code, out, err = edit(clip)
    assert (code, out) == (0, f"{output}\n")
    assert "on average → valence +0.50, arousal -0.30" in err
    assert open_video(output).frames == 4
    assert "compositeWithTrainedAlgorithmicMedia" in run("info", output)[1]
    for arguments in (("-o", output), ("--crop",), ("-o", "x.avi"), ("--json",), ("--face", "all"), (photo,)):
        assert edit(clip, *arguments)[0] == 2  # the first, as the output is there
    assert edit(clip, "--face", 7, "-o", tmp_path / "b.mp4")[0] == 3
    clip.write_bytes(b"junk")
    assert edit(clip, "--overwrite")[0] == 4


def test_videos_of_a_folder_are_edited_as_photos_are(edit, photo, tmp_path):
    folder, out = tmp_path / "films", tmp_path / "out"
    (folder / "inner").mkdir(parents=True)
    for name in ("a.mp4", "b.mp4", "inner/a.mp4"):
        write_video(folder / name, [pixels(photo).astype(np.uint8)] * 2, 10)
    (folder / "b.mp4").write_bytes(b"junk")
    code, shown, err = edit(folder, "--recursive", "-o", out)
    assert (code, shown.splitlines()) == (7, [f"{out}/a-edited.mp4", f"{out}/inner/a-edited.mp4"])
    assert f"1 of 3 videos failed: {folder / 'b.mp4'}" in err
    assert edit(folder / "a.mp4", folder / "inner" / "a.mp4", "-o", out)[1].split() == [
        f"{out}/a-edited-2.mp4",
        f"{out}/a-edited-3.mp4",
    ]
    code, shown, err = edit(folder, "--recursive", "-o", out, "--skip-existing")
    assert (code, shown) == (7, "")
    assert "skipped, as their outputs are there: 2\n" in err
    (folder / "c.jpg").write_bytes(photo.read_bytes())  # beside photos, videos are taken by name alone
    assert edit(folder, "-o", out)[1].split() == [f"{out}/c-edited.jpg"]


def test_crop_and_grid(edit, run, photo, tiny_weights, tmp_path):
    code, out, _ = edit(photo, "--crop", "-o", tmp_path / "crop.png")
    assert code == 0
    assert pixels(tmp_path / "crop.png").shape == (32, 32, 3)
    code, out, _ = run("grid", photo, "--weights", tiny_weights, "--steps", 3)
    assert (code, out) == (0, f"{tmp_path / 'photo-grid.png'}\n")
    assert pixels(tmp_path / "photo-grid.png").shape[0] > 480
    code, out, _ = run("grid", photo, "--weights", tiny_weights, "--layout", "paper", "-o", tmp_path / "paper.png")
    assert code == 0
    assert pixels(tmp_path / "paper.png").shape == (7 * 32, 10 * 32, 3)
    for name in ("crop", "photo-grid", "paper"):
        assert DRAWN in run("info", tmp_path / f"{name}.png")[1]


def test_a_target_beyond_the_labels_goes_to_the_nearest_and_says_so(run, photo, tiny_weights):
    target = ("--valence", "-0.9", "--arousal", "0.9")
    code, out, err = run("edit", photo, *target, "--weights", tiny_weights, "--json")
    assert code == 0
    assert "beyond the training labels: going to the nearest supported, valence" in err
    (face,) = json.loads(out)["faces"]
    assert face["target"] == {"valence": -0.9, "arousal": 0.9}
    assert face["nearest_supported"]["valence"] > -0.5


def test_targets_by_name(run, photo, tiny_weights, tmp_path):
    def edited(*arguments):
        code, _, err = run(
            "edit", photo, *arguments, "--weights", tiny_weights, "-o", tmp_path / "x.png", "--overwrite"
        )
        assert code == 0
        return err

    assert f"→ {EMOTIONS['angry']}" in edited("--emotion", "angry")
    assert f"→ {named_emotion('happy', 0.5)}" in edited("--emotion", "happy", "--intensity", 0.5)
    assert f"→ {EMOTIONS['angry']}" in edited("--face", "1=anger")
    assert re.search(r"valence \S+, arousal (\S+) → valence \+0.30, arousal \1", edited("--valence", 0.3))
    assert re.search(r"valence (\S+), arousal \S+ → valence \1, arousal -0.20", edited("--arousal", -0.2))
    assert "→ valence -0.03, arousal -0.02" in edited("--neutralise")
    assert run("edit", photo, "--emotion", "happy", "--neutralise")[0] == 2
    assert run("edit", photo)[0] == 2


def test_the_affect_that_was_reached_is_printed(edit, photo):
    _, out, err = edit(photo, "--json")
    (face,) = json.loads(out)["faces"]
    reached = face["reached"]
    assert f"; reached valence {reached['valence']:+.2f}, arousal {reached['arousal']:+.2f}\n" in err


def test_landmarks_have_their_published_numbers_and_lie_in_the_photo(run, photo, tiny_judge):
    _, out, _ = run("estimate", photo, "--landmarks", "--json", "--weights", tiny_judge)
    (face,) = json.loads(out)["faces"]
    points = {int(number): point for number, point in face["landmarks"].items()}
    left, right, chin, lip = points[468], points[473], points[152], points[13]
    assert abs(left[0] - 208) < 8  # the irises, and below them the mouth and the chin
    assert abs(right[0] - 250) < 8
    assert left[1] < lip[1] < chin[1]
    assert face["box"][1] < lip[1] < face["box"][3]
    _, out, _ = run("estimate", photo, "--landmarks", "--weights", tiny_judge)
    rows = list(csv.DictReader(io.StringIO(out)))
    assert {int(row["point"]): [float(row["x"]), float(row["y"])] for row in rows} == points
    assert {row["face"] for row in rows} == {"1"}


def test_a_pipe_gets_plain_tables(run, photo, tiny_judge):
    _, out, _ = run("estimate", photo, "--weights", tiny_judge)
    head, row = (line.split("\t") for line in out.splitlines())
    assert head == ["photo", "face", "box", "valence", "arousal", "looks"]
    assert row[:2] == [str(photo), "1"]
    assert -1 <= float(row[3]) <= 1


def test_commands_that_read_a_photo_take_it_from_standard_input(
    run, photo, tiny_judge, tiny_weights, tmp_path, monkeypatch
):
    def given(*arguments):
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(photo.read_bytes())))
        return run(*arguments)

    assert given("estimate", "-", "--weights", tiny_judge)[1].splitlines()[1].startswith("-\t1\t")
    short = ("--seconds", 0.2, "--fps", 10, "--weights", tiny_weights)
    assert given("animate", "-", "-o", tmp_path / "a.webp", *short)[0] == 0
    assert given("animate", "-", *short)[0] == 2  # it has no name
    assert "does not say" in given("info", "-")[1]
    for command in (("animate", photo, *short), ("fetch", "hub:a/b"), ("evaluate", tmp_path), ("export", tmp_path)):
        code, _, err = run(*command, "-o", "-")
        assert (code, "standard output" in err or "must end in" in err) == (2, True)


def test_a_photo_from_standard_input_goes_to_a_file_as_others_do(edit, photo, tmp_path, monkeypatch):
    def given(*arguments):
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(photo.read_bytes())))
        return edit("-", *arguments)

    out = tmp_path / "out.png"
    code, shown, err = given("-o", out, "--json")
    (face,) = json.loads(shown)["faces"]
    assert (code, json.loads(shown)["input"], face["number"]) == (0, "-", 1)
    assert given("-o", out)[0] == 2
    code, shown, err = given("-o", out, "--skip-existing")
    assert (code, shown, err) == (0, "", "skipped, as its output is there: 1\n")
    assert given("-o", out, "--overwrite")[:2] == (0, f"{out}\n")
    assert given("--json")[0] == given("-o", out, "--overwrite", "--skip-existing")[0] == 2


def test_standard_streams_are_refused_by_name_where_they_cannot_be_taken(run, photo, tmp_path):
    for command in (
        ("edit", photo, "--emotion", "sad", "--mask-output", "-"),
        ("estimate", photo, "--plot", "-"),
        ("edit", "--targets", "-", "-o", tmp_path / "out"),
        ("edit", "-", "--like", "-"),
    ):
        code, _, err = run(*command)
        assert (code, "- stands for" in err) == (2, True), (command, err)
    assert not (tmp_path / "out").exists()


def test_a_look_comes_from_standard_input(run, photo, monkeypatch, tiny_weights, tmp_path):
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(photo.read_bytes())))
    out = tmp_path / "like.png"
    assert run("edit", photo, "--like", "-", "-o", out, "--weights", tiny_weights)[:2] == (0, f"{out}\n")


def test_a_face_without_a_target_is_named(edit, run, photo):
    code, _, err = run("edit", photo, "--face", "1=happy", "--face", "2", "--intensity", 0.5)
    assert (code, "where face 2 shall go" in err) == (2, True), err


def test_a_table_that_cannot_be_read_says_so_in_words(run, tmp_path):
    (tmp_path / "photo.csv").write_bytes(b"\xff\xd8\xff\xe0")
    for name, told in (("none.csv", "there is no file "), ("photo.csv", "it is not text in UTF-8")):
        code, _, err = run("edit", "--targets", tmp_path / name, "-o", tmp_path / "out")
        assert (code, told in err, "Errno" in err) == (4, True, False), err


def test_hints_say_what_to_do(run, photo, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    code, _, err = run("train")
    assert (code, "`faceedit prepare PHOTOS --out data`" in err) == (4, True)
    code, _, err = run("edit", photo, "--emotion", "sad", "--weights", "judge")
    assert (code, "which cannot edit" in err) == (5, True)
    code, _, err = run("evaluate", tmp_path, "--drawings", "--editor", "copy")
    assert (code, "--editor copy has none" in err) == (2, True)


def test_bad_input_gets_one_line_and_its_exit_code(edit, run, photo, tiny_weights, tmp_path):
    (tmp_path / "text.jpg").write_text("no photo")
    (tmp_path / "cut.jpg").write_bytes(photo.read_bytes()[:30_000])
    Image.new("RGB", (10, 10)).save(tmp_path / "small.png")
    Image.new("RGB", (300, 300), (90, 90, 90)).save(tmp_path / "wall.png")
    (tmp_path / "cut.safetensors").write_bytes(tiny_weights.read_bytes()[:999])
    names = {path.name for path in tmp_path.iterdir()}
    for code, arguments in (
        (4, (tmp_path / "none.jpg",)),
        (4, (tmp_path / "text.jpg",)),
        (4, (tmp_path / "cut.jpg",)),
        (3, (tmp_path / "small.png",)),
        (3, (tmp_path / "wall.png",)),
        (3, (photo, "--face", "2")),
        (2, (photo, "--face", "smallest")),
        (5, (photo, "--weights", tmp_path / "cut.safetensors")),
        (5, (photo, "--weights", "nothing")),
        (4, (photo, "-o", tmp_path / "text.jpg" / "out.jpg")),
        (2, (photo, "-o", tmp_path / "out.gif")),
        (2, (photo, "-o", photo)),
        (2, (photo, "--valence", "7")),
        (2, (photo, "--arousal", "nan")),
        (2, (photo, "--strength", "3")),
        (2, (photo, "--face", "2=happy")),  # and another target, which no face would have
        (2, (photo, "--intensity", "0.5")),
        (2, (photo, "--overwrite", "--skip-existing")),
        (2, (photo, "-o", "-", "--overwrite")),
    ):
        got, out, err = edit(*arguments)
        assert got == code, (arguments, err)
        assert out == ""
        last = err.strip().splitlines()[-1]
        assert last.startswith("faceedit: ")
        assert "Traceback" not in err
    assert {path.name for path in tmp_path.iterdir()} == names
    assert photo.read_bytes() == ASTRONAUT.read_bytes()


def test_the_command_line_adds_the_option_that_helps(edit, photo, capsys):
    code, _, err = edit(photo, "-o", photo)
    assert code == 2
    assert err == f"faceedit: {photo} exists, and is not to be replaced; choose another name, or give --overwrite\n"
    for error, option in (
        (RunExistsError("runs/a holds a run"), "--resume"),
        (unexpected("a", KeyError(1)), "--debug"),
    ):
        say_error(error)
        assert option in capsys.readouterr().err
        assert option not in str(error)


def test_a_sideways_photo_comes_out_upright(edit, tmp_path):
    with Image.open(ASTRONAUT) as image:
        exif = Image.Exif()
        exif[0x0112] = 8
        image.rotate(-90).save(tmp_path / "sideways.jpg", exif=exif, quality=95)
    assert edit(tmp_path / "sideways.jpg")[0] == 0
    after = pixels(tmp_path / "sideways-edited.jpg")
    assert np.abs(after - pixels(ASTRONAUT))[300:].mean() < 3


def test_prepare_train_export_edit(run, prepared, tmp_path, photo):
    state = tmp_path / "run"
    options = ("--image-size", 32, "--epochs", 1, "--batch", 4, "--perceptual", "off", "--device", "cpu")
    code, out, err = run("train", "--model", "caae", "--data", prepared, "--run", state, *options)
    assert "this takes about 1 min on cpu" in err
    assert (code, out) == (0, f"{state}\n")
    assert "reconstruction" in err
    assert run("train", "--model", "caae", "--data", prepared, "--run", state, *options)[0] == 2
    assert run("train", "--model", "caae", "--data", prepared, "--run", state, "--resume", "--batch", 8)[0] == 2
    code, _, err = run(
        "train", "--model", "caae", "--data", prepared, "--run", state, "--resume", "--epochs", 2, "--device", "cpu"
    )
    assert code == 0
    assert "step 6" in err  # three steps an epoch
    assert run("train", "--model", "caae", "--data", prepared, "--run", tmp_path / "none", "--resume")[0] == 5
    assert run("train", "--model", "caae", "--data", prepared, "--model", "judge", "--perceptual", "off")[0] == 2
    for teacher in ("--teacher", "--guide"):  # its earlier name
        assert run("train", "--data", prepared, "--run", tmp_path / "none", teacher, "none.safetensors")[0] == 5
    path = tmp_path / "new.safetensors"
    assert run("export", state, "-o", path)[:2] == (0, f"{path}\n")
    assert run("export", state, "-o", path)[0] == 2
    assert run("edit", photo, "--valence", 0, "--arousal", 0, "--weights", path)[0] == 0


def test_a_gpu_gets_larger_batches_unless_told_otherwise(run, prepared, monkeypatch):
    asked = []
    monkeypatch.setattr("faceedit.device.resolve_device", lambda name: "cpu" if name == "cpu" else "cuda")
    monkeypatch.setattr("faceedit.training.loop.train", lambda data, run, training, *others: asked.append(training))
    for options in ((), ("--device", "cpu"), ("--batch", 16), ("--learning-rate", 1e-4)):
        assert run("train", "--data", prepared, *options)[0] == 0
    gpu, cpu, small, slow = asked
    assert gpu.batch > cpu.batch
    assert gpu.learning_rate > cpu.learning_rate
    assert small == cpu
    assert (slow.batch, slow.learning_rate) == (cpu.batch, 1e-4)


def test_estimate_prints_a_table_json_and_a_plot(run, photo, tiny_judge, tmp_path):
    code, out, _ = run("estimate", photo, "--weights", tiny_judge)
    assert code == 0
    assert "valence" in out
    (tmp_path / "text.jpg").write_text("no photo")
    Image.new("RGB", (300, 300), (90, 90, 90)).save(tmp_path / "wall.png")
    code, out, err = run("estimate", tmp_path, "--json", "--weights", tiny_judge)
    rows = {Path(row["photo"]).name: row for row in map(json.loads, out.splitlines())}
    assert code == 7
    assert "text.jpg" in err
    assert "error" in rows["text.jpg"]
    assert rows["wall.png"]["faces"] == []
    (face,) = rows["photo.jpg"]["faces"]
    assert face["number"] == 1
    assert -1 <= face["valence"] <= 1
    assert sum(face["expressions"].values()) == pytest.approx(1, abs=0.01)
    plot = tmp_path / "plots.png"
    assert run("estimate", photo, "--plot", plot, "--weights", tiny_judge)[0] == 0
    assert pixels(plot).shape == (720, 1440, 3)
    assert run("estimate", photo, "--plot", plot, "--weights", tiny_judge)[0] == 2
    assert run("estimate", tmp_path / "wall.png", "--weights", tiny_judge)[0] == 3
    assert run("estimate", photo, "--overwrite", "--weights", tiny_judge)[0] == 2  # there is no file to write
    assert run("estimate", tmp_path / "*.webp", "--weights", tiny_judge)[0] == 4
    assert run("estimate", photo, "--weights", "nothing")[0] == 5


def test_version_and_help_do_without_the_heavy_imports():
    code = "import sys; from faceedit import cli; sys.exit('torch' in sys.modules or 'numpy' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
    shown = subprocess.run([sys.executable, "-m", "faceedit", "--version"], capture_output=True, text=True, check=True)
    assert shown.stdout == f"faceedit {__version__}\n"


@pytest.mark.parametrize("command", [["info"], ["info", "photo.jpg"], ["fetch"], ["--help"], ["edit", "--help"]])
def test_commands_that_edit_nothing_import_no_torch(command, tmp_path):
    Image.new("RGB", (8, 8)).save(tmp_path / "photo.jpg")
    code = (
        "import sys; sys.argv = ['faceedit', *sys.argv[1:]]; from faceedit.cli import main\n"
        "try: main()\nexcept SystemExit as end: assert not end.code\nassert 'torch' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code, *command], cwd=tmp_path, check=True, capture_output=True)


def test_info_names_the_devices_that_torch_sees(run):
    from faceedit.device import available_devices

    assert f"devices: {', '.join(available_devices())}\n" in run("info")[1]


def test_info_prints_nothing_that_commands_a_terminal_or_forges_a_line(run, tmp_path):
    edits = "a\nweights: forged\x1b[2J\x9b\u2028\u202eb"
    packet = to_xmp(Provenance(COMPOSITE, "w", "ab" * 32, edits.replace("\x1b", "").replace("\x9b", "")))
    write_photo(tmp_path / "b\n\x1b.png", Photo(np.zeros((8, 8, 3), np.uint8)))
    code, out, _ = run("info", tmp_path / "b\n\x1b.png")
    assert (code, len(out.splitlines()), out.rstrip("\n").isprintable()) == (0, 1, True)
    write_photo(tmp_path / "a.png", Photo(np.zeros((8, 8, 3), np.uint8), xmp=packet))
    code, out, _ = run("info", tmp_path / "a.png")
    assert code == 0
    assert len(out.splitlines()) == 5
    assert out.replace("\n", "").isprintable()
    assert "forged" in out
