"""What is promised in writing: codes and their document, routes and their description, tables and their migrations."""

import json
import re
from pathlib import Path

import httpx
import pytest

from heclstm.service.problems import CODES
from service import described
from service.kit import expect

ROOT = Path(__file__).parents[2]
SCOPE_OF = {"programs": {"programs"}, "keys": {"keys"}, "jobs": {"jobs"}, "metrics": {"metrics"}}
SCOPE_OF |= dict.fromkeys(("healthz", "readyz"), set())


def test_every_code_is_explained_and_every_explanation_is_of_a_code():
    text = (ROOT / "docs" / "errors.md").read_text()
    explained = re.findall(r"^### `([a-z-]+)` · (\d+)$", text, re.MULTILINE)
    assert {code: int(status) for code, status in explained} == {code: each.status for code, each in CODES.items()}
    assert len(explained) == len(CODES)


def test_every_code_is_used():
    """A code that nothing answers with is dead."""
    source = "\n".join(path.read_text() for path in (ROOT / "src" / "heclstm" / "service").rglob("*.py"))
    unused = [code for code in CODES if source.count(f'"{code}"') < 2]
    assert not unused


def test_every_fault_of_the_document_has_its_test():
    text = (ROOT / "docs" / "faults.md").read_text()
    named = re.findall(r"`(test_\w+\.py)::(test_\w+)`", text)
    assert len(named) >= 15
    for file, test in named:
        assert f"def {test}(" in (ROOT / "tests" / "service" / file).read_text(), (file, test)


def test_the_description_holds_all_routes_and_names_their_problems(server):
    schema = expect(server.tenant("reads").http.get("/v1/openapi.json"), 200).json()
    routes = {(method, path) for path, item in schema["paths"].items() for method in item}
    assert routes == {
        ("get", "/v1/programs"),
        ("get", "/v1/programs/{digest}"),
        ("get", "/v1/keys"),
        ("get", "/v1/keys/{key}"),
        ("put", "/v1/keys/{key}"),
        ("delete", "/v1/keys/{key}"),
        ("get", "/v1/jobs"),
        ("post", "/v1/jobs"),
        ("get", "/v1/jobs/{job}"),
        ("delete", "/v1/jobs/{job}"),
        ("get", "/v1/jobs/{job}/events"),
        ("get", "/v1/jobs/{job}/result"),
        ("get", "/healthz"),
        ("get", "/readyz"),
        ("get", "/metrics"),
    }
    for path, item in schema["paths"].items():
        for operation in item.values():
            assert operation["summary"].endswith(".")
            assert {"400", "408", "431", "500", "503"} <= operation["responses"].keys()
            scopes = {(scheme, *scope) for each in operation.get("security", ()) for scheme, scope in each.items()}
            assert {scheme for scheme, _ in scopes} <= schema["components"]["securitySchemes"].keys()
            assert {scope for _, scope in scopes} == SCOPE_OF[path.split("/")[2 if path.startswith("/v1") else 1]]
            assert ("401" in operation["responses"]) == bool(scopes)
    assert schema == {**described.description(), "info": schema["info"]}  # with which all answers are compared


def test_answers_that_are_not_described_are_noticed():
    schema, path = described.description(), f"/v1/keys/{'0' * 32}"
    headers = {"content-type": "application/problem+json", "upload-offset": "5"}
    problem = {"type": "urn:x", "title": "x", "status": 409, "code": "wrong-offset"}

    def check(path=path, method="PUT", status=409, without="", **more):
        told = httpx.Headers({name: value for name, value in headers.items() if name != without} | more)
        described.check(schema, method, path, status, told, json.dumps(problem).encode())

    check()
    for wrong in (
        {"status": 418},
        {"status": 202},  # with another type
        {"x-more": "header"},
        {"path": "/v1/nothing"},
        {"method": "POST"},
    ):
        with pytest.raises(AssertionError):
            check(**wrong)
    for field, value in {"code": "job-failed", "title": 5, "more": 1}.items():
        before = dict(problem)
        problem[field] = value
        with pytest.raises(AssertionError):
            check()
        problem.clear(), problem.update(before)
    with pytest.raises(AssertionError, match="lacks"):
        described.check(schema, "GET", f"{path}", 200, httpx.Headers({"content-type": "application/json"}), None)
    with pytest.raises(AssertionError, match="lacks"):
        described.check(schema, "GET", "/v1/keys", 429, httpx.Headers({"content-type": described.MEDIA_TYPE}), None)


