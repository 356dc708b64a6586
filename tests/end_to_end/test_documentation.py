"""What is written about the command line is true: helps, README and examples."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
import typer

from heclstm.cli.main import app

ROOT = Path(__file__).parents[2]
COMMANDS = typer.main.get_command(app).commands
MODEL_OWNER = ["train", "search", "calibrate", "evaluate", "compile", "signing-key", "sign", "estimate"]
CONNECTED = [
    "connect",
    "diagnose",
    "gateway",
    "jobs",
    "workstation",
    "share",
    "rotate-keys",
    "backup",
    "restore",
    "forget",
]
FILES = ["keygen", "encrypt", "run", "serve", "decrypt", "report", "export"]
VERBS = [*MODEL_OWNER, *FILES, *CONNECTED, "demo", "inspect", "schema"]
GROUPS = ["token"]  # of verbs: heclstm token create
README = (ROOT / "README.md").read_text()
BLOCKS = re.findall(r"```(\w+)\n(.*?)```", README, flags=re.DOTALL)


def test_verbs_stand_in_the_order_of_the_data():
    assert list(COMMANDS) == [*VERBS, *GROUPS]


@pytest.mark.parametrize("verb", VERBS)
def test_every_help_teaches(call, verb):
    """Who runs it, what it does, and lines to copy whose options exist."""
    code, stdout, _ = call(verb, "--help")
    assert code == 0
    help_text = COMMANDS[verb].help
    assert re.match(r"(Model owner|Hospital|Server|Everybody)", help_text)
    examples = re.findall(r"^ *heclstm (.*)$", help_text, flags=re.MULTILINE)
    assert examples
    for example in examples:
        assert example.startswith(verb)
        check_command(example)
    assert "Example" in stdout


@pytest.mark.parametrize("group", GROUPS)
def test_every_help_of_a_group_teaches(call, group):
    assert re.match(r"(Model owner|Hospital|Server|Everybody)", COMMANDS[group].help)
    for verb, command in COMMANDS[group].commands.items():
        code, stdout, _ = call(group, verb, "--help")
        assert code == 0
        for example in re.findall(r"^ *heclstm (.*)$", command.help, flags=re.MULTILINE):
            check_command(example)
            assert "Example" in stdout


def check_command(line):
    """The verb exists, and so does each of its options."""
    verb, *words = line.split()
    assert verb in COMMANDS, line
    if verb in GROUPS:
        commands, (verb, *words) = COMMANDS[verb].commands, words
    else:
        commands = COMMANDS
    assert verb in commands, line
    known = {name for parameter in commands[verb].params for name in parameter.opts} | {"--help"}
    unknown = {word for word in words if word.startswith("-")} - known
    assert not unknown, line


def test_readme_commands_exist():
    lines = [line for kind, block in BLOCKS if kind == "sh" for line in block.splitlines()]
    commands = [line.removeprefix("heclstm ").split("#")[0] for line in lines if line.startswith("heclstm ")]
    assert {command.split()[0] for command in commands} >= {*VERBS, *GROUPS}
    for command in commands:
        check_command(command)
    targets = re.findall(r"^(\w+):", (ROOT / "Makefile").read_text(), flags=re.MULTILINE)
    for line in lines:
        if line.startswith("make "):
            assert line.split()[1] in targets


@pytest.mark.parametrize("example", sorted((ROOT / "examples").glob("*.py")), ids=lambda path: path.name)
def test_examples_run(example, tmp_path):
    environment = os.environ | {"PYTHONPATH": str(ROOT / "src")}
    command = [sys.executable, "-W", "error", str(example)]
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout
