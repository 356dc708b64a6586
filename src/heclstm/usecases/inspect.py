"""What a file of ours is: kind, program, digest, sizes. Never a secret, never a score."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from msgspec import UNSET

from heclstm.deploy.client import SEALED
from heclstm.deploy.keys import evaluation_key_blobs, query_blobs, result_blobs
from heclstm.deploy.wire import Kind, received
from heclstm.errors import FileFormatError
from heclstm.program.public import load_card
from heclstm.storage.atomic import MAGIC
from heclstm.storage.json import read_json
from heclstm.storage.source import name_of, opened


@dataclass(frozen=True)
class Described:
    """kind: model, program, diagnosis, case, or that of a message. facts: in plain JSON types, by kind."""

    kind: str
    facts: Mapping[str, Any]

    def to_json(self) -> dict[str, Any]:
        return {"kind": self.kind, **self.facts}


def inspect(file: Path | bytes) -> Described:
    """file: also a program or model folder. Key files and messages are read to their end: are they whole?

    Raises FileFormatError for anything that heclstm did not write.
    """
    if isinstance(file, Path) and file.is_dir():
        for name, reader in (("program.json", _program), ("model.json", _model)):
            if (file / name).exists():
                return reader(file)
        raise FileFormatError(f"{file}: is a folder without program.json or model.json")
    with opened(file) as source:
        start = source.read(len(MAGIC))
    if start == MAGIC:
        return _message(file)
    if not start.lstrip().startswith(b"{"):
        raise FileFormatError(
            f"{name_of(file)}: is no heclstm file; give a model, program, keys, query, case, result or diagnosis"
        )
    kind = read_json(file).get("format")
    if kind not in READERS:
        raise FileFormatError(f"{name_of(file)}: has the format {kind!r}, expected one of {sorted(READERS)}")
    return READERS[kind](file)


def _model(file: Path | bytes) -> Described:
    from heclstm.card.purpose import Purpose
    from heclstm.model.weights import load_model

    if isinstance(file, bytes):
        raise FileFormatError("model.json: says little without its weights; give the folder of both")
    model = load_model(file if file.is_dir() else file.parent)
    config, purpose = model.config, Purpose.of(model)
    facts = {
        "digest": model.digest,
        "input": f"{config.frames} frames of {config.channels}×{config.height}×{config.width}",
        **({"differences": list(config.differences)} if config.differences else {}),
        "blocks": [block.out_channels for block in config.blocks],
        "cell": config.cell.kind,
        **config.cell.to_json(),
        **({"networks_side_by_side": config.members} if config.members > 1 else {}),
        "weights": sum(array.size for array in model.arrays.values()),
        "calibrated": purpose.limit("score") is not None,
        "attribution": purpose.model.credit,
    }
    return Described("model", facts)


def _program(file: Path | bytes) -> Described:
    card = load_card(file)
    parameters, layout = card.parameters, card.input_layout
    blobs = {"evaluation_keys": evaluation_key_blobs, "query": query_blobs, "result": result_blobs}
    facts = {
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
        "frames_assessed": card.assessable if card.operating_points else "none: no operating point",
        "envelope": "none" if card.envelope is UNSET else f"{100 * card.envelope.coverage:.1f} % of training inside",
        **({"warnings": list(card.warnings)} if card.warnings else {}),
    }
    return Described("program", facts)


def _message(file: Path | bytes) -> Described:
    with received(file) as message:
        message.check()  # 535 MB of keys that came over a slow line: are they whole?
        header = message.header
    facts: dict[str, Any] = {
        "program": header.program,
        "key_label": header.key,
        "parts": len(header.blobs),
        "bytes": header.total_bytes,
        "content": "whole: its checksum fits",
    }
    if header.kind is Kind.SECRET_KEY and isinstance(file, Path):
        facts["passphrase"] = "needed" if header.blobs[0][0] == SEALED else "none"
        facts["mode"] = f"{file.stat().st_mode & 0o777:04o}"
    return Described(header.kind.title, facts)


def _diagnosis(file: Path | bytes) -> Described:
    """Without the score: that is for `report`, and for the hospital."""
    from heclstm.report.findings import Findings

    findings = Findings.load(file)
    frames, classes = len(findings.diagnosis.contributions), len(findings.diagnosis.scores)
    return Described("diagnosis", {"program": findings.program, "frames": frames, "classes": classes})


def _case(file: Path | bytes) -> Described:
    """Without name and study: those are for the hospital."""
    from heclstm.deploy.case import Case

    case = Case.read(file)
    facts = {"program": case.program, "key_label": case.key, "query_label": case.query, "frames": case.frames}
    return Described("case", {**facts, "envelope": case.envelope})


READERS: dict[Any, Callable[[Path | bytes], Described]] = {
    "heclstm-program": _program,
    "heclstm-model": _model,
    "heclstm-diagnosis": _diagnosis,
    "heclstm-case": _case,
}
