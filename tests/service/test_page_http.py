"""Who may speak to the workstation, and what it takes: asked as any program of this machine can."""

import re
import socket
import struct
import subprocess
import sys
from pathlib import Path

import httpx
import pytest

from heclstm.page.app import DONE, LOOKED_AT
from heclstm.page.guard import FORM_BYTES_MAX
from heclstm.page.records import Records
from heclstm.page.session import COOKIE, LANGUAGE
from service.page_kit import Workstation

ID = "0" * 32
PATHS = [path.replace("{id}", ID).replace("{kind}", "csv") for path in LOOKED_AT]


@pytest.fixture(scope="module")
def mine(workstation):
    """A client with the session, as the browser that was led there."""
    with workstation.http(origin=workstation.origin) as http:
        ticket = workstation.link.removeprefix(workstation.origin)
        answer = http.get(ticket)
        assert answer.status_code == 200
        cookie = answer.headers["set-cookie"]
        assert re.fullmatch(rf"{COOKIE}=[\w-]{{43}}; Path=/; HttpOnly; SameSite=Strict", cookie)
        http.headers["cookie"] = cookie.partition(";")[0]
        yield http


def test_the_link_works_once(workstation, mine):
    ticket = workstation.link.removeprefix(workstation.origin)
    with workstation.http() as other:
        assert other.get(ticket).status_code == 403
        assert "set-cookie" not in other.get(ticket).headers
        assert other.get("/start?ticket=").status_code == other.get("/start").status_code == 403
    again = mine.get(ticket)  # whoever has the session is led on, and gets no other
    assert again.status_code == 200
    assert "set-cookie" not in again.headers


@pytest.mark.parametrize("path", [*PATHS, "/static/page.js", "/nothing"])
def test_without_a_session_nothing_is_shown(workstation, path):
    with workstation.http() as other:
        answer = other.get(path)
        assert answer.status_code == 403
        assert "has no session" in answer.text
        for cookie in (f"{COOKIE}=", f"{COOKIE}={'x' * 43}", "a=b", f"{COOKIE}=é".encode("latin-1")):
            assert other.get(path, headers={"cookie": cookie}).status_code == 403


@pytest.mark.parametrize("path", DONE)
def test_without_a_session_nothing_is_done(workstation, path):
    with workstation.http(origin=workstation.origin) as other:
        assert other.post(path.replace("{id}", ID)).status_code == 403


@pytest.mark.parametrize("host", ["evil.example", "127.0.0.1", "localhost", "", "x.localhost"])
def test_another_name_for_this_machine_is_refused(workstation, mine, host):
    """DNS rebinding: the browser asks us under a name of somebody else's."""
    for name in (host, f"{host}:{workstation.port}"):
        assert mine.get("/setup", headers={"host": name}).status_code == 421
        assert mine.get(workstation.link.removeprefix(workstation.origin), headers={"host": name}).status_code == 421


@pytest.mark.parametrize(
    "origin", ["http://evil.example", "null", "http://127.0.0.1", "https://{host}", "http://{host}.x"]
)
def test_forms_of_other_pages_are_refused(workstation, mine, origin):
    headers = {"origin": origin.format(host=workstation.host)}
    for path in ("/studies", "/language", "/quit", "/setup"):
        assert mine.post(path, headers=headers).status_code == 403
    assert mine.get("/setup", headers=headers).status_code == 403
    assert workstation.process.poll() is None


def test_a_form_without_an_origin_is_refused(workstation, mine):
    with workstation.http(cookie=mine.headers["cookie"]) as other:
        assert other.post("/studies").status_code == 403


@pytest.mark.parametrize("site", ["cross-site", "same-site"])
def test_other_pages_cannot_embed_ours(mine, site):
    assert mine.get("/setup", headers={"sec-fetch-site": site}).status_code == 403


