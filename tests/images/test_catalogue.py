"""The paper's twelve sets, brought by the real stage from a server on loopback."""

import hashlib
import io
import json
import lzma
import shutil
from pathlib import Path

import numpy as np
import pytest
import yaml
from conftest import ROOT, call
from loopback import Answer, Loopback
from packing import make_rar, make_tar, make_zip
from PIL import Image

from leanet import cli as command_line
from leanet.cli.params import load
from leanet.core import paths
from leanet.core.errors import InputError
from leanet.images import catalogue, layout
from leanet.report import paper
from stages import download, split

MVTEC = ("carpet", "hazelnut", "leather", "tile", "wood")
# Beyond what a set wants, archives hold other folders; these prefixes stand for how the publishers pack.
PREFIX = {
    "potato": "Plant_leave_diseases_dataset_without_augmentation/",
    "grape": "Plant_leave_diseases_dataset_without_augmentation/",
    "strawberry": "Plant_leave_diseases_dataset_without_augmentation/",
    "retina": "DR2-referral/",
}
SETS = (*MVTEC, "cloud", "concrete", "grape", "hurricane", "potato", "retina", "strawberry")
MOST = 6  # images a folder, where the publisher has thousands


def picture(seed, suffix):
    rng = np.random.default_rng(seed)
    image = Image.fromarray(rng.integers(0, 256, (6, 6, 3), dtype=np.uint8)).resize((24, 24))
    stream = io.BytesIO()
    image.convert("CMYK" if suffix == "cmyk" else "RGB").save(stream, "PNG" if suffix == "png" else "JPEG")
    return stream.getvalue()


def members(name, tree):
    """What the publisher's archive holds: (path, bytes), the set's own images and others."""
    suffix = {"cloud": "cmyk"}.get(name, "png" if name in MVTEC else "JPG")
    ending = "jpg" if suffix == "cmyk" else suffix
    packed, seed = [], 0
    for folder, count in (tree["positive"] | tree["negative"]).items():
        for i in range(count):
            packed.append((f"{PREFIX.get(name, '')}{folder}/{i:03d}.{ending}", picture(seed := seed + 1, suffix)))
            if name in MVTEC and folder in tree["positive"]:
                mask = folder.replace("/test/", "/ground_truth/")
                packed.append((f"{mask}/{i:03d}_mask.png", picture(seed, "png")))
    others = ("Tomato___healthy/1.JPG", "readme.txt", "not_damage/1.jpeg", "another/train/goods/1.png")
    return packed + [(other, b"nothing of ours") for other in others]


def pack(name, tree):
    if name == "concrete":
        return make_rar(members(name, tree))
    if name in MVTEC:
        folders = [(f"{name}/test/", b"")]  # of mode 0, as in some of the publisher's archives
        return lzma.compress(make_tar(folders + members(name, tree)), preset=0)
    return make_zip(members(name, tree))


@pytest.fixture
def publish(tiny):
    """Put a set's archive on the loopback server, and its description, pointing there, into the project."""

    def start(name, change=lambda tree: None, answer=lambda body: body):
        tree = yaml.safe_load((ROOT / f"data/sources/{name}.yaml").read_text())
        for kind in ("positive", "negative"):
            if name not in MVTEC:
                tree[kind] = {folder: min(count, MOST) for folder, count in tree[kind].items()}
        body = pack(name, tree)
        server = Loopback({"/archive": answer(body), "/api": b""})
        archive = tree["archives"][0]
        archive["addresses"] = [server.address("/archive")]
        if "sha256" in archive:
            archive |= {"sha256": hashlib.sha256(body).hexdigest(), "size": len(body)}
        if "figshare" in archive:
            listed = {"size": len(body), "computed_md5": hashlib.md5(body).hexdigest()}
            files = [
                listed | {"name": "DR2-images-referral.zip", "download_url": archive["addresses"][0]},
                listed | {"name": "DR2-lesions.zip", "download_url": "http://127.0.0.1:9/"},
            ]
            server.pages["/api"] = [Answer(json.dumps({"files": files}).encode())]
            archive["addresses"] = [server.address("/api")]
        tree["archives"] = [archive]
        change(tree)
        Path(f"data/sources/{name}.yaml").write_text(yaml.safe_dump(tree))
        tiny.edit(
            f"datasets.{name}", {"source": f"data/sources/{name}.yaml", "positives": None, "negatives": None}
        )
        servers.append(server)
        server.__enter__()
        return tree, server

    servers = []
    yield start
    for server in servers:
        server.__exit__()


