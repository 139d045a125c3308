"""Unpacking zip, tar and rar archives, most of them hostile."""

import bz2
import gzip
import lzma
import random
import resource
import shutil
import stat
import struct
import tarfile
import tracemalloc
import zipfile

import pytest
import rarfile
from packing import make_rar, make_rar5, make_tar, make_zip, rar_block

from leanet.core import files
from leanet.core.errors import InputError
from leanet.core.files import whole
from leanet.images import archives
from leanet.images.archives import unpack

NOISE = random.Random(1).randbytes(20_000)
GOOD = {"Positive/im 1.png": NOISE, "é 漢字/🍃.JPG": b"leaf", "mask.bmp": bytes(2**20), "empty.txt": b""}
PHOTOS = [(f"{i}.png", random.Random(i).randbytes(20_000)) for i in range(6)]


PACKED = {"tar.gz": gzip.compress, "tar.bz2": bz2.compress, "tar.xz": lzma.compress}
PLAIN = {"zip": make_zip, "tar": make_tar, "rar": make_rar, "rar5": make_rar5}
MAKE = PLAIN | {
    kind: lambda members, compress=compress: compress(make_tar(members)) for kind, compress in PACKED.items()
}
every_format = pytest.mark.parametrize("kind", MAKE)
every_container = pytest.mark.parametrize("kind", PLAIN)


@pytest.fixture
def ground(tmp_path):
    """A folder for archives and what they unpack to, in one that nothing may be written to."""
    (tmp_path / "outside.png").write_text("untouched")
    folder = tmp_path / "ground"
    folder.mkdir()
    return folder


def listing(root):
    return {path: path.is_file() and path.read_bytes() for path in root.rglob("*")}


def keep(archive, packed):
    archive.write_bytes(packed)
    return archive


def refused(archive, why, choose=str):
    """The archive is refused in one line that matches `why`, and nothing of it is left behind."""
    before = listing(archive.parent.parent)
    with pytest.raises(InputError, match=why) as caught, whole(archive.parent / "set") as to:
        unpack(archive, to, choose)
    assert listing(archive.parent.parent) == before
    line = str(caught.value)
    assert str(archive) in line
    assert line.isprintable()
    assert len(line) < 1500


def leave(name):
    return None


@every_format
def test_chosen_members_arrive_whatever_the_file_is_called(ground, kind):
    archive = keep(ground / "download", MAKE[kind](GOOD.items()))
    with whole(ground / "set") as to:
        assert unpack(archive, to, lambda name: None if name == "empty.txt" else f"in/{name}") == 3
    files = {str(f.relative_to(ground / "set/in")): f.read_bytes() for f in ground.glob("set/**/*") if f.is_file()}
    assert files == {name: data for name, data in GOOD.items() if name != "empty.txt"}


@every_container
def test_modes_of_an_archive_are_not_taken_over(ground, kind):
    members = [("./", b""), ("./locked/", b""), ("./locked//leaf.png", NOISE)]
    archive = keep(ground / "download", MAKE[kind](members))
    with whole(ground / "set") as to:
        assert unpack(archive, to, str) == 1
    assert (ground / "set/locked").stat().st_mode & 0o700 == 0o700
    assert (ground / "set/locked/leaf.png").stat().st_mode & 0o600 == 0o600


@pytest.mark.parametrize("choose", [str, leave])
@pytest.mark.parametrize(
    ("name", "why"),
    [
        ("../outside.png", r"path with \.\."),
        ("a/../../../outside.png", r"path with \.\."),
        ("a/..", r"path with \.\."),
        (r"..\outside.png", r"path with \.\."),
        (r"a\..\..\outside.png", r"path with \.\."),
        ("{tmp}/outside.png", "absolute path"),
        (r"C:\outside.png", "absolute path"),
        ("c:outside.png", "absolute path"),
        (r"\\server\outside.png", "absolute path"),
        ("a\nb.png", r"a\\nb.png.* control characters"),
        ("\x1b[2J.png", "control characters"),
        ("a\u2028b.png", "control characters"),
        ("", "'' has no name"),
        (".", "has no name"),
        ("a/" * 500 + "b", "1001 characters"),
    ],
)
@every_container
def test_names_that_nobody_would_pack_are_refused(ground, kind, name, why, choose):
    members = [("good.png", NOISE), (name.format(tmp=ground.parent), b"hostile")]
    refused(keep(ground / "download", MAKE[kind](members)), f"refused, since its member .*{why}", choose)


@pytest.mark.parametrize("kind", ["zip", "tar"])  # in a rar, a NUL parts two ways of writing the name
def test_a_name_with_a_nul_is_refused(ground, kind):
    refused(keep(ground / "download", MAKE[kind]([("leaf.png\0.txt", NOISE)])), "control characters", leave)


