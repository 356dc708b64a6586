"""Shared by the tests of the service: a program, two hospitals, certificates, servers."""

import contextlib

import pytest
import trustme

from heclstm.compiler.compile import Options, compile_model
from heclstm.deploy.keys import evaluation_key_blobs
from heclstm.program.files import load_card, save_program
from random_models import random_model, small_config
from service import described
from service.faulty import Faulty
from service.kit import ENVIRONMENT, Hospital, Running, write_config
from service.page_kit import Workstation, save_page_program
from service.store import start_store

CONFIG = small_config(frames=2, channels=1)


def compile_program(folder, seed=0):
    options = Options(ring_degree=1024, special_count=2, security="INSECURE_TEST")
    save_program(compile_model(random_model(CONFIG, seed), options), folder)
    return folder


@pytest.fixture(scope="session", autouse=True)
def answers_are_described():
    with pytest.MonkeyPatch.context() as patch:
        described.watch(patch)
        yield


@pytest.fixture(scope="session")
def program(tmp_path_factory):
    return compile_program(tmp_path_factory.mktemp("program") / "program")


@pytest.fixture(scope="session")
def other_program(tmp_path_factory):
    return compile_program(tmp_path_factory.mktemp("other") / "program", seed=1)


@pytest.fixture(scope="session")
def hospital(program, tmp_path_factory):
    return Hospital(tmp_path_factory.mktemp("hospital") / "keys", program)


@pytest.fixture(scope="session")
def second(program, tmp_path_factory):
    return Hospital(tmp_path_factory.mktemp("second") / "keys", program)


@pytest.fixture(scope="session")
def certificates(tmp_path_factory):
    """(the [tls] table, the authority's certificate)."""
    folder = tmp_path_factory.mktemp("certificates")
    authority = trustme.CA()
    server = authority.issue_cert("127.0.0.1", "localhost")
    server.private_key_pem.write_to_path(str(folder / "server.key"))
    with open(folder / "server.pem", "wb") as chain:
        for part in server.cert_chain_pems:
            chain.write(part.bytes())
    authority.cert_pem.write_to_path(str(folder / "authority.pem"))
    return {"certificate": str(folder / "server.pem"), "key": str(folder / "server.key")}, folder / "authority.pem"


@pytest.fixture(scope="session")
def launch(program, certificates, tmp_path_factory):
    """Starts servers, in a block each: launch(programs=…, workers=2, evaluation={…}). faults: see `service.faulty`."""

    @contextlib.contextmanager
    def started(programs=None, start=True, faults=None, **changes):
        folder = tmp_path_factory.mktemp("service")
        tls, authority = certificates
        changes = {"tls": tls, **changes}
        config = write_config(folder, programs or [{"folder": str(program)}], **changes)
        server = Running(config, authority) if faults is None else Faulty(config, authority, faults)
        try:
            if start:
                server.start()
            yield server
        finally:
            server.close()

    return started


@pytest.fixture(scope="session")
def server(launch):
    """One that tests share: they use tenants of their own."""
    with launch(workers=1) as running:
        yield running


@pytest.fixture(scope="module")
def page_server(launch, tmp_path_factory):
    """With a program that has all that the page shows."""
    program = save_page_program(tmp_path_factory.mktemp("page") / "program")
    with launch(programs=[{"folder": str(program)}]) as running:
        running.key_bytes = sum(count for _, count in evaluation_key_blobs(load_card(program)))
        yield running


@pytest.fixture(scope="module")
def workstation(tmp_path_factory):
    """The page in a process of its own, without a connection yet."""
    folder = tmp_path_factory.mktemp("workstation")
    started = Workstation(folder / "site", folder / "log")
    yield started
    started.close()


@pytest.fixture(scope="session")
def store():
    """An S3 server."""
    started = start_store()
    yield started
    started.close()


@pytest.fixture
def in_reach(store, monkeypatch):
    """The store, for this process and for those that it starts."""
    for name, value in store.environment.items():
        monkeypatch.setenv(name, value)
        monkeypatch.setitem(ENVIRONMENT, name, value)
    return store
