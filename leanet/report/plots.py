"""Tables for `dvc plots`: F1, loss by epoch, and the curves of Fig. 4."""

import pandas as pd

from leanet.report.results import Results
from leanet.report.tables import proportion, title


def plots(all_results: list[Results]) -> dict[str, pd.DataFrame]:
    """Each plot's points, by the name of its file."""
    f1, losses, sweep = [], [], []
    for results in all_results:
        at = {"dataset": results.dataset}
        for row, scores in results.scores.items():
            if not scores.f1.undefined:
                f1.append({**at, "row": title(row), "f1": round(scores.f1.mean, 4)})
        for row, history in results.history.items():
            mean = history.groupby("epoch")["loss"].mean().round(4).reset_index()
            losses.append(mean.assign(**at, row=row))
        for row, curve in results.sweep.items():
            for share, figure in curve.items():
                if not figure.undefined:
                    place = round(proportion(results, share), 4)
                    sweep.append({**at, "row": title(row), "anomalous": place, "f1": round(figure.mean, 4)})
    return {
        "f1": pd.DataFrame(f1),
        "loss": pd.concat(losses),
        "sweep": pd.DataFrame(sweep, columns=["dataset", "row", "anomalous", "f1"]),
    }
