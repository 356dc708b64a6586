"""An identity provider's keys: by HTTPS with an authority of one's own, rotated, withdrawn, away; from a file."""

import json
import threading
import time
from concurrent.futures import ThreadPoolExecutor, as_completed
from itertools import islice
from pathlib import Path

import pytest
import trustme
from joserfc import jwt
from joserfc.jwk import ECKey

from heclstm.errors import ConfigError
from heclstm.service import clock
from heclstm.service.config import Oidc, config_of
from heclstm.service.oidc import AGAIN_SECONDS, KEPT_SECONDS, KEYS_SECONDS, Provider
from service.jwks import JwksServer


def key(kid):
    return ECKey.generate_key("P-256", {"kid": kid, "use": "sig", "alg": "ES256"})


FIRST, SECOND = key("1"), key("2")


def token(signed_by):
    claims = {"iss": "https://id.example", "aud": "heclstm", "exp": time.time() + 1e6, "heclstm_tenant": "ward"}
    return jwt.encode({"alg": "ES256", "kid": signed_by.kid}, claims, signed_by)


@pytest.fixture(scope="module")
def tls(tmp_path_factory):
    """Certificate and key of a provider, and the authority who signed it."""
    folder, authority = tmp_path_factory.mktemp("tls"), trustme.CA()
    issued = authority.issue_cert("127.0.0.1")
    issued.private_key_pem.write_to_path(str(folder / "key.pem"))
    issued.cert_chain_pems[0].write_to_path(str(folder / "certificate.pem"))
    authority.cert_pem.write_to_path(str(folder / "authority.pem"))
    return {name: str(folder / f"{name}.pem") for name in ("key", "certificate", "authority")}


@pytest.fixture
def serving(tls):
    server = JwksServer(tls)
    yield server
    server.close()


@pytest.fixture
def later(monkeypatch):
    """later(seconds): the clock of this machine goes on by so much."""
    now = [1000.0]
    monkeypatch.setattr(clock, "steady", lambda: now[0])

    def go_on(seconds):
        now[0] += seconds

    return go_on


def provider(serving, tls, **changes):
    settings = {
        "issuer": "https://id.example",
        "audience": "heclstm",
        "keys": serving.url,
        "authority": tls["authority"],
    }
    return Provider(Oidc(**{**settings, **changes}))


def test_a_new_key_is_found_when_its_first_token_comes(serving, tls, later):
    """And is asked for once in a while, however many made-up keys strangers name."""
    serving.keys(FIRST)
    here = provider(serving, tls)
    assert here.tenant(token(FIRST)) == "ward"
    serving.keys(FIRST, SECOND)
    later(AGAIN_SECONDS / 2)
    assert here.tenant(token(SECOND)) is None
    assert serving.asked == 1
    later(AGAIN_SECONDS)
    assert here.tenant(token(SECOND)) == here.tenant(token(FIRST)) == "ward"
    for number in range(20):
        assert here.tenant(token(key(f"made up {number}"))) is None
    assert serving.asked == 2


def test_a_key_that_is_withdrawn_is_believed_for_five_minutes_at_most(serving, tls, later):
    serving.keys(FIRST, SECOND)
    here = provider(serving, tls)
    assert here.tenant(token(FIRST)) == "ward"
    serving.keys(SECOND)
    later(KEYS_SECONDS + 1)
    assert here.tenant(token(FIRST)) is None
    assert here.tenant(token(SECOND)) == "ward"


def test_a_provider_that_is_away_keeps_nobody_out_for_a_day(serving, tls, later):
    serving.keys(FIRST)
    here = provider(serving, tls)
    assert here.tenant(token(FIRST)) == "ward"
    for answer in ((503, {}, b""), (200, {}, b"<html>"), (200, {}, b"[1]"), (200, {}, b'{"keys": [7, {"kty": "?"}]}')):
        serving.answer = answer
        asked = serving.asked
        later(KEYS_SECONDS + 1)
        assert [here.tenant(token(FIRST)) for _ in range(3)] == ["ward"] * 3
        assert serving.asked == asked + 1
    later(KEPT_SECONDS)
    assert here.tenant(token(FIRST)) is None
    serving.keys(FIRST)
    later(AGAIN_SECONDS + 1)
    assert here.tenant(token(FIRST)) == "ward"


