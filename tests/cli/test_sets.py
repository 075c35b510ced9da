"""Commands for sets of stimuli: tables of targets, series, parts, crops and masks."""

import json

import numpy as np
import pytest
from PIL import Image

from tests.conftest import ASTRONAUT


@pytest.fixture
def photo(tmp_path):
    path = tmp_path / "photo.png"
    with Image.open(ASTRONAUT) as image:
        image.save(path)
    return path


@pytest.fixture
def faceedit(run, tiny_weights):
    def runner(command, *arguments):
        return run(command, *arguments, "--weights", tiny_weights, "--device", "cpu")

    return runner


def pixels(path):
    with Image.open(path) as image:
        return np.asarray(image.convert("RGB"), int)


def test_a_table_is_edited_and_gone_on_with(faceedit, photo, tmp_path):
    table, out = tmp_path / "targets.csv", tmp_path / "out"
    table.write_text("file,emotion,only\nphoto.png,happy,\nphoto.png,happy,mouth\nnone.png,sad,\n")
    code, shown, err = faceedit("edit", "--targets", table, "-o", out, "--json")
    rows = [json.loads(line) for line in shown.splitlines()[:-1]]
    assert code == 7
    assert [row["output"] for row in rows] == [str(out / f"photo-000{i}.png") for i in (1, 2)] + [
        str(out / "none-0003.png")
    ]
    assert rows[1]["faces"][0]["only"] == ["mouth"]
    assert "1 of 3 rows failed" in err
    assert shown.splitlines()[-1] == str(out / "results.csv")
    table.write_text("\n".join(table.read_text().splitlines()[:3]))
    code, shown, err = faceedit("edit", "--targets", table, "-o", out)
    assert (code, shown, "made by an earlier run: 2\n" in err) == (0, f"{out / 'results.csv'}\n", True)


def test_what_a_table_says_itself_is_refused_beside_it(faceedit, photo, tmp_path):
    table = tmp_path / "targets.csv"
    table.write_text("file,emotion\nphoto.png,happy\n")
    for arguments in (
        (),
        ("-o", tmp_path / "out", photo),
        ("-o", tmp_path / "out", "--emotion", "sad"),
        ("-o", tmp_path / "out", "--crop"),
        ("-o", tmp_path / "out", "--engine", "ray"),
        ("-o", "-"),
    ):
        code, _, err = faceedit("edit", "--targets", table, *arguments)
        assert (code, err.count("\n")) == (2, 1), arguments
    assert faceedit("edit", photo, "--emotion", "sad", "--embedder", "facenet")[0] == 2
    assert faceedit("edit", "--emotion", "sad")[0] == 2
    assert faceedit("edit", "--targets", tmp_path / "none.csv", "-o", tmp_path / "out")[0] == 4


def test_series_writes_files_and_their_table(faceedit, photo, tmp_path):
    code, shown, err = faceedit("series", photo, "--from", "neutral", "--to=0.5,-0.1", "--steps", 3, "--measure")
    folder = tmp_path / "photo-series"
    assert (code, shown) == (0, f"{folder / 'series.csv'}\n")
    assert sorted(path.name for path in folder.iterdir()) == ["photo-0.png", "photo-1.png", "photo-2.png", "series.csv"]
    assert err.count("reached valence") == 3
    assert faceedit("series", photo)[0] == 2  # the series is there
    for arguments in (("--from", "hapy"), ("--to", "0.5"), ("--steps", 1), ("--only", "nose"), ("-o", "-")):
        assert faceedit("series", photo, "--overwrite", *arguments)[0] == 2, arguments


def test_a_mask_shows_where_pixels_changed(faceedit, photo, tmp_path):
    out, mask = tmp_path / "out.png", tmp_path / "mask.png"
    code, _, err = faceedit("edit", photo, "--valence", 0.5, "--only", "mouth", "-o", out, "--mask-output", mask)
    assert code == 0
    assert "mouth only" in err
    changed = (pixels(photo) != pixels(out)).any(-1)
    with Image.open(mask) as image:
        assert image.mode == "L"
        assert (np.asarray(image) == 255 * changed).all()
    assert changed[130:].any()
    assert not changed[:110].any()
    for arguments in ((photo, "--mask-output", mask), (photo, ASTRONAUT, "--mask-output", tmp_path / "b.png")):
        assert faceedit("edit", *arguments, "--valence", 0.5)[0] == 2


def test_a_crop_of_any_size_is_cut_from_the_photo(faceedit, photo, tmp_path):
    out = tmp_path / "crop.png"
    assert faceedit("edit", photo, "--valence", 0.5, "--crop", "--size", 200, "-o", out)[0] == 0
    assert pixels(out).shape == (200, 200, 3)
    for arguments in (("--size", 200), ("--crop", "--size", 3), ("--crop", "--only", "mouth"), ("--only", "nose")):
        assert faceedit("edit", photo, "--valence", 0.5, *arguments)[0] == 2, arguments


def test_an_expression_can_be_another_photos(faceedit, photo):
    code, _, err = faceedit("edit", photo, "--like", ASTRONAUT)
    assert code == 0
    assert "→ valence +0.7" in err
    for arguments in (("--like", photo, "--emotion", "sad"), ("--like", photo, "--face", "1=happy")):
        assert faceedit("edit", photo, *arguments)[0] == 2
