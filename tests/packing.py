"""Archives made byte by byte, as a publisher or as an attacker packs them."""

import io
import stat
import struct
import tarfile
import zipfile
import zlib


def make_zip(members, mode=stat.S_IFREG, flags=0):
    """Bytes of a zip of `members`, (name, data); a name that ends in / is a folder."""
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w", zipfile.ZIP_DEFLATED) as opened:
        for name, data in members:
            info = zipfile.ZipInfo()
            info.filename, info.compress_type = name, zipfile.ZIP_DEFLATED  # as given, with NULs and all
            info.external_attr = (stat.S_IFDIR if name.endswith("/") else mode) << 16
            opened.writestr(info, data)
    packed = bytearray(archive.getvalue())
    for info in zipfile.ZipFile(archive).infolist():
        packed[info.header_offset + 6] |= flags
    packed[packed.find(b"PK\x01\x02") + 8] |= flags
    return bytes(packed)


def make_tar(members, kind=tarfile.REGTYPE, **fields):
    archive = io.BytesIO()
    with tarfile.open(fileobj=archive, mode="w", format=tarfile.PAX_FORMAT) as opened:
        for name, data in members:
            info = tarfile.TarInfo()
            info.pax_headers = {"path": name}
            info.type, info.mode, info.size = kind, 0, len(data)
            if name.endswith("/"):
                info.type = tarfile.DIRTYPE
            for field, value in fields.items():
                setattr(info, field, value)
            opened.addfile(info, io.BytesIO(data))
    return archive.getvalue()


def rar_block(kind, flags, body=b"", data=b""):
    head = struct.pack("<BHH", kind, flags, 7 + len(body)) + body
    return struct.pack("<H", zlib.crc32(head) & 0xFFFF) + head + data


def make_rar(members, mode=stat.S_IFREG, method=0x30, flags=0, longer=0):
    """Bytes of a RAR4 archive; all members are stored, though its headers may say otherwise."""
    packed = b"Rar!\x1a\x07\x00" + rar_block(0x73, 0, bytes(6))
    for name, data in members:
        folder = 0xE0 if name.endswith("/") else 0
        head = (len(data), len(data) + longer, 3, zlib.crc32(data), 0x210000, 29, method, len(name.encode()), mode)
        body = struct.pack("<LLBLLBBHL", *head) + name.encode()
        packed += rar_block(0x74, 0x8200 | folder | flags, body, data)
    return packed + rar_block(0x7B, 0x4000)


def make_rar5(members, link=None):
    """Bytes of a RAR5 archive of stored members; with `link`, a kind of RAR5's links, they lead out."""

    def number(value):
        low, rest = value & 0x7F, value >> 7
        return bytes([low | 0x80]) + number(rest) if rest else bytes([low])

    def block(*fields, data=b""):
        head = b"".join(number(field) if isinstance(field, int) else field for field in fields)
        head = number(len(head)) + head
        return struct.pack("<L", zlib.crc32(head)) + head + data

    extra = b"" if link is None else bytes([6, 5, link, 0, 2]) + b".."
    packed = b"Rar!\x1a\x07\x01\x00" + block(1, 0, 0)
    for name, data in members:
        sizes = [3, len(extra), len(data)] if extra else [2, len(data)]
        crc, written = struct.pack("<L", zlib.crc32(data)), name.encode()
        kind = 5 if name.endswith("/") else 4
        packed += block(
            2, *sizes, kind, len(data), stat.S_IFREG, crc, 0, 1, len(written), written, extra, data=data
        )
    return packed + block(5, 0, 0)
