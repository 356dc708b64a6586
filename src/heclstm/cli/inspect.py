"""heclstm inspect"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Any

import typer

from heclstm.cli.options import AsJson
from heclstm.cli.terminal import emit, facts, out, size


def inspect(
    path: Annotated[Path, typer.Argument(metavar="FILE", help="Any file or folder of ours.")],
    as_json: AsJson = False,
) -> None:
    """Everybody: say what a file is: kind, program, digest, sizes. Never a secret.

    Knows model folders, program folders and program.json, key files, queries, results and diagnoses. Key
    files and messages are read to their end, to see whether they arrived whole.

    Example:

        heclstm inspect keys/evaluation.keys
    """
    found = describe(path)
    if as_json:
        emit(found)
        return
    rows = {name.replace("_", " "): _text(name, value) for name, value in found.items()}
    out().print(facts(rows))


def describe(path: Path) -> dict[str, Any]:
    """Raises FileFormatError for anything that heclstm did not write."""
    from heclstm.errors import FileFormatError
    from heclstm.storage.atomic import MAGIC
    from heclstm.storage.json import read_json
    from heclstm.storage.source import opened

    if path.is_dir():
        for name, reader in (("program.json", _program), ("model.json", _model)):
            if (path / name).exists():
                return reader(path)
        raise FileFormatError(f"{path}: is a folder without program.json or model.json")
    with opened(path) as file:
        start = file.read(len(MAGIC))
    if start == MAGIC:
        return _container(path)
    if not start.lstrip().startswith(b"{"):
        raise FileFormatError(f"{path}: is no heclstm file")
    kind = read_json(path).get("format")
    readers = {"heclstm-program": _program, "heclstm-model": _model, "heclstm-diagnosis": _diagnosis}
    if kind not in readers:
        raise FileFormatError(f"{path}: has the format {kind!r}, expected one of {sorted(readers)}")
    return readers[kind](path)


def _model(path: Path) -> dict[str, Any]:
    from heclstm.card.purpose import Purpose
    from heclstm.model.weights import load_model

    folder = path if path.is_dir() else path.parent
    model = load_model(folder)
    config, purpose = model.config, Purpose.of(model)
    return {
        "kind": "model",
        "digest": model.digest,
        "input": f"{config.frames} frames of {config.channels}×{config.height}×{config.width}",
        **({"differences": list(config.differences)} if config.differences else {}),
        "blocks": [block.out_channels for block in config.blocks],
        "cell": config.cell.kind,
        **config.cell.to_json(),
        "weights": sum(array.size for array in model.arrays.values()),
        "calibrated": purpose.limit("score") is not None,
        "attribution": purpose.model.credit,
    }


def _program(path: Path) -> dict[str, Any]:
    from heclstm.deploy.keys import evaluation_key_blobs, query_blobs, result_blobs
    from heclstm.program.files import load_card

    card = load_card(path)
    parameters, layout = card.parameters, card.input_layout
    blobs = {"evaluation_keys": evaluation_key_blobs, "query": query_blobs, "result": result_blobs}
    return {
        "kind": "program",
        "digest": card.digest,
        "model_digest": card.model.digest or "",
        "signed_by": card.signature.key if card.signature else "nobody",
        "verified": "yes" if card.circuit else "no: version 1, whose digest only the whole program tells",
        "input": f"{layout.frames} frames of {layout.channels}×{layout.height}×{layout.width}",
        "security": parameters.security,
        "ring": parameters.ring,
        "ring_degree": parameters.ring_degree,
        "log_qp": round(parameters.log_qp, 1),
        "levels": f"{card.input_level} → {card.result_level}",
        "rotation_keys": len(card.keys.rotations),
        **{f"{name}_bytes": sum(count for _, count in read(card)) for name, read in blobs.items()},
        **({"score_bound": bound} if (bound := card.bound("score")) is not None else {}),
        "attribution": card.model.credit,
        **({"warnings": list(card.model.warnings)} if card.model.warnings else {}),
    }


def _container(path: Path) -> dict[str, Any]:
    from heclstm.deploy.wire import Kind, received

    with received(path) as message:
        message.check()  # 535 MB of keys that came over a slow line: are they whole?
        header = message.header
    found: dict[str, Any] = {
        "kind": header.kind.title,
        "program": header.program,
        "key_label": header.key,
        "parts": len(header.blobs),
        "bytes": header.total_bytes,
        "content": "whole: its checksum fits",
    }
    if header.kind is Kind.SECRET_KEY:
        found["mode"] = f"{path.stat().st_mode & 0o777:04o}"
    return found


def _diagnosis(path: Path) -> dict[str, Any]:
    """Without the score: that is for `report`, and for the hospital."""
    from heclstm.report.findings import Findings

    findings = Findings.load(path)
    return {
        "kind": "diagnosis",
        "program": findings.program,
        "frames": len(findings.diagnosis.contributions),
        "classes": len(findings.diagnosis.scores),
    }


def _text(name: str, value: Any) -> str:
    if name.endswith("bytes"):
        return f"{size(value)} ({value} bytes)"
    return value if isinstance(value, str) else json.dumps(value)
