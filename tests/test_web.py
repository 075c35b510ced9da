"""The page, in a real browser: needs `chromium` on the PATH (Debian: apt-get install chromium)."""

import json
import shutil
import time
import urllib.error
import urllib.request
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image, ImageCms

from faceedit.circumplex import Affect
from faceedit.media.image import Photo, read_photo, write_photo
from faceedit.media.provenance import COMPOSITE, from_xmp
from tests.conftest import ByShape

gr = pytest.importorskip("gradio", reason="the page needs Gradio: faceedit[web]")
from faceedit.web.handlers import Handlers  # noqa: E402 - it imports Gradio


@pytest.fixture
def page(tiny_editor, tmp_path):
    tiny_editor.detector = ByShape()
    return Handlers(tiny_editor, tmp_path)


def test_the_preview_shows_what_the_download_holds(page, photo):
    first, *_ = page.open(str(photo))
    for session in (first, page.choose(first, 2)[0]):
        (before, after), beyond = page.edit(session, 0.7, 0.3)
        assert beyond == ""
        full = read_photo(page.download(session, 0.7, 0.3))
        assert full.pixels.shape == (1500, 2000, 3)
        changed = np.abs(after.astype(int) - before).max(-1) > 8
        rows, columns = np.nonzero(changed)
        full_changed = np.abs(full.pixels.astype(int) - session.photo.pixels).max(-1) > 8
        full_rows, full_columns = np.nonzero(full_changed)
        for a, b in ((rows, full_rows), (columns, full_columns)):
            assert abs(a.mean() - b.mean() * session.scale) < 4
        assert from_xmp(full.xmp).source_type == COMPOSITE


def test_beyond_the_training_labels_the_page_says_so(page, photo):
    session, *_ = page.open(str(photo))
    assert "nearest" in page.edit(session, -0.9, -0.9)[1]
    assert page.edit(None, 0, 0) == (None, "")


@pytest.mark.parametrize("data", [b"", b"junk" * 100, b"\x89PNG\r\n\x1a\n" + b"junk" * 10])
def test_what_is_no_photo_is_a_message(page, tmp_path, data):
    (tmp_path / "secret-folder").mkdir()
    path = tmp_path / "secret-folder" / "a.png"
    path.write_bytes(data)
    with pytest.raises(gr.Error) as raised:
        page.open(str(path))
    assert "secret-folder" not in str(raised.value)


def test_a_photo_without_a_face_is_a_message(page, tmp_path):
    write_photo(tmp_path / "a.png", Photo(np.zeros((50, 50, 3), np.uint8)))
    with pytest.raises(gr.Error, match="no face"):
        page.open(str(tmp_path / "a.png"))


def test_memory_that_runs_out_is_a_message(page, photo, monkeypatch):
    session, *_ = page.open(str(photo))
    monkeypatch.setattr(page.editor, "edit_face", lambda *arguments: np.empty(2**50))
    with pytest.raises(gr.Error, match="memory"):
        page.download(session, 0, 0)


def test_without_a_photo_buttons_ask_for_one(page):
    for call in (lambda: page.download(None, 0, 0), lambda: page.grid(None, 3)):
        with pytest.raises(gr.Error, match="photo first"):
            call()


@pytest.fixture(scope="module")
def browser():
    api = pytest.importorskip("playwright.sync_api", reason="Playwright is not installed")
    chromium = shutil.which("chromium")
    if chromium is None:
        pytest.skip("there is no chromium on the PATH")
    with api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        yield browser
        browser.close()


@pytest.fixture
def visit(browser, address, photo):
    """Opens the page at a size, with the photo on it; every error of its scripts fails the test."""
    opened, errors = [], []

    def go(width=1280, height=900, **options):
        tab = browser.new_page(viewport={"width": width, "height": height}, **options)
        tab.on("pageerror", lambda error: errors.append(str(error)))
        opened.append(tab)
        tab.goto(address)
        tab.locator("input[type=file]").first.set_input_files(photo)
        tab.locator("#picture img").first.wait_for()
        tab.wait_for_function("document.querySelectorAll('input[type=radio]').length === 2")
        return tab

    yield go
    for tab in opened:
        tab.close()
    assert not errors


def source_of_edited(tab) -> str:
    return tab.locator("#picture img").last.get_attribute("src")


def wait_for_change(tab, before: str) -> None:
    deadline = time.monotonic() + 20
    while source_of_edited(tab) == before:
        assert time.monotonic() < deadline, "the picture did not change"
        tab.wait_for_timeout(20)


def value_of(tab, label: str) -> float:
    return float(tab.get_by_label(f"number input for {label}").first.input_value())


