"""The shipped program, encrypted, on all 298 AdrenalMNIST3D test volumes → experiments/results/encrypted_adrenal.json.

    python -m experiments.encrypted_adrenal            run what is missing, then write the results
    python -m experiments.encrypted_adrenal --limit 2  the same for the first volumes only (writes no results)

It measures what encryption changes, not what the model is worth: the model was final before. One hospital with one
secret key, one server at 128 bits; both roles in this process, about 3 GB and two seconds a volume. Keys
and one JSON line per volume are kept in build/encrypted_adrenal/, so a run that was stopped goes on where it was.
"""

import argparse
import json
import time
from contextlib import closing
from pathlib import Path

import numpy as np

from experiments.record import ROOT, provenance, write
from heclstm.backend.precision import run_clear
from heclstm.backend.registry import backend
from heclstm.backend.simulate import SimulatedEvaluator
from heclstm.data.prepare import prepare_all
from heclstm.data.reading import read_labels, read_volumes
from heclstm.data.sequence import ImageSequence
from heclstm.deploy.client import Client
from heclstm.deploy.keys import EVALUATION_KEYS_FILE, SECRET_KEY_FILE
from heclstm.deploy.server import Server, TenantKeys
from heclstm.errors import DigestError, RangeError
from heclstm.model.metrics import area_under_curve, measure
from heclstm.model.reference import forward
from heclstm.model.weights import load_model
from heclstm.program.files import load_card, load_program

EXAMPLE = ROOT / "examples" / "adrenal"
WORK = ROOT / "build" / "encrypted_adrenal"
CHUNK = 16  # sequences that are simulated together, in 0.5 GB


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--limit", type=int, help="only so many volumes")
    parser.add_argument("--threads", type=int, default=2)
    options = parser.parse_args()
    model, card = load_model(EXAMPLE), load_card(EXAMPLE / "program")
    if card.model.digest != model.digest:
        raise DigestError("examples/adrenal: the program was compiled from another model; compile it again")
    frames = prepare_all(read_volumes(EXAMPLE / "volumes.npz"), card.preparation)
    frames = frames[: options.limit]
    lines = evaluate(frames, card, options.threads)
    if options.limit is None:
        labels = read_labels(EXAMPLE / "volumes.npz")
        results = summary(model, card, frames, labels, lines, options.threads)
        write("encrypted_adrenal", results)
        print(json.dumps({name: value for name, value in results.items() if name != "volumes"}, indent=1))


def evaluate(frames: np.ndarray, card, threads: int) -> list[dict]:
    """One line for each volume; those that an earlier run left are taken over."""
    folder = WORK / card.digest[:12]
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "volumes.jsonl"
    # A line that was cut off when a run was killed does not end.
    whole = [text for text in (path.read_text() if path.exists() else "").splitlines(keepends=True) if text[-1] == "\n"]
    path.write_text("".join(whole))
    lines = {line["volume"]: line for line in map(json.loads, whole)}
    missing = [volume for volume in range(len(frames)) if volume not in lines]
    if missing:
        program = load_program(EXAMPLE / "program")
        with closing(Client(card, threads=threads)) as client:
            if (folder / EVALUATION_KEYS_FILE).exists():
                client.load_secret_key(folder / SECRET_KEY_FILE)
            else:
                client.generate_keys(folder)
            with (
                closing(Server(program, backend("cpu", threads=threads))) as server,
                server.open_keys(folder / EVALUATION_KEYS_FILE) as keys,
                path.open("a") as stream,
            ):
                for volume in missing:
                    line = {"volume": volume, **diagnose(client, server, keys, folder, frames[volume])}
                    stream.write(json.dumps(line) + "\n")
                    stream.flush()
                    lines[volume] = line
                    print(line, flush=True)
    return [lines[volume] for volume in range(len(frames))]


def diagnose(client: Client, server: Server, keys: TenantKeys, folder: Path, frames: np.ndarray) -> dict:
    """Encrypt, evaluate, decrypt; score None where the client refuses it. Seconds of each stage."""
    times = [time.perf_counter()]
    client.encrypt(ImageSequence(frames), folder / "query.he", override_envelope="the whole test part is evaluated")
    times.append(time.perf_counter())
    server.evaluate(folder / "query.he", keys, folder / "result.he")
    times.append(time.perf_counter())
    try:
        diagnosis = client.decrypt(folder / "result.he", unrounded=True)
        score, contributions = diagnosis.scores[0], [row[0] for row in diagnosis.contributions]
    except RangeError:
        score, contributions = None, None
    times.append(time.perf_counter())
    seconds = dict(zip(("encrypt", "evaluate", "decrypt"), np.diff(times).round(4).tolist(), strict=True))
    return {"encrypted": score, "contributions": contributions, "seconds": seconds}


def summary(model, card, frames, labels, lines, threads) -> dict:
    """Clear, simulated and encrypted side by side; agreement and errors are those of encryption alone."""
    clear = forward(model, frames)["score"][:, 0]
    circuit = load_program(EXAMPLE / "program").circuit
    starts = range(0, len(frames), CHUNK)
    on_slots = np.concatenate([run_clear(circuit, frames[at : at + CHUNK])[:, 0] for at in starts])
    simulated = np.concatenate(
        [
            run_clear(circuit, frames[at : at + CHUNK], SimulatedEvaluator(circuit.parameters, seed=at))[:, 0]
            for at in starts
        ]
    )
    refused = [line["volume"] for line in lines if line["encrypted"] is None]
    if refused:
        raise RangeError(f"volumes {refused}: refused by the client; they have no encrypted score to compare")
    encrypted = np.array([line["encrypted"] for line in lines])
    threshold = model.metadata["operating_point"]["threshold"]
    scores = {"clear": clear, "simulated": simulated, "encrypted": encrypted}
    agree = (encrypted >= threshold) == (clear >= threshold)
    error, predicted = np.abs(encrypted - clear), np.abs(simulated - clear)
    seconds = {stage: np.array([line["seconds"][stage] for line in lines]) for stage in lines[0]["seconds"]}
    volumes = [
        {"volume": row, "label": int(labels[row]), **{name: float(values[row]) for name, values in scores.items()},
         "contributions": lines[row]["contributions"], "seconds": lines[row]["seconds"]}
        for row in range(len(lines))
    ]  # fmt: skip
    return {
        **provenance(
            program=card.digest,
            model=model.digest,
            ring=card.parameters.ring,
            ring_degree=card.parameters.ring_degree,
            security=card.parameters.security,
            threads=threads,
            volumes=len(lines),
            threshold=threshold,
        ),
        "measures": {name: measure(values, labels, threshold).to_json() for name, values in scores.items()},
        "auc_difference": area_under_curve(encrypted, labels) - area_under_curve(clear, labels),
        "decisions_agree": {"count": int(agree.sum()), "share": float(agree.mean())},
        "error": {
            "worst": float(error.max()),
            "mean": float(error.mean()),
            "rms": rms(error),
            "simulated_rms": rms(predicted),
            "over_simulated": rms(error) / rms(predicted),
            "circuit_on_clear_slots": float(np.abs(on_slots - clear).max()),
            "closest_score_to_threshold": float(np.abs(clear - threshold).min()),
        },
        "seconds": {
            stage: {"median": float(np.median(values)), "total": float(values.sum())}
            for stage, values in seconds.items()
        },
        "volumes": volumes,
    }


def rms(values: np.ndarray) -> float:
    return float(np.sqrt(np.mean(values**2)))


if __name__ == "__main__":
    main()
