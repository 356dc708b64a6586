"""Several programs at once, an upgrade while hospitals use the old one, and what a production server refuses."""

import json
import signal
import subprocess
import sys

import pytest

from heclstm.card import signature
from heclstm.errors import ConfigError
from heclstm.program.files import load_card
from heclstm.service.config import ProgramEntry, load_config
from heclstm.service.programs import Programs
from service.kit import ENVIRONMENT, Hospital, expect, wait_until, write_config
from service.signed import signed_program


def test_an_upgrade_while_hospitals_use_the_old_program(
    launch, program, other_program, hospital, tmp_path, certificates
):
    """Both are served; then the old one is retired: what was accepted is done, what is new is told of the successor."""
    old, new = load_card(program).digest, load_card(other_program).digest
    modern = Hospital(tmp_path / "modern", other_program)
    with launch(workers=1) as server:
        tenant = server.tenant()
        expect(tenant.put_keys(hospital), 201)
        job = expect(tenant.post(b"".join(hospital.query(seed) for seed in range(10))), 202).json()["id"]

        def serve(*programs):
            write_config(
                server.path.parent, list(programs), tls=certificates[0], listen=server.config.listen,
                state=str(server.config.folder),
            )  # fmt: skip
            server.process.send_signal(signal.SIGHUP)

        serve({"folder": str(program), "successor": new}, {"folder": str(other_program)})
        wait_until(lambda: len(tenant.http.get("/v1/programs").json()["programs"]) == 2)
        assert 'rel="successor-version"' in tenant.http.get(f"/v1/programs/{old}").headers["link"]
        expect(tenant.put_keys(modern), 201)
        assert tenant.diagnose(modern, modern.query(seed=1)) is not None  # a worker changes its program
        assert tenant.diagnose(hospital, hospital.query(seed=30)) is not None

        another = expect(tenant.post(b"".join(hospital.query(seed) for seed in range(3))), 202).json()["id"]
        serve({"folder": str(program), "retired": True, "successor": new}, {"folder": str(other_program)})
        wait_until(lambda: tenant.http.get(f"/v1/programs/{old}").status_code == 410)
        gone = expect(tenant.http.get(f"/v1/programs/{old}"), 410, "retired-program").json()
        assert gone["successor"] == new
        expect(tenant.post(hospital.query(seed=40)), 410, "retired-program")
        expect(server.tenant("other").put_keys(hospital), 410, "retired-program")
        assert tenant.ended(job)["state"] == "done"
        assert tenant.ended(another)["state"] == "done"
        assert tenant.diagnose(modern, modern.query(seed=2)) is not None


def test_a_program_without_security_is_served_by_no_production_server(program, tmp_path):
    config = write_config(tmp_path, [{"folder": str(program)}], allow_insecure_test=False)
    done = subprocess.run(
        [sys.executable, "-m", "heclstm.cli", "serve", str(config)], capture_output=True, text=True, timeout=60,
        env=ENVIRONMENT,
    )  # fmt: skip
    assert done.returncode == 2
    assert "parameters without security (INSECURE_TEST); no hospital may be offered it" in done.stderr


def test_the_card_is_answered_byte_by_byte(server, program):
    answer = expect(server.tenant("reads").http.get(f"/v1/programs/{load_card(program).digest}"), 200)
    assert answer.content == (program / "program.json").read_bytes()
    assert answer.headers["content-type"].startswith("application/json")
    expect(server.tenant("reads").http.get(f"/v1/programs/{'0' * 64}"), 404, "unknown-program")


def test_a_wrong_list_changes_nothing(program, other_program):
    programs = Programs((ProgramEntry(folder=str(program)),), allow_insecure_test=True)
    before = programs.all()
    for entries, match in (
        ((ProgramEntry(folder=str(program)), ProgramEntry(folder=str(program))), "holds the same program"),
        ((ProgramEntry(folder=str(program), retired=True, successor="0" * 64),), "is not served"),
    ):
        with pytest.raises(ConfigError, match=match):
            programs.reload(entries)
        assert programs.all() == before


def test_every_mistake_of_a_configuration_is_named(tmp_path):
    (tmp_path / "service.toml").write_text(
        'listen = "0.0.0.0:70000"\nworkers = 0\nblob = "folder"\n[quotas]\nqueued = -1\n[limits]\nbatch = "many"\n'
    )
    with pytest.raises(ConfigError) as raised:
        load_config(tmp_path / "service.toml")
    for part in (
        "workers: ",
        "blob: is not known",
        "quotas: ",
        "limits: ",
        "state: is missing",
        "programs: is missing",
    ):
        assert part in str(raised.value)


@pytest.mark.parametrize(
    ("changes", "match"),
    [
        ({"listen": "0.0.0.0:443"}, "tokens would travel in clear"),
        ({"listen": "localhost:70000"}, "no port is above 65535"),
        ({"database": "mysql://x"}, "postgresql://"),
        ({"blobs": "s3-bucket"}, "a URL that fsspec knows"),
        ({"database": "postgresql://x:${NO_SUCH_NAME}@y/z"}, "the environment has no variable NO_SUCH_NAME"),
        ({"proxy": {"trusted": ["proxy.example"]}}, "is no address or network"),
        ({"evaluation": {"lease_seconds": 0.5}}, "would take work from living workers"),
    ],
)
def test_contradictions_of_a_configuration(tmp_path, changes, match):
    path = write_config(tmp_path, [{"folder": "x"}], **changes)
    with pytest.raises(ConfigError, match=match):
        load_config(path)


def test_a_retired_program_names_its_successor(tmp_path):
    with pytest.raises(ConfigError, match="name its successor"):
        load_config(write_config(tmp_path, [{"folder": "x", "retired": True}]))


def test_programs_that_nobody_signed_are_told(launch, program, tmp_path):
    """By `serve --check`, at the start, and when the configuration is read anew: in one line, and they are served."""
    pair = signature.new_pair()
    signed = signed_program(tmp_path / "signed", pair, preparation=None)
    digests = {load_card(folder).digest[:12]: folder for folder in (program, signed)}
    assert len(digests) == 2
    config = write_config(tmp_path, [{"folder": str(program)}, {"folder": str(signed)}])
    told = check(config)
    assert "serves 2 programs" in told
    (line,) = [line for line in told.splitlines() if "not signed" in line]
    assert f"{program} ({load_card(program).digest[:12]})" in line
    assert str(signed) not in line
    assert "signed" not in check(write_config(tmp_path, [{"folder": str(signed)}])).replace(str(signed), "")

    with launch(programs=[{"folder": str(program)}, {"folder": str(signed)}]) as server:
        lines = [json.loads(line) for line in server.text().splitlines()]
        (line,) = [line for line in lines if line["event"].startswith("not signed")]
        assert line["programs"] == [load_card(program).digest[:12]]
        assert len(server.tenant().http.get("/v1/programs").json()["programs"]) == 2
        server.process.send_signal(signal.SIGHUP)
        wait_until(lambda: server.text().count("not signed") == 2)


def check(config):
    done = subprocess.run(
        [sys.executable, "-m", "heclstm.cli", "serve", "--check", str(config)], capture_output=True, text=True,
        timeout=60, env=ENVIRONMENT | {"COLUMNS": "1000"},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return done.stdout + done.stderr