def test_one_that_is_away_from_the_beginning_is_asked_again(serving, tls, later):
    here = provider(serving, tls)
    assert [here.tenant(token(FIRST)) for _ in range(3)] == [None] * 3
    assert serving.asked == 1
    serving.keys(FIRST)
    later(AGAIN_SECONDS + 1)
    assert here.tenant(token(FIRST)) == "ward"


def test_nobody_waits_for_a_provider_that_hangs_while_there_are_keys(serving, tls, later):
    serving.keys(FIRST)
    here = provider(serving, tls)
    assert here.tenant(token(FIRST)) == "ward"
    begun, ended = threading.Event(), threading.Event()

    def hang():
        begun.set()
        ended.wait(30)
        return 503, {}, b""

    serving.answer = hang
    later(KEYS_SECONDS + 1)
    thread = threading.Thread(target=here.tenant, args=(token(FIRST),))
    thread.start()
    assert begun.wait(30)
    assert here.tenant(token(FIRST)) == "ward"
    assert thread.is_alive()
    ended.set()
    thread.join(30)


def test_a_provider_that_hangs_from_the_beginning_holds_one_thread(serving, tls, later):
    """After the first look, for which all wait: each token waited, and took a thread of the server."""
    here = provider(serving, tls)
    assert here.tenant(token(FIRST)) is None
    ended, text = threading.Event(), token(FIRST)

    def hang():
        ended.wait(30)
        return 503, {}, b""

    serving.answer = hang
    later(AGAIN_SECONDS + 1)
    with ThreadPoolExecutor(40) as threads:
        calls = [threads.submit(here.tenant, text) for _ in range(40)]
        done = [call.result() for call in islice(as_completed(calls, timeout=5), 39)]
        assert [call for call in calls if not call.done()]
        ended.set()
    assert done == [None] * 39


def test_keys_of_a_kind_that_nobody_knows_take_no_others_with_them(serving, tls):
    serving.keys(FIRST, more=({"kty": "AKP", "kid": "new", "alg": "ML-DSA-44", "pub": "AA"}, {}, "?"))
    assert provider(serving, tls).tenant(token(FIRST)) == "ward"


def test_who_shows_another_certificate_or_leads_elsewhere_is_no_provider(serving, tls, tmp_path):
    """Without `authority`, the system says whom to trust, and it does not know this one."""
    serving.keys(FIRST)
    trustme.CA().cert_pem.write_to_path(str(tmp_path / "other.pem"))
    for authority in (None, str(tmp_path / "other.pem")):
        assert provider(serving, tls, authority=authority).tenant(token(FIRST)) is None
    assert serving.asked == 0
    place = serving.url.replace("jwks", "moved")
    for url in (place, place.replace("https", "http")):
        serving.answer = (302, {"location": url}, b"")
        asked = serving.asked
        assert provider(serving, tls).tenant(token(FIRST)) is None
        assert serving.asked == asked + 1


def test_keys_from_a_file_beside_the_configuration(tls, tmp_path, later):
    (tmp_path / "jwks.json").write_text(json.dumps({"keys": [FIRST.as_dict(private=False)]}))
    oidc = {"issuer": "https://id.example", "audience": "heclstm", "keys": "jwks.json", "authority": "own.pem"}
    config = config_of({"state": "s", "programs": [{"folder": "p"}], "oidc": oidc}, "service.toml", tmp_path)
    assert config.oidc.authority == str(tmp_path / "own.pem")
    with pytest.raises(ConfigError, match=r"^oidc: authority: .*own\.pem: cannot be read"):
        Provider(config.oidc)
    (tmp_path / "own.pem").write_bytes(Path(tls["authority"]).read_bytes())
    here = Provider(config.oidc)
    assert here.tenant(token(FIRST)) == "ward"
    (tmp_path / "jwks.json").write_text(json.dumps({"keys": [SECOND.as_dict(private=False)]}))
    later(AGAIN_SECONDS + 1)
    assert here.tenant(token(SECOND)) == "ward"
    for keys in ("http://id.example/jwks", str(tmp_path / "absent.json")):
        with pytest.raises(ConfigError, match="^oidc: keys: expected an https URL, or a file"):
            Provider(Oidc(issuer="x", audience="y", keys=keys))
