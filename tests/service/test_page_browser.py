"""The workstation in a real browser, by its keyboard alone: set-up, files, progress, result, export; and whether
everybody can use it. SCREENSHOTS=FOLDER keeps what was seen.
"""

import csv
import io
import os
import shutil
from pathlib import Path

import pytest
from PIL import Image

from service.page_kit import series

sync_api = pytest.importorskip("playwright.sync_api", reason="a browser needs playwright, of the extra heclstm[test]")
axe = pytest.importorskip("axe_playwright_python.sync_playwright", reason="axe-core comes with the extra heclstm[test]")
CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="no Chromium here; apt-get install chromium")

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
            shown = Image.open(io.BytesIO(self.page.screenshot(full_page=True)))
            shown.convert("RGB").quantize(96).save(Path(folder, f"{name}.png"), optimize=True)


@pytest.fixture(scope="module")
def seen():
    """What the console of the browser told, and where requests went."""
    return {"console": [], "hosts": set()}


@pytest.fixture(scope="module")
def browser():
    with sync_api.sync_playwright() as playwright:
        started = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])  # root, in containers
        yield started
        started.close()


@pytest.fixture(scope="module")
def person(browser, workstation, seen):
    context = browser.new_context(**LOOKS["light"], accept_downloads=True)
    page = context.new_page()
    page.set_default_timeout(WAIT_MILLISECONDS)
    page.on("filechooser", lambda chooser: None)  # from now on, so that no dialog of the system ever opens
    page.on("console", lambda message: seen["console"].append(message.text))
    page.on("pageerror", lambda error: seen["console"].append(str(error)))
    page.on("request", lambda request: seen["hosts"].add(request.url.split("/")[2] if "//" in request.url else "data"))
    page.goto(workstation.link)
    page.wait_for_url(f"{workstation.origin}/setup")
    yield Person(page)
    context.close()


@pytest.fixture(scope="module")
def connected(person, page_server):
    """The set-up, by keyboard: the server's certificate and its model are seen before keys are made."""
    person.type("#url", page_server.url)
    person.type("#token", page_server.token("page"))
    person.press("summary", leads=False)
    person.type("#ca", page_server.authority.read_text())
    person.press("form[action='/setup'] button")
    person.sees("dd", page_server.config.address[0])
    person.sees("dd", "nobody vouches for it")
    person.sees("p", "Public ones, 2.7 MB")
    person.keeps("offer")
    person.press("form[action='/setup/keys'] button")
    person.sees("p", "You can diagnose now")
    person.press("main a.button")
    person.sees("h2", "Images of one patient")
    return person


@pytest.fixture(scope="module")
def diagnosed(connected, tmp_path_factory):
    """One study of a patient, from its files to the page of its result. Returns (person, address)."""
    person = connected
    person.hand_in(series(tmp_path_factory.mktemp("first"), day="20250130"))
    for words in ("Doe, Jane", "4711", "1980-05-17", "2025-01-30"):
        person.sees("dd", words)
    person.sees("p", "2 frames of 2 DICOM files, by instance number")
    person.sees("p", "49.4 kB that only you can read")
    person.keeps("look")
    person.go_to("#keep")
    person.keyboard.press("Space")
    person.press("form[action$='/start'] button")
    person.sees(".badge", "tive")
    person.keeps("result")
    return person, person.page.url


def test_a_result_tells_what_it_is_worth(diagnosed):
    person, address = diagnosed
    text = person.page.locator("main").inner_text()
    for words in (
        "Doe, Jane", "the score", "operating point +0.250", "It misses: of 100 patients", "It raises false alarms",
        "What it does not say", "Frame 2", "Model trained on: someone, ä",
    ):  # fmt: skip
        assert words in text, words
    assert person.page.locator(".frames img").count() == 2


def test_a_result_is_exported(diagnosed):
    person, address = diagnosed
    for kind in ("sr", "csv", "html", "json"):
        with person.page.expect_download() as download:
            person.press(f"a[href$='/export/{kind}']", leads=False)
        content = download.value.path().read_bytes()
        assert "Doe" not in download.value.suggested_filename
        assert (b"Doe^Jane" if kind == "sr" else b"Doe, Jane") in content
        if kind == "csv":
            (row,) = csv.DictReader(io.StringIO(content.decode()))
            assert (row["patient"], row["day"], row["study"]) == ("Doe, Jane, 4711", "2025-01-30", "follow-up")
    assert person.page.pdf()[:5] == b"%PDF-"


def test_two_results_of_a_patient_stand_side_by_side(diagnosed, tmp_path):
    person, address = diagnosed
    person.press("nav a[href='/']")
    person.hand_in(series(tmp_path, day="20260131", level=160))
    person.press("form[action$='/start'] button")
    person.sees("p", "This result is erased when the workstation ends")
    person.press("form[action$='/keep'] button")
    person.press("a[href^='/compare']")
    person.sees("h1", "Two results")
    assert person.page.locator("section h2").all_inner_texts() == [
        "2025-01-30: Doe, Jane, 4711",
        "2026-01-31: Doe, Jane, 4711",
    ]
    assert person.page.locator(".alarm").count() == 0
    person.keeps("compare")
    person.press("nav a[href='/history']")
    person.type("#words", "jane 2025")
    person.press("form[role=search] button")
    person.sees("[role=status]", "1 study")
    assert "jane" not in person.page.url


