"""Conversations without a socket: a list of answers, and what is asked, waited for and concluded."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import structs

from conversation import GET, LABEL, PATIENCE, A, B, C, play, problem, said
from heclstm.card.operating_point import OperatingPoint
from heclstm.card.signature import new_pair, sign
from heclstm.deploy.client import Client
from heclstm.errors import (
    DigestError,
    FileFormatError,
    InputError,
    NetworkError,
    RefusedError,
    SecurityError,
    SignatureError,
)
from heclstm.network import calls
from heclstm.network.address import Address
from heclstm.network.answers import Offered
from heclstm.network.patience import ask
from heclstm.network.steps import Answer, Ask, Cut
from heclstm.network.transport import Route
from heclstm.network.trust import choose, verify
from heclstm.program.public import save_card
from tiny_program import tiny_program

# ── patience ───────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    "trouble", [Cut("ReadError: "), said(503), problem(429, "rate-limited"), problem(500, "internal")]
)
def test_what_may_pass_is_tried_again(trouble):
    answer, asked, pauses = play(ask(GET, PATIENCE), [trouble, trouble, said()])
    assert answer.status == 200
    assert asked == [GET] * 3
    for pause, most in zip(pauses, (1.0, 2.0), strict=True):  # they double, each shortened by chance
        assert most / 2 <= pause <= most


@pytest.mark.parametrize("body", [b"[]", b"{", b'{"code": 1, "code": 2}'])
def test_a_problem_that_cannot_be_read_is_told_by_its_status(body):
    cut = Answer(503, {"content-type": "application/problem+json"}, body)
    answer, asked, _ = play(ask(GET, PATIENCE), [cut, said()])
    assert (answer.status, len(asked)) == (200, 2)


def test_a_server_says_how_long_to_wait_but_not_for_ever():
    busy = {"retry-after": "5"}, {"retry-after": "86400"}, {"retry-after": "soon"}
    _, _, pauses = play(ask(GET, PATIENCE), [problem(429, "rate-limited", headers=each) for each in busy] + [said()])
    assert pauses[:2] == [5.0, 6.0]
    assert pauses[2] <= 3.0


@pytest.mark.parametrize(
    ("answer", "match"),
    [
        (problem(401, "unauthorized"), "unauthorized: something; the token is wrong, expired or revoked"),
        (problem(429, "quota-daily"), "quota-daily: something; go on tomorrow"),
        (
            problem(410, "retired-program", successor=B),
            r"\(its successor is bbbbbbbbbbbb\); run `heclstm connect` again",
        ),
        (said(302, location="https://evil.example/"), "answered 302, to https://evil.example/; connect to that URL if"),
        (Answer(404, {"content-type": "text/html"}, b"<html>"), "answered 404; is there another service at this URL"),
        (Answer(400, {"content-type": "application/problem+json"}, b"no json"), "answered 400; is there another"),
    ],
)
def test_what_will_not_pass_is_told_at_once(answer, match):
    with pytest.raises(NetworkError, match=match):
        play(ask(GET, PATIENCE), [answer])


def test_patience_ends():
    with pytest.raises(NetworkError, match=r"no answer \(ReadError: gone\) in 4 tries"):
        play(ask(GET, PATIENCE), [Cut("ReadError: gone")] * 4)
    with pytest.raises(RefusedError, match="draining") as raised:
        play(ask(GET, PATIENCE), [problem(503, "draining")] * 4)
    assert raised.value.code == "draining"


def test_a_long_problem_is_cut_short():
    with pytest.raises(RefusedError) as raised:
        play(ask(GET, PATIENCE), [problem(400, "bad-request", detail="x" * 10_000)])
    assert len(str(raised.value)) < 700


# ── uploads ────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.fixture(scope="module")
def keys(tmp_path_factory):
    folder = tmp_path_factory.mktemp("keys")
    client = Client(tiny_program().card, allow_insecure=True)
    client.generate_keys(folder)
    client.close()
    return folder / "evaluation.keys"


def status_of(keys, received, state="receiving", size=None):
    size = keys.stat().st_size if size is None else size
    fields = {"key": LABEL, "program": A, "state": state, "received_bytes": received, "upload_bytes": size}
    return said(200, fields)


def offsets(asked):
    return [int(each.headers["upload-offset"]) for each in asked if each.method == "PUT"]


def test_an_upload_goes_on_where_the_server_says(keys):
    size = keys.stat().st_size
    answers = [
        said(404), Cut("WriteError"), status_of(keys, 1000), Cut("WriteError"), status_of(keys, 5000),
        status_of(keys, size, "ready"),
    ]  # fmt: skip
    status, asked, _ = play(calls.upload(keys, None, PATIENCE), answers)
    assert status.state == "ready"
    assert offsets(asked) == [0, 1000, 5000]
    assert [each.body.size for each in asked if each.method == "PUT"] == [size, size - 1000, size - 5000]
    content = keys.read_bytes()
    last = [each for each in asked if each.method == "PUT"][-1]
    assert b"".join(last.body.pieces()) == content[5000:] == b"".join(last.body.pieces())  # anew for every try


def test_progress_renews_patience_and_standing_still_ends_it(keys):
    moving = [part for at in range(1, 21) for part in (Cut("x"), status_of(keys, at))]
    _, asked, _ = play(calls.upload(keys, None, PATIENCE), [said(404), *moving, status_of(keys, 21, "ready")])
    assert offsets(asked) == list(range(21))
    with pytest.raises(NetworkError, match="takes no keys any more"):
        play(
            calls.upload(keys, None, PATIENCE),
            [said(404), *[Cut("x"), status_of(keys, 7)] * 3, Cut("x"), *[status_of(keys, 7), Cut("x")]],
        )


def test_a_server_that_says_yes_and_gets_on_with_nothing_is_left(keys):
    """It had hundreds of megabytes sent in an endless circle."""
    nothing = [status_of(keys, 0)] * 8
    with pytest.raises(NetworkError, match="takes no keys any more .*with 0 bytes"):
        play(calls.upload(keys, None, PATIENCE), [said(404), *nothing])


def test_other_answers_to_an_upload(keys):
    size = keys.stat().st_size
    ready = status_of(keys, size, "ready")
    assert play(calls.upload(keys), [ready])[1] == [Ask("GET", f"/v1/keys/{label_of(keys)}")]  # nothing to send
    answers = [
        said(404),
        problem(409, "upload-in-progress"),
        status_of(keys, 10),
        problem(409, "wrong-offset", offset=20),
    ]
    _, asked, _ = play(calls.upload(keys, None, PATIENCE), [*answers, status_of(keys, 20), ready])
    assert offsets(asked) == [0, 10, 20]
    # All is there, but the connection was cut while the server read it: nothing is sent, and it says when it is ready.
    _, asked, _ = play(calls.upload(keys, None, PATIENCE), [status_of(keys, size, "expanding"), ready])
    assert [each.body.size for each in asked if each.method == "PUT"] == [0]
    with pytest.raises(RefusedError, match="quota-keys: something; erase keys"):
        play(calls.upload(keys, None, PATIENCE), [said(404), problem(429, "quota-keys")])


def test_keys_that_were_made_anew_replace_the_beginning_of_others(keys):
    answers = [status_of(keys, 100, size=12345), said(204), status_of(keys, keys.stat().st_size, "ready")]
    _, asked, _ = play(calls.upload(keys, None, PATIENCE), answers)
    assert [each.method for each in asked] == ["GET", "DELETE", "PUT"]
    assert offsets(asked) == [0]


def test_nothing_but_evaluation_keys_and_queries_is_ever_sent(keys):
    secret = keys.with_name("secret.key")
    for steps in (calls.upload(secret), calls.post(secret.read_bytes()), calls.post(keys.read_bytes())):
        with pytest.raises(FileFormatError, match="holds: (secret key|evaluation keys); expected"):
            play(steps, [])


def label_of(keys):
    from heclstm.storage.container import read_header

    return read_header(keys).key


# ── jobs ───────────────────────────────────────────────────────────────────────────────────────────────────


def job(state, **changes):
    fields = {"id": LABEL, "state": state, "program": A, "key": LABEL, "queries": 1, "done": 0, **changes}
    return said(200, fields)


def test_waiting_for_a_job():
    seen = []
    answers = [job("queued"), job("queued"), Cut("ReadTimeout"), job("running", progress=0.5), job("done", done=1)]
    status, _, pauses = play(calls.ended(LABEL, seen.append, PATIENCE), answers)
    assert status.state == "done"
    assert [each.state for each in seen] == ["queued", "queued", "running", "done"]
    assert len(pauses) == 2  # after an answer that told nothing new, and after the cut


def test_all_pages_of_jobs_and_no_endless_list():
    page = {"jobs": [json.loads(job("done").content)], "next": LABEL}
    found, asked, _ = play(calls.list_jobs(), [said(200, page), said(200, {"jobs": [], "next": None})])
    assert (len(found), asked[1].params) == (1, {"after": LABEL})
    play(calls.list_jobs(), [said(200, page), said(200, page)])  # a server that always names the same next one


@pytest.mark.parametrize("data", [{}, {"jobs": [{"id": "../../etc"}], "next": None}, {"jobs": "x", "next": None}])
def test_answers_that_are_none_are_refused(data):
    with pytest.raises(NetworkError, match="is it a server of heclstm"):
        play(calls.list_jobs(), [said(200, data)])


def test_a_newer_server_may_say_more():
    data = json.loads(job("done").content) | {"of_a_later_release": 7}
    assert play(calls.ended(LABEL), [said(200, data)])[0].state == "done"


# ── whom to trust ──────────────────────────────────────────────────────────────────────────────────────────


def offered(digest, retired=False, successor=None):
    return Offered(digest, "model", retired, successor, 1, 1, 1)


def test_which_program_is_chosen():
    old, new, other = offered(A, retired=True, successor=B), offered(B), offered(C)
    assert choose((old, new), "", None) == new
    assert choose((old, new), "", A) == new  # its successor
    assert choose((new, other), "", C) == other  # the one of before, as long as it is there
    assert choose((new, other), B[:12], None) == new
    for programs, wanted, pinned, match in (
        ((new, other), "", None, r"offers 2 programs; choose one by --program; it has: bbbbbbbbbbbb model, cccc"),
        ((), "", A, "offers 0 programs"),
        ((new,), "dddddddd", None, "0 of its programs begin with 'dddddddd'"),
        ((new,), "bbb", None, "1 of its programs begin with 'bbb'"),  # too few digits to mean anything
        ((old, new), A, None, r"program aaaaaaaaaaaa is retired; it has: aaaaaaaaaaaa model \(retired\), bbbb"),
        ((offered(A, True, B), offered(B, True, A)), "", A, "offers 0 programs"),  # in a circle
    ):
        with pytest.raises(RefusedError, match=match):
            choose(programs, wanted, pinned)


@pytest.fixture
def document(tmp_path):
    """program.json of the tiny program, with changes to its card and the owner's signature."""
    pair = new_pair()
    (tmp_path / "owner.pub").write_bytes(pair.public)

    def made(signed=True, **changes):
        card = tiny_program(**changes).card
        if signed:
            card = structs.replace(card, signature=sign(card.digest, pair.private))
        save_card(card, tmp_path / "program.json")
        return (tmp_path / "program.json").read_bytes(), card.digest, tmp_path / "owner.pub"

    return made


