"""The sections of docs/results.md about BreaKHis and about bounds."""

from experiments import texts
from experiments.tables import Result, difference, encrypted_folds, listed, mean_sd, table


def breakhis(result: Result) -> str:
    methods, rows = result["methods"], []
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
    runs, taken = methods["he_clstm"]["runs"], list(result["encrypted"].values())
    each = "; ".join(f"{run['patient'][0]:.3f} / {run['sequence'][0]:.3f}" for run in runs)
    orders = [
        f"{result['titles'][name]} {found['orders']['reversed']:.3f} and {found['orders']['shuffled']:.3f}"
        for name, found in methods.items()
        if "orders" in found
    ]
    others = result.get("encrypted_others", {}).items()
    also = [_encrypted_other(name, list(folds.values())) for name, folds in others]
    return texts.BREAKHIS.format(
        orders=texts.BREAKHIS_ORDERS.format(orders="; ".join(orders)) if orders else "",
        mean=texts.BREAKHIS_MEAN.format(seeds=_seeds(methods["mean_cell"])) if "mean_cell" in methods else "",
        **{name: result[name] for name in ("sequences", "patients", "positives")},
        folds=result["parameters"]["folds"],
        table=table(head, rows),
        each=each,
        ensembles="; ".join(
            f"{result['titles'][name]} {_threes(found['ensembles'])}"
            for name, found in methods.items()
            if found.get("ensembles")
        ),
        jitter=texts.BREAKHIS_JITTER.format(seeds=_seeds(methods["jitter"])) if "jitter" in methods else "",
        more=_more(methods["jitter_more"]) if "jitter_more" in methods else "",
        lost=_lost(methods["jitter_more"]["limit"]) if "jitter_more" in methods else "",
        choices=_choices(result["choices"]),
        ablations=_breakhis_ablations(result.get("ablations", {})),
        encrypted=(encrypted_folds(taken, result["parameters"]["folds"]) if taken else "") + "".join(also),
    )


def _choices(found: list[Result]) -> str:
    """One row for networks alone, one for several as one program; each with the held-out folds that it is best for."""
    rows: dict[str, list[Result]] = {}
    for each in found:
        count = each["seeds"].count("+") + 1
        rows.setdefault(each["name"] + (f", {count} seeds as one program" if count > 1 else ""), []).append(each)

    def mean(of: str, each: list[Result], place: int) -> float:
        return sum(one[of][place] for one in each) / len(each)

    folds = range(len(found[0]["by_fold"]))
    best = {fold: max(rows, key=lambda name: mean("by_fold", rows[name], fold)) for fold in folds}
    cells = [
        [
            name,
            str(len(each)),
            *(f"{mean(way, each, 0):.3f}" for way in ("patient", "sequence")),
            listed(fold + 1 for fold in folds if best[fold] == name),
        ]
        for name, each in rows.items()
    ]
    return table(["choice", "runs", "AUC by patient", "AUC by sequence", "best for held-out fold"], cells)


def _more(method: Result) -> str:
    found = method["sequence"]
    return texts.BREAKHIS_MORE.format(seeds=_seeds(method), count=found["seeds"], mean=found["mean"], sd=found["sd"])


def _lost(found: Result) -> str:
    """What several seeds get wrong together, and what there would be without the slide that most of it is of."""
    lost, slide = found["lost"], found["slide"]
    rows = [
        [str(each["fold"]), f"`{each['name']}`", "malignant" if each["label"] else "benign", f"{each['share']:.2f}"]
        for each in lost
    ]
    return texts.BREAKHIS_LOST.format(
        count=len(found["without"]),
        lost=table(["fold", "sequence", "which is", "share"], rows),
        worst=sum(each["name"].startswith(f"{slide}/") for each in lost),
        of=len(lost),
        slide=f"`{slide}`",
        without=sum(found["without"]) / len(found["without"]),
    )


def _threes(found: list[Result]) -> str:
    """The first three seeds, and all threes of them."""
    first = " / ".join(f"{found[0][way][0]:.3f}" for way in ("patient", "sequence"))
    areas = [each["sequence"][0] for each in found]
    return f"{first} ({sum(areas) / len(areas):.3f}, {min(areas):.3f} to {max(areas):.3f})"


def _seeds(method: Result) -> str:
    return "; ".join(f"{run['sequence'][0]:.3f}" for run in method["runs"])


ENCRYPTED_OTHERS = {
    "ensemble": "three seeds as one ensemble",
    "mean_cell": "the mean cell",
    "jitter": "stain jitter",
    "jitter_ensemble": "three seeds with stain jitter as one ensemble",
    "jitter_more": "stain jitter 0.1",
}


def _encrypted_other(name: str, folds: list[Result]) -> str:
    agree, of = (sum(fold[each] for fold in folds) for each in ("agree", "of"))
    title = ENCRYPTED_OTHERS.get(name, name)
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
