"""XML of strangers: parsed without document types and entities, and not deeper than any mesh file is."""

from __future__ import annotations

from typing import Any
from xml.etree.ElementTree import Element, TreeBuilder
from xml.parsers import expat

from meshes.errors import MeshFileError

__all__ = ["parse_xml"]

_DEPTH = 64


def parse_xml(text: bytes) -> Element:
    """The root of a document without a document type.

    Raises
    ------
    MeshFileError
        Not XML, a document type declaration (entities may grow without bound or name other files), or more than 64
        levels of elements.
    """
    builder = TreeBuilder()
    parser = expat.ParserCreate()
    parser.buffer_text = True
    parser.buffer_size = 2**20
    depth = 0

    def start(tag: str, attributes: dict[str, str]) -> None:
        nonlocal depth
        depth += 1
        if depth > _DEPTH:
            raise MeshFileError(f"XML elements nested more than {_DEPTH} deep: no mesh file is.")
        builder.start(tag, attributes)

    def end(tag: str) -> None:
        nonlocal depth
        depth -= 1
        builder.end(tag)

    parser.StartElementHandler = start
    parser.EndElementHandler = end
    parser.CharacterDataHandler = builder.data
    parser.StartDoctypeDeclHandler = _refuse
    parser.EntityDeclHandler = _refuse
    try:
        parser.Parse(text, True)
    except expat.ExpatError as error:
        raise MeshFileError(f"not XML, or damaged ({error}).") from error
    root: Element = builder.close()
    return root


def _refuse(*_: Any) -> None:
    raise MeshFileError("an XML document type or entity, which can grow without bound: refused. Remove <!DOCTYPE ...>.")
