import sys
import threading

import pytest
import yaml
from conftest import ROOT

from leanet import cli
from leanet.cli import edit as settings
from leanet.cli.params import load
from leanet.core.errors import InputError

ABSENT = object()


@pytest.mark.parametrize(
    ("key", "value", "said"),
    [
        ("split.folds", 1, "split.folds is 1, expected a whole number of at least 2"),
        ("split.folds", "five", "split.folds is 'five', expected a whole number"),
        ("split.folds", True, "split.folds is True, expected a whole number"),
        ("split.image_size", 100, "split.image_size is 100, expected a power of two from 32 to 1024"),
        ("split.fold", 5, "split: unknown key 'fold'; did you mean folds?"),
        ("colour", 1, "unknown key 'colour'; known are datasets, rows"),
        ("split.seed", ABSENT, "split: key 'seed' is missing"),
        ("split", 5, "split: expected the keys image_size, folds, repeats, groups, undecodable, border"),
        ("rows", ["cnn", "resnet19"], "rows has resnet19, which is no row; near are"),
        ("rows", [], "rows is empty, expected at least one"),
        ("rows", "cnn", "rows is 'cnn', expected a list"),
        ("rows", ["cnn", "cnn"], "rows names cnn twice"),
        ("device", "gpu", "device is 'gpu', expected auto or cpu or cuda or mps"),
        ("precision", 16, "precision is 16, expected auto or float32 or bf16"),
        ("datasets", {}, "datasets is empty"),
        ("datasets.leaf.source", "no/such", "datasets.leaf.source: there is no no/such"),
        ("datasets.leaf.positives", -1, "datasets.leaf.positives is -1, expected a whole number of at least 0"),
        ("augment.std", -1, "augment.std is -1.0, expected a number of at least 0"),
        ("train_unet.learning_rate", "a lot", "train_unet.learning_rate is 'a lot', expected a number such as"),
        ("train_unet.betas", [0.9], "train_unet.betas is [0.9], expected two numbers"),
        ("train_leanet.points", [6], "train_leanet.points is 6, expected an attention point from 1 to 5"),
        ("train_leanet.points", [], "train_leanet.points is empty"),
        ("train_leanet.map_scale", 0, "map_scale is 0.0, expected a colour difference above 0, or own-maximum"),
        ("train_leanet.pretrained", 1, "train_leanet.pretrained is 1, expected true or false"),
        ("sweep.rows", ["cnn", "resnet18"], "sweep.rows has resnet18, expected one of rows: cnn, cnn-direct"),
        ("sweep.shares", [0.5, 1], "sweep.shares is 1.0, expected a number above 0 and below 1"),
        ("sweep.shares", [0.5, 0.5], "sweep.shares names 0.5 twice"),
        ("sweep.point", 2, "sweep.point is 2, expected one of train_leanet.points"),
        ("train_leanet.map_scale", "max", "map_scale is 'max', expected a number or own-maximum"),
    ],
)
def test_a_mistake_is_one_line_that_names_the_key(tiny, key, value, said):
    load()
    tree = yaml.safe_load((tiny.root / "params.yaml").read_text())
    *sections, last = key.split(".")
    part = tree
    for section in sections:
        part = part[section]
    if value is ABSENT:
        del part[last]
    else:
        part[last] = value
    (tiny.root / "params.yaml").write_text(yaml.safe_dump(tree))
    with pytest.raises(InputError) as error:
        load()
    assert str(error.value).startswith("params.yaml")
    assert said in str(error.value)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("name", ["my-leaf", "a b", "a;touch b", "$(touch b)", "a\nb", "../up", "a@b", "_"])
def test_a_name_that_dvc_or_a_shell_could_not_tell_apart_is_refused(tiny, name):
    tree = yaml.safe_load((tiny.root / "params.yaml").read_text())
    tree["datasets"] = {name: tree["datasets"]["leaf"]}
    (tiny.root / "params.yaml").write_text(yaml.safe_dump(tree))
    with pytest.raises(InputError, match="expected a name of letters, digits and _") as error:
        load()
    assert str(error.value).isprintable()


def test_broken_yaml_is_one_line(tiny):
    (tiny.root / "params.yaml").write_text("split: [1\nfolds: 2")
    with pytest.raises(InputError, match=r"params.yaml: line \d: not valid YAML"):
        load()
    (tiny.root / "params.yaml").unlink()
    with pytest.raises(InputError, match="params.yaml: not found; run from the project's root"):
        load()


