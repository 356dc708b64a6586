"""`python -m heclstm.cli` is `heclstm`."""

from heclstm.cli.main import app

if __name__ == "__main__":
    app(prog_name="heclstm")
