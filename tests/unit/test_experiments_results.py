"""Statistics, files and tables of the experiments. No torch."""

import numpy as np
import pytest
from experiments import record
from experiments.compare import bootstrap_difference, with_tests
from experiments.pareto import front
from experiments.ranges import outside, summary
from experiments.render import page
from experiments.sections import SECTIONS


def test_paired_known_answer():
    """Differences 1, 2, 3: mean 2, standard error 1/√3, t = 2√3, two degrees of freedom, where the two-sided p of
    t is 1 − t/√(2 + t²) and the 97.5 % quantile 4.302653."""
    found = record.paired([2.0, 4.0, 6.0], [1.0, 2.0, 3.0])
    t = 2 * np.sqrt(3)
    assert found["difference"] == pytest.approx(2)
    assert found["p"] == pytest.approx(1 - t / np.sqrt(2 + t * t), abs=1e-12)
    assert found["high"] == pytest.approx(2 + 4.302653 / np.sqrt(3), abs=1e-6)


def test_equal_differences_are_certain():
    assert record.paired([1.0, 1.0], [1.0, 1.0])["p"] == 1
    assert record.paired([1.5, 1.5], [1.0, 1.0])["p"] == 0


def test_spread_is_that_of_a_sample():
    assert record.spread([1.0, 2.0, 3.0]) == {"mean": 2.0, "sd": 1.0, "seeds": 3}
    assert record.spread([1.0])["sd"] == 0


def test_results_are_read_as_written(tmp_path):
    assert record.read("nothing", tmp_path) is None
    content = {**record.provenance(seeds=(1, 2)), "values": [0.1]}
    record.write("some", content, tmp_path)
    found = record.read("some", tmp_path)
    assert found["values"] == [0.1]
    assert found["parameters"] == {"seeds": [1, 2]}
    assert {"commit", "machine", "date", "versions"} <= set(found)
    with pytest.raises(ValueError, match="not JSON compliant"):
        record.write("some", {"bad": float("nan")}, tmp_path)
    assert record.read("some", tmp_path)["values"] == [0.1]


def test_the_method_itself_is_not_compared():
    found = with_tests({"he_clstm": [0.9, 0.8], "other": [0.7, 0.7]})
    assert "against" not in found["he_clstm"]
    assert found["other"]["against"]["difference"] == pytest.approx(0.15)


def test_bootstrap_holds_the_difference():
    labels = np.arange(60) % 2
    rng = np.random.default_rng(0)
    ours = np.stack([labels + 0.1 * rng.normal(size=60)] * 2)  # perfect
    theirs = rng.normal(size=(2, 60))  # chance
    found = bootstrap_difference(ours, theirs, labels)
    assert 0.2 < found["low"] < found["high"] < 0.8
    same = bootstrap_difference(ours, ours, labels)
    assert same == {"low": 0.0, "high": 0.0}


def test_the_front_holds_what_nothing_beats():
    points = {"cheap": (1.0, 0.7), "dear": (3.0, 0.9), "beaten": (3.5, 0.8), "same price": (1.0, 0.6)}
    assert front(points) == ["cheap", "dear"]


def test_a_sequence_is_outside_if_any_layer_is():
    largest = {
        "blocks.0": np.array([1.0, 3.0, 1.0, np.nan]),
        "lstm.cell": np.array([0.5, 0.5, 1.5, 0.5]),
    }
    limits = {"blocks.0": 2.0, "lstm.cell": 2.0}
    assert outside(largest, limits).tolist() == [False, True, False, True]
    finite = {name: value[:3] for name, value in largest.items()}
    found = summary(finite, limits)
    assert (found["outside"], found["of"], found["layer"], found["factor"]) == (1, 3, "blocks.0", 1.5)
    assert (found["largest_preactivation"], found["largest_cell"]) == (3.0, 1.5)


def test_one_seed_proves_nothing():
    assert record.paired([0.9], [0.8])["p"] == 1


def test_the_page_holds_what_was_run_and_nothing_else():
    shown = {"title": "as shipped", "auc": [0.8, 0.9], **record.spread([0.8, 0.9]), "largest_cell": 2.0}
    other = {**shown, "title": "without LSTM", "against_shipped": record.paired([0.7, 0.82], [0.8, 0.9])}
    result = {**record.provenance(folds=2), "variants": {"shipped": shown, "no_lstm": other}}
    text = page({"adrenal_ablations": result})
    assert "| as shipped | 0.850 ± 0.071 |  |  |  | 2.0 |" in text
    assert "| without LSTM | 0.850 ± 0.071 | -0.090" in text
    assert "`adrenal_ablations.json`" in text
    assert "official test part" not in text
    assert max(map(len, (line for line in text.splitlines() if not line.startswith("|")))) <= 130


