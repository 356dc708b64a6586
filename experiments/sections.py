"""The sections of docs/results.md: from a result to Markdown."""

from collections.abc import Callable

from experiments import texts
from experiments.slides import bounds, breakhis
from experiments.tables import Result, difference, encrypted_folds, interval, listed, mean_sd, table
from experiments.trials import bounded_gates, fields_ablations, orders, penalties

LEVEL = 0.05


def ranges(rows: list[Result]) -> dict[str, str]:
    """What a text says about ranges."""
    return {
        "of": f"{rows[0]['of']:,}",
        "outside": listed(row["outside"] for row in rows),
        "factor": f"{max(row['factor'] for row in rows):.2f}",
        "preactivation": f"{max(row['largest_preactivation'] for row in rows):.2f}",
        "cell": f"{max(row['largest_cell'] for row in rows):.2f}",
    }


def reading(methods: Result, titles: dict[str, str]) -> str:
    """Which differences to HE-CLSTM are beyond chance over seeds, with each comparison at the 5 % level."""
    compared = {title: methods[name]["against"] for name, title in titles.items() if "against" in methods[name]}
    lines = []
    for said, sign in (("HE-CLSTM is better than", 1), ("HE-CLSTM is worse than", -1)):
        if names := [
            title for title, found in compared.items() if found["p"] < LEVEL and sign * found["difference"] > 0
        ]:
            lines.append(f"- {said}: {'; '.join(names)}.")
    if names := [title for title, found in compared.items() if found["p"] >= LEVEL]:
        lines.append(f"- No difference shown to: {'; '.join(names)}.")
    return "\n".join(["Beyond chance over seeds (p < 0.05, each comparison for itself):", "", *lines])


def adrenal_test(result: Result) -> str:
    methods, runs, parameters = result["methods"], result["runs"], result["parameters"]
    rows = []
    for name, title in result["titles"].items():
        found = methods[name]
        rates = [mean_sd(found[rate], 2) if rate in found else "" for rate in ("sensitivity", "specificity")]
        over = interval(found["over_volumes"]) if "against" in found and "over_volumes" in found else ""
        rows.append([title, mean_sd(found), *rates, *difference(found.get("against")), over])
    head = ["method", "AUC", "sensitivity", "specificity", "HE-CLSTM − it (95 % over seeds)", "p", "95 % over volumes"]
    return texts.ADRENAL_TEST.format(
        volumes=parameters["volumes"],
        masses=parameters["masses"],
        count=len(runs),
        seeds=listed(run["seed"] for run in runs),
        wanted=parameters["training"]["wanted_sensitivity"],
        table=table(head, rows),
        reading=reading(methods, result["titles"]),
        ours=listed(f"{value:.3f}" for value in methods["he_clstm"]["auc"]),
        **ranges([run["ranges"] for run in runs]),
    )


def encrypted_adrenal(result: Result) -> str:
    measures, error, seconds = result["measures"], result["error"], result["seconds"]
    rows = []
    for way in ("clear", "simulated", "encrypted"):
        found = measures[way]
        auc = found["auc"]
        rates = [f"{found[name]['value']:.3f}" for name in ("sensitivity", "specificity", "missed_rate")]
        rows.append([way, f"{auc['value']:.4f} ({auc['low']:.3f} to {auc['high']:.3f})", *rates])
    return texts.ENCRYPTED_ADRENAL.format(
        volumes=result["parameters"]["volumes"],
        agree=result["decisions_agree"]["count"],
        auc_difference=f"{abs(result['auc_difference']):.4f}",
        worst=f"{error['worst']:.1e}",
        rms=f"{error['rms']:.1e}",
        simulated=f"{error['simulated_rms']:.1e}",
        table=table(["way", "AUC (95 %, DeLong)", "sensitivity", "specificity", "missed"], rows),
        **{name: f"{seconds[name]['median']:.2f}" for name in ("encrypt", "evaluate", "decrypt")},
    )


def acetowhitening(result: Result) -> str:
    methods, runs, data = result["methods"], result["runs"], result["parameters"]["training"]["data"]
    rows = [
        [title, mean_sd(methods[name], 4), *difference(methods[name].get("against"))]
        for name, title in result["titles"].items()
    ]
    head = ["method", "test AUC", "HE-CLSTM − it (95 % over seeds)", "p"]
    found = ranges([run["ranges"] for run in runs])
    said = reading(methods, result["titles"])
    found |= {"levels": result["costs"]["levels"], "keys": f"{result['costs']['key_megabytes']:.0f}"}
    others = result.get("difficulties")
    found["difficulties"] = texts.DIFFICULTIES + difficulties(others) if others else ""
    return texts.ACETOWHITENING.format(**data, seeds=len(runs), table=table(head, rows), reading=said, **found)