SPECIAL = "'odd.png' is a link, a device or another special file"


@pytest.mark.parametrize("choose", [str, leave])
@pytest.mark.parametrize("kind", ["zip", "rar"])
@pytest.mark.parametrize("mode", [stat.S_IFLNK, stat.S_IFIFO, stat.S_IFCHR, stat.S_IFBLK, stat.S_IFSOCK])
def test_links_and_devices_are_refused_by_their_mode(ground, kind, mode, choose):
    refused(keep(ground / "download", MAKE[kind]([("odd.png", b"..")], mode=mode | 0o777)), SPECIAL, choose)


@pytest.mark.parametrize("choose", [str, leave])
@pytest.mark.parametrize(
    "kind",
    [
        tarfile.SYMTYPE,
        tarfile.LNKTYPE,
        tarfile.CHRTYPE,
        tarfile.BLKTYPE,
        tarfile.FIFOTYPE,
        tarfile.GNUTYPE_SPARSE,
        b"Z",
    ],
)
def test_links_and_devices_are_refused_in_a_tar(ground, kind, choose):
    archive = keep(ground / "download", make_tar([("odd.png", b"")], kind=kind, linkname=".."))
    refused(archive, SPECIAL, choose)


@pytest.mark.parametrize("link", [1, 2, 3, 4, 5])
def test_links_are_refused_in_a_rar5(ground, link):
    refused(keep(ground / "download", make_rar5([("odd.png", b"")], link)), SPECIAL, leave)


def test_nothing_is_written_through_a_link(ground):
    link = make_tar([("odd.png", b"")], kind=tarfile.SYMTYPE, linkname="../..")[: 3 * 512]
    refused(keep(ground / "download", link + make_tar([("odd.png/outside.png", b"hostile")])), SPECIAL)
    archive = keep(ground / "good", make_zip([("a/leaf.png", NOISE)]))
    (ground / "to").mkdir()
    (ground / "to/a").symlink_to(ground.parent)
    for choose in (str, lambda name: "../outside.png", lambda name: str(ground.parent / "outside.png")):
        with pytest.raises(InputError, match="'a/leaf.png' would lie outside"):
            unpack(archive, ground / "to", choose)
    assert (ground.parent / "outside.png").read_text() == "untouched"


@pytest.mark.filterwarnings("ignore:Duplicate name")
@pytest.mark.parametrize("choose", [str, leave])
@pytest.mark.parametrize("name", ["a/b.png", "./a//b.png", r"a\b.png"])
@every_container
def test_a_name_that_is_there_twice_is_refused(ground, kind, name, choose):
    archive = keep(ground / "download", MAKE[kind]([("a/b.png", NOISE), (name, b"other")]))
    refused(archive, "is there twice", choose)


@pytest.mark.parametrize("names", [("leaf.png", "LEAF.PNG"), ("caf\u00e9.png", "cafe\u0301.png")])
@every_container
def test_names_that_some_disks_cannot_tell_apart_are_refused_where_both_are_chosen(ground, kind, names):
    archive = keep(ground / "download", MAKE[kind]([(name, NOISE) for name in names]))
    refused(archive, "differs only in case")
    with whole(ground / "set") as to:
        assert unpack(archive, to, lambda name: name if name == names[0] else None) == 1


def test_what_is_encrypted_is_refused(ground):
    refused(keep(ground / "download", make_zip([("leaf.png", NOISE)], flags=1)), "'leaf.png' is encrypted", leave)
    refused(keep(ground / "download", make_rar([("leaf.png", NOISE)], flags=4)), "is encrypted", leave)


def test_a_zip_bomb_is_refused(ground):
    zeros = bytes(2**20)
    parts = make_zip((f"{i}.bmp", zeros) for i in range(100))
    refused(keep(ground / "download", parts), "more than an archive of images this size holds")
    assert len(parts) < 2**18
    with whole(ground / "set") as to:  # a few of them are no harm
        assert unpack(ground / "download", to, lambda name: name if name < "3" else None) == 23


@pytest.mark.parametrize("choose", [str, leave])
@pytest.mark.parametrize("compress", PACKED.values(), ids=PACKED)
def test_a_tar_bomb_is_refused(ground, compress, choose):
    header = tarfile.TarInfo("zeros.bmp")
    header.size = 100 * 2**20
    packed = compress(header.tobuf()) + 10 * compress(bytes(10 * 2**20))
    assert len(packed) < 2**18
    refused(keep(ground / "download", packed), "unpacks to over 100 times|this size holds", choose)


