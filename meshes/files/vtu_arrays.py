"""The data arrays of a VTU file: as text, in base64 or raw, compressed or not; no size is believed before it fits."""

from __future__ import annotations

import binascii
import lzma
import warnings
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, BinaryIO, Literal
from xml.etree.ElementTree import Element

import numpy as np
from numpy.typing import NDArray

from meshes.errors import MeshFileError

__all__ = ["Appended", "ArrayReader", "numbers_from_text", "unzipped_xz", "unzipped_zlib"]

Array = NDArray[Any]

_TYPES = {
    **{f"Int{8 * size}": f"i{size}" for size in (1, 2, 4, 8)},
    **{f"UInt{8 * size}": f"u{size}" for size in (1, 2, 4, 8)},
    "Float32": "f4",
    "Float64": "f8",
}
#: Blocks hold 32 kB to a few MB; a larger one is damage.
_LARGEST_BLOCK = 2**28


@dataclass(frozen=True)
class Appended:
    """The bytes behind the XML: `size` bytes of the file from `start`, raw or in base64."""

    file: BinaryIO
    start: int
    size: int
    raw: bool

    def read(self, offset: int, count: int) -> bytes:
        """Bytes of the section; `MeshFileError` where the file ends before."""
        if offset < 0 or count < 0 or offset + count > self.size:
            raise MeshFileError(
                f"the file ends early: an array takes the appended bytes {offset} to {offset + count}, there are "
                f"{self.size}."
            )
        self.file.seek(self.start + offset)
        return self.file.read(count)


@dataclass(frozen=True)
class ArrayReader:
    """How the arrays of one file are stored.

    Attributes
    ----------
    order
        ``<`` or ``>``.
    header
        dtype of the sizes before an array.
    decompress
        From bytes and the size that is announced to bytes; None where nothing is compressed.
    appended
        The section behind the XML, if there is one.
    """

    order: Literal["<", ">"]
    header: np.dtype[Any]
    decompress: Callable[[bytes, int], bytes] | None
    appended: Appended | None

    def read(self, element: Element, tuples: int | None = None) -> Array:
        """The values of a ``DataArray``: ``(tuples,)``, or ``(tuples, components)`` if it has more than one.

        `tuples` is only checked; sizes come from the bytes that are there.
        """
        kind, name = element.get("type", ""), element.get("Name", "")
        if kind not in _TYPES:
            raise MeshFileError(f"array {name!r} of type {kind!r}: expected one of {', '.join(_TYPES)}.")
        dtype = np.dtype(_TYPES[kind]).newbyteorder(self.order)
        form = element.get("format", "ascii")
        if form == "ascii":
            values = numbers_from_text(name, element.text or "", dtype)
        elif form in ("binary", "appended"):
            values = _from_bytes(name, self._bytes(element, form), dtype)
        else:
            raise MeshFileError(f"array {name!r} in the format {form!r}: expected ascii, binary or appended.")
        values = values.astype(dtype.newbyteorder("="), copy=False)
        width = int(element.get("NumberOfComponents") or 1)
        if width < 1 or values.size % width:
            raise MeshFileError(f"array {name!r}: {values.size} values are no whole number of {width} components.")
        if tuples is not None and values.size != tuples * width:
            raise MeshFileError(f"array {name!r} has {values.size // width} entries, expected {tuples}.")
        return values if width == 1 else values.reshape(-1, width)

    def _bytes(self, element: Element, form: str) -> bytes:
        if form == "binary":
            text = "".join((element.text or "").split()).encode("ascii")
            return self._decoded(_base64(lambda start, count: text[start : start + count], 0))
        if self.appended is None:
            raise MeshFileError(f"array {element.get('Name')!r} is appended, but there is no <AppendedData>.")
        start = int(element.get("offset") or 0)
        if self.appended.raw:
            section, position = self.appended, start

            def following(count: int, fresh: bool = False) -> bytes:
                nonlocal position
                position += count
                return section.read(position - count, count)

            return self._decoded(following)
        return self._decoded(_base64(self.appended.read, start))

    def _decoded(self, following: Callable[[int, bool], bytes]) -> bytes:
        """Take the sizes and what they announce from a stream; `fresh` begins a new base64 text where VTK does."""
        size = self.header.itemsize
        first = int(np.frombuffer(following(size, True), dtype=self.header)[0])
        if self.decompress is None:
            return following(first, False)
        if not first:
            return b""
        # Number, size and last size of the blocks, then the size of each when compressed.
        block, last = (int(k) for k in np.frombuffer(following(2 * size, False), dtype=self.header))
        packed = np.frombuffer(following(first * size, False), dtype=self.header)
        if max(block, last) > _LARGEST_BLOCK:
            raise MeshFileError(f"compressed blocks of {max(block, last)} bytes: expected at most {_LARGEST_BLOCK}.")
        parts = []
        for index, count in enumerate(packed.tolist()):
            whole = block if index < first - 1 or not last else last
            parts.append(self.decompress(following(count, index == 0), whole))
        return parts[0] if len(parts) == 1 else b"".join(parts)


def unzipped_zlib(packed: bytes, size: int) -> bytes:
    """At most `size` bytes out of a zlib stream; `MeshFileError` if there are more or fewer."""
    engine = zlib.decompressobj()
    return _of_size(engine.decompress(packed, size + 1), size)


def unzipped_xz(packed: bytes, size: int) -> bytes:
    """At most `size` bytes out of an xz stream; `MeshFileError` if there are more or fewer."""
    engine = lzma.LZMADecompressor(memlimit=2**28)
    return _of_size(engine.decompress(packed, size + 1), size)


def _of_size(found: bytes, size: int) -> bytes:
    if len(found) != size:
        raise MeshFileError(f"a compressed block holds {len(found)} bytes or more, announced were {size}: damaged.")
    return found


def _base64(source: Callable[[int, int], bytes], start: int) -> Callable[[int, bool], bytes]:
    """Decode a base64 text piece by piece; a fresh piece begins a new text behind the padding of the one before."""
    position, left = start, b""

    def following(count: int, fresh: bool = False) -> bytes:
        nonlocal position, left
        if fresh:
            left = b""
        if count > len(left):
            length = 4 * (-(-(count - len(left)) // 3))
            text = source(position, length)
            if len(text) < length:
                raise MeshFileError(f"the file ends early: {length} characters of base64 expected, {len(text)} found.")
            position += length
            left = left + binascii.a2b_base64(text) if left else binascii.a2b_base64(text)
        if count > len(left):
            raise MeshFileError("an array in base64 is shorter than it announces: damaged.")
        found, left = (left, b"") if count == len(left) else (left[:count], left[count:])
        return found

    return following


def numbers_from_text(name: str, text: str | bytes, dtype: np.dtype[Any]) -> Array:
    """The numbers of a text; `MeshFileError` where there is anything else."""
    if not text.strip():
        return np.zeros(0, dtype=dtype.newbyteorder("="))
    with warnings.catch_warnings():
        # NumPy only warns where a text holds something else than numbers.
        warnings.simplefilter("error")
        try:
            values: Array = np.fromstring(text, dtype=dtype.newbyteorder("="), sep=" ")
        except (DeprecationWarning, ValueError, OverflowError) as error:
            raise MeshFileError(f"array {name!r} holds something else than numbers ({error}).") from error
    return values


def _from_bytes(name: str, data: bytes, dtype: np.dtype[Any]) -> Array:
    if len(data) % dtype.itemsize:
        raise MeshFileError(f"array {name!r} of {len(data)} bytes: expected a multiple of {dtype.itemsize}.")
    return np.frombuffer(data, dtype=dtype)