def difficulties(rows: list[Result]) -> str:
    """HE-CLSTM and the strongest reader of single frames, from hard to easy."""
    shown = [
        [
            f"{row['single_frame_auc']:.2f}",
            *(f"{min(row[name]):.3f} to {max(row[name]):.3f}" for name in ("he_clstm", "own_mean")),
            listed(row["outside"]),
        ]
        for row in rows
    ]
    head = ["a frame can reach", "HE-CLSTM, over seeds", "a CNN of its own for each frame, mean", "outside, by seed"]
    return table(head, shown)


def acetowhitening_ablations(result: Result) -> str:
    rows = []
    for found in result["variants"].values():
        if "failed" in found:
            rows.append([found["title"], f"failed: {found['failed']}", "", "", "", ""])
            continue
        outside = ["refused" if each["outside"] is None else each["outside"] for each in found["ranges"]]
        cells = [each["largest_cell"] for each in found["ranges"] if "largest_cell" in each]
        counts = listed(outside) or "not measured"
        cell = ("{:,.1f}" if max(cells) < 1e12 else "{:.0e}").format(max(cells)) if cells else ""
        rows.append([found["title"], mean_sd(found, 4), *difference(found.get("against_shipped")), counts, cell])
    head = ["variant", "test AUC", "it − shipped (95 % over seeds)", "p", "outside of 10,000, by seed", "largest cell"]
    parameters = result["parameters"]
    return texts.ACETOWHITENING_ABLATIONS.format(
        noise=parameters["training"]["data"]["noise"], seeds=len(parameters["seeds"]), table=table(head, rows)
    )


def annocerv(result: Result) -> str:
    methods, parameters = result["methods"], result["parameters"]
    rows = [
        [title, mean_sd(methods[name]), *difference(methods[name].get("against"))]
        for name, title in result["titles"].items()
    ]
    found = {
        "outside": sum(row["outside"] for row in result["ranges"]),
        "of": sum(row["of"] for row in result["ranges"]),
        "refused": sum(row["refused"] for row in result["ranges"]),
        "score": max(row["score_factor"] for row in result["ranges"]),
        "lost": "" if any(row["refused"] for row in result["ranges"]) else ", so no patient is lost",
        "straight": result["orders"]["as it is"],
        "reversed": result["orders"]["reversed"],
        "shuffled": result["orders"]["shuffled"],
    }
    area = methods["he_clstm"]["seeds"][0]["auc"]
    return texts.ANNOCERV.format(
        **{name: result[name] for name in ("cases", "positives", "patients")},
        folds=parameters["folds"],
        seeds=len(parameters["seeds"]),
        interval=f"{area['low']:.2f} to {area['high']:.2f}",
        table=table(["method", "AUC", "HE-CLSTM − it (95 % over seeds)", "p"], rows),
        **{**ranges(result["ranges"]), **found},
    )


def visual_fields(result: Result) -> str:
    methods, ranges_found = result["methods"], result["ranges"]
    rows = []
    for name, title in result["titles"].items():
        if (found := methods.get(name)) is None:
            continue
        spread = f" ± {found['sd']:.3f}" if found["seeds"] > 1 else ""
        values = [
            f"{found['mean']:.3f}{spread}",
            str(found["seeds"]),
            f"{found['reversed']:.3f}",
            f"{found['shuffled']:.3f}",
        ]
        rows.append([title, *values, f"{found['difference']:+.3f}" if "difference" in found else ""])
    kind = result["parameters"]["kind"]
    taken = [row["encrypted"] for row in ranges_found if "encrypted" in row]
    bounds = [row["score_bound"] for row in ranges_found]
    return texts.VISUAL_FIELDS.format(
        **{name: result[name] for name in ("series", "persons")},
        kind="" if kind == "reliable" else f" ({kind} series)",
        chosen=texts.VISUAL_FIELDS_CHOSEN[kind],
        folds=result["parameters"]["folds"],
        seeds="HE-CLSTM by seed: " + listed(f"{value:.3f}" for value in methods["he_clstm"]["auc"]) + ".",
        table=table(["method", "AUC by fold", "seeds", "reversed", "shuffled", "HE-CLSTM − it"], rows),
        of=sum(row["of"] for row in ranges_found),
        outside=sum(row["series_outside_of_a_bound"] for row in ranges_found),
        over=sum(row["scores_over_the_limit"] for row in ranges_found),
        largest=max(row["largest_score"] for row in ranges_found),
        bound_low=min(bounds),
        bound_high=max(bounds),
        encrypted=encrypted_folds(taken, result["parameters"]["folds"]) if taken else "",
    )


