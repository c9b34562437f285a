"""What the pages of all benchmarks share: provenance, tables and figures of a record as Markdown."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

__all__ = ["figures_table", "markdown_table", "provenance", "section"]


def provenance(record: Mapping[str, Any]) -> str:
    """Which command wrote the record, when, and on what."""
    hardware, versions = record["hardware"], record["versions"]
    cores = f"{hardware['cores']} core" + ("" if hardware["cores"] == 1 else "s")
    return (
        f"Written by `{record['command']}` at commit {record['commit']} on {record['date']}; "
        f"{hardware['cpu']}, {cores}, GPU: {hardware['gpu'] or 'none'}; "
        + ", ".join(f"{name} {version}" for name, version in versions.items())
        + "."
    )


def section(tables: Mapping[str, Any], name: str, title: str) -> str:
    """A table of the record under its title; nothing if it was not measured."""
    return f"{title}\n\n{markdown_table(tables[name])}" if name in tables else ""


def markdown_table(table: Mapping[str, Any]) -> str:
    """A table of the record as Markdown, with its caption below."""
    head = "| " + " | ".join(table["columns"]) + " |\n|" + " --- |" * len(table["columns"])
    body = "\n".join("| " + " | ".join(_text(cell) for cell in row) + " |" for row in table["rows"])
    return f"{head}\n{body}\n\n{table['caption']}\n"


def figures_table(figures: Mapping[str, Any]) -> str:
    """All figures with their bars as Markdown."""
    rows = []
    for name, entry in sorted(figures.items()):
        bar = entry.get("bar")
        goal = (
            ""
            if bar is None
            else f"{bar['sense']} {bar['value']:g} ({'reached' if entry.get('reached') else 'not reached'})"
        )
        spread = f" ± {entry['spread']:.1g}" if entry.get("spread") else ""
        value = entry.get("reason", "not measured") if entry["value"] is None else _text(entry["value"]) + spread
        rows.append([f"`{name}`", value, goal, entry.get("note", "")])
    return markdown_table({"columns": ["figure", "value", "bar", "note"], "rows": rows, "caption": ""})


def _text(cell: Any) -> str:
    if isinstance(cell, float):
        return f"{cell:.3g}"
    return "" if cell is None else str(cell).replace("|", "\\|")
