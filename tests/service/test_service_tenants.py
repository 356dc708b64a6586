"""Who may what: tokens, scopes, other tenants' things, quotas, identity providers, client certificates."""

import contextlib
import hashlib
import json
import ssl
import time
from base64 import b64encode
from concurrent.futures import ThreadPoolExecutor
from urllib.parse import quote

import httpx
import pytest
import trustme
from joserfc import jwt
from joserfc.jwk import RSAKey

from heclstm.service.database.connection import Database
from heclstm.service.database.migrate import upgrade
from heclstm.service.identity import fingerprint
from service.jwks import JwksServer
from service.kit import expect


def test_a_token_is_needed_and_must_be_right(server):
    good = server.token("somebody")
    half = good.rpartition("_")[0]
    wrong = f"{half}_{'A' * 43}"
    for text in (None, "", "heclstm", wrong, good[:-1], f"{good}x", "a.b.c", good.upper()):
        response = expect(server.http(text).get("/v1/programs"), 401, "unauthorized")
        assert response.headers["www-authenticate"].startswith("Bearer")
        time.sleep(0.25)  # who has no token asks slowly
    expect(server.http(good).get("/v1/programs"), 200)


def test_guessing_is_slowed_down(launch):
    with launch() as server, ThreadPoolExecutor(10) as pool:
        clients = [server.http("guess") for _ in range(10)]
        answers = list(pool.map(lambda number: clients[number % 10].get("/v1/programs").status_code, range(200)))
        assert set(answers) == {401, 429}
        assert answers.count(401) >= 10  # twice the five of a second


def test_expired_and_revoked_tokens_are_no_tokens(server):
    from heclstm.service.database.connection import Database
    from heclstm.service.database.tenants import Tenants

    database = Database(server.config.database_url)
    tenants = Tenants(database)
    token, text = tenants.create_token("goes", days=1e-9)
    expect(server.http(text).get("/v1/programs"), 401, "unauthorized")
    assert tenants.create_token("goes", days=0)[0].expires is not None
    token, text = tenants.create_token("goes", days=1)
    expect(server.http(text).get("/v1/programs"), 200)
    tenants.revoke(token.id)
    expect(server.http(text).get("/v1/programs"), 401, "unauthorized")
    with database.read() as connection:
        stored = str([tuple(row) for row in connection.exec_driver_sql("SELECT * FROM tokens")])
    assert text.rpartition("_")[2] not in stored
    database.close()


def test_a_scope_is_needed_for_each_kind_of_route(server):
    only = server.tenant("scoped", scopes=("keys",))
    expect(only.http.get("/v1/keys"), 200)
    for path in ("/v1/programs", "/v1/jobs", "/metrics"):
        expect(only.http.get(path), 403, "forbidden")


def test_what_is_anothers_is_answered_like_what_does_not_exist(server, hospital):
    owner, stranger = server.tenant("owner"), server.tenant("stranger")
    expect(owner.put_keys(hospital), 201)
    job = expect(owner.post(hospital.query(seed=1)), 202).json()["id"]
    nothing = "0" * 32
    for method, path in (
        ("GET", "/v1/keys/{}"),
        ("DELETE", "/v1/keys/{}"),
        ("GET", "/v1/jobs/{}"),
        ("GET", "/v1/jobs/{}/result"),
        ("GET", "/v1/jobs/{}/events"),
        ("DELETE", "/v1/jobs/{}"),
    ):
        other = stranger.http.request(method, path.format(hospital.label if "keys" in path else job))
        absent = stranger.http.request(method, path.format(nothing))
        assert (other.status_code, other.content) == (absent.status_code, absent.content) == (404, other.content)
        assert {**other.headers, "date": ""} == {**absent.headers, "date": ""}
    expect(stranger.post(hospital.query(seed=2)), 409, "unknown-keys")
    assert stranger.http.get("/v1/jobs").json()["jobs"] == []
    assert owner.ended(job)["state"] == "done"


