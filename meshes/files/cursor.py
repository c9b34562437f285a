"""A place in a file of lines and numbers: counts are compared with the bytes that are left before they are believed."""

from __future__ import annotations

from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from meshes.errors import MeshFileError
from meshes.files.vtu_arrays import numbers_from_text

__all__ = ["Cursor"]

Array = NDArray[Any]

_TYPES = {
    "unsigned_char": "u1",
    "char": "i1",
    "signed_char": "i1",
    "unsigned_short": "u2",
    "short": "i2",
    "unsigned_int": "u4",
    "int": "i4",
    "unsigned_long": "u8",
    "long": "i8",
    "vtktypeint64": "i8",
    "vtktypeuint64": "u8",
    "vtkidtype": "i4",
    "float": "f4",
    "double": "f8",
}


class Cursor:
    """Read a file from front to back.

    Parameters
    ----------
    data
        The whole file.
    order
        Of the bytes of binary numbers, ``<`` or ``>``.
    """

    def __init__(self, data: bytes, order: Literal["<", ">"]) -> None:
        self.data = data
        self.order: Literal["<", ">"] = order
        self.at = 0
        self.binary = False

    def line(self) -> str:
        """The rest of the line."""
        end = self.data.find(b"\n", self.at)
        end = len(self.data) if end < 0 else end
        text = self.data[self.at : end]
        self.at = end + 1
        if len(text) > 2**16:
            raise MeshFileError("a line of more than 64 kB where a title is expected: damaged.")
        return text.decode("utf-8", "replace").rstrip("\r")

    def words(self) -> list[str]:
        """The words of the next line that is not empty; none at the end of the file."""
        while self.at < len(self.data):
            found = self.line().split()
            if found:
                return found
        return []

    def next_word(self) -> str:
        """The first word of the line that `words` would give, without going there."""
        at = self.at
        found = self.words()
        self.at = at
        return found[0].upper() if found else ""

    def text(self, words: list[str], place: int) -> str:
        """A word of a line."""
        if place >= len(words):
            raise MeshFileError(f"the line {' '.join(words)[:60]!r} ends early: damaged or cut off.")
        return words[place]

    def count(self, words: list[str], place: int) -> int:
        """A word of a line that is a count the file has room for."""
        word = self.text(words, place)
        value = int(word) if word.isascii() and word.isdigit() and len(word) < 19 else -1
        if not 0 <= value <= len(self.data):
            raise MeshFileError(f"a count of {word[:24]!r} in a file of {len(self.data)} bytes: damaged.")
        return value

    def array(self, count: int, kind: str) -> Array:
        """The next numbers of a type that VTK's files know."""
        if kind.lower() not in _TYPES:
            raise MeshFileError(f"numbers of type {kind[:24]!r}: expected one of {', '.join(_TYPES)}.")
        return self.numbers(count, _TYPES[kind.lower()])

    def numbers(self, count: int, dtype: Any) -> Array:
        """The next numbers; for records of a structured dtype the file must be binary."""
        kind = np.dtype(dtype)
        if not 0 <= count <= len(self.data):
            raise MeshFileError(f"{count} numbers announced in a file of {len(self.data)} bytes: damaged.")
        return self._bytes(count, kind) if self.binary else self._text(count, kind)

    def skip_paragraph(self) -> None:
        """Go behind the next empty line."""
        while self.at < len(self.data) and self.line().strip():
            pass

    def skip_strings(self, count: int) -> None:
        """Go behind texts: lines, or in binary files each with its length before it."""
        for _ in range(count):
            if self.at >= len(self.data):
                raise MeshFileError("the file ends early, among texts.")
            if not self.binary:
                self.line()
                continue
            # The two upper bits of the first byte say how many bytes the length has.
            size = 8 >> (self.data[self.at] >> 6)
            length = int.from_bytes(self.data[self.at : self.at + size], "big") & ((1 << (8 * size - 2)) - 1)
            self.at += size + length

    def _bytes(self, count: int, dtype: np.dtype[Any]) -> Array:
        size = count * dtype.itemsize
        if self.at + size > len(self.data):
            raise MeshFileError(f"the file ends early: {size} bytes announced, {len(self.data) - self.at} left.")
        values = np.frombuffer(self.data, dtype=dtype.newbyteorder(self.order), count=count, offset=self.at)
        self.at += size
        return values.astype(dtype)

    def _text(self, count: int, dtype: np.dtype[Any]) -> Array:
        if not count:
            return np.zeros(0, dtype=dtype)
        window = 8 * count
        while True:
            segment = self.data[self.at : self.at + window]
            blank = np.frombuffer(segment, dtype=np.uint8) <= 32
            # A word ends where a blank follows a character.
            ends = np.flatnonzero(blank[1:] & ~blank[:-1]) + 1
            if len(ends) >= count or self.at + window >= len(self.data):
                break
            window *= 2
        if len(ends) + (len(blank) > 0 and not blank[-1]) < count:
            raise MeshFileError(f"the file ends early: {count} numbers announced, {len(ends)} left.")
        stop = int(ends[count - 1]) if len(ends) >= count else len(segment)
        values = numbers_from_text("", segment[:stop], dtype)
        self.at += stop
        if len(values) != count:
            raise MeshFileError(f"{count} numbers expected, {len(values)} found: damaged.")
        return values
