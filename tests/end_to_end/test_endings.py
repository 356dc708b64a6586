"""How verbs end early: Ctrl+C, signals, pipes whose reader went away, memory and threads that run out; in JSON, too."""

import json
import os
import signal
import subprocess
import sys

import pytest
import typer

from heclstm.cli.ending import Ended, ending_of
from heclstm.errors import ResourceError, SequenceError
from heclstm.usecases import inspect as inspecting

VERB = [sys.executable, "-m", "heclstm.cli"]


def raising(error):
    def work(*_, **__):
        raise error

    return work


@pytest.mark.parametrize(
    ("error", "code", "words"),
    [
        (KeyboardInterrupt(), 130, "stopped by Ctrl+C; nothing half made stays behind"),
        (MemoryError(), 2, "memory: the system gives this process no more"),
        (RuntimeError("can't start new thread"), 2, "threads: the system gives this process no more"),
        (ImportError("failed to map segment from shared object", name="numpy"), 2, "numpy: cannot be loaded"),
        (OSError(24, "Too many open files", "x.py"), 2, "x.py: Too many open files"),
        (ResourceError("native engine: no more"), 2, "native engine: no more"),
        (BrokenPipeError(32, "Broken pipe"), 2, "whoever read it went away"),
    ],
)
def test_what_ends_a_verb_is_one_line_and_json(call, site, monkeypatch, error, code, words):
    monkeypatch.setattr(inspecting, "inspect", raising(error))
    monkeypatch.setattr("heclstm.cli.ending.os.dup2", lambda *_: None)  # stdout is not a pipe here, but the runner's
    found, stdout, stderr = call("inspect", site.query)
    assert (found, stdout) == (code, "")
    assert stderr.startswith("heclstm: ")
    assert words in stderr
    assert stderr.count("\n") == 1
    found, stdout, stderr = call("inspect", site.query, "--json")
    told = json.loads(stdout)["error"]
    assert found == told["exit_code"] == code
    assert told["kind"] == type(error).__name__
    assert words in told["message"]


def test_memory_that_pytorch_did_not_get_is_told_as_such():
    error = RuntimeError("[enforce fail at alloc_cpu.cpp:127] DefaultCPUAllocator: can't allocate memory: 9 bytes")
    told = ending_of(error, None, "train")
    assert (told.kind, told.code) == ("MemoryError", 2)
    assert "memory: the system gives" in told.text


def test_what_nobody_expects_keeps_its_traceback():
    for error in (ValueError("x"), RuntimeError("x"), ImportError("no module"), SystemExit(3)):
        assert ending_of(error, None, "run") is None


def test_an_interrupted_training_says_how_to_go_on():
    assert "add --resume" in ending_of(KeyboardInterrupt(), None, "train").text
    assert "add --resume" in ending_of(Ended(signal.SIGTERM), None, "train").text


def test_wrong_usage_is_json_too(call):
    code, stdout, _ = call("inspect", "--json")
    assert code == 2
    assert json.loads(stdout)["error"]["kind"] == "UsageError"
    assert call("inspect")[1] == ""


def test_a_refusal_in_json_says_its_kind(call, site, tmp_path):
    (tmp_path / "x.npy").write_bytes(b"")
    arguments = ("--key", site.secret, "-o", tmp_path / "q.he", "--insecure-test", "--json")
    code, stdout, _ = call("encrypt", site.program, tmp_path / "x.npy", *arguments)
    assert (code, json.loads(stdout)["error"]["kind"]) == (2, "FileFormatError")


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_signals_end_key_generation_without_a_trace(site, tmp_path, number):
    """In a process of its own: the handlers are the process's, and Ctrl+C must reach a call of the engine."""
    script = (
        "import sys, time; from heclstm.cli.main import app; from heclstm.deploy.client import Client\n"
        "def wait(*_):\n    print('making', flush=True); time.sleep(60); yield b''\n"
        "Client._evaluation_keys = wait; app(sys.argv[1:])"
    )
    arguments = ["keygen", str(site.program), "-o", str(tmp_path / "keys"), "--insecure-test"]
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    with subprocess.Popen([sys.executable, "-c", script, *arguments], **pipes) as child:
        assert child.stdout.readline() == "making\n"
        child.send_signal(number)
        _, stderr = child.communicate(timeout=30)
    assert child.returncode == 128 + number
    assert "Traceback" not in stderr
    assert ("Ctrl+C" if number == signal.SIGINT else number.name) in stderr.splitlines()[-1]
    assert not list(tmp_path.iterdir())


def test_a_hangup_that_nohup_ignores_is_ignored(monkeypatch, call, site):
    def hung_up(*_):
        os.kill(os.getpid(), signal.SIGHUP)
        raise SequenceError("went on")

    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        monkeypatch.setattr(inspecting, "inspect", hung_up)
        assert "went on" in call("inspect", site.query)[2]
    finally:
        signal.signal(signal.SIGHUP, before)


