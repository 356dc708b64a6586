"""Fixtures: a way to call the command line in this process, and what a refusal looks like."""

import pytest
from typer.testing import CliRunner

from heclstm.cli.main import app


@pytest.fixture(scope="session")
def call():
    """Arguments → (exit code, stdout, stderr). Unexpected errors are raised, as their traceback would show."""

    def run(*arguments):
        result = CliRunner().invoke(app, [str(argument) for argument in arguments])
        if result.exception is not None and not isinstance(result.exception, SystemExit):
            raise result.exception
        return result.exit_code, result.stdout, result.stderr

    return run


@pytest.fixture
def refused(call, tmp_path):
    """Asserts that a command is refused: exit code 2, one line on stderr, and no new file in tmp_path."""

    def check(*arguments) -> str:
        before = sorted(tmp_path.rglob("*"))
        code, stdout, stderr = call(*arguments)
        assert code == 2, (stdout, stderr)
        lines = [line for line in stderr.splitlines() if line.startswith("heclstm: ")]
        assert len(lines) == 1, stderr
        assert "Traceback" not in stderr
        assert sorted(tmp_path.rglob("*")) == before
        return lines[0]

    return check
