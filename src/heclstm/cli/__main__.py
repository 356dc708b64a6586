"""`python -m heclstm.cli` is `heclstm`."""

from heclstm.cli.start import main

if __name__ == "__main__":
    main()