@pytest.fixture
def own_params(tiny):
    """The project's real params.yaml in the tiny project."""
    file = tiny.root / "params.yaml"
    file.write_text((ROOT / "params.yaml").read_text())
    return file


def test_settings_switch_values_and_keep_comments(own_params):
    before = own_params.read_text()
    settings.apply("paper")
    paper = load()
    assert (paper.split.image_size, paper.train_unet.epochs) == (256, 500)
    assert (paper.train_leanet.epochs, paper.train_leanet.points) == (100, [1, 2, 3, 4, 5])
    comments = [line.split("#")[1] for line in before.splitlines() if "#" in line]
    assert [line.split("#")[1] for line in own_params.read_text().splitlines() if "#" in line] == comments
    settings.apply("quick")
    assert own_params.read_text() == before
    with pytest.raises(InputError, match="there are the settings paper, photos, quick"):
        settings.apply("quik")


@pytest.fixture
def beans(tmp_path):
    """A folder of the user's own, as far as its names go."""
    for name, count in (("Positive", 60), ("Negative", 70)):
        (tmp_path / "beans" / name).mkdir(parents=True)
        for i in range(count):
            (tmp_path / "beans" / name / f"{i}.png").touch()
    return tmp_path / "beans"


@pytest.mark.parametrize(
    ("command", "missing"),
    [
        ("check", "params.yaml"),
        ("settings photos", "params.yaml"),
        ("use potato", "data/sources"),
        ("datasets", "data/sources"),
    ],
)
def test_outside_of_a_project_one_line_says_so(tmp_path, monkeypatch, command, missing):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", ["leanet", *command.split()])
    with pytest.raises(SystemExit, match=f"^leanet: {missing}: not found; run from the project's root$"):
        cli.main()


def test_use_makes_a_folder_the_data_set(own_params, beans):
    before = own_params.read_text()
    settings.use("beans", str(beans), positives=50, negatives=None)
    (name, dataset), *others = load().datasets.items()
    assert not others
    assert (name, dataset.source, dataset.positives, dataset.negatives) == ("beans", str(beans), 50, None)
    assert before.count("#") == own_params.read_text().count("#")


def test_use_refuses_what_cannot_work_and_changes_nothing(own_params, beans):
    before = own_params.read_text()
    for name, folder, positives, said in (
        ("beans", "no/such", None, "no/such: is not there; expected a folder of images"),
        ("my beans", str(beans), None, "expected a name of letters, digits and _"),
        ("beans", str(beans), 61, "positives is 61, but .* has only 60"),
        ("beans", str(beans), -1, "datasets.beans.positives is -1"),
    ):
        with pytest.raises(InputError, match=said):
            settings.use(name, folder, positives=positives, negatives=None)
        assert own_params.read_text() == before


def test_every_knob_of_the_quick_settings_is_the_default():
    defaults = yaml.safe_load((ROOT / "params.yaml").read_text())
    quick = yaml.safe_load((ROOT / "settings/quick.yaml").read_text())
    for key, value in quick.items():
        default = defaults[key]
        assert value == ({name: default[name] for name in value} if isinstance(value, dict) else default)
    # What one of them sets, the others set too: switching back leaves nothing behind.
    for name in ("paper", "photos"):
        other = yaml.safe_load((ROOT / f"settings/{name}.yaml").read_text())
        assert other.keys() == quick.keys()
        for key, value in other.items():
            assert not isinstance(value, dict) or value.keys() == quick[key].keys()


@pytest.fixture
def check(monkeypatch):
    """What `leanet check` says is wrong; empty where nothing is."""

    def run() -> str:
        monkeypatch.setattr(sys, "argv", ["leanet", "check"])
        try:
            cli.main()
        except SystemExit as end:
            return str(end)
        return ""

    return run


def test_check_looks_at_the_images_and_the_device(tiny, check):
    assert check() == ""
    for label, count in (("Positive", 3), ("Negative", 1)):
        folder = tiny.root / "own" / label
        folder.mkdir(parents=True)
        for i in range(count):
            (folder / f"{i}.png").touch()
    tiny.edit("datasets.leaf.source", "own")
    assert check().startswith(
        "leanet: params.yaml: datasets.leaf: 1 normal image; expected at least 4, of 4 groups"
    )
    tiny.edit("datasets.leaf.source", "data/sources/leaf.yaml")
    for key, value, said in (
        ("datasets.leaf.positives", 5000, "datasets.leaf: positives is 5000, but the set has only 6"),
        ("train_leanet.learning_rate", 1.0, "learning_rate is 1.0, expected a number above 0 and at most 0.1"),
        ("train_leanet.pretrained", True, "rows: cnn has no ImageNet weights"),
    ):
        before = (tiny.root / "params.yaml").read_text()
        tiny.edit(key, value)
        assert said in check()
        (tiny.root / "params.yaml").write_text(before)
    tiny.edit("rows", ["cnn", "convnext_tiny-resnet"])
    tiny.edit("package.row", None)
    said = "rows: convnext_tiny has the attention points 2, 3, 4, 5 at 32×32, not 1; see train_leanet.points"
    assert said in check()
    tiny.edit("device", "mps")
    assert check().startswith("leanet: params.yaml: device is mps, but this machine has only")