def test_sections_of_folds_hold_their_figures():
    """What was not run is left out, and one seed has no spread."""
    ours = {"auc": [0.9, 0.8], "mean": 0.85, "sd": 0.07, "seeds": 2, "reversed": 0.2, "shuffled": 0.5}
    other = {**ours, "auc": [0.6], "mean": 0.6, "sd": 0.0, "seeds": 1, "difference": 0.3}
    one = {
        "score_bound": 80.0,
        "largest_score": 9.5,
        "series_outside_of_a_bound": 0,
        "scores_over_the_limit": 1,
        "of": 7,
    }
    fields = {
        "series": 20, "persons": 9, "parameters": {"folds": 5, "kind": "unreliable"},
        "titles": {"he_clstm": "ours", "slope": "slopes", "lstm": "not run"},
        "methods": {"he_clstm": ours, "slope": other}, "ranges": [one, {**one, "score_bound": 120.0}],
    }  # fmt: skip
    text = SECTIONS["visual_fields_unreliable"](fields)
    assert "(unreliable series)" in text
    assert "| ours | 0.850 ± 0.070 | 2 | 0.200 | 0.500 |  |" in text
    assert "| slopes | 0.600 | 1 | 0.200 | 0.500 | +0.300 |" in text
    assert "not run" not in text
    assert "Of 14 held-out series (all seeds and folds), 0 have a value outside" in text
    assert "are 80 to 120, the largest score is 9.5; 2" in text
    spread = {"mean": 0.9, "sd": 0.01, "seeds": 1}
    run = {"patient": [0.98, 0.95, 1.0], "sequence": [0.97, 0.94, 0.99]}
    ways, other = {"patient": spread, "sequence": spread}, {"difference": 0.01, "low": -0.02, "high": 0.04, "p": 0.4}
    slides = {
        "sequences": 30, "patients": 9, "positives": 6, "parameters": {"folds": 2}, "encrypted": {},
        "titles": {"he_clstm": "ours", "per_frame": "one by one", "resnet": "not run"},
        "methods": {
            "he_clstm": {**ways, "runs": [run], "ensembles": [run]},
            "per_frame": {**ways, "runs": [run], "against": {"patient": other, "sequence": other}},
        },
        "choices": [
            {"name": "longer", "seeds": "0", "by_fold": [0.9, 0.8], **run},
            {"name": "longer", "seeds": "1", "by_fold": [0.8, 0.9], **run},
            {"name": "longer", "seeds": "0+1", "by_fold": [0.8, 0.9], **run},
        ],
    }  # fmt: skip
    text = SECTIONS["breakhis"](slides)
    assert "| ours | 1 | 0.980 | 0.950 to 1.000 | 0.970 | 0.940 to 0.990 |  |  |" in text
    assert (
        "| one by one | 1 | 0.980 | 0.950 to 1.000 | 0.970 | 0.940 to 0.990 | +0.010 (-0.020 to +0.040), p 0.400 |"
        in text
    )
    assert "| longer | 2 | 0.980 | 0.970 | 1 |" in text  # 0.85 on average, where the two together have 0.8
    assert "| longer, 2 seeds as one program | 1 | 0.980 | 0.970 | 2 |" in text
    assert "ours 0.980 / 0.970 (0.970, 0.970 to 0.970)." in text
    assert "not run" not in text
    assert "ciphertexts" not in text
    wrong = {"fold": 2, "name": "slide/1", "label": 1, "share": 0.75}
    limit = {"lost": [wrong, {**wrong, "name": "other/4", "label": 0}], "slide": "slide", "without": [0.99, 1.0]}
    more = {**ways, "runs": [run], "limit": limit}
    titles, methods = ({**slides[each]} for each in ("titles", "methods"))
    titles["jitter_more"], methods["jitter_more"] = "more colours", more
    text = SECTIONS["breakhis"]({**slides, "titles": titles, "methods": methods})
    assert "| 2 | `slide/1` | malignant | 0.75 |" in text
    assert "No slide has more of them than `slide`, 1 of these 2." in text
    assert "0.9950" in text
    taken = {"of": 6, "refused": 0, "agree": 6, "worst_error": 1e-4, "auc": 0.9, "auc_in_clear": 0.9, "keys_mb": 20.0}
    text = SECTIONS["breakhis"]({**slides, "encrypted": {"0": {**taken, "ring_degree": 16384}}})
    assert "6 of 6 decisions are those in clear" in text


def test_no_patient_is_called_lost_or_saved_but_by_the_count():
    result = record.read("annocerv")
    assert result is not None
    one = {**result["ranges"][0], "refused": 0}
    kept = SECTIONS["annocerv"]({**result, "ranges": [one]})
    assert "0 have a\nscore outside" in kept
    assert ", so no patient is lost" in kept
    lost = SECTIONS["annocerv"]({**result, "ranges": [one, {**one, "refused": 2}]})
    assert "2 have a\nscore outside" in lost
    assert "is lost" not in lost


def test_a_gate_s_way_is_that_of_the_worst_seed():
    run = {"auc": 0.9, "median_moved": 0.01, "most_moved": 0.02}
    rows = [
        {"set": "breakhis", "method": "plain", "runs": [{"auc": 0.8}]},
        {"set": "breakhis", "method": "gated", "runs": [run, {**run, "most_moved": 0.03}]},
    ]
    text = SECTIONS["bounded_gates"]({"titles": {"plain": "constants", "gated": "gates"}, "rows": rows})
    assert "| BreaKHis, one inner fold | constants | 0.800 |  |  |" in text
    assert "| BreaKHis, one inner fold | gates | 0.900, 0.900 | 1.0e-02 | 3.0e-02 |" in text
