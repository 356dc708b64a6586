"""The workstation in a real browser, by its keyboard alone: set-up, files, progress, result, export; and whether
everybody can use it. SCREENSHOTS=FOLDER keeps what was seen.
"""

import contextlib
import csv
import io
import shutil
import signal
import zipfile

import pytest
from PIL import Image

from heclstm.templates.units import size
from service.page_kit import picture, series
from service.person import LOOKS, WAIT_MILLISECONDS, Person, axe_finds, drop, problems_of

sync_api = pytest.importorskip("playwright.sync_api", reason="a browser needs playwright, of the extra heclstm[test]")
CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="no Chromium here; apt-get install chromium")


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
    ask_for_an_offer(person, page_server)
    person.sees("dd", page_server.config.address[0])
    person.sees("dd", "nobody vouches for it")
    person.sees("p", f"Public ones, {size(page_server.key_bytes)}")
    person.keeps("offer")
    person.press("form[action='/setup/keys'] button")
    person.sees("p", "You can diagnose now")
    person.press("main a.button")
    person.sees("h2", "Images of one patient")
    return person


def ask_for_an_offer(person, page_server):
    person.type("#url", page_server.url)
    person.type("#token", page_server.token("page"))
    person.press("summary", leads=False)
    person.type("#ca", page_server.authority.read_text())
    person.press("form[action='/setup'] button")


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
    for kind in ("sr", "csv", "html", "json", "pdf"):
        with person.page.expect_download() as download:
            person.press(f"a[href$='/export/{kind}']", leads=False)
        content = download.value.path().read_bytes()
        assert "Doe" not in download.value.suggested_filename
        assert {"sr": b"Doe^Jane", "pdf": b"%PDF-"}.get(kind, b"Doe, Jane") in content
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
    series(tmp_path / "a")
    series(tmp_path / "b", SeriesInstanceUID=uid("b"), SeriesNumber=2)
    person.press("nav a[href='/']")
    drop(person.page, [tmp_path / "a", tmp_path / "b"])
    person.sees("legend", "There are several series: choose one")
    assert person.page.locator("form[action$='/start']").count() == 0
    person.go_to("#series-1, #series-2")
    person.keyboard.press("Space")
    person.press("form[action$='/choose'] button")
    person.sees("h2", "2 frames, in their order")
    person.press("form[action$='/erase'] button")
    person.sees("h2", "Images of one patient")


def handed_in(folder, kind):
    """What somebody drops: a folder in a folder, an archive, pictures. Returns (paths, what is said of them)."""
    if kind == "PNG":
        paths = [folder / f"{number}.png" for number in (1, 2)]
        for number, path in enumerate(paths):
            Image.fromarray(picture(number)).save(path)
        return paths, "2 frames of 2 pictures"
    files, said = series(folder / "visit" / "cine"), "2 frames of 2 DICOM files"
    if kind == "folder":
        return [folder / "visit"], said
    with zipfile.ZipFile(folder / "visit.zip", "w") as archive:
        for path in files:
            archive.write(path, f"cine/{path.name}")
    return [folder / "visit.zip"], said


@pytest.mark.parametrize("kind", ["folder", "zip", "PNG"])
def test_what_is_dropped_is_seen_as_frames(diagnosed, tmp_path, kind):
    person, _ = diagnosed
    person.press("nav a[href='/']")
    paths, said = handed_in(tmp_path, kind)
    drop(person.page, paths)
    person.sees("h1", "Look before you send")
    person.sees("p", said)
    assert person.page.locator(".strip img").count() == 2
    assert person.page.locator("form[action$='/start']").count() == 1
    person.press("form[action$='/erase'] button")


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


@contextlib.contextmanager
def held(server):
    """Whatever waits for the server goes on waiting, and can be looked at meanwhile."""
    server.process.send_signal(signal.SIGSTOP)
    try:
        yield
    finally:
        server.process.send_signal(signal.SIGCONT)


def test_everybody_can_use_pages_that_pass_by(browser, workstation, diagnosed, page_server, tmp_path):
    """An offer; files that have to be chosen of, and that can be sent; keys and a study on their way."""
    from dicom_kit import uid

    person, _ = diagnosed
    state = person.page.context.storage_state()
    contexts = [browser.new_context(**look, storage_state=state) for look in LOOKS.values()]
    pages = [context.new_page() for context in contexts]

    def problems(holds):
        return [each for page in pages for each in problems_of(page, person.page.url, holds)]

    person.page.goto(f"{workstation.origin}/setup")
    ask_for_an_offer(person, page_server)
    found = problems("#passphrase")
    with held(page_server):
        person.press("form[action='/setup/keys'] button")
        found += problems("#progress")
    person.sees("p", "You can diagnose now")

    person.press("main a.button")
    series(tmp_path / "several" / "a")
    series(tmp_path / "several" / "b", SeriesInstanceUID=uid("b"), SeriesNumber=2)
    drop(person.page, [tmp_path / "several"])
    person.sees("h1", "Look before you send")
    found += problems("input[name=series]")
    person.press("form[action$='/erase'] button")
    person.hand_in(series(tmp_path / "whole"))
    found += problems("form[action$='/start']")
    with held(page_server):
        person.press("form[action$='/start'] button")
        found += problems("#progress")
    person.sees(".badge", "tive")
    for context in contexts:
        context.close()
    assert found == []


def _records(workstation):
    from heclstm.page.records import Records
    from heclstm.storage.typed import plain

    return [plain(record) for record in Records(workstation.site).all() if record.state == "done"]


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
    found = {each["id"] for each in axe_finds(page)}
    page.close()
    assert found >= {"image-alt", "color-contrast", "html-has-lang"}


def test_all_of_it_in_german(diagnosed, workstation, browser, tmp_path):
    """Pages, and what is refused deep inside."""
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
    page.goto(workstation.origin)
    both = series(tmp_path / "a")[:1] + series(tmp_path / "b", id="4712", name="Roe^Jim")[1:]
    page.set_input_files("#files", both)
    reader = Person(page)
    reader.sees("[role=alert]", "enthält Bilder von 2 Patienten; geben Sie den Ordner oder die Dateien von einem")
    reader.press("form[action$='/erase'] button")  # waits for the page that follows: this one takes files as well
    page.set_input_files("#files", both[:1])
    reader.sees("[role=alert]", "Anzahl der Bilder: 1, erwartet werden 2")
    reader.press("form[action$='/erase'] button")
    context.close()


def test_the_console_is_clean_and_nothing_else_was_asked(diagnosed, workstation, seen):
    assert seen["console"] == []
    assert seen["hosts"] <= {workstation.host, "data"}