def test_quotas_hold_for_each_tenant_alone(launch, hospital, second):
    size = (hospital.folder / "evaluation.keys").stat().st_size  # twice as much where it is stored expanded
    small = {"key_bytes": 3 * size, "queued": 3, "daily": 5, "requests_per_second": 1000}
    slow = {"requests_per_second": 1}
    with launch(tenants={"small": {"quotas": small}, "slow": {"quotas": slow}}) as server:
        tenant, free = server.tenant("small"), server.tenant("free")
        expect(tenant.put_keys(hospital), 201)
        expect(tenant.put_keys(second), 429, "quota-keys")
        expect(free.put_keys(hospital), 201)
        expect(free.put_keys(second), 201)
        queries = [hospital.query(seed) for seed in range(6)]
        expect(tenant.post(b"".join(queries[:4])), 429, "quota-queued")
        tenant.ended(expect(tenant.post(b"".join(queries[:3])), 202).json()["id"])
        expect(tenant.post(b"".join(queries[3:])), 429, "quota-daily")
        expect(tenant.post(b"".join(queries[3:5])), 202)
        expect(free.post(b"".join(queries)), 202)
        slowly = server.tenant("slow")
        answers = [slowly.http.get("/v1/programs") for _ in range(5)]
        assert [each.status_code for each in answers[:3]] == [200, 200, 429]
        assert int(expect(answers[2], 429, "rate-limited").headers["retry-after"]) >= 1


def test_tokens_of_an_identity_provider(launch, certificates, tmp_path):
    """Whose keys come by HTTPS, with a certificate of the operator's own authority."""
    key = RSAKey.generate_key(2048, {"kid": "1", "use": "sig", "alg": "RS256"})
    other = RSAKey.generate_key(2048, {"kid": "1", "use": "sig", "alg": "RS256"})
    provider = JwksServer(certificates[0])
    provider.keys(key)
    authority = tmp_path / "authority.pem"
    authority.write_bytes(certificates[1].read_bytes())
    settings = {
        "issuer": "https://id.example",
        "audience": "heclstm",
        "keys": provider.url,
        "authority": str(authority),
    }
    now = int(time.time())
    good = {"iss": settings["issuer"], "aud": "heclstm", "exp": now + 600, "heclstm_tenant": "from-oidc"}

    def token(signed_by=key, header=None, **changes):
        claims = {name: value for name, value in {**good, **changes}.items() if value is not None}
        return jwt.encode(header or {"alg": "RS256", "kid": "1"}, claims, signed_by)

    with contextlib.closing(provider), launch(oidc=settings) as server:
        expect(server.http(token()).get("/v1/keys"), 200)
        expect(server.http(token()).get("/metrics"), 403, "forbidden")
        wrong = (
            token(other),
            token(exp=now - 600),
            token(exp=None),
            token(iss="https://elsewhere"),
            token(aud="another"),
            token(heclstm_tenant=None),
            token(heclstm_tenant="../x"),
            token(nbf=now + 600),
            "eyJhbGciOiJub25lIn0." + token().split(".")[1] + ".",
        )
        for text in wrong:
            expect(server.http(text).get("/v1/keys"), 401, "unauthorized")
            time.sleep(0.2)
        assert provider.asked == 1


def test_client_certificates(launch, certificates, tmp_path):
    from cryptography import x509
    from cryptography.hazmat.primitives.serialization import Encoding

    authority = trustme.CA()
    authority.cert_pem.write_to_path(str(tmp_path / "clients.pem"))
    known, unknown = authority.issue_cert("hospital@example.org"), authority.issue_cert("other@example.org")

    def fingerprint(issued):
        certificate = x509.load_pem_x509_certificate(issued.cert_chain_pems[0].bytes())
        return hashlib.sha256(certificate.public_bytes(Encoding.DER)).hexdigest()

    tls = {"client_authority": str(tmp_path / "clients.pem")}
    tenants = {"certified": {"certificates": [fingerprint(known)]}}
    with launch(tls={**certificates[0], **tls}, tenants=tenants) as server:

        def ask(issued):
            context = ssl.create_default_context(cafile=str(server.authority))
            if issued:
                issued.configure_cert(context)
            with httpx.Client(verify=context, trust_env=False) as client:
                return client.get(f"{server.url}/v1/keys")

        expect(ask(known), 200)
        expect(ask(unknown), 401, "unauthorized")
        expect(ask(None), 401, "unauthorized")
        expect(server.http(server.token("by-token")).get("/v1/keys"), 200)