def test_a_program_as_it_should_be(document):
    content, digest, owner = document()
    assert verify(content, digest, owner, allow_insecure=True).digest == digest


def test_programs_that_are_refused(document, tmp_path):
    content, digest, owner = document()
    insecure = {"allow_insecure": True}
    with pytest.raises(SecurityError, match="INSECURE_TEST, expected 128-bit security"):
        verify(content, digest, owner)
    with pytest.raises(DigestError, match="sent program .* where aaaaaaaaaaaa was asked for"):
        verify(content, A, owner, **insecure)
    turned = content.replace(b'"threshold": 0.25', b'"threshold": 9.25')
    assert turned != content
    with pytest.raises(DigestError, match="it was altered"):
        verify(turned, digest, owner, **insecure)
    unsigned, other, _ = document(signed=False, operating_points=(OperatingPoint(9.25),))
    with pytest.raises(SignatureError, match="is not signed"):
        verify(unsigned, other, owner, **insecure)
    (tmp_path / "stranger.pub").write_bytes(new_pair().public)
    with pytest.raises(SignatureError, match="ask whom you trust which key is right"):
        verify(content, digest, tmp_path / "stranger.pub", **insecure)


@given(st.binary(max_size=300))
def test_no_document_of_a_server_is_a_crash(content):
    with pytest.raises(FileFormatError):
        verify(content, A, None)