def test_migrations_lead_to_the_tables(tmp_path):
    from alembic.autogenerate import compare_metadata
    from alembic.runtime.migration import MigrationContext

    from heclstm.service.database.connection import Database
    from heclstm.service.database.migrate import newest, upgrade
    from heclstm.service.database.schema import metadata

    database = Database(f"sqlite:///{tmp_path / 'service.db'}")
    upgrade(database)
    upgrade(database)  # twice is once
    with database.read() as connection:
        migrated = MigrationContext.configure(connection)
        assert compare_metadata(migrated, metadata) == []
        assert migrated.get_current_revision() == newest()
    database.close()


def test_rows_of_earlier_releases_stay(tmp_path):
    """Of the first tables: what later ones hold besides is not known of them."""
    from alembic import command

    from heclstm.service.database.connection import Database
    from heclstm.service.database.jobs import Jobs
    from heclstm.service.database.key_sets import KeySets
    from heclstm.service.database.migrate import _settings, upgrade

    database = Database(f"sqlite:///{tmp_path / 'service.db'}")
    settings = _settings()
    with database.write() as connection:
        settings.attributes["connection"] = connection
        command.upgrade(settings, "0001")
        connection.exec_driver_sql("INSERT INTO key_sets VALUES ('a', 'label', 'program', 'ready', 'u', 5, 6, 1, 2)")
        connection.exec_driver_sql("INSERT INTO jobs VALUES ('id', 'a', 'i', 'body', 'program', 'label', 1, 3, 4)")
    upgrade(database)
    (keys,) = KeySets(database).of("a")
    assert (keys.upload_bytes, keys.last_used, keys.sent_by) == (5, 2.0, "")
    job = Jobs(database).get("a", "id")
    assert (job.body, job.finished, job.bytes) == ("body", 4.0, 0)
    database.close()


def test_a_full_disk_of_the_database_is_a_full_disk(tmp_path):
    """Told as one, and not waited for as a database that restarts."""
    from sqlalchemy import event
    from sqlalchemy.exc import OperationalError

    from heclstm.service.database.connection import Database
    from heclstm.service.database.migrate import upgrade
    from heclstm.service.problems import storage_full

    database, tries = Database(f"sqlite:///{tmp_path / 'service.db'}"), []
    upgrade(database)
    database.engine.dispose()
    event.listen(database.engine, "connect", lambda connection, _: connection.execute("PRAGMA max_page_count = 1"))

    def write():
        tries.append(1)
        with database.write() as connection:
            connection.exec_driver_sql("CREATE TABLE more AS SELECT randomblob(100000) AS content")

    with pytest.raises(OperationalError) as found:
        database.retried(write)
    assert storage_full(found.value).code == "storage-full"
    assert len(tries) == 1
    database.close()


def test_a_newer_database_is_refused(tmp_path):
    from heclstm.errors import ConfigError
    from heclstm.service.database.connection import Database
    from heclstm.service.database.migrate import upgrade

    database = Database(f"sqlite:///{tmp_path / 'service.db'}")
    upgrade(database)
    with database.write() as connection:
        connection.exec_driver_sql("UPDATE alembic_version SET version_num = '9999'")
    with pytest.raises(ConfigError, match="made by a newer release"):
        upgrade(database)
    database.close()


def test_random_requests_meet_no_mistake_of_ours(server, tmp_path):
    """schemathesis, over the description: no 5xx, and every answer is one that is described."""
    import os
    import subprocess
    import sys

    token, before = server.token("fuzz"), len(server.text())
    schema = tmp_path / "openapi.json"
    schema.write_bytes(server.http(token).get("/v1/openapi.json").content)
    command = [
        str(Path(sys.executable).with_name("schemathesis")), "run", str(schema), "--url", server.url,
        "--header", f"Authorization: Bearer {token}", "--max-examples", os.environ.get("HECLSTM_FUZZ_EXAMPLES", "12"),
        "--checks", "not_a_server_error,status_code_conformance,content_type_conformance,response_schema_conformance",
        "--exclude-path", "/metrics", "--exclude-path", "/readyz", "--phases", "examples,coverage,fuzzing",
        "--seed", "1", "--tls-verify", str(server.authority), "--rate-limit", "45/s", "--no-color",
    ]  # fmt: skip
    done = subprocess.run(command, capture_output=True, text=True, timeout=240, cwd=tmp_path)
    assert done.returncode == 0, done.stdout[-6000:] + done.stderr[-2000:]
    assert " 500 " not in done.stdout
    assert '"level": "error"' not in server.text()[before:]
