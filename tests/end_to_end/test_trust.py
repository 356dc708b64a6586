"""A card that changed, a program that somebody else signed, files of version 1: what hospital and server do then."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest

from heclstm.card.program_card import Card, program_digest
from heclstm.card.temperature import Temperature
from heclstm.program.public import load_card
from heclstm.storage.typed import plain

GOLDEN = Path(__file__).parents[1] / "golden"
INSECURE = "--insecure-test"


def changed_card(site, folder, *, fitting, **changes):
    """The site's program with other fields in its card; fitting: with the digest that these have."""
    shutil.copytree(site.program, folder)
    public = json.loads((folder / "program.json").read_text())
    public["card"] |= changes
    if fitting:
        card = Card.read(public["card"], "card")
        public["digest"] = program_digest(card, public["circuit"])
    (folder / "program.json").write_text(json.dumps(public))
    return folder


def flipped(site):
    """The opposite decision for most patients."""
    point = load_card(site.program).to_json()["operating_points"][0]
    return {"operating_points": [{**point, "threshold": 2.0}]}


@pytest.mark.parametrize("fitting", [False, True], ids=["digest as it was", "digest made to fit"])
@pytest.mark.parametrize("field", ["operating_points", "ranges", "preparation", "temperature"])
def test_a_card_that_changed_is_refused_by_its_field(refused, site, tmp_path, fitting, field):
    changes = {
        "operating_points": flipped(site)["operating_points"],
        "ranges": [{"name": "score", "max_abs": 1.0, "limit": 1e9}],
        "preparation": None,
        "temperature": plain(Temperature(9.0)),
    }
    program = changed_card(site, tmp_path / "program", fitting=fitting, **{field: changes[field]})
    key = ("--key", site.secret)
    for arguments in (
        ("encrypt", program, site.images, *key, "-o", tmp_path / "q.he", INSECURE),
        ("decrypt", program, site.result, *key, "-o", tmp_path / "d.json", INSECURE),
        ("run", program, site.query, "--keys", site.keys, "-o", tmp_path / "r.he"),
    ):
        line = refused(*arguments)
        assert field in line, line
        assert "changed" in line or "made for program" in line


def test_an_altered_card_without_keys_is_refused_too(refused, site, tmp_path):
    program = changed_card(site, tmp_path / "program", fitting=False, **flipped(site))
    line = refused("keygen", program, "-o", tmp_path / "keys", INSECURE)
    assert "it was altered; get it again from the model owner" in line
    assert "has the digest" in refused("inspect", program)


@pytest.fixture
def owner(call, tmp_path_factory):
    folder = tmp_path_factory.mktemp("owner")
    for name in ("owner", "other"):
        code, stdout, stderr = call("signing-key", "-o", folder / f"{name}.pem", "--json")
        assert code == 0, stderr
        assert len(json.loads(stdout)["key"]) == 64
    return folder


def test_keys_to_sign_with(call, refused, owner, tmp_path):
    assert (owner / "owner.pem").stat().st_mode & 0o777 == 0o600
    assert (owner / "owner.pub").read_text().startswith("-----BEGIN PUBLIC KEY-----")
    before = (owner / "owner.pem").read_bytes()
    for name in ("owner.pem", "owner.key"):  # the key itself, or the public one beside it
        assert "exists, and is not replaced" in refused("signing-key", "-o", owner / name)
    assert "is the name of the public key" in refused("signing-key", "-o", tmp_path / "a.pub")
    assert (owner / "owner.pem").read_bytes() == before
    assert not (owner / "owner.key").exists()


def test_a_signed_program_is_trusted_and_no_other(call, refused, site, owner, tmp_path):
    signed, key, public = tmp_path / "signed", owner / "owner.pem", owner / "owner.pub"
    shutil.copytree(site.program, signed)
    keys, images = ("--key", site.secret), site.images
    trust = ("--trust", public, INSECURE)
    for arguments in (
        ("keygen", signed, "-o", tmp_path / "keys"),
        ("encrypt", signed, images, *keys, "-o", tmp_path / "q.he"),
        ("decrypt", signed, site.result, *keys, "-o", tmp_path / "d.json"),
    ):
        assert "is not signed, expected a signature by" in refused(*arguments, *trust)
    code, stdout, stderr = call("sign", signed, "--key", key, "--json")
    assert code == 0, stderr
    fingerprint = json.loads(stdout)["signed_by"]
    assert load_card(signed).digest == load_card(site.program).digest  # so keys made before stay valid
    code, stdout, _ = call("inspect", signed, "--json")
    assert (code, json.loads(stdout)["signed_by"]) == (0, fingerprint)
    for arguments in (
        ("keygen", signed, "-o", tmp_path / "keys"),
        ("encrypt", signed / "program.json", images, *keys, "-o", tmp_path / "q.he"),
        ("decrypt", signed, site.result, *keys, "-o", tmp_path / "d.json"),
    ):
        assert call(*arguments, *trust)[0] == 0
        line = refused(*arguments, "--trust", owner / "other.pub", INSECURE)
        assert f"is signed by {fingerprint[:12]}, expected" in line
    assert call("run", signed, site.query, "--keys", site.keys, "-o", tmp_path / "r.he")[0] == 0


