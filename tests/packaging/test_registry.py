"""Which registered detector is the champion: decided by merit, by hand, and never by a trial."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from mlflow import MlflowClient
from mlflow.exceptions import MlflowException
from safetensors.numpy import load_file, save
from sklearn.metrics import average_precision_score

from leanet.cli import promote as command
from leanet.core import paths
from leanet.core.errors import InputError
from leanet.detector.folder import KNOWN
from leanet.evaluation.comparison import compare
from leanet.packaging import registry
from leanet.packaging.merit import Merit
from leanet.packaging.registry import promote, register
from leanet.tracking import registered, store

NAME, COUNT = "leanet-leaf", 100
LABELS, FOLDS = np.arange(COUNT) % 4 == 0, np.arange(COUNT) // 4 % 5


def like(detector: Path, folder: Path, apart: float, seed: int = 0, images: str = "image") -> Path:
    """A detector in `folder` whose held-out margins of the classes are so far apart."""
    shutil.copytree(detector, folder)
    margins = np.random.default_rng(seed).normal(apart * LABELS, 1).astype(np.float32)
    known = load_file(detector / KNOWN) | {
        "margins": margins,
        "labels": LABELS.astype(np.uint8),
        "folds": FOLDS.astype(np.int16),
        "groups": np.arange(COUNT, dtype=np.int32),
    }
    (folder / KNOWN).write_bytes(save(known))
    facts = json.loads((folder / paths.FACTS).read_text())
    facts |= {"images": [f"{images}{number}" for number in range(COUNT)], "made": folder.name}
    facts["threshold"] |= {"positives": int(LABELS.sum()), "negatives": int((~LABELS).sum())}
    (folder / paths.FACTS).write_text(json.dumps(facts))
    return folder


@pytest.fixture
def make(attending, tmp_path) -> Callable[..., Path]:
    return lambda name, *how, **options: like(attending.root / paths.DETECTOR, tmp_path / name, *how, **options)


@pytest.fixture
def client(tmp_path, monkeypatch) -> MlflowClient:
    """An empty store, to which versions are added without their files."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{tmp_path}/mlflow.db")
    monkeypatch.delenv("DVC_ROOT", raising=False)
    with store.opened(None) as (client, _):
        pass

    def upload(folder: Path, model: str, _: dict) -> str:
        if not client.search_registered_models(f"name = '{model}'"):
            client.create_registered_model(model)
        return client.create_model_version(model, str(folder)).version

    monkeypatch.setattr(registry, "_upload", upload)
    return client


def aliases(client: MlflowClient) -> dict[str, str]:
    return {alias: str(version) for alias, version in client.get_registered_model(NAME).aliases.items()}


def tags(client: MlflowClient, version: int) -> tuple[str, str]:
    said = client.get_model_version(NAME, str(version)).tags
    return said["leanet.decision"], said["leanet.reason"]


def test_merit_is_the_average_precision_of_each_fold(make):
    folder = make("one", 1.5)
    merit, margins = Merit.of(folder), load_file(folder / KNOWN)["margins"]
    expected = [average_precision_score(LABELS[fold == FOLDS], margins[fold == FOLDS]) for fold in range(5)]
    assert merit.average_precision == pytest.approx(expected, abs=1e-6)
    assert Merit.from_text(merit.text) == merit


def test_worse_is_what_the_paired_test_calls_so(make):
    best, worst = Merit.of(make("best", 4)), Merit.of(make("worst", 0.3))
    near = Merit.of(make("near", 3.9, seed=1))
    assert best.against(worst, "version 2")[0]
    assert near.against(best, "version 2")[0]
    no_worse, why = worst.against(best, "version 2")
    assert not no_worse
    assert why.startswith("worse than version 2 in average precision on the same folds: -0.")
    assert best.against(best, "version 2") == (
        True,
        "no worse than version 2 in average precision on the same folds: +0.000 [+0.000, +0.000]",
    )


def test_a_large_loss_that_folds_cannot_tell_from_chance_is_one():
    high, low = Merit("same", (0.9,) * 5), Merit("same", (1.0, 0.5, 1.0, 0.6, 0.9))
    assert compare(low.average_precision, high.average_precision, 5).p > 0.2
    assert not low.against(high, "it")[0]
    assert Merit("same", (0.87, 0.9, 0.91, 0.88, 0.89)).against(high, "it")[0]


def test_a_constant_difference_is_one():
    high, low = Merit("same", (0.9,) * 5), Merit("same", (0.8,) * 5)
    assert high.against(low, "it")[0]
    assert not low.against(high, "it")[0]