def agree(name):
    catalogue.accept(catalogue.entry(name))


@pytest.mark.parametrize("name", SETS)
def test_every_set_arrives_by_the_real_stage(publish, tiny, name):
    tree, server = publish(name)
    agree(name)
    call(download, name)
    items = layout.read(paths.raw(name))
    by_class = [sum(item.label == label for item in items) for label in (0, 1)]
    assert by_class == [sum(tree[kind].values()) for kind in ("negative", "positive")]
    packed = dict(members(name, tree))
    for item in items[:: max(1, len(items) // 20)]:
        source = next(path for path in packed if path.endswith(item.path.split("/", 1)[1]))
        assert (paths.raw(name) / item.path).read_bytes() == packed[source]
        assert item.label == any(folder in source for folder in tree["positive"])
        assert (item.mask is not None) == (name in MVTEC and item.label == 1)
        if item.mask:
            mask = source.replace("/test/", "/ground_truth/").replace(".png", "_mask.png")
            assert (paths.raw(name) / item.mask).read_bytes() == packed[mask]
    call(split, name)
    # A second set of the same archive, or the same set again, asks for nothing.
    shutil.rmtree(paths.raw(name))
    call(download, name)
    assert len(server.asked["/archive"]) == 1


@pytest.mark.parametrize("name", MVTEC)
def test_mvtec_sums_to_the_papers_counts(name):
    entry = catalogue.entry(name)
    assert entry.available == {"positives": entry.paper.positives, "negatives": entry.paper.negatives}


def test_the_catalogue_is_of_the_papers_sets_with_its_counts(monkeypatch):
    monkeypatch.chdir(ROOT)
    entries = catalogue.entries()
    assert sorted(entries) == sorted(SETS)
    assert {dataset for _, dataset in paper.f1()} <= set(entries)
    printed = "Retina 98 337 Potato 50 152 Grape 141 423 Strawberry 152 456 Cloud 100 300 Hurricane 100 300 "
    printed += "Concrete 100 300 Leather 92 277 Wood 60 266 Tile 84 263 Hazelnut 70 431 Carpet 89 308"
    words = iter(printed.split())
    for title, positives, negatives in zip(words, words, words, strict=True):
        entry = entries[title.lower()]
        assert entry.title == title
        assert (entry.paper.positives, entry.paper.negatives) == (int(positives), int(negatives))
        assert all(entry.available[kind] >= getattr(entry.paper, kind) for kind in ("positives", "negatives"))
    archives = [archive for entry in entries.values() for archive in entry.archives]
    for archive in archives:  # what sets share, they share in every word
        assert all(archive == other for other in archives if other.file == archive.file)
        assert all(address.startswith("https://") for address in archive.addresses)


def test_a_licence_asks_once_and_remembers(publish, tiny, capsys, monkeypatch):
    publish("wood")
    with pytest.raises(InputError, match=r"Wood is under CC BY-NC-SA .* datasets --accept wood"):
        call(download, "wood")
    monkeypatch.setattr("sys.argv", ["leanet", "datasets", "--accept", "wood"])
    command_line.main()
    assert "agreed to CC BY-NC-SA 4.0" in capsys.readouterr().out
    call(download, "wood")
    assert catalogue.is_accepted(catalogue.entry("wood"))


def test_another_number_of_images_than_expected_is_named(publish, tiny):
    publish("potato", lambda tree: tree["negative"].update(Potato___healthy=7))
    with pytest.raises(
        InputError, match=r"6 images in Potato___healthy, expected 7 \(by data/sources/potato.yaml\)"
    ):
        call(download, "potato")
    assert not paths.raw("potato").exists()


def test_a_count_that_nobody_verified_only_warns(publish, tiny, capsys):
    publish("retina", lambda tree: tree["negative"].update(negative=7))
    agree("retina")
    call(download, "retina")
    assert "6 images in negative, expected 7" in capsys.readouterr().err
    assert "dr2-referral.zip" in json.loads(paths.FIRST_SEEN.read_text())  # though figshare listed its MD5
    assert paths.raw("retina").is_dir()


def test_the_hash_of_an_archive_without_one_is_held_to(publish, tiny):
    publish("cloud")
    agree("cloud")
    call(download, "cloud")
    seen = json.loads(paths.FIRST_SEEN.read_text())
    assert set(seen) == {"cloud.zip"}
    (paths.DOWNLOADS / "cloud.zip").write_bytes(b"PK another")
    with pytest.raises(InputError, match=r"cloud.zip: .*expected .*first seen"):
        call(download, "cloud")


def test_what_is_no_archive_is_never_held_to(publish, tiny):
    publish("cloud", answer=lambda body: b"PK, but no archive")
    agree("cloud")
    with pytest.raises(
        InputError, match=r"cloud.zip: expected a zip.*; if it is a wrong file, remove .*cloud.zip to download it"
    ):
        call(download, "cloud")
    assert not paths.FIRST_SEEN.exists()


def test_a_wrong_file_that_is_there_is_named_before_anything_is_asked_for(publish, tiny):
    def add_another(tree):
        tree["archives"].append(dict(tree["archives"][0], file="other.zip"))

    _, server = publish("grape", add_another)
    paths.DOWNLOADS.mkdir()
    (paths.DOWNLOADS / "plantvillage.zip").write_bytes(b"by hand")
    with pytest.raises(InputError, match=r"plantvillage.zip: has 7 bytes, expected \d+; remove it to download it"):
        call(download, "grape")
    assert not server.asked["/archive"]


def test_the_other_archive_is_tried_and_all_reasons_are_told(publish, tiny):
    def add_another(tree):
        gone = dict(tree["archives"][0], file="gone.zip", addresses=[tree["archives"][0]["addresses"][0]], size=3)
        tree["archives"].insert(0, gone)

    publish("grape", add_another)
    call(download, "grape")
    assert sorted(file.name for file in paths.DOWNLOADS.glob("*.zip")) == ["plantvillage.zip"]
    publish("grape", lambda tree: tree["archives"][0].update(file="new.zip", size=3))
    with pytest.raises(InputError, match=r"new.zip: .* expected 3.*by hand from https://data.mendeley.com"):
        call(download, "grape")


def test_a_pattern_that_is_none_is_one_line(publish, tiny):
    publish("retina", lambda tree: tree["archives"][0].update(figshare="("))
    with pytest.raises(InputError, match=r"retina.yaml: archives.figshare is '\(', expected a regular expression"):
        catalogue.entry("retina")


def test_the_list_says_what_is_on_disk(publish, tiny, capsys, monkeypatch):
    publish("potato")
    shutil.copy(ROOT / "data/sources/wood.yaml", "data/sources/wood.yaml")
    call(download, "potato")
    monkeypatch.setattr("sys.argv", ["leanet", "datasets"])
    command_line.main()
    lines = {line.split()[0]: line for line in capsys.readouterr().out.splitlines()}
    assert "50 / 152" in lines["potato"]
    assert "unpacked" in lines["potato"]
    assert "not for commercial use *" in lines["wood"]
    assert "unpacked" not in lines["wood"]
    monkeypatch.setattr("sys.argv", ["leanet", "datasets", "--json"])
    command_line.main()
    table = {line["name"]: line for line in json.loads(capsys.readouterr().out)}
    assert table["potato"]["downloaded"] == ["plantvillage.zip"]
    assert table["wood"]["available"] == {"positives": 60, "negatives": 266}
    assert not table["wood"]["licence_accepted"]


def test_a_published_set_is_named_and_used_with_the_papers_numbers(tiny, capsys, monkeypatch):
    shutil.copy(ROOT / "data/sources/grape.yaml", "data/sources/grape.yaml")
    monkeypatch.setattr("sys.argv", ["leanet", "use", "grape"])
    command_line.main()
    (dataset,) = load().datasets.values()
    assert (dataset.source, dataset.positives, dataset.negatives) == ("data/sources/grape.yaml", 141, 423)
    monkeypatch.setattr("sys.argv", ["leanet", "use", "grap"])
    with pytest.raises(SystemExit, match=r"there is no data set grap; did you mean grape\?"):
        command_line.main()
    Path("parts/Negative").mkdir(parents=True)
    Image.new("RGB", (8, 8)).save("parts/Negative/1.png")
    monkeypatch.setattr("sys.argv", ["leanet", "use", "parts", "parts"])
    with pytest.raises(SystemExit, match="1 normal image; expected at least 4"):
        command_line.main()
    assert list(load().datasets) == ["grape"]
    tiny.edit("datasets.grape.source", "grape")
    with pytest.raises(InputError, match="there is no grape; did you mean data/sources/grape.yaml"):
        load()