def test_a_signature_of_another_program_is_refused(call, refused, site, owner, tmp_path):
    """Whoever alters a program can make its digests fit, and copy a signature, but not make one."""
    shutil.copytree(site.program, tmp_path / "signed")
    assert call("sign", tmp_path / "signed", "--key", owner / "owner.pem")[0] == 0
    signature = json.loads((tmp_path / "signed" / "program.json").read_text())["signature"]
    forged = changed_card(site, tmp_path / "forged", fitting=True, **flipped(site)) / "program.json"
    forged.write_text(json.dumps({**json.loads(forged.read_text()), "signature": signature}))
    line = refused("keygen", forged, "-o", tmp_path / "keys", "--trust", owner / "owner.pub", INSECURE)
    assert "its signature is not of this program; it was altered" in line


def test_compile_signs_at_once(call, site, owner, tmp_path):
    model = site.program.parent / "model"
    options = ("--ring-degree", 1 << 11, INSECURE, "--sign", owner / "owner.pem")
    code, _, stderr = call("compile", model, "-o", tmp_path / "program", *options)
    assert code == 0, stderr
    card = load_card(tmp_path / "program")
    assert card.digest == load_card(site.program).digest
    trust = ("--trust", owner / "owner.pub", INSECURE)
    assert call("keygen", tmp_path / "program" / "program.json", "-o", tmp_path / "keys", *trust)[0] == 0


def test_signing_checks_what_it_signs(refused, owner, site, tmp_path):
    key = ("--key", owner / "owner.pem")
    altered = changed_card(site, tmp_path / "altered", fitting=False, **flipped(site))
    assert "has the digest" in refused("sign", altered, *key)
    lonely = changed_card(site, tmp_path / "lonely", fitting=True, input_level=4)
    assert "program.json does not describe circuit.json" in refused("sign", lonely, *key)
    assert "is of version 1, which cannot be signed" in refused("sign", GOLDEN / "program_v1", *key)
    assert "is no private key" in refused("sign", site.program, "--key", owner / "owner.pub")


# ── version 1 ──────────────────────────────────────────────────────────────────────────────────────────────


def test_files_of_version_1_stay_readable(call, tmp_path):
    """A program, a secret key without pins, a query, a result, a diagnosis: as the release before wrote them."""
    program, hospital = GOLDEN / "program_v1", GOLDEN / "hospital_v1"
    key = ("--key", hospital / "secret.key")
    arguments = ("decrypt", program / "program.json", hospital / "result.he", *key, "--frames", 1)
    code, stdout, stderr = call(*arguments, "--query", hospital / "query.he", INSECURE, "--json", "--without-case")
    assert code == 0, stderr
    assert "program.json: is of version 1, which cannot be verified alone" in stderr
    found, old = json.loads(stdout), json.loads((hospital / "diagnosis.json").read_text())
    for name in ("threshold", "decision", "temperature", "offset", "frames"):
        assert found[name] == old[name]
    assert found["scores"] == [round(score, 3) for score in old["scores"]]  # no finer than the noise, since then
    assert found["contributions"] == [[round(share, 3) for share in row] for row in old["contributions"]]
    assert found["probability"] == pytest.approx(old["probability"], abs=1e-3)
    code, stdout, _ = call("inspect", program, "--json")
    assert code == 0
    assert json.loads(stdout)["verified"].startswith("no: version 1")
    code, _, stderr = call("keygen", program, "-o", tmp_path / "keys", INSECURE)
    assert code == 0, stderr
    images = tmp_path / "images.npy"
    write_images(images)
    for secret in (hospital / "secret.key", tmp_path / "keys" / "secret.key"):
        query = tmp_path / "q.he"
        code, _, stderr = call("encrypt", program, images, "--key", secret, "-o", query, INSECURE)
        assert code == 0, stderr
    arguments = ("run", program, query, "--keys", tmp_path / "keys", "-o", tmp_path / "r.he")
    assert call(*arguments)[0] == 0
    page = tmp_path / "report.html"
    arguments = ("report", hospital / "diagnosis.json", "--input", images, "-o", page)
    code, _, stderr = call(*arguments)
    assert code == 2
    assert "nobody knows whose images it is about" in stderr
    code, _, stderr = call(*arguments, "--unchecked-images")
    assert code == 0, stderr
    assert "case 7" in page.read_text()


def write_images(path):
    np.save(path, np.random.default_rng(0).random((2, 1, 8, 8), dtype=np.float32))


def test_new_keys_of_a_card_of_version_1_are_pinned(call, refused, tmp_path):
    """Nothing in the card itself tells that it was altered; the keys do."""
    shutil.copytree(GOLDEN / "program_v1", tmp_path / "program")
    path = tmp_path / "program" / "program.json"
    assert call("keygen", path, "-o", tmp_path / "keys", INSECURE)[0] == 0
    write_images(tmp_path / "images.npy")
    public = json.loads(path.read_text())
    public["purpose"]["operating_point"]["threshold"] = 2.0
    del public["purpose"]["ranges"]["score"]
    path.write_text(json.dumps(public))
    arguments = ("encrypt", path, tmp_path / "images.npy", "--key", tmp_path / "keys" / "secret.key")
    line = refused(*arguments, "-o", tmp_path / "q.he", INSECURE)
    assert "has changed: operating_points, ranges; use the program.json that the keys were made with" in line