def adrenal_ablations(result: Result) -> str:
    rows = []
    for found in result["variants"].values():
        if "failed" in found:
            rows.append([found["title"], f"failed: {found['failed']}", "", "", "", ""])
            continue
        largest = [found.get(f"largest_{part}") for part in ("gates", "cell")]
        shown = ["" if value is None else f"{value:,.1f}" for value in largest]
        rows.append([found["title"], mean_sd(found), *difference(found.get("against_shipped")), *shown])
    head = ["variant", "AUC", "it − shipped (95 % over folds)", "p", "largest gate input", "largest cell"]
    differing = [
        found["title"]
        for found in result["variants"].values()
        if "against_shipped" in found and found["against_shipped"]["p"] < LEVEL
    ]
    said = f"Beyond chance (p < 0.05): {'; '.join(differing) or 'none of these differences'}."
    return texts.ADRENAL_ABLATIONS.format(folds=result["parameters"]["folds"], table=table(head, rows), reading=said)


def adrenal_costs(result: Result) -> str:
    rows = [
        [
            found["title"],
            mean_sd(found["auc"]),
            str(found["levels"]),
            f"2^{found['ring_degree'].bit_length() - 1}",
            f"{found['scale_bits']:.0f}",
            str(found["rotation_keys"]),
            f"{found['key_megabytes']:,.0f}",
            f"{found['query_megabytes']:.1f}",
            "not measured" if found["seconds"] is None else f"{found['seconds']:.2f}",
        ]
        for found in result["variants"].values()
    ]
    head = ["variant", "AUC (5 folds)", "levels", "N", "scale bits", "rotation keys", "keys MB", "query MB", "seconds"]
    return texts.ADRENAL_COSTS.format(threads=result["parameters"]["threads"], table=table(head, rows))


def adrenal_robustness(result: Result) -> str:
    noise, inputs = result["noise"], result["inputs"]
    noisy = []
    for bits in noise[0]:
        rows = [fold[bits] for fold in noise]
        loss, flipped = (sum(row[key] for row in rows) / len(rows) for key in ("auc_loss", "flipped"))
        largest = max(row["largest_error"] for row in rows)
        noisy.append([f"2^-{bits}", f"{loss:+.4f}", f"{100 * flipped:.2f} %", f"{largest:.3f}"])
    unusual = []
    for name in inputs[0]:
        rows = [fold[name] for fold in inputs]
        total, out, seen = (sum(row[key] for row in rows) for key in ("of", "outside", "seen_by_client"))
        factor = max(row["factor"] for row in rows)
        shown = f"{factor:.2f}" if factor < 100 else f"{factor:.0e}"
        unusual.append([name, f"{out:,} of {total:,}", f"{100 * out / total:.1f} %", shown, f"{seen:,}"])
    return texts.ADRENAL_ROBUSTNESS.format(
        folds=len(noise),
        repeats=result["parameters"]["repeats"],
        noise=table(["noise", "AUC lost", "decisions that change", "largest error of a score"], noisy),
        inputs=table(["volumes", "outside", "share", "worst factor", "seen"], unusual),
    )


def envelopes(result: Result) -> str:
    tables = {}
    for name, title in (("adrenal", "adrenal glands"), ("colposcopy", "drawings")):
        rows = [
            [
                kind,
                f"{row['outside']:,} of {row['of']:,}",
                f"{100 * row['outside'] / row['of']:.1f} %",
                "; ".join(row["by"]),
            ]
            for kind, row in result[name].items()
        ]
        tables[name] = table([title, "outside", "share", "most often by"], rows)
    return texts.ENVELOPES.format(folds=result["parameters"]["folds"], **tables)


SECTIONS: dict[str, Callable[[Result], str]] = {
    "adrenal_test": adrenal_test,
    "encrypted_adrenal": encrypted_adrenal,
    "acetowhitening": acetowhitening,
    "acetowhitening_ablations": acetowhitening_ablations,
    "annocerv": annocerv,
    "visual_fields": visual_fields,
    "visual_fields_unreliable": visual_fields,
    "fields_ablations": fields_ablations,
    "breakhis": breakhis,
    "orders": orders,
    "bounds": bounds,
    "bounded_gates": bounded_gates,
    "penalties": penalties,
    "adrenal_ablations": adrenal_ablations,
    "adrenal_costs": adrenal_costs,
    "adrenal_robustness": adrenal_robustness,
    "envelopes": envelopes,
}