@pytest.mark.parametrize("size", [len(NOISE) - 1, len(NOISE) + 1, 0, 2**32 - 2])
@pytest.mark.parametrize("method", [zipfile.ZIP_DEFLATED, zipfile.ZIP_STORED])
def test_a_zip_that_lies_about_a_size_is_refused(ground, size, method):
    with zipfile.ZipFile(ground / "download", "w", method) as opened:
        opened.writestr("leaf.png", NOISE)
    packed = bytearray((ground / "download").read_bytes())
    struct.pack_into("<L", packed, packed.find(b"PK\x01\x02") + 24, size)
    refused(keep(ground / "download", packed), "cannot be read|bytes")


@pytest.mark.parametrize("longer", [-1, 1, 2**30])
def test_a_rar_that_lies_about_a_size_is_refused(ground, longer):
    refused(keep(ground / "download", make_rar([("leaf.png", NOISE)], longer=longer)), "cannot be read|bytes")


@pytest.mark.parametrize("choose", [str, leave])
@pytest.mark.parametrize(
    ("kind", "size"),
    [
        (tarfile.REGTYPE, 2**40),
        (tarfile.REGTYPE, -512),
        (tarfile.XHDTYPE, 2**40),
        (tarfile.GNUTYPE_LONGNAME, -512),
    ],
)
def test_a_tar_that_lies_about_a_size_is_refused(ground, kind, size, choose):
    header = tarfile.TarInfo("leaf.png")
    header.type, header.size = kind, size
    packed = header.tobuf(tarfile.GNU_FORMAT) + NOISE + make_tar([("other.png", NOISE)])
    refused(keep(ground / "download", packed), "cannot be read|this size holds|below zero", choose)


@pytest.mark.parametrize("zip64", [False, True])
def test_a_million_members_are_refused_before_they_fill_the_memory(ground, zip64):
    entry = b"PK\x01\x02" + bytes(24) + struct.pack("<H", 1) + bytes(16) + b"a"
    count = 1_000_000
    size, start = len(entry) * count, 4
    wide = struct.pack("<4sQHHLLQQQQ", b"PK\x06\x06", 44, 45, 45, 0, 0, count, count, size, start)
    wide += struct.pack("<4sLQL", b"PK\x06\x07", 0, start + size, 1)
    end = struct.pack("<4sHHHHLLH", b"PK\x05\x06", 0, 0, count & 0xFFFF, count & 0xFFFF, size, start, 0)
    archive = keep(ground / "download", b"PK\x03\x04" + entry * count + wide * zip64 + end)
    tracemalloc.start()
    try:
        with pytest.raises(InputError, match="more than 200,000 members"):
            unpack(archive, ground, str)
        assert tracemalloc.get_traced_memory()[1] < 2**24
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("choose", [str, leave])
@every_container
def test_one_member_too_many_is_refused(ground, kind, choose, monkeypatch):
    monkeypatch.setattr(archives, "MOST_MEMBERS", 1000)
    for count in (1000, 1001):
        members = [(f"{i}.png" if i % 2 else f"{i}/", b"") for i in range(count)]
        archive = keep(ground / "download", MAKE[kind](members))
        if count == 1000:
            unpack(archive, ground / "set", leave)
    refused(archive, "more than 1,000 members", choose)


def test_a_rar_is_counted_before_any_of_it_is_unpacked(ground, monkeypatch):
    monkeypatch.setattr(archives, "MOST_MEMBERS", 3)
    chosen = []
    refused(keep(ground / "download", make_rar(PHOTOS)), "more than 3 members", chosen.append)
    assert not chosen


def test_a_tar_with_a_header_that_fills_the_memory_is_refused(ground):
    packed = make_tar(PHOTOS[:1], pax_headers={"path": "leaf.png", "comment": "x" * 2**20})
    refused(keep(ground / "download", packed), "a header of 1049088 bytes")


@every_container
def test_more_bytes_than_any_data_set_are_refused_where_they_are_chosen(ground, kind, monkeypatch):
    monkeypatch.setattr(archives, "MOST_BYTES", 2 * len(NOISE))
    archive = keep(ground / "download", MAKE[kind]([(f"{i}.png", NOISE) for i in range(3)]))
    refused(archive, "'2.png' brings the files to 60,000 bytes")
    with whole(ground / "set") as to:
        assert unpack(archive, to, lambda name: name if name != "1.png" else None) == 2


