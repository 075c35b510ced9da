"""The page in a real browser, at two sizes, by mouse, keyboard and screen reader."""

import json
import time
import urllib.error
import urllib.request

import numpy as np
import pytest

from faceedit.circumplex import EMOTIONS
from faceedit.media.image import Photo, read_photo, write_photo
from faceedit.media.provenance import from_xmp

pytest.importorskip("gradio", reason="the page needs Gradio: faceedit[web]")


def source_of_edited(tab) -> str:
    return tab.locator("#picture img.after").get_attribute("src")


def wait_for_change(tab, before: str) -> None:
    deadline = time.monotonic() + 20
    while source_of_edited(tab) == before:
        assert time.monotonic() < deadline, "the picture did not change"
        tab.wait_for_timeout(20)


def choose_emotion(tab, name: str) -> None:
    before = source_of_edited(tab)
    tab.locator(".emotions").get_by_role("button", name=name).click()
    wait_for_change(tab, before)


def value_of(tab, label: str) -> float:
    return float(tab.get_by_label(f"number input for {label}").first.input_value())


def reaches(tab, label: str, value: float) -> None:
    deadline = time.monotonic() + 10
    while abs(value_of(tab, label) - value) > 0.011:
        assert time.monotonic() < deadline, f"{label} is {value_of(tab, label)}, not {value}"
        tab.wait_for_timeout(20)


def test_a_click_a_drag_and_the_arrow_keys_move_the_face(visit):
    tab = visit()
    svg = tab.locator(".circumplex [role=slider]")
    box = svg.bounding_box()
    before = source_of_edited(tab)
    tab.mouse.click(box["x"] + 0.65 * box["width"], box["y"] + 0.58 * box["height"])
    wait_for_change(tab, before)
    assert value_of(tab, "Valence") == pytest.approx(0.33, abs=0.03)
    assert value_of(tab, "Arousal") == pytest.approx(-0.18, abs=0.03)
    assert svg.evaluate("svg => getComputedStyle(svg).outlineStyle") == "none"
    before = source_of_edited(tab)
    tab.mouse.down()
    tab.mouse.move(box["x"] + 0.6 * box["width"], box["y"] + 0.3 * box["height"], steps=5)
    tab.mouse.up()
    wait_for_change(tab, before)
    reaches(tab, "Arousal", 0.44)
    svg.focus()
    valence = value_of(tab, "Valence")
    before = source_of_edited(tab)
    tab.keyboard.press("ArrowRight")
    wait_for_change(tab, before)
    assert value_of(tab, "Valence") == pytest.approx(valence + 0.05, abs=0.005)
    assert f"{valence + 0.05:.2f}" in svg.get_attribute("aria-valuetext")
    assert svg.evaluate("svg => getComputedStyle(svg).outlineStyle") == "solid"


def test_a_slider_shows_that_the_keyboard_is_on_it_but_not_the_mouse(visit):
    tab = visit()
    slider = tab.get_by_label("range slider for Valence")
    outline = "slider => getComputedStyle(slider).outlineStyle"
    slider.click()
    assert slider.evaluate(outline) == "none"
    tab.get_by_label("number input for Valence").focus()
    for _ in range(2):  # over the button that sets it back
        tab.keyboard.press("Tab")
    assert slider.evaluate("slider => slider === document.activeElement")
    assert slider.evaluate(outline) == "solid"


def test_a_drag_is_undone_as_one(visit):
    tab = visit()
    box = tab.locator(".circumplex [role=slider]").bounding_box()
    choose_emotion(tab, "happy")
    before = source_of_edited(tab)
    tab.mouse.move(box["x"] + 0.4 * box["width"], box["y"] + 0.4 * box["height"])
    tab.mouse.down()
    for step in range(5):
        tab.mouse.move(box["x"] + (0.5 + 0.02 * step) * box["width"], box["y"] + 0.3 * box["height"])
        tab.wait_for_timeout(100)
    tab.mouse.up()
    wait_for_change(tab, before)
    reaches(tab, "Arousal", 0.44)
    tab.wait_for_timeout(500)
    tab.locator("#undo").click()
    reaches(tab, "Valence", round(EMOTIONS["happy"].valence, 2))
    tab.locator("#redo").click()
    reaches(tab, "Arousal", 0.44)
    tab.locator("#reset").click()
    tab.wait_for_function("document.querySelector('#save').disabled")


def test_faces_are_chosen_on_the_picture_and_edits_add_up(visit):
    tab = visit()
    choose_emotion(tab, "happy")
    bar = tab.locator("#picture input")
    bar.fill("40")
    clip = "getComputedStyle(document.querySelector('#picture .before')).clipPath"
    assert "60%" in tab.evaluate(clip)
    tab.locator("[data-face='2']").click()
    tab.wait_for_function("document.querySelector('[data-face=\"2\"]').ariaPressed === 'true'")
    assert "Face 2" in tab.locator("#said").inner_text()
    one = source_of_edited(tab)
    choose_emotion(tab, "excited")
    tab.locator("[data-face='1']").click()
    reaches(tab, "Valence", round(EMOTIONS["happy"].valence, 2))
    assert source_of_edited(tab) != one
    assert bar.input_value() == "40"
    assert "60%" in tab.evaluate(clip)
    tab.locator("[data-face='2']").focus()
    tab.keyboard.press("Enter")
    reaches(tab, "Arousal", 0.49)


