"""What the server keeps, says and imports: ids of tenants, keys and jobs; nothing of a patient, no score, no secret."""

import ast
import re
import subprocess
import sys
from pathlib import Path

import numpy as np

from heclstm.data.sequence import ImageSequence
from service.kit import ENVIRONMENT, expect

SOURCE = Path(__file__).parents[2] / "src"
PATIENT = "Eva-Mustermann-1970"


def test_nothing_of_a_patient_is_stored_logged_counted_or_answered(launch, hospital, tmp_path):
    frames = np.random.default_rng(1).uniform(0, 1, (2, 1, 8, 8)).astype(np.float32)
    path = tmp_path / f"{PATIENT}.he"
    hospital.client.encrypt(ImageSequence(frames, PATIENT), path)
    with launch(workers=1) as server:
        tenant, watch = server.tenant(), server.tenant("watch", scopes=("metrics",))
        expect(tenant.put_keys(hospital), 201)
        job = expect(tenant.post(path.read_bytes()), 202).json()["id"]
        tenant.ended(job)
        result = tenant.result(job)
        said = [tenant.http.get(where).text for where in ("/v1/jobs", "/v1/keys", "/v1/programs", "/v1/openapi.json")]
        said += [expect(watch.http.get("/metrics"), 200).text, server.text()]
        # What a client types into paths and headers is not repeated either.
        for response in (
            tenant.http.get(f"/v1/jobs/{PATIENT}"),
            tenant.http.get(f"/v1/{PATIENT}?name={PATIENT}"),
            tenant.http.get("/v1/jobs", params={"after": PATIENT}),
            tenant.post(PATIENT.encode()),
            tenant.post(b"x", key=PATIENT + "("),
        ):
            assert 400 <= response.status_code < 500
            said.append(response.text)
        stored = b"".join(each.read_bytes() for each in server.config.folder.rglob("*") if each.is_file())
        said.append(server.text())
    diagnosis = hospital.client.decrypt(result, name=PATIENT)
    secret = hospital.secret.read_bytes()
    score = diagnosis.scores[0]
    told = "\n".join(said)
    for text in (PATIENT, "Mustermann", f"{score:.4f}"):
        assert text not in told
        assert text.encode() not in stored
    assert np.float64(score).tobytes() not in stored
    assert secret[-64:-32] not in stored  # inside of the secret's coefficients
    assert frames.tobytes()[:64] not in stored
    tokens = re.findall(r"heclstm_[0-9a-f]{16}_\S{20,}", told + stored.decode("latin-1"))
    assert not tokens


def test_files_are_for_the_service_alone(server):
    for path in server.config.folder.rglob("*"):
        assert path.stat().st_mode & 0o077 == 0, path


def test_the_server_process_loads_no_engine_no_training_and_no_secret_key_type():
    """Seen in a fresh process, after everything that serves was imported."""
    code = "import sys, heclstm.service.service, heclstm.service.http.app; print(' '.join(sorted(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, env=ENVIRONMENT)
    _require_clean(set(done.stdout.split()), ("heclstm.backend.cpu",))


def test_worker_and_intake_hold_no_secret_key_type():
    for module in ("process", "intake"):
        code = f"import sys, heclstm.service.workers.{module}; print(' '.join(sorted(sys.modules)))"
        done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, env=ENVIRONMENT)
        _require_clean(set(done.stdout.split()), ("litestar", "sqlalchemy", "uvicorn"))


def _require_clean(loaded, more):
    refused = ("torch", "lightning", "monai", "matplotlib", "PIL", "pydicom", "heclstm.backend.cpu.secret", "ray")
    refused += ("heclstm.report", "heclstm.data", "heclstm.model", "heclstm.compiler", "heclstm.devtools", *more)
    wrong = [name for name in loaded if any(name == each or name.startswith(f"{each}.") for each in refused)]
    assert not wrong


LEVELS = ("debug", "info", "warning", "error", "exception")
CONTENT = ("content", "query", "result", "headers", "path", "token", "keys", "blob", "card", "row", "request")

COUNTS = ("found", "facts")  # how many of each kind were erased; whose key it was


def test_no_line_of_the_service_could_log_or_audit_content():
    """Whatever logs or audits says a fixed text, and takes ids, digests, codes and numbers: nothing that is called
    content or query, no whole row and no request.
    """
    found = [
        (f"{path.name}: {ast.unparse(node)}", *told)
        for path in (SOURCE / "heclstm" / "service").rglob("*.py")
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Call) and (told := _told(node))
    ]
    for where, kind, arguments, keywords in found:
        # What is told by a function of `audit` is named by whoever calls that.
        assert isinstance(arguments[0], ast.Constant) or ast.unparse(arguments[0]) == "action", where
        assert len(arguments) == (1 if kind == "log" else 2), where  # an audit's second is the tenant
        for keyword in keywords:
            value = ast.unparse(keyword.value)
            assert value in COUNTS if keyword.arg is None else {keyword.arg, value}.isdisjoint(CONTENT), where
    # What it looks at is what there is.
    assert sum(kind == "log" for _, kind, _, _ in found) > 20
    assert sum(kind == "audit" for _, kind, _, _ in found) >= 6


def _told(call):
    """(log or audit, arguments, keywords) of a call that tells something; also of one that hands the telling on."""
    if kind := _kind(call.func):
        return kind, call.args, call.keywords
    for place, argument in enumerate(call.args):
        if kind := _kind(argument):
            return kind, call.args[place + 1 :], call.keywords
    return None


def _kind(function):
    if not isinstance(function, ast.Attribute):
        return None
    holder = ast.unparse(function.value)
    if function.attr == "write" and holder.rpartition(".")[2].strip("_") == "audit":
        return "audit"
    return "log" if function.attr in LEVELS and (holder == "_LOG" or holder.startswith("log(")) else None