@pytest.mark.parametrize("cut", [300, 20_000, 1536 + 20_480, 2 * (1536 + 20_480), 60_000, 100_000, -7, -1])
@every_format
def test_an_archive_that_is_cut_off_is_refused(ground, kind, cut):
    packed = MAKE[kind](PHOTOS)
    packed = packed.rstrip(b"\0") if kind == "tar" else packed  # the zeros that mark its end
    refused(keep(ground / "download", packed[:cut]), "cannot be read|expected a zip")


def test_a_rar_that_goes_on_in_another_file_is_refused(ground):
    packed = make_rar(PHOTOS).removesuffix(rar_block(0x7B, 0x4000)) + rar_block(0x7B, 0x4001)
    refused(keep(ground / "download.rar", packed), "Cannot open next volume")


@every_format
def test_a_flipped_bit_is_noticed(ground, kind):
    # A plain tar has checksums of its headers only.
    for place in [1536 + 20_480 + 5] if kind == "tar" else [10_000, 50_000, 110_000]:
        packed = bytearray(MAKE[kind](PHOTOS))
        packed[place] ^= 4
        refused(keep(ground / "download", packed), "cannot be read")


@pytest.mark.parametrize(
    ("packed", "why"),
    [
        (b"", "expected a zip, tar or rar archive, but it is empty"),
        (b"<!DOCTYPE html>\nNot found", r"but it begins with b'<!DOCTYPE html>\\n'"),
        (b"PK\x03\x04" + NOISE, "cannot be read"),
        (b"Rar!\x1a\x07\x00" + NOISE, "cannot be read"),
        (b"Rar!\x1a\x07\x01\x00" + NOISE, "cannot be read"),
        (gzip.compress(b"a single file", mtime=0), "cannot be read"),
        (b"\x28\xb5\x2f\xfd" + NOISE, "needs Python 3.14 or later|cannot be read"),
    ],
)
def test_what_is_no_archive_is_told_by_its_content(ground, packed, why):
    refused(keep(ground / "leaves.zip", packed), why)


def test_an_archive_that_is_not_there_is_named(ground):
    for archive in (ground / "missing.zip", ground):
        with pytest.raises(InputError, match=f"{archive}: there is no such file"):
            unpack(archive, ground / "set", str)


def test_what_is_there_already_is_not_written_over(ground):
    archive = keep(ground / "download", make_zip([("leaf.png", NOISE)]))
    (ground / "leaf.png").write_text("mine")
    with pytest.raises(InputError, match="leaf.png: cannot be written .*File exists"):
        unpack(archive, ground, str)
    assert (ground / "leaf.png").read_text() == "mine"


def test_a_disk_that_takes_no_more_ends_in_one_line(ground):
    refused(keep(ground / "download", make_zip([("a", NOISE), ("a/b", NOISE)])), "cannot be written")
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    archive = keep(ground / "download", make_tar([("leaf.png", NOISE)]))
    try:
        resource.setrlimit(resource.RLIMIT_FSIZE, (len(NOISE) // 2, limits[1]))
        refused(archive, "leaf.png: cannot be written from .*too large")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)


@every_format
def test_some_of_the_disk_is_left_to_others(ground, kind, monkeypatch):
    monkeypatch.setattr(files, "SPARE", shutil.disk_usage(ground).free + 2**30)
    archive = keep(ground / "download", MAKE[kind]([("leaf.png", NOISE)]))
    refused(archive, r"leaf.png: cannot be written from .* \(the disk has too little room, since \d+ MiB of it")


@pytest.fixture
def programs(tmp_path_factory, monkeypatch):
    """The only folder that programs are looked for in."""
    folder = tmp_path_factory.mktemp("programs")
    monkeypatch.setenv("PATH", str(folder))
    monkeypatch.setattr(rarfile, "CURRENT_SETUP", None)  # rarfile remembers what it found
    return folder


def test_a_compressed_rar_says_what_to_install(ground, programs):
    archive = keep(ground / "download", make_rar([("leaf.png", NOISE)], method=0x33))
    refused(archive, "no program is there to open a rar.*apt install")
    assert unpack(archive, ground / "set", leave) == 0


@pytest.mark.parametrize("printed", [NOISE, NOISE[:-1], NOISE[::-1]])
def test_what_another_program_unpacks_is_checked(ground, programs, printed):
    (programs / "printed").write_bytes(printed)
    (programs / "unrar").write_text(f"#!/bin/sh\nexec /bin/cat {programs}/printed\n")
    (programs / "unrar").chmod(0o755)
    archive = keep(ground / "download", make_rar([("leaf.png", NOISE)], method=0x33))
    if printed != NOISE:
        refused(archive, "cannot be read")
        return
    with whole(ground / "set") as to:
        assert unpack(archive, to, str) == 1
    assert (ground / "set/leaf.png").read_bytes() == NOISE
