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
Memory = Annotated[
    float | None,
    typer.Option(
        "--memory",
        metavar="GB",
        min=0.05,
        help="What the process may take with one hospital's keys; by default what is fastest. With less it is slower: "
        "`heclstm estimate --memory` shows what that costs.",
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
    list[Path],
    typer.Argument(
        metavar="INPUT",
        help="One patient's images: a folder, a .zip, a DICOMDIR, files, a manifest (.csv), or a .npy or .npz file.",
    ),
]
Sequence = Annotated[str, typer.Option("--sequence", metavar="NAME", help="Which sequence, if INPUT is a manifest.")]
AsGiven = Annotated[
    bool, typer.Option("--as-given", help="The files stand in their order already; else names or DICOM tell it.")
]
Select = Annotated[
    Path | None,
    typer.Option("--select", metavar="RULES.TOML", help="Which DICOM series, and what about writing in its pixels."),
]
Series = Annotated[
    int, typer.Option("--series", min=0, help="Which DICOM series, by its number in the list of a refusal.")
]
Prevalence = Annotated[
    float | None,
    typer.Option(
        "--prevalence",
        metavar="SHARE",
        help="Of positives among such patients, for predictive values.",
    ),
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
SiteFolder = Annotated[
    Path,
    typer.Option("--site", metavar="SITE/", envvar="HECLSTM_SITE", help="The folder that `heclstm connect` keeps."),
]
SITE = Path("site")  # of SiteFolder, where nobody says another
InsecureTest = Annotated[
    bool,
    typer.Option(
        "--insecure-test",
        hidden=True,
        help="Accept parameters without security. For tests, never for patients.",
    ),
]