def test_every_answer_forbids_other_origins(workstation, mine):
    with workstation.http() as other:
        answers = [mine.get("/setup"), mine.get("/nothing"), mine.get("/static/page.js"), other.get("/")]
    nonces = set()
    for answer in answers:
        policy = answer.headers["content-security-policy"]
        assert policy.startswith("default-src 'none'; script-src 'self'; ")
        assert "frame-ancestors 'none'" in policy
        assert not re.search(r"unsafe|\*|https?:|wss?:", policy)
        nonces.add(re.search(r"'nonce-([\w-]+)'", policy)[1])
        assert answer.headers["cache-control"] == "no-store"
        assert answer.headers["x-content-type-options"] == "nosniff"
        assert answer.headers["cross-origin-resource-policy"] == "same-origin"
        assert "server" not in answer.headers
    assert len(nonces) == len(answers)
    assert not re.search(r"<script(?! src=)|\son\w+=|style=|https?://(?!he\.example)", mine.get("/setup").text)


def test_it_listens_at_this_machine_alone(workstation):
    rows = [line.split() for line in Path("/proc/net/tcp").read_text().splitlines()[1:]]
    mine = [row[1] for row in rows if row[3] == "0A" and int(row[1].split(":")[1], 16) == workstation.port]
    assert [socket.inet_ntoa(struct.pack("<I", int(each.split(":")[0], 16))) for each in mine] == ["127.0.0.1"]


def test_a_form_has_an_end(mine):
    answer = mine.post("/language", content=b"language=" + b"x" * FORM_BYTES_MAX)
    assert answer.status_code == 413


def begun(mine):
    answer = mine.post("/studies")
    assert answer.status_code == 201
    return answer.json()["id"]


@pytest.mark.parametrize(
    "name", ["..", "../x", "a/../../x", "%2Fetc%2Fx", "", ".", "a%00b", "a%0Ab", "c:x", "x" * 300, "%FF"]
)
def test_files_stay_below_their_folder(workstation, mine, name):
    study = begun(mine)
    before = sorted(workstation.site.parent.rglob("*"))
    answer = mine.put(f"/studies/{study}/files", content=b"x", headers={"x-name": name})
    assert answer.status_code == 422
    assert "problem" in answer.json()
    assert sorted(workstation.site.parent.rglob("*")) == before


def test_what_is_taken_is_for_its_owner_alone_and_can_be_erased(workstation, mine):
    study = begun(mine)
    answer = mine.put(f"/studies/{study}/files", content=b"some pixels", headers={"x-name": "a%20b/c.png"})
    assert (answer.status_code, answer.json()) == (201, {"bytes": 11})
    folder = workstation.site / "workstation" / study
    assert (folder / "files" / "a b" / "c.png").read_bytes() == b"some pixels"
    for path in (workstation.site / "workstation", folder, *folder.rglob("*")):
        if path.name != "a b":
            assert path.stat().st_mode & 0o077 == 0, path
    assert mine.post(f"/studies/{study}/erase").status_code == 303
    assert not folder.exists()
    assert mine.get(f"/studies/{study}").status_code == 404


def test_what_the_page_refuses_is_told_in_the_language_of_its_reader(mine):
    study = begun(mine)
    told = {}
    for code in ("en", "de"):
        cookie = f"{mine.headers['cookie']}; {LANGUAGE}={code}"
        for _ in range(2):
            headers = {"x-name": f"{code}.png", "cookie": cookie}
            answer = mine.put(f"/studies/{study}/files", content=b"x", headers=headers)
        told[code] = answer.json()["problem"]
    assert told == {
        "en": "en.png: came twice; drop the folders in which these files lie",
        "de": "de.png: kam zweimal; ziehen Sie die Ordner herein, in denen diese Dateien liegen",
    }
    assert mine.post(f"/studies/{study}/erase").status_code == 303


