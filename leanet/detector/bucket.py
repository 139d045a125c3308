"""`leanet predict --out`: judge all images at an address, however many, by workers that Ray keeps alive."""

import hashlib
import json
import logging
import re
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import PurePosixPath

import fsspec
import pyarrow as pa
import pyarrow.compute as pc
import ray.data

from leanet.core import paths
from leanet.core.addresses import without_password
from leanet.core.errors import InputError
from leanet.core.progress import Progress
from leanet.detector.detector import Detector
from leanet.detector.folder import folder_of
from leanet.detector.judge import Judge
from leanet.detector.predict import asked, conclude, introduce
from leanet.detector.stores import explained
from leanet.detector.table import Table
from leanet.images.reading import SUFFIXES, is_image
from leanet.run import nodes

BLOCK = 128  # images that a worker is given at a time, and that are judged again if it is lost
SAMPLE = 10_000  # images whose statistics tell drift


def predict(
    named: list[str],
    *,
    out: str,
    detector: str,
    device: str,
    criterion: str | None,
    prevalence: float | None,
    workers: int | None,
    cluster: str | None,
    fail_on_anomaly: bool,
) -> int:
    """Judge the images below folders or addresses that have no row yet in the table at `out`.

    device: cuda gives each worker a GPU, all else a core. workers: None for as many as there is room for. cluster:
    the address of a Ray cluster that this machine is part of; None starts one here. Returns the exit status, as
    leanet.detector.predict.predict has it.

    Raises:
        InputError: as there; or no cluster or store answers, or the table at `out` rests on something else.
    """
    other = asked(criterion, prevalence)
    folder, device = folder_of(detector), "cpu" if device == "auto" else device
    # This process has no need of a GPU.
    judge = Detector.load(folder, "cpu" if device == "cuda" else device)
    if other:
        judge.threshold = judge.threshold_for(other)
    table = Table(out, _about(judge, prevalence))
    scored = table.files()
    images = pa.concat_arrays([_below(address) for address in named]).unique()
    waiting = images.filter(pc.invert(pc.is_in(_shown(images), scored)))
    introduce(judge, prevalence)
    if len(waiting) < len(images):
        print(f"{len(images) - len(waiting)} of {len(images)} images were scored before", file=sys.stderr)
    if len(waiting):
        with _room(cluster, device, workers) as count, table, Progress(len(waiting), "predict") as progress:
            sent = ray.put({name: (folder / name).read_bytes() for name in [*judge.facts["files"], paths.FACTS]})
            for rows in _judged(waiting, (sent, device, judge.threshold, prevalence), count):
                table.add(rows)
                progress.step(len(rows))
    good, anomalous, unreadable, statistics = table.seen(SAMPLE)
    return conclude(judge, statistics, good, anomalous, unreadable, fail_on_anomaly)


def _about(judge: Detector, prevalence: float | None) -> dict[str, str]:
    """What the scores rest on."""
    parts = [judge.facts[name] for name in ("files", "calibration", "preparation")]
    return {
        "detector": hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()[:12],
        "threshold": f"{judge.threshold.value:.6f} ({judge.threshold.criterion})",
        "prevalence": "that of the training images" if prevalence is None else f"{prevalence:g}",
    }


def _below(address: str) -> pa.Array:
    """Addresses of all images below one, sorted; of local files, absolute paths.

    Raises:
        InputError: there are none, a name is no UTF-8, or the store does not answer.
    """
    with explained(address):
        fs, root = fsspec.url_to_fs(address, use_listings_cache=False)
        names = fs.find(root)
    inside = sorted(name for name in names if is_image(PurePosixPath(name[len(root) :] or name)))
    if not inside:
        raise InputError(f"{address}: no image there; looked for {', '.join(sorted(SUFFIXES))}")
    try:
        return pa.array(map(fs.unstrip_protocol, inside) if "://" in address else inside, pa.string())
    except UnicodeEncodeError as error:
        raise InputError(f"{error.object}: its name is no UTF-8, as a table needs; rename it") from None


def _shown(addresses: pa.Array) -> pa.Array:
    """As they are in the table, which others may read."""
    if not pc.any(pc.match_substring(addresses, "@")).as_py():
        return addresses
    return pa.array(map(without_password, addresses.to_pylist()), pa.string())


@contextmanager
def _room(cluster: str | None, device: str, workers: int | None) -> Iterator[int]:
    """A cluster, joined; yields for how many workers.

    Raises:
        InputError: no cluster answers, or it has no such room.
    """
    if cluster and cluster.startswith("ray://"):
        raise InputError(
            f"--cluster {cluster}: Ray Data works from within a cluster alone; run this on one of its machines "
            "with --cluster auto, or by `ray job submit`"
        )
    nodes.join(cluster, "--cluster")
    try:
        kind = "GPU" if device == "cuda" else "CPU"
        room = int(ray.cluster_resources().get(kind, 0))
        wanted = max(1, room) if workers is None else workers
        if not 1 <= wanted <= room:
            raise InputError(f"--workers {wanted}: each wants a {kind}, and the cluster has {room}")
        yield wanted
    finally:
        ray.shutdown()


def _judged(waiting: pa.Array, given: tuple, workers: int) -> Iterator[pa.Table]:
    """Rows of a table for all that wait, in the order in which they are done; given: what a Judge is made of.

    Raises:
        InputError: a worker raised it.
    """
    ray.data.DataContext.get_current().enable_progress_bars = False
    logging.getLogger("ray.data").setLevel(logging.CRITICAL)  # an error is one line, here
    count = min(BLOCK, -(-len(waiting) // workers))
    blocks = [pa.table({"file": waiting[at : at + count]}) for at in range(0, len(waiting), count)]
    # A worker that is lost is started anew, and given its blocks again: Ray Data does so by itself.
    rows = ray.data.from_arrow(blocks).map_batches(
        Judge,
        fn_constructor_args=given,
        batch_size=None,
        batch_format="pyarrow",
        compute=ray.data.ActorPoolStrategy(size=min(workers, len(blocks))),
        num_cpus=1,
        num_gpus=int(given[1] == "cuda"),
    )
    try:
        yield from rows.iter_batches(batch_size=None, batch_format="pyarrow", prefetch_batches=0)
    except ray.exceptions.RayError as error:
        if said := re.search(r"^leanet\.core\.errors\.InputError: (.*)", str(error), re.MULTILINE):
            raise InputError(said[1]) from None
        raise