def test_an_unknown_key_of_ones_own_settings_is_one_line(own_params):
    before = own_params.read_text()
    (own_params.parent / "settings/own.yaml").write_text("trane_leanet: {epochs: 3}\n")
    with pytest.raises(InputError, match="unknown key 'trane_leanet'; did you mean train_leanet?"):
        settings.apply("own")
    assert own_params.read_text() == before


OWN = {
    "": "expected sections of params.yaml, and in them what is to change",
    "[split, 5]": "expected sections of params.yaml",
    "5": "expected sections of params.yaml",
    "split: [1\nfolds: 2": r"line \d: not valid YAML",
    "split: !!python/name:os.system {}": r"line 1: tags \(!\), merge keys",
    "split: &a {seed: 1}\n<<: *a": "merge keys",
    "split: {seed: 1}\nsplit: {seed: 2}": "not valid YAML",
    "split: 5": "split: expected the keys image_size",
    "split:": "split: expected the keys image_size",
    "split: {seed: {a: 1}}": "split.seed is {.*}, expected a whole number",
    "device: {a: 1}": "device is {.*}, expected auto or",
    "device: [cpu]": "device is .*, expected auto or",
    "rows: cnn": "rows is 'cnn', expected a list",
    "datasets: {leaf: 5}": "datasets.leaf: expected the keys source",
    "5: {a: 1}": "key 5 is no text",
    "[a]: 1": "not valid YAML|is no text",
    "split: {seed: 99999999999999999999}": "split.seed is 99999999999999999999, expected a whole number from 0",
}


@pytest.mark.parametrize("text", OWN)
def test_own_settings_that_cannot_be_are_one_line_and_change_nothing(own_params, text):
    before = own_params.stat().st_ino, own_params.read_text()
    (own_params.parent / "settings/own.yaml").write_text(text)
    with pytest.raises(InputError, match=OWN[text]) as error:
        settings.apply("own")
    assert str(error.value).isprintable()
    assert str(error.value).startswith(("settings/own.yaml: ", "params.yaml: "))
    # Not for a moment: whoever reads the file meanwhile, as DVC may, would stumble.
    assert (own_params.stat().st_ino, own_params.read_text()) == before


@pytest.mark.parametrize("name", ["x" * 5000, "a\0b", "", "no/such"])
def test_settings_of_a_name_that_is_none_are_one_line(own_params, name):
    with pytest.raises(InputError, match="there are the settings paper, photos, quick"):
        settings.apply(name)


def test_two_changes_at_once_are_both_made(own_params, capsys):
    begun, go_on = threading.Event(), threading.Event()

    def first(tree):
        begun.set()
        assert go_on.wait(60)
        tree["split"]["seed"] = 11

    both = [
        threading.Thread(target=settings._edit, args=[change])
        for change in (first, lambda tree: tree["augment"].update(std=0.2))
    ]
    both[0].start()
    assert begun.wait(60)
    both[1].start()
    both[1].join(0.5)  # time to come in between, if it can
    go_on.set()
    for thread in both:
        thread.join()
    assert (load().split.seed, load().augment.std) == (11, 0.2)
    assert "params.yaml: waits for another command that changes it" in capsys.readouterr().err


@pytest.mark.parametrize("command", ["use beans {long}", "check-images {long}", "settings {long}"])
def test_a_name_that_is_too_long_is_one_line(own_params, monkeypatch, command):
    monkeypatch.setattr(sys, "argv", ["leanet", *command.format(long="x" * 5000).split()])
    with pytest.raises(SystemExit, match=r"^leanet: (.*x: file name too long|there is no settings/x)"):
        cli.main()


def test_an_unknown_option_shows_the_usage_of_its_command(monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", ["leanet", "predict", "a.png", "--fmt", "csv"])
    with pytest.raises(SystemExit, match="2"):
        cli.main()
    said = capsys.readouterr().err
    assert said.startswith("usage: leanet predict ")
    assert "leanet predict: error: unknown: --fmt csv" in said
