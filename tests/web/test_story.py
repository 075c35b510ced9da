"""The page with the shipped weights on a real photo, as a visitor goes through it; makes the pictures of docs/web.md.

FACEEDIT_SCREENSHOTS=docs/pictures uv run pytest tests/web/test_story.py
"""

import io
import os
from pathlib import Path

import pytest
from PIL import Image, ImageOps

from faceedit.circumplex import EMOTIONS
from faceedit.editing.editor import FaceEditor
from tests.conftest import ASTRONAUT
from tests.web.test_browser import choose_emotion, source_of_edited, wait_for_change

MAX_BYTES, MAX_WIDTH = 60_000, 900  # of a picture in git, pixels


@pytest.fixture(scope="module")
def real_address(tmp_path_factory):
    pytest.importorskip("gradio", reason="the page needs Gradio: faceedit[web]")
    from faceedit.web.server import launch

    blocks = launch(FaceEditor.from_pretrained(device="cpu"), tmp_path_factory.mktemp("web"), "127.0.0.1", None)
    yield blocks.local_url
    blocks.close(verbose=False)


@pytest.fixture
def people(tmp_path):
    """A photo of two people, who look alike."""
    with Image.open(ASTRONAUT) as photo:
        both = Image.new("RGB", (1024, 768), (64, 70, 80))
        both.paste(photo, (0, 256))
        both.paste(ImageOps.mirror(photo), (512, 256))
    both.crop((0, 256, 1024, 768)).save(tmp_path / "people.jpg", quality=95)
    return tmp_path / "people.jpg"


def keep(tab, name: str) -> None:
    """Write a picture of the page where FACEEDIT_SCREENSHOTS says, small enough for git."""
    folder = os.environ.get("FACEEDIT_SCREENSHOTS")
    if not folder:
        return
    image = Image.open(io.BytesIO(tab.screenshot())).convert("RGB")
    image.thumbnail((MAX_WIDTH, MAX_WIDTH), Image.Resampling.LANCZOS)
    path = Path(folder) / f"{name}.webp"
    for quality in (85, 75, 65, 55, 45, 35):
        image.save(path, quality=quality, method=6)
        if path.stat().st_size <= MAX_BYTES:
            return
    pytest.fail(f"{path} is larger than {MAX_BYTES} bytes")


@pytest.mark.parametrize(("size", "name"), [((1280, 900), "web"), ((400, 800), "web-narrow")])
def test_two_people_are_given_two_expressions(empty, real_address, people, size, name):
    tab = empty(*size, at=real_address)
    tab.locator("input[type=file]").first.set_input_files(people)
    tab.locator("[data-face]").nth(1).wait_for(timeout=60_000)
    assert tab.locator("[data-face='1']").get_attribute("aria-label") == "face 1, looks happy"
    before = source_of_edited(tab)
    tab.locator(".circumplex text", has_text="sad").click()
    wait_for_change(tab, before)
    tab.locator("[data-face='2']").click()
    tab.wait_for_function("document.querySelector('[data-face=\"2\"]').ariaPressed === 'true'")
    choose_emotion(tab, "surprised")
    said = tab.locator("#said").inner_text()
    assert said.startswith("Face 2 looks happy")
    assert str(EMOTIONS["surprised"]) in said
    if size[0] == 400:
        tab.locator("#picture").scroll_into_view_if_needed()
        tab.evaluate("window.scrollTo(0, document.querySelector('#picture').getBoundingClientRect().top + scrollY - 8)")
    keep(tab, name)
