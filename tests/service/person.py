"""Who sits at the page, without a mouse or with one; and what axe-core finds wrong with a page."""

import io
import os
from pathlib import Path

import pytest
from PIL import Image

axe = pytest.importorskip("axe_playwright_python.sync_playwright", reason="axe-core comes with the extra heclstm[test]")
RULES = {"runOnly": {"type": "tag", "values": ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa"]}}
WAIT_MILLISECONDS = 60_000  # for keys and results, on a machine that is busy
# How a page may be looked at: 200 % zoom halves the pixels that it has.
LOOKS = {
    "light": {"viewport": {"width": 1100, "height": 800}, "color_scheme": "light"},
    "dark": {"viewport": {"width": 1100, "height": 800}, "color_scheme": "dark"},
    "400 px": {"viewport": {"width": 400, "height": 800}, "color_scheme": "light"},
    "200 %": {"viewport": {"width": 550, "height": 400}, "device_scale_factor": 2, "color_scheme": "light"},
}


class Person:
    """Who has a keyboard and no mouse."""

    def __init__(self, page):
        self.page, self.keyboard = page, page.keyboard

    def go_to(self, selector, tabs=60):
        """By Tab, until the element has the focus and shows that it has."""
        self.page.wait_for_load_state("load")
        for _ in range(tabs):
            if self.page.evaluate("selector => document.activeElement.matches(selector)", selector):
                shown = self.page.evaluate(
                    "() => { const at = document.activeElement, label = at.labels && at.labels[0];"
                    " return [at, label].some(e => e && getComputedStyle(e).outlineStyle === 'solid'); }"
                )
                assert shown, f"{selector}: has the focus, and does not show it"
                return
            self.keyboard.press("Tab")
        raise AssertionError(f"{selector}: is not reached by Tab")

    def type(self, selector, text):
        self.go_to(selector)
        self.keyboard.press("Control+A")
        self.keyboard.insert_text(text)

    def press(self, selector, leads=True):
        """leads: to another page, which is waited for."""
        self.go_to(selector)
        if not leads:
            self.keyboard.press("Enter")
            return
        with self.page.expect_navigation():
            self.keyboard.press("Enter")

    def hand_in(self, files):
        self.go_to("#files")
        with self.page.expect_file_chooser() as chooser:
            self.keyboard.press("Space")
        chooser.value.set_files(files)
        self.sees("h1", "Look before you send")

    def sees(self, selector, text):
        self.page.locator(selector).filter(has_text=text).first.wait_for(timeout=WAIT_MILLISECONDS)

    def keeps(self, name):
        """A picture of what is seen, where somebody wants one."""
        if folder := os.environ.get("SCREENSHOTS"):
            keep(self.page, folder, name)


def keep(page, folder, name):
    """A picture of the whole page."""
    shown = Image.open(io.BytesIO(page.screenshot(full_page=True)))
    shown.convert("RGB").quantize(96).save(Path(folder, f"{name}.png"), optimize=True)


def axe_finds(page):
    """What is wrong with the page as it is."""
    return axe.Axe().run(page, options=RULES).response["violations"]


def problems_of(page, address, holds="main"):
    """holds: what has to stand on that page."""
    page.goto(address)
    if not page.locator(holds).count():
        return [f"{address}: has no {holds}"]
    found = axe_finds(page)
    told = [f"{address}: {each['id']}: {node['html']}" for each in found for node in each["nodes"]]
    width, room = page.evaluate("() => [document.scrollingElement.scrollWidth, document.scrollingElement.clientWidth]")
    return told + ([f"{address}: is {width} pixels wide, has {room}"] if width > room else [])


def drop(page, paths):
    """Files and folders, dragged from the desktop by a mouse: there is no other way to drop."""
    box, session = page.locator("#drop").bounding_box(), page.context.new_cdp_session(page)
    place = {"x": box["x"] + box["width"] / 2, "y": box["y"] + box["height"] / 2}
    data = {"items": [], "files": [str(path) for path in paths], "dragOperationsMask": 1}
    for kind in ("dragEnter", "dragOver", "drop"):
        session.send("Input.dispatchDragEvent", {"type": kind, "data": data, **place})
    session.detach()