def test_a_proxy_hands_on_the_certificate_that_it_checked(launch):
    """Believed from the proxy's own address alone."""
    certified, header = {"certificates": ["ab" * 32]}, {"certificate_header": "x-client-sha256"}
    shown = {"x-client-sha256": ":".join(["AB"] * 32), "x-forwarded-for": "203.0.113.9", "x-forwarded-proto": "https"}
    for trusted, status in (("127.0.0.0/8", 200), ("192.0.2.1", 401)):
        proxy = {**header, "trusted": [trusted]}
        with launch(tls=None, proxy=proxy, tenants={"certified": certified}) as server:
            with httpx.Client(base_url=server.url, headers=shown, trust_env=False) as client:
                assert client.get("/v1/keys").status_code == status
            assert "203.0.113.9" not in server.text()


def test_the_forms_in_which_proxies_show_a_certificate():
    issued = trustme.CA().issue_cert("hospital@example.org").cert_chain_pems[0].bytes().decode()
    der = ssl.PEM_cert_to_DER_cert(issued)
    digest = hashlib.sha256(der).hexdigest()
    assert fingerprint(digest.upper()) == digest
    assert fingerprint(":".join(digest[i : i + 2] for i in range(0, 64, 2))) == digest
    assert fingerprint(quote(issued)) == digest
    assert fingerprint(f":{b64encode(der).decode()}:") == digest
    for other in ("", "none", digest[:-1], "-----BEGIN%20CERTIFICATE", quote(issued)[:-30], ":%%%:", "\u00b2" * 64):
        assert fingerprint(other) is None


def test_a_token_before_the_first_start_leaves_nothing_for_others(tmp_path):
    """`heclstm token` may be the first to write into the state folder, by a umask that lets others read."""
    database = Database(f"sqlite:///{tmp_path / 'state' / 'service.db'}")
    upgrade(database)
    made = [tmp_path / "state", *(tmp_path / "state").iterdir()]
    database.close()
    assert len(made) > 1
    assert not [path for path in made if path.exists() and path.stat().st_mode & 0o077]


def test_the_command_line_makes_lists_and_revokes(server, capsys):
    from typer.testing import CliRunner

    from heclstm.cli.main import app

    def call(*arguments):
        result = CliRunner().invoke(app, ["token", *map(str, arguments)])
        assert result.exit_code == 0, result.output
        return result.stdout

    made = json.loads(call("create", server.path, "by-hand", "--days", 3, "--note", "ward 4", "--json"))
    expect(server.http(made["token"]).get("/v1/keys"), 200)
    listed = json.loads(call("list", server.path, "--tenant", "by-hand", "--json"))["tokens"]
    assert [(each["id"], each["scopes"], each["note"]) for each in listed] == [
        (made["id"], "programs keys jobs", "ward 4")
    ]
    assert made["token"] not in call("list", server.path)
    call("revoke", server.path, made["id"])
    expect(server.http(made["token"]).get("/v1/keys"), 401, "unauthorized")
    for arguments in (["No Such Name"], ["by-hand", "--days", "1e300"]):
        wrong = CliRunner().invoke(app, ["token", "create", str(server.path), *arguments])
        assert wrong.exit_code == 2


@pytest.mark.parametrize("scopes", [(), ("all",), ("keys", "everything")])
def test_scopes_that_are_none_are_refused(server, scopes):
    from heclstm.errors import InputError

    with pytest.raises(InputError, match="expected some of programs, keys, jobs, metrics"):
        server.token("wrong", scopes=scopes)


def test_certificates_that_cannot_be_shown_are_mistakes(certificates, tmp_path):
    """Absent, swapped, or none: said by `serve --check`, too, and not only when somebody connects."""
    from heclstm.errors import ConfigError
    from heclstm.service.config import Tls, require_certificates

    table, authority = certificates
    require_certificates(Tls(**table, client_authority=str(authority)))
    (tmp_path / "no.pem").write_text("nothing")
    for changes in (
        {"key": "/nowhere.pem"},
        {"certificate": table["key"], "key": table["certificate"]},
        {"key": str(tmp_path / "no.pem")},
        {"client_authority": str(tmp_path / "no.pem")},
    ):
        with pytest.raises(ConfigError, match="^tls: .*cannot be used"):
            require_certificates(Tls(**(table | changes)))