# ── addresses ──────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("text", "url"),
    [
        ("https://he.example.org", "https://he.example.org"),
        ("https://HE.example.org:8443/", "https://he.example.org:8443"),
        ("https://he.example.org/heclstm/v1/", "https://he.example.org/heclstm"),
        ("http://127.0.0.1:8080", "http://127.0.0.1:8080"),
        ("https://[2001:db8::1]:443", "https://[2001:db8::1]:443"),
    ],
)
def test_addresses(text, url):
    assert Address.of(text).url == url


@pytest.mark.parametrize(
    "text",
    [
        "",
        "he.example.org",
        "ftp://x",
        "https://",
        "https://x:99999",
        "https://u:p@x",
        "http://10.0.0.1",
        "https://x?a=b",
        "https://a b",
        "https://%00",
        "https://x..org",
        "https://ä..org",
        "https://" + "x" * 64,
        "https://\\x",
    ],
)
def test_addresses_that_are_none(text):
    with pytest.raises(InputError, match="^URL: "):
        Address.of(text)


@pytest.mark.parametrize("proxy", ["ftp://x", "http://[::", "http://a\nb", "x"])
def test_a_proxy_that_is_none(proxy):
    with pytest.raises(InputError, match="^proxy: "):
        Route(Address.of("https://x"), "token", proxy=proxy).options()


def test_a_host_that_no_name_can_be():
    with pytest.raises(InputError, match="^URL: "):
        Route(Address.of("https://\N{SNOWMAN}.org"), "token").options()


@pytest.mark.parametrize(
    "content",
    [
        b"[" * 100_000,
        b"\xff\xfe{}",
        b"",
        b'{"x":' + b"9" * 6000 + b"}",
        b"[]",
        b'{"x":NaN}',
        b'{"x":1,"x":2}',
        b"[[]]," * 10**6,
    ],
)
def test_what_is_no_json_is_no_crash(content):
    with pytest.raises(NetworkError, match="what is no JSON"):
        Answer(200, {}, content).json()