def test_what_cannot_be_compared_is_said(make):
    one, other = Merit.of(make("one", 1)), Merit.of(make("other", 4, images="picture"))
    assert other.against(one, "version 1") == (
        False,
        "version 1 is of other images or folds, and can't be compared",
    )
    lacking = Merit(one.images, (None, *one.average_precision[1:]))
    assert lacking.against(one, "version 1")[1].endswith("a fold has no average precision")


def test_a_better_one_goes_first_and_a_worse_one_does_not(make, client):
    assert str(register(make("first", 1.5))) == (
        f"models:/{NAME}/1 is the champion, models:/{NAME}@champion (the first of its data set)"
    )
    worse = register(make("worse", 0))
    assert not worse.is_champion
    assert "worse than version 1" in worse.reason
    assert str(worse).endswith(f"`leanet promote 2` would make it models:/{NAME}@champion")
    assert aliases(client) == {"champion": "1", "challenger": "2"}
    assert register(make("better", 5)).is_champion
    assert aliases(client) == {"champion": "3", "challenger": "2"}
    assert [tags(client, version)[0] for version in (1, 2, 3)] == ["champion", "challenger", "champion"]
    assert "better than version 1" in tags(client, 3)[1]


def test_of_other_images_it_is_the_challenger(make, client):
    register(make("first", 1))
    assert not register(make("other", 5, images="picture")).is_champion
    assert aliases(client) == {"champion": "1", "challenger": "2"}


def test_a_champion_whose_merit_was_never_noted_stays(make, client):
    register(make("first", 0))
    client.delete_model_version_tag(NAME, "1", registry.MERIT)
    assert "before merits were noted" in register(make("second", 5)).reason
    assert aliases(client) == {"champion": "1", "challenger": "2"}


def test_a_trial_changes_nothing_until_it_is_taken_over(make, client):
    first, better = make("first", 1), make("better", 5)
    register(first)
    trial = register(better, trial=True)
    assert (trial.is_champion, trial.version) == (False, "2")
    assert aliases(client) == {"champion": "1"}
    assert tags(client, 2)[0] == "trial"
    assert register(better).is_champion
    assert aliases(client) == {"champion": "2"}
    assert not register(first, trial=True).is_champion
    assert aliases(client) == {"champion": "2"}
    assert len(client.search_model_versions(f"name = '{NAME}'")) == 2


def test_the_first_of_all_is_no_champion_if_it_is_a_trial(make, client):
    assert not register(make("first", 1), trial=True).is_champion
    with pytest.raises(MlflowException):
        client.get_model_version_by_alias(NAME, "champion")


def test_one_that_the_project_goes_back_to_is_again_what_it_was(make, client):
    first, worse, better = make("first", 1), make("worse", 0), make("better", 5)
    for folder in (first, worse, better):
        register(folder)
    assert register(first).is_champion
    assert aliases(client) == {"champion": "1", "challenger": "2"}
    assert not register(worse).is_champion
    assert aliases(client) == {"champion": "1", "challenger": "2"}
    assert len(client.search_model_versions(f"name = '{NAME}'")) == 3
    assert registered.is_noted(worse)


def test_by_hand_any_version_is_promoted_and_stays(make, client, capsys, monkeypatch):
    first, worse = make("first", 3), make("worse", 0)
    register(first)
    register(worse)
    promote(NAME, "2")
    assert aliases(client) == {"champion": "2"}
    assert tags(client, 2) == ("champion", "promoted by hand")
    assert register(worse).is_champion
    promote(NAME, "1")
    assert not register(worse).is_champion  # nothing changed in the project since
    assert aliases(client) == {"champion": "1"}
    with pytest.raises(InputError, match=f"{NAME} has no version 7; there are 1, 2"):
        promote(NAME, "7")
    with pytest.raises(InputError, match="leanet-nut has no version 1; no version is registered"):
        promote("leanet-nut", "1")


@pytest.mark.parametrize("named", ["2", f"models:/{NAME}/2"])
def test_the_command_names_a_version(make, client, capsys, monkeypatch, named):
    register(make("first", 3))
    register(make("worse", 0))
    monkeypatch.setattr(paths, "DETECTOR", Path("first"))
    parser = command.argparse.ArgumentParser()
    command.add_arguments(parser)
    command.run(parser.parse_args([named]))
    assert capsys.readouterr().out == f"models:/{NAME}/2 is the champion: models:/{NAME}@champion\n"
    assert aliases(client) == {"champion": "2"}
