"""The sections of docs/results.md about trials that a choice or a default hangs on."""

from experiments import texts
from experiments.tables import Result, difference, listed, mean_sd, table


def orders(result: Result) -> str:
    rows = [
        [name, str(found["seeds"]), *(f"{found[order]:.3f}" for order in ("as it is", "reversed", "shuffled"))]
        for name, found in result["rows"].items()
    ]
    return texts.ORDERS.format(table=table(["set", "seeds", "AUC", "reversed", "shuffled"], rows))


def penalties(result: Result) -> str:
    rows = []
    for each in result["sets"].values():
        for factor, found in each["factors"].items():
            if "failed" in found:
                rows.append([each["title"], f"{factor}×", f"failed: {found['failed']}", "", "", "", "", ""])
                continue
            runs = found["runs"]
            rows.append(
                [
                    each["title"],
                    f"{factor}×",
                    mean_sd(found) if len(runs) > 1 else f"{found['mean']:.3f}",
                    *(difference(found.get("against")) if len(runs) > 1 else ["", ""]),
                    f"{max(run['largest_score'] for run in runs):,.1f}",
                    f"{max(run['score_over_limit'] for run in runs):.2f}",
                    f"{sum(run['refused'] for run in runs)} of {sum(run['of'] for run in runs):,}",
                ]
            )
    head = ["set", "penalties", "AUC", "it − 1× (95 % over seeds)", "p"]
    head += ["largest new score", "of its limit", "refused"]
    return texts.PENALTIES.format(
        table=table(head, rows), seeds=listed(sorted({len(each["seeds"]) for each in result["sets"].values()}))
    )


def fields_ablations(result: Result) -> str:
    rows = []
    for found in result["variants"].values():
        seeds = len(found["auc"])
        value = "diverged" if not seeds else f"{found['mean']:.3f}"
        each = listed(f"{auc:.3f}" for auc in found["auc"].values())
        rows.append([found["title"], value, each, f"{found['difference']:+.3f}" if "difference" in found else ""])
    table_of = table(["variant", "AUC by fold", "by seed", "it − the recipe"], rows)
    return texts.FIELDS_ABLATIONS.format(table=table_of)


def bounded_gates(result: Result) -> str:
    rows = []
    for each in result["rows"]:
        moved = [f"{max(run[name] for run in each['runs']):.1e}" if name in each["runs"][0] else "" for name in MOVED]
        aucs = listed(f"{run['auc']:.3f}" for run in each["runs"])
        rows.append([GATED[each["set"]], result["titles"][each["method"]], aucs, *moved])
    head = ["set", "cell", "AUC by fold", "a gate moves by, median", "most"]
    return texts.BOUNDED_GATES.format(table=table(head, rows))


MOVED = ("median_moved", "most_moved")
GATED = {"visual_fields": "visual fields, four inner folds", "breakhis": "BreaKHis, one inner fold"}