@pytest.mark.parametrize("button", ["#save", "#picture [data-download]"])
def test_what_is_downloaded_is_the_whole_photo_and_says_what_it_is(visit, tmp_path, button):
    tab = visit()
    choose_emotion(tab, "happy")
    with tab.expect_download() as download:
        tab.locator(button).click()
    download.value.save_as(tmp_path / "edited.jpg")
    edited = read_photo(tmp_path / "edited.jpg")
    assert edited.pixels.shape == (1500, 2000, 3)
    assert from_xmp(edited.xmp).edits.endswith(str(EMOTIONS["happy"]))
    shown = tab.evaluate("[...document.querySelectorAll('img:not([hidden])')].map(img => img.className)")
    assert shown == ["", "after", "before"]  # with the thumbnail; what Gradio would offer for download is not there
    assert not tab.locator("#picture a").count()


def test_grid_and_animation_are_drawn_and_fetched_with_their_mark(visit, tmp_path):
    tab = visit()
    for name, button, shown in (("Grid", "#draw", "#sheet"), ("Animate", "#play", "#film")):
        tab.get_by_role("tab", name=name).click()
        tab.locator(button).click()
        tab.locator(f"{shown} img").wait_for()
        tab.wait_for_function(f"document.querySelector('{shown} img').naturalWidth > 0")
        link = tab.locator(f"{shown} a")
        assert "underline" in link.evaluate("link => getComputedStyle(link).textDecorationLine")
        with tab.expect_download() as download:
            link.click()
        download.value.save_as(tmp_path / download.value.suggested_filename)
    assert from_xmp(read_photo(tmp_path / "face-grid.png").xmp)
    assert from_xmp(read_photo(tmp_path / "face-animated.webp").xmp)
    tab.get_by_label("MP4").check()
    tab.locator("#play").click()
    tab.locator("#film video").wait_for()
    tab.wait_for_function("document.querySelector('#film video').videoWidth > 0")


def test_an_empty_page_says_what_to_do_and_has_an_example(empty):
    tab = empty()
    assert "Open a photo" in tab.locator("#picture .empty").inner_text()
    tab.locator("#example").click()
    tab.locator("#thumbnail img").wait_for()
    tab.locator("#picture img.after").wait_for()
    assert not tab.locator("#picture .empty").is_visible()


def test_a_photo_can_be_taken_away(visit):
    tab = visit()
    tab.locator("#upload button[aria-label]").last.click()
    tab.locator("#picture .empty").wait_for()
    assert not tab.locator("#thumbnail").is_visible()
    assert not tab.locator("[data-face]").count()


def test_one_message_for_one_mistake(empty, tmp_path):
    tab = empty()
    write_photo(tmp_path / "wall.png", Photo(np.full((300, 400, 3), 90, np.uint8)))
    tab.locator("input[type=file]").first.set_input_files(tmp_path / "wall.png")
    tab.get_by_text("no upright face").wait_for()
    tab.wait_for_timeout(300)
    pills = tab.get_by_text("Error", exact=True)
    assert sum(pills.nth(index).is_visible() for index in range(pills.count())) == 1


def test_everything_that_matters_is_seen_at_once(visit):
    tab = visit()
    before = source_of_edited(tab)
    tab.locator(".circumplex [data-emotion=tired]").click()  # beyond the training labels, which takes the most words
    wait_for_change(tab, before)
    for one in ("#thumbnail img", "#upload", "#picture .stage", "#save", ".circumplex svg", ".emotions", "#notice"):
        box = tab.locator(one).bounding_box()
        assert box["y"] >= 0
        assert box["y"] + box["height"] <= 900, one
    strength = tab.get_by_label("number input for Strength").bounding_box()
    assert strength["y"] < 860
    beyond = [
        name for name in ("calm", "tired", "sad") if tab.locator(f".circumplex .beyond[data-emotion={name}]").count()
    ]
    assert beyond == ["tired", "sad"]  # the tiny editor's labels lie on the right
    assert not tab.locator(".emotions").get_by_role("button", name="sad").count()


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_a_narrow_screen_shows_picture_and_circle_together(visit, scheme):
    tab = visit(400, 800, color_scheme=scheme)
    assert tab.evaluate("document.documentElement.scrollWidth") <= 400
    picture, svg = (tab.locator(one).bounding_box() for one in ("#picture .stage", ".circumplex svg"))
    assert svg["y"] + svg["height"] - picture["y"] <= 800
    assert picture["width"] > 340
    assert svg["width"] > 250


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_a_screen_reader_finds_its_way(empty, photo, scheme):
    axe = pytest.importorskip("axe_playwright_python.sync_playwright").Axe()

    def check():
        tab.wait_for_timeout(400)  # colours fade in
        found = axe.run(tab).response["violations"]
        assert not [
            (item["id"], item["nodes"][0]["html"]) for item in found if item["impact"] in ("serious", "critical")
        ]

    tab = empty(color_scheme=scheme)
    check()
    tab.locator("input[type=file]").first.set_input_files(photo)
    tab.locator("[data-face]").nth(1).wait_for()
    choose_emotion(tab, "happy")
    check()
    for name, button, shown in (("Grid", "#draw", "#sheet img"), ("Animate", "#play", "#film img")):
        tab.get_by_role("tab", name=name).click()
        tab.locator(button).click()
        tab.locator(shown).wait_for()
        check()


def test_no_file_of_the_machine_is_served(address, photo, tmp_path):
    (tmp_path / "private.txt").write_text("private")
    paths = [tmp_path / "private.txt", photo, "/etc/passwd", "../../../../etc/passwd", "%2e%2e/%2e%2e/etc/passwd"]
    for path in paths:
        with pytest.raises(urllib.error.HTTPError) as raised:
            urllib.request.urlopen(f"{address}gradio_api/file={str(path).replace(' ', '%20')}")
        assert raised.value.code in (403, 404)
    assert json.loads(urllib.request.urlopen(f"{address}config").read())["version"]
