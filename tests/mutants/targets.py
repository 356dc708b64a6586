"""Which tests must notice a change of a module, and the faults that were planted by hand."""

from dataclasses import dataclass

CARD = ["unit/test_card_parts.py", "unit/test_card_warnings.py", "unit/test_card.py"]
CONTAINER = ["unit/test_storage_container.py", "property/test_container_properties.py"]
CLIENT = ["unit/test_client_secrets.py", "unit/test_client.py", "unit/test_client_inputs.py", "backend/test_server.py"]

# file below src/heclstm → files below tests, the quickest first.
MODULES = {
    "storage/atomic.py": ["unit/test_storage_atomic.py", "unit/test_program_files_saving.py"],
    "storage/json.py": ["unit/test_storage_json.py"],
    "storage/sealed.py": ["unit/test_storage_sealed.py"],
    "storage/own.py": ["backend/test_kept.py", "backend/test_cpu_stored.py"],
    "storage/settings.py": ["unit/test_storage_settings.py"],
    "storage/source.py": [
        *("unit/test_storage_source.py", "unit/test_storage_container.py", "unit/test_storage_json.py"),
    ],
    "storage/typed.py": ["unit/test_storage_typed.py"],
    "storage/container.py": [*CONTAINER, "unit/test_schemas.py"],
    "storage/archive.py": ["unit/test_storage_archive.py"],
    "storage/arrays.py": ["unit/test_storage_arrays.py"],
    "circuit/check.py": ["unit/test_check.py"],
    "card/bounds.py": CARD,
    "card/envelope.py": ["unit/test_envelope.py", *CARD],
    "card/interval.py": ["unit/test_metrics_intervals.py"],
    "card/model_facts.py": CARD,
    "card/operating_point.py": ["unit/test_predictive.py", *CARD],
    "card/predictive.py": ["unit/test_predictive.py"],
    "card/preparation.py": ["unit/test_data_prepare.py", "unit/test_data_fit.py", *CARD],
    "card/program_card.py": CARD,
    "card/purpose.py": CARD,
    "card/ranges.py": CARD,
    "card/signature.py": ["unit/test_card_signature.py"],
    "card/temperature.py": CARD,
    "card/warnings.py": ["unit/test_card_warnings.py"],
    "card/version1.py": ["unit/test_program_files.py", "unit/test_report_findings.py"],
    "deploy/diagnosis.py": ["unit/test_diagnosis.py", "unit/test_rounding.py"],
    "deploy/case.py": ["unit/test_case.py"],
    "deploy/usual.py": ["unit/test_usual.py", "unit/test_envelope.py"],
    "deploy/rounding.py": ["unit/test_rounding.py"],
    "deploy/wire.py": ["unit/test_storage_container.py", "unit/test_client.py"],
    "deploy/keys.py": ["unit/test_client.py", "backend/test_server.py"],
    "deploy/kept.py": ["backend/test_kept.py"],
    "deploy/client.py": CLIENT,
    "deploy/server.py": ["unit/test_server_refusals.py", "backend/test_server.py", "unit/test_client.py"],
}


@dataclass(frozen=True)
class Fault:
    """old → new in a file below src/heclstm, which one of these tests must notice."""

    name: str
    file: str
    old: str
    new: str
    tests: tuple[str, ...]


PLANTED = [
    Fault(
        "a score out of range is taken for a result", "deploy/diagnosis.py",
        "if not np.isfinite(values).all() or not np.abs(scores).max() <= limit:", "if False:",
        ("unit/test_diagnosis.py",),
    ),
    Fault(
        "contributions that do not sum are taken for a result", "deploy/diagnosis.py",
        "if drift > allowed:", "if False:", ("unit/test_diagnosis.py",),
    ),
    Fault(
        "no limit of rotation keys", "card/bounds.py",
        "if len(keys.rotations) > ROTATIONS_MAX:", "if False:", ("unit/test_card.py",),
    ),
    Fault(
        "no limit of ciphertexts", "card/bounds.py",
        "if (count := layout.ciphertexts) > CIPHERTEXTS_MAX:", "if not (count := layout.ciphertexts):",
        ("unit/test_card.py",),
    ),
    Fault(
        "no limit of a blob", "storage/container.py",
        "Meta(ge=0, le=BLOB_BYTES_MAX)", "Meta(ge=0)", tuple(CONTAINER),
    ),
    Fault(
        "no limit of a header", "storage/container.py",
        "if length > HEADER_BYTES_MAX:", "if False:", tuple(CONTAINER),
    ),
    Fault(
        "--low-memory does nothing", "cli/run.py",
        '"compact": low_memory', '"compact": False', ("end_to_end/test_run_options.py",),
    ),
    Fault(
        "--low-memory does nothing in the use case", "usecases/run.py",
        "0 if compact else MEMORY", "MEMORY", ("end_to_end/test_run_options.py",),
    ),
    Fault(
        "a bound of memory does nothing in the backend", "backend/cpu/backend.py",
        "estimate(circuit, memory=self.memory, threads", "estimate(circuit, threads",
        ("end_to_end/test_run_options.py",),
    ),
    Fault(
        "prices of another machine are used", "backend/prices.py",
        "complete and primitives.machine == machine_name()", "complete", ("unit/test_prices.py",),
    ),
    Fault(
        "peak memory is told as 0", "usecases/run.py",
        "peak_memory(), *memory)", "0, *memory)", ("end_to_end/test_run_options.py",),
    ),
    Fault(
        "shadow takes an error of 800 times the predicted one for noise", "devtools/shadow.py",
        "DRIFT = 8 ", "DRIFT = 800 ", ("backend/test_devtools.py",),
    ),
    Fault(
        "fresh noise is ten times the predicted one", "circuit/noise.py",
        "return math.sqrt(self.gain * (SIGMA**2 + ROUNDING_VARIANCE))",
        "return 0.1 * math.sqrt(self.gain * (SIGMA**2 + ROUNDING_VARIANCE))", ("backend/test_laws_operations.py",),
    ),
    Fault(
        "a rescale's noise is ten times the predicted one", "circuit/noise.py",
        "return math.sqrt(self.gain * ROUNDING_VARIANCE * (1 + self.secret_gain))",
        "return 0.1 * math.sqrt(self.gain * ROUNDING_VARIANCE * (1 + self.secret_gain))",
        ("backend/test_laws_operations.py",),
    ),
    Fault(
        "a key switch's noise is ten times the predicted one", "circuit/noise.py",
        "return math.sqrt(variance * complex_parts) * self.gain",
        "return 0.1 * math.sqrt(variance * complex_parts) * self.gain", ("backend/test_laws_operations.py",),
    ),
]  # fmt: skip