def test_before_a_server_is_known_all_leads_to_the_set_up(mine):
    for path in ("/", "/status", "/setup/offer", "/setup/keys"):
        assert mine.get(path).headers["location"] == "/setup"


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"url": "http://he.example.org", "token": "x"}, "the token would travel in clear"),
        ({"url": "https://he.example.org", "token": ""}, "token: is missing"),
        ({"url": "nonsense", "token": "x"}, "expected https://HOST"),
        ({"url": "https://127.0.0.1:1", "token": "x", "ca": "no certificate"}, "begins with -----BEGIN"),
    ],
)
def test_a_wrong_server_is_told_beside_the_form(workstation, mine, fields, words):
    answer = mine.post("/setup", data=fields)
    assert answer.status_code == 422
    assert words in answer.text
    assert 'role="alert"' in answer.text
    assert not (workstation.site / "site.json").exists()


def test_an_error_from_deeper_is_told_in_the_language_of_its_reader(mine):
    headers = {"cookie": f"{mine.headers['cookie']}; {LANGUAGE}=de"}
    told = mine.post("/setup", data={"url": "http://he.example.org", "token": "x"}, headers=headers).text
    assert "URL: ist http, so dass das Token im Klaren ginge; erwartet wird https://HOST[:PORT]" in told


def test_the_token_stands_on_no_page(mine):
    assert "sesame" not in mine.post("/setup", data={"url": "nonsense", "token": "sesame"}).text


def test_what_nobody_asked_to_keep_goes(tmp_path):
    records = Records(tmp_path)
    kept, lost, sent = (records.new() for _ in range(3))
    records.change(kept.id, kept=True)
    records.change(sent.id, query="1" * 32)
    records.erase_unwanted(lambda record: record.query is not None)
    assert {each.id for each in records.all()} == {kept.id, sent.id}
    assert records.get(lost.id) is None
    assert records.get("../" + kept.id) is None
    (records.folder / kept.id / "record.json").write_text("{")
    assert [each.id for each in records.all()] == [sent.id]


def test_names_are_found_and_changes_are_checked(tmp_path):
    from heclstm.errors import InputError

    records = Records(tmp_path)
    record = records.change(records.new().id, patient="Doe, Jane", number="4711", taken="2026-01-31")
    assert record.is_about("jane 2026")
    assert not record.is_about("john")
    assert (record.who, record.day) == ("4711", "2026-01-31")
    for wrong in ({"patient": "a\nb"}, {"patient": "x" * 201}, {"taken": "yesterday"}, {"row": -1}):
        with pytest.raises(InputError, match="study"):
            records.change(record.id, **wrong)
    assert records.get(record.id) == record
    with pytest.raises(InputError, match="was erased"):
        records.change(ID, kept=True)


def test_the_end_by_the_page(tmp_path):
    started = Workstation(tmp_path / "site", tmp_path / "log")
    with started.http(origin=started.origin) as http:
        http.headers["cookie"] = http.get(started.link.removeprefix(started.origin)).headers["set-cookie"].split(";")[0]
        begun(http)
        assert "has ended" in http.post("/quit").text
    assert started.process.wait(20) == 0
    assert not list((tmp_path / "site" / "workstation").iterdir())
    with pytest.raises(httpx.TransportError), started.http() as http:
        http.get("/")


def test_a_site_has_one_workstation_at_a_time(workstation):
    from service.kit import ENVIRONMENT

    command = [sys.executable, "-m", "heclstm.cli", "workstation", "--site", str(workstation.site), "--no-browser"]
    done = subprocess.run(command, env=ENVIRONMENT, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 2
    assert "another process is writing into it" in done.stderr
    assert "http://" not in done.stdout


def test_the_browser_is_given_the_link_in_a_private_file(tmp_path):
    from heclstm.page.serve import _opener

    path = _opener(tmp_path, "http://x.localhost:1/start?ticket=a-b")
    assert path.stat().st_mode & 0o777 == 0o600
    assert 'content="0;url=http://x.localhost:1/start?ticket=a-b"' in path.read_text()