def test_series_are_chosen_before_anything_is_sent(diagnosed, tmp_path):
    from dicom_kit import uid

    person, _ = diagnosed
    files = series(tmp_path / "a") + series(tmp_path / "b", SeriesInstanceUID=uid("b"), SeriesNumber=2)
    person.press("nav a[href='/']")
    drop(person.page, files)
    person.sees("legend", "There are several series: choose one")
    assert person.page.locator("form[action$='/start']").count() == 0
    person.go_to("#series-1, #series-2")
    person.keyboard.press("Space")
    person.press("form[action$='/choose'] button")
    person.sees("h2", "2 frames, in their order")
    person.press("form[action$='/erase'] button")
    person.sees("h2", "Images of one patient")


def drop(page, files):
    """As a mouse would: there is no other way to drop."""
    contents = [{"name": f"{path.parent.name}-{path.name}", "bytes": list(path.read_bytes())} for path in files]
    page.evaluate(
        """files => {
            const transfer = new DataTransfer();
            for (const {name, bytes} of files) transfer.items.add(new File([new Uint8Array(bytes)], name));
            const event = new DragEvent("drop", {dataTransfer: transfer, bubbles: true});
            document.getElementById("drop").dispatchEvent(event);
        }""",
        contents,
    )


def test_files_of_two_patients_are_told_and_not_sent(diagnosed, tmp_path):
    person, _ = diagnosed
    person.press("nav a[href='/']")
    person.hand_in(series(tmp_path / "a")[:1] + series(tmp_path / "b", id="4712", name="Roe^Jim")[1:])
    person.sees("[role=alert]", "holds images of 2 patients")
    assert person.page.locator("form[action$='/start']").count() == 0
    person.press("form[action$='/erase'] button")


def test_the_server_is_asked_for_its_state(diagnosed):
    person, _ = diagnosed
    person.press("nav a[href='/status']")
    person.press("form[action='/status'] button")
    person.sees("dd", "answers")
    person.sees("dd", "ready")


@pytest.mark.parametrize("look", LOOKS)
def test_everybody_can_use_every_page(browser, workstation, diagnosed, look):
    """axe-core finds nothing against WCAG 2.2 AA, and nothing must be scrolled sideways to be read."""
    person, address = diagnosed
    found = [record["id"] for record in _records(workstation)]
    context = browser.new_context(**LOOKS[look], storage_state=person.page.context.storage_state())
    page = context.new_page()
    problems = []
    for place in ("/", "/setup", "/history", "/status", f"/compare?of={found[0]}&of={found[1]}", "/unlock", "/nothing"):
        problems += problems_of(page, workstation.origin + place)
    problems += problems_of(page, address)
    if look == "dark":
        Person(page).keeps("result-dark")
    context.close()
    assert problems == []


def _records(workstation):
    from heclstm.page.records import Records
    from heclstm.storage.typed import plain

    return [plain(record) for record in Records(workstation.site).all() if record.state == "done"]


def problems_of(page, address):
    page.goto(address)
    found = axe.Axe().run(page, options=RULES).response["violations"]
    told = [f"{address}: {each['id']}: {node['html']}" for each in found for node in each["nodes"]]
    width, room = page.evaluate("() => [document.scrollingElement.scrollWidth, document.scrollingElement.clientWidth]")
    return told + ([f"{address}: is {width} pixels wide, has {room}"] if width > room else [])


@pytest.mark.parametrize("look", LOOKS)
def test_everybody_can_use_the_page_of_the_operator(browser, page_server, look):
    token = page_server.token("operator", scopes=("operator",))
    credentials = {"username": "operator", "password": token}
    context = browser.new_context(**LOOKS[look], http_credentials=credentials, ignore_https_errors=True)
    page = context.new_page()
    told = []
    page.on("console", lambda message: told.append(message.text))
    page.goto(f"{page_server.url}/operator", wait_until="load")
    told.clear()  # that a password was asked for, and that browsers look for an icon
    assert problems_of(page, f"{page_server.url}/operator") == []
    assert [each for each in told if "favicon" not in each] == []
    if look == "light":
        Person(page).keeps("operator")
    context.close()


def test_axe_finds_what_is_wrong(browser):
    page = browser.new_page()
    page.set_content("<html><body><img src='data:,'><p style='color: #999; background: #aaa'>grey</p></body></html>")
    found = {each["id"] for each in axe.Axe().run(page, options=RULES).response["violations"]}
    page.close()
    assert found >= {"image-alt", "color-contrast", "html-has-lang"}


def test_all_of_it_in_german(diagnosed, workstation, browser):
    person, address = diagnosed
    context = browser.new_context(**LOOKS["400 px"], storage_state=person.page.context.storage_state())
    page = context.new_page()
    page.goto(workstation.origin)
    page.select_option("#language", "de")
    with page.expect_navigation():
        page.click("nav form[action='/language'] button")
    page.goto(address)
    assert page.locator("html").get_attribute("lang") == "de"
    assert "Was das Ergebnis nicht sagt" in page.locator("main").inner_text()
    assert problems_of(page, address) == []
    Person(page).keeps("result-narrow-de")
    context.close()


def test_the_console_is_clean_and_nothing_else_was_asked(diagnosed, workstation, seen):
    assert seen["console"] == []
    assert seen["hosts"] <= {workstation.host, "data"}