def test_a_reader_who_goes_away(site):
    """`inspect … | head -0`: one line and exit code 2, and Python adds nothing when it flushes."""
    for options in ([], ["--json"]):
        with subprocess.Popen(
            [*VERB, "inspect", str(site.query), *options], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        ) as child:
            child.stdout.close()
            stderr = child.stderr.read()
        assert child.returncode == 2
        assert stderr == "heclstm: output: whoever read it went away; files that were written stay\n"


def test_streams_that_were_closed_before_it_began(site):
    ran = subprocess.run(f"{' '.join(VERB)} inspect {site.query} >&- 2>&-", shell=True, check=False)
    assert ran.returncode == 0


def test_ctrl_c_while_the_command_line_still_imports_itself():
    """Python would show a traceback of half a screen."""
    script = (
        "import builtins, os, signal; from heclstm.cli.start import main; real = builtins.__import__\n"
        "def interrupted(name, *rest):\n"
        "    if name == 'heclstm.cli.application': os.kill(os.getpid(), signal.SIGINT)\n"
        "    return real(name, *rest)\n"
        "builtins.__import__ = interrupted; main()"
    )
    assert_stopped(["-c", script, "inspect", "nothing"])


@pytest.mark.parametrize("method", ["main", "make_context"])
def test_ctrl_c_between_the_command_line_and_a_verb(method):
    """Typer answers KeyboardInterrupt by an empty line."""
    script = (
        "import os, signal; from heclstm.cli.start import main; from typer.core import TyperGroup\n"
        f"real = TyperGroup.{method}\n"
        "def interrupted(*given, **named): os.kill(os.getpid(), signal.SIGINT); return real(*given, **named)\n"
        f"TyperGroup.{method} = interrupted; main()"
    )
    assert_stopped(["-c", script, "inspect", "nothing"])


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_that_python_drops_comes_again(site, number):
    """A callback of a weak reference, as importing makes them, cannot raise: the command went on to its end."""
    script = (
        "import os, time, weakref; from heclstm.cli.start import main; from heclstm.usecases import inspect\n"
        "class Held: pass\n"
        f"def last(_): os.kill(os.getpid(), {int(number)}); time.sleep(0.01)\n"
        "def wait(*_):\n"
        "    held = Held(); seen = weakref.ref(held, last); del held; time.sleep(60)\n"
        "inspect.inspect = wait; main()"
    )
    ran = subprocess.run([sys.executable, "-c", script, "inspect", site.query], capture_output=True, text=True)
    assert (ran.returncode, ran.stdout) == (128 + number, "")
    assert "nothing half made stays behind" in ran.stderr
    assert len(ran.stderr.splitlines()) == 1


def test_ctrl_c_twice_is_told_once(site):
    """The second one, while the process ends, said again what stays, and otherwise than the first for `train`."""
    script = (
        "import os, signal; from heclstm.cli.start import main; from heclstm.usecases import inspect\n"
        "def stop(*_): os.kill(os.getpid(), signal.SIGINT)\n"
        "inspect.inspect = stop\n"
        "try: main()\n"
        "finally: stop()"
    )
    assert_stopped(["-c", script, "inspect", site.query])


@pytest.mark.parametrize(("pressed", "code"), [(KeyboardInterrupt, 130), (EOFError, 2)])
def test_what_ends_the_question_for_a_passphrase(call, site, tmp_path, monkeypatch, pressed, code):
    """Typer made "Aborted." and exit code 1 of both, and nothing at all with --json."""

    def asked(*_, **__):  # as Typer does
        try:
            raise pressed
        except (KeyboardInterrupt, EOFError):
            raise typer.Abort from None

    monkeypatch.setattr("heclstm.cli.passphrase._terminal", lambda: True)
    monkeypatch.setattr("heclstm.cli.passphrase.typer.prompt", asked)
    arguments = ("keygen", site.program, "-o", tmp_path / "keys", "--passphrase", "--insecure-test")
    found, stdout, stderr = call(*arguments, "--json")
    assert (found, json.loads(stdout)["error"]["exit_code"]) == (code, code)
    assert stderr.startswith("heclstm: ")
    assert len(stderr.splitlines()) == 1
    assert not (tmp_path / "keys").exists()


def test_ctrl_c_after_a_verb():
    script = (
        "import os, signal; from heclstm.cli.start import main\n"
        "try: main()\n"
        "finally: os.kill(os.getpid(), signal.SIGINT); print('went on')"
    )
    assert_stopped(["-c", script, "inspect", "nothing"], before=1)


def assert_stopped(arguments, before=0):
    """before: how many lines may stand before the one that says so."""
    ran = subprocess.run([sys.executable, *arguments], capture_output=True, text=True, check=False)
    assert (ran.returncode, ran.stdout) == (130, "")
    lines = ran.stderr.splitlines()
    assert len(lines) == 1 + before
    assert lines[-1] == "heclstm: stopped by Ctrl+C; nothing half made stays behind"
