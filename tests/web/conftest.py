"""The page in a real browser: needs `chromium` on the PATH (Debian: apt-get install chromium)."""

import shutil

import pytest


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
def empty(browser, address):
    """Opens the page at a size; every error of its scripts fails the test."""
    opened, errors = [], []

    def go(width=1280, height=900, at=address, **options):
        tab = browser.new_page(viewport={"width": width, "height": height}, **options)
        tab.on("pageerror", lambda error: errors.append(str(error)))
        tab.on("console", lambda line: errors.append(line.text) if "evaluating template" in line.text else None)
        opened.append(tab)
        tab.goto(at)
        tab.locator(".circumplex svg").wait_for()
        return tab

    yield go
    for tab in opened:
        tab.close()
    assert not errors


@pytest.fixture
def visit(empty, photo):
    """Opens the page at a size, with the photo on it."""

    def go(*size, **options):
        tab = empty(*size, **options)
        tab.locator("input[type=file]").first.set_input_files(photo)
        tab.locator("[data-face]").nth(1).wait_for()
        return tab

    return go
