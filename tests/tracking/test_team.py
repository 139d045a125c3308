"""What a team shares: results over a remote of DVC's, and runs on an MLflow server."""

import json
import shutil
from collections import Counter
from concurrent.futures import ThreadPoolExecutor

import pytest
import servers
from conftest import Project
from mlflow import MlflowClient

from leanet.tracking.runs import PARENT
from leanet.tracking.store import EXPERIMENT


def ran(project: Project, *command: str, **environment: str) -> str:
    done = project.run(*command, **environment)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def commit(project: Project) -> None:
    ran(project, "git", "add", "-A")
    ran(project, "git", "-c", "user.name=t", "-c", "user.email=t@example.org", "commit", "-qm", "results")


def share(project: Project, colleague: Project, address: str, endpoint: str = "", **environment: str) -> None:
    """Commit a project and push its results to a remote; clone it for a colleague, who pulls them."""
    ran(project, "dvc", "remote", "add", "--default", "team", address)
    if endpoint:
        ran(project, "dvc", "remote", "modify", "team", "endpointurl", endpoint)
    commit(project)
    ran(project, "dvc", "push", **environment)
    ran(project, "git", "clone", "-q", str(project.root), str(colleague.root))
    assert not (colleague.root / "data/cv").exists()
    ran(colleague, "dvc", "pull", **environment)


def assert_nothing_is_left_to_run(project: Project) -> None:
    assert json.loads(ran(project, "dvc", "status", "--json")) == {}
    assert project.repro() == set()
    assert ran(project, "git", "status", "--porcelain") == ""


@pytest.fixture(scope="module")
def shared(finished, tmp_path_factory) -> tuple[Project, Project]:
    """A finished project that was pushed to a folder, and a colleague's clone that pulled from there."""
    folder = tmp_path_factory.mktemp("team")
    project, colleague = finished.copy(folder / "project"), Project(folder / "colleague")
    share(project, colleague, str(folder / "remote"))
    return project, colleague


def test_a_colleague_pulls_from_a_folder_and_reruns_nothing(shared):
    project, colleague = shared
    assert_nothing_is_left_to_run(colleague)
    for file in ("data/cv/leaf/cnn-direct/predictions.csv", "report/index.html"):
        assert (colleague.root / file).read_bytes() == (project.root / file).read_bytes()


def test_a_colleague_pulls_from_s3_and_reruns_nothing(finished, tmp_path):
    project, colleague = finished.copy(tmp_path / "project"), Project(tmp_path / "colleague")
    with servers.s3(tmp_path / "log") as address:
        share(project, colleague, "s3://team/leaves", address, **servers.CREDENTIALS)
    assert_nothing_is_left_to_run(colleague)


def test_a_colleague_without_the_folder_of_images_reruns_nothing(finished, tmp_path):
    project = finished.copy(tmp_path / "project")
    images = shutil.copytree(project.root / "data/raw/leaf", tmp_path / "images")
    project.edit("datasets.leaf.source", str(images))
    ran(project, "dvc", "commit", "--force")  # as if it had run from there
    assert project.repro() == set()
    shutil.rmtree(images)
    done = ran(project, "dvc", "repro", "--allow-missing")
    assert "Running stage" not in done
    assert "up to date" in done


@pytest.fixture
def server(tmp_path):
    """The address of an MLflow server on PostgreSQL."""
    with servers.postgresql() as store, servers.mlflow(store, tmp_path / "server") as address:
        yield address


def test_several_log_at_once_and_each_result_is_there_once(shared, server, tmp_path):
    project, colleague = shared  # the very same results
    faster = project.copy(tmp_path / "faster")
    faster.edit("train_leanet.learning_rate", 0.002)  # concerns five stages of eleven
    done = faster.run("dvc", "commit", "--quiet", "--force")  # as if they had run with it
    assert done.returncode == 0, done.stderr
    wrong = project.copy(tmp_path / "wrong")
    predictions = wrong.root / "data/cv/leaf/cnn/predictions.csv"  # concern one
    predictions.write_text(predictions.read_text().replace("0.", "0.0"))  # no image is anomalous

    # On a busy machine an answer may take longer than a pipeline would wait.
    on = {"LEANET_TRACKING": "on", "MLFLOW_TRACKING_URI": server, "MLFLOW_HTTP_REQUEST_TIMEOUT": "60"}
    writers = [project, colleague, faster, wrong]
    with ThreadPoolExecutor(len(writers)) as pool:
        list(pool.map(lambda writer: ran(writer, "python", "-m", "leanet", "track", **on), writers))

    client = MlflowClient(server)
    experiment = client.get_experiment_by_name(EXPERIMENT).experiment_id
    runs = client.search_runs([experiment], max_results=1000)
    assert {run.info.status for run in runs} == {"FINISHED"}
    stages = {run.info.run_id: run for run in runs if PARENT not in run.data.tags}
    same = ("download", "split", "augment", "train_unet", "anomaly_maps", "baselines")
    assert Counter(run.info.run_name for run in stages.values()) == {
        **{f"{stage}@leaf": 1 for stage in same},
        "train_leanet@leaf-cnn": 3,
        "train_leanet@leaf-cnn-direct": 2,
        "sweep@leaf-cnn": 2,
        "report": 2,
        "package": 2,
    }
    trainings = {
        "train_unet@leaf": 2,
        "train_leanet@leaf-cnn": 2,
        "train_leanet@leaf-cnn-direct": 4,
        "sweep@leaf-cnn": 2,
    }
    nested = Counter(run.data.tags["mlflow.parentRunId"] for run in runs if run.info.run_id not in stages)
    assert nested == Counter({name: trainings.get(run.info.run_name, 0) for name, run in stages.items()})

    f1 = project.metrics()["cnn"]["f1"]
    logged = [r.data.metrics["f1.mean"] for r in stages.values() if r.info.run_name == "train_leanet@leaf-cnn"]
    assert sorted(logged) == pytest.approx([0, f1, f1], abs=1e-4)
    report = next(name for name, run in stages.items() if run.info.run_name == "report")
    assert "leaf-maps.png" in [file.path for file in client.list_artifacts(report)]
