"""Options and arguments that several verbs share, so that they read the same everywhere."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

AsJson = Annotated[bool, typer.Option("--json", help="Print one JSON object on stdout, for programs.")]
Threads = Annotated[int | None, typer.Option("--threads", min=1, help="Cores to use; all by default.")]
Arithmetic = Annotated[
    str,
    typer.Option(
        "--arithmetic",
        help="How the processor computes: auto (our kernels, the widest vectors that it has), avx512, avx2, neon or "
        "portable (one of them), lattigo (Lattigo's transforms: the reference, several times slower). Results are "
        "the same.",
    ),
]
OldBackend = Annotated[str | None, typer.Option("--backend", hidden=True, help="The former name of --arithmetic.")]
Index = Annotated[
    int | None,
    typer.Option("--index", "-i", min=0, help="Which patient, if INPUT holds many (counted from 0)."),
]
Description = Annotated[
    Path,
    typer.Argument(metavar="PROGRAM.JSON", help="The public part of a program: program.json, or its folder."),
]
ProgramFolder = Annotated[
    Path, typer.Argument(metavar="PROGRAM/", help="A program folder, as `heclstm compile` writes it.")
]
ModelFolder = Annotated[
    Path, typer.Argument(metavar="MODEL/", help="A model folder: model.json and model.safetensors.")
]
SecretKeyFile = Annotated[
    Path, typer.Option("--key", metavar="SECRET.KEY", help="The hospital's secret key, from `heclstm keygen`.")
]
Images = Annotated[
    Path,
    typer.Argument(metavar="INPUT", help="The images: a .npy or .npz file, a DICOM file, or a folder of pictures."),
]
Trust = Annotated[
    Path | None,
    typer.Option(
        "--trust", metavar="OWNER.PUB", help="The model owner's public key: refuse a program that it has not signed."
    ),
]
SigningKey = Annotated[
    Path, typer.Option("--key", metavar="OWNER.PEM", help="The model owner's private key, from `signing-key`.")
]
InsecureTest = Annotated[
    bool,
    typer.Option(
        "--insecure-test",
        hidden=True,
        help="Accept parameters without security. For tests, never for patients.",
    ),
]
