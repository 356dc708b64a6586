"""The sections of docs/results.md: from a result to Markdown."""

from collections.abc import Callable, Iterable
from typing import Any

from experiments import texts

LEVEL = 0.05

Row = list[str]
Result = dict[str, Any]


def table(head: Row, rows: list[Row]) -> str:
    return "\n".join("| " + " | ".join(row) + " |" for row in [head, ["---"] * len(head), *rows])


def mean_sd(value: dict[str, float], digits: int = 3) -> str:
    return f"{value['mean']:.{digits}f} ± {value['sd']:.{digits}f}"


def interval(value: dict[str, float]) -> str:
    return f"{value['low']:+.3f} to {value['high']:+.3f}"


def difference(value: dict[str, float] | None) -> Row:
    """Difference with its interval, and p."""
    if value is None:
        return ["", ""]
    p = "< 0.001" if value["p"] < 0.001 else f"{value['p']:.3f}"
    return [f"{value['difference']:+.3f} ({interval(value)})", p]


def listed(values: Iterable[Any]) -> str:
    return ", ".join(map(str, values))


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
        encrypted=_encrypted_folds(taken, result["parameters"]["folds"]) if taken else "",
    )


def _encrypted_folds(folds: list[Result], count_of_folds: int) -> str:
    agree, count = (sum(fold[name] for fold in folds) for name in ("agree", "of"))
    return texts.ENCRYPTED_FOLDS.format(
        which="All held-out sequences"
        if len(folds) == count_of_folds
        else f"The held-out sequences of {len(folds)} fold",
        agree=agree,
        of=count,
        refused=sum(fold["refused"] for fold in folds),
        worst=max(fold["worst_error"] for fold in folds),
        difference=max(abs(fold["auc"] - fold["auc_in_clear"]) for fold in folds),
        ring=folds[0]["ring_degree"],
        keys=folds[0]["keys_mb"],
    )


def breakhis(result: Result) -> str:
    methods, choices = result["methods"], {}
    for found in result["choices"]:
        choices.setdefault(found["name"], []).append(found)
    rows = []
    for name, title in result["titles"].items():
        if (found := methods.get(name)) is None:
            continue
        first, cells = found["runs"][0], []
        for way in ("patient", "sequence"):
            value, low, high = first[way]
            cells += [mean_sd(found[way]) if found[way]["seeds"] > 1 else f"{value:.3f}", f"{low:.3f} to {high:.3f}"]
        against = [difference(each.get(way)) for each in [found.get("against", {})] for way in ("patient", "sequence")]
        shown = [f"{cell[0]}, p {cell[1]}" if cell[0] else "" for cell in against]
        rows.append([title, str(found["patient"]["seeds"]), *cells, *shown])
    head = ["method", "seeds", "AUC by patient", "95 %, first seed", "AUC by sequence", "95 %, first seed"]
    head += ["HE-CLSTM − it, by patient", "by sequence"]
    runs, ensemble, taken = methods["he_clstm"]["runs"], result["ensemble"], list(result["encrypted"].values())
    each = "; ".join(f"{run['patient'][0]:.3f} / {run['sequence'][0]:.3f}" for run in runs)
    orders = [
        f"{result['titles'][name]} {found['orders']['reversed']:.3f} and {found['orders']['shuffled']:.3f}"
        for name, found in methods.items()
        if "orders" in found
    ]
    others = result.get("encrypted_others", {}).items()
    also = [_encrypted_other(name, list(folds.values())) for name, folds in others]
    return texts.BREAKHIS.format(
        orders="; ".join(orders),
        mean_seeds="; ".join(f"{run['sequence'][0]:.3f}" for run in methods["mean_cell"]["runs"]) + " by sequence",
        **{name: result[name] for name in ("sequences", "patients", "positives")},
        folds=result["parameters"]["folds"],
        count=len(runs),
        table=table(head, rows),
        each=each,
        ensemble=" / ".join(f"{ensemble[way][0]:.3f}" for way in ("patient", "sequence")),
        choices=table(
            ["choice", "AUC by patient", "AUC by sequence"],
            [
                [name, *(f"{sum(one[way][0] for one in found) / len(found):.3f}" for way in ("patient", "sequence"))]
                for name, found in choices.items()
            ],
        ),
        ablations=_breakhis_ablations(result.get("ablations", {})),
        encrypted=(_encrypted_folds(taken, result["parameters"]["folds"]) if taken else "") + "".join(also),
    )


def _encrypted_other(name: str, folds: list[Result]) -> str:
    agree, of = (sum(fold[each] for fold in folds) for each in ("agree", "of"))
    title = {"ensemble": "three seeds as one ensemble", "mean_cell": "the mean cell"}.get(name, name)
    return texts.ENCRYPTED_OTHER.format(
        title=title,
        agree=agree,
        of=of,
        levels=folds[0]["levels"],
        keys=folds[0]["keys_mb"],
        worst=max(fold["worst_error"] for fold in folds),
        folds=len(folds),
    )


BOUNDED = {"breakhis, he_clstm": "BreaKHis, diagonal cell", "breakhis, mean_cell": "BreaKHis, mean cell"}


def bounds(result: Result) -> str:
    rows = []
    for name in dict.fromkeys(row["set"] for row in result["rows"]):
        mine = [row for row in result["rows"] if row["set"] == name]
        cells = [f"{sum(row['outside'] for row in mine)} of {sum(row['of'] for row in mine)}", str(len(mine))]
        for value in ("score", "hidden"):
            for which in ("largest", "searched", "bound"):
                cells.append(", ".join(f"{row[value][which]:,.0f}" for row in mine))
        rows.append([BOUNDED.get(name, name), *cells])
    head = ["networks of", "held-out outside", "folds", "score held out", "score found", "its bound"]
    return texts.BOUNDS.format(
        starts=f"{result['parameters']['starts']:,}",
        steps=result["parameters"]["steps"],
        table=table([*head, "state held out", "state found", "its bound"], rows),
        closest=max(
            row[value]["searched"] / row[value]["bound"] for row in result["rows"] for value in ("score", "hidden")
        ),
    )


def _breakhis_ablations(found: Result) -> str:
    rows = []
    for each in found.values():
        cost, run = each["program"], each["runs"][0]
        aucs = [f"{run[way][0]:.3f} ({run[way][1]:.3f} to {run[way][2]:.3f})" for way in ("patient", "sequence")]
        size = [f"2^{cost['ring_degree'].bit_length() - 1}", str(cost["levels"])]
        size += [f"{cost['key_bytes'] / 1e6:.0f} MB", f"{cost['memory_bytes'] / 1e6:.0f} MB"]
        rows.append([each["title"], *aucs, *size])
    head = ["pictures", "AUC by patient", "AUC by sequence", "ring degree", "levels", "keys", "server memory"]
    return texts.BREAKHIS_ABLATIONS.format(table=table(head, rows)) if rows else ""


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
    "breakhis": breakhis,
    "bounds": bounds,
    "adrenal_ablations": adrenal_ablations,
    "adrenal_costs": adrenal_costs,
    "adrenal_robustness": adrenal_robustness,
    "envelopes": envelopes,
}