def test_a_click_a_drag_and_the_arrow_keys_move_the_face(visit):
    tab = visit()
    svg = tab.locator(".circumplex [role=slider]")
    box = svg.bounding_box()
    before = source_of_edited(tab)
    tab.mouse.click(box["x"] + 0.65 * box["width"], box["y"] + 0.58 * box["height"])
    wait_for_change(tab, before)
    assert value_of(tab, "Valence") == pytest.approx(0.33, abs=0.03)
    assert value_of(tab, "Arousal") == pytest.approx(-0.18, abs=0.03)
    before = source_of_edited(tab)
    tab.mouse.down()
    tab.mouse.move(box["x"] + 0.6 * box["width"], box["y"] + 0.3 * box["height"], steps=5)
    tab.mouse.up()
    wait_for_change(tab, before)
    assert value_of(tab, "Arousal") == pytest.approx(0.44, abs=0.03)
    svg.focus()
    valence = value_of(tab, "Valence")
    before = source_of_edited(tab)
    tab.keyboard.press("ArrowRight")
    wait_for_change(tab, before)
    assert value_of(tab, "Valence") == pytest.approx(valence + 0.05, abs=0.005)
    assert f"{valence + 0.05:.2f}" in svg.get_attribute("aria-valuetext")


def test_a_named_emotion_and_another_face_can_be_chosen(visit):
    tab = visit()
    before = source_of_edited(tab)
    tab.locator(".circumplex text", has_text="happy").click()
    wait_for_change(tab, before)
    assert value_of(tab, "Valence") == pytest.approx(0.67, abs=0.01)
    tab.locator("input[type=radio]").nth(1).check()
    tab.wait_for_function(
        "!document.querySelector('.circumplex [role=slider]').getAttribute('aria-valuetext').includes('0.67')"
    )


def test_the_download_is_the_whole_photo_and_says_what_it_is(visit, tmp_path):
    tab = visit()
    tab.locator(".circumplex text", has_text="happy").click()
    with tab.expect_download() as download:
        tab.locator("#save").click()
    download.value.save_as(tmp_path / "edited.jpg")
    edited = read_photo(tmp_path / "edited.jpg")
    assert edited.pixels.shape == (1500, 2000, 3)
    assert from_xmp(edited.xmp).edits.endswith(str(Affect(0.67, 0.08)))


def test_grid_animation_and_estimates_are_drawn(visit):
    tab = visit()
    tab.get_by_role("tab", name="Grid").click()
    tab.locator("#draw").click()
    tab.locator("#sheet img").wait_for()
    tab.get_by_role("tab", name="Animate").click()
    tab.locator("#play").click()
    tab.locator("#film img").wait_for()
    tab.get_by_role("tab", name="Estimate").click()
    tab.locator("#overlay img").wait_for()


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_a_narrow_screen_shows_all_of_it(visit, scheme):
    tab = visit(width=400, height=800, color_scheme=scheme)
    assert tab.evaluate("document.documentElement.scrollWidth") <= 400
    svg = tab.locator(".circumplex [role=slider]")
    svg.scroll_into_view_if_needed()
    assert svg.bounding_box()["width"] > 250


def test_no_file_of_the_machine_is_served(address, photo, tmp_path):
    (tmp_path / "private.txt").write_text("private")
    paths = [tmp_path / "private.txt", photo, "/etc/passwd", "../../../../etc/passwd", "%2e%2e/%2e%2e/etc/passwd"]
    for path in paths:
        with pytest.raises(urllib.error.HTTPError) as raised:
            urllib.request.urlopen(f"{address}gradio_api/file={str(path).replace(' ', '%20')}")
        assert raised.value.code in (403, 404)
    assert json.loads(urllib.request.urlopen(f"{address}config").read())["version"]


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


def test_the_preview_shows_colours_and_transparency_as_a_page_does(page, photo, tmp_path):
    pixels = read_photo(photo).pixels.copy()
    pixels[:150] = (255, 0, 0)
    opacity = np.full(pixels.shape[:2], 255, np.uint8)
    opacity[:100] = 0
    swapped = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    swapped = swapped.replace(b"rXYZ", b"?XYZ", 1).replace(b"gXYZ", b"rXYZ", 1).replace(b"?XYZ", b"gXYZ", 1)
    write_photo(tmp_path / "a.png", Photo(pixels, alpha=opacity, icc=swapped))
    session, *_ = page.open(str(tmp_path / "a.png"))
    assert session.scale < 1
    assert (session.preview[:50] == 255).all()
    assert np.abs(session.preview[60:70].astype(int) - (0, 255, 0)).max() <= 2
    with Image.open(page.animate(session, "neutral,happy", 0.2, True)) as film:
        assert np.abs(np.asarray(film.convert("RGB"))[:40].astype(int) - 255).max() <= 3
    assert read_photo(page.download(session, 0.5, 0)).alpha[0, 0] == 0


def test_where_files_lie_on_the_server_is_not_told(page, photo, monkeypatch, tmp_path):
    session, *_ = page.open(str(photo))
    page.folder.chmod(0o755)
    monkeypatch.setattr(page, "_output", lambda session, name: tmp_path / "none" / name)
    with pytest.raises(gr.Error) as raised:
        page.download(session, 0.5, 0)
    assert "cannot write edited.jpg" in str(raised.value)
