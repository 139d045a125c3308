"""One copy on the disk of what several places hold: results, DVC's cache, kept trainings, MLflow's models.

DVC links its cache and the results (.dvc/config). Of weights that a result holds, what is kept of trainings and
what MLflow copied are made other names of the same files.
"""

from pathlib import Path

from leanet.core import files, paths


def share(models: Path | None = None) -> None:
    """Let kept weights, and models below the folder `models`, share the disk with results that hold the same.

    To be called when DVC is done: it copies each result into its cache, and with that ends any sharing before.
    """
    results = [*sorted(paths.UNET.glob("*/*.safetensors")), *sorted(paths.DETECTOR.glob("*.safetensors"))]
    copies = [*paths.DETECTOR.glob("*.safetensors"), *paths.KEPT.glob("*.weights.safetensors")]
    copies += models.rglob("*.safetensors") if models else ()
    for copy in copies:
        for original in results:
            if copy.stat().st_size == original.stat().st_size:
                files.share(copy, original)
