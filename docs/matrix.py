"""Writes docs/matrix.md, the table of learners × problems × capabilities, from what is installed.

python docs/matrix.py
"""

from __future__ import annotations

from pathlib import Path

from sciml.matrix import as_markdown, installed_matrices

PAGE = Path(__file__).with_suffix(".md")
HEAD = """# Which learner learns which problem

Written by `python docs/matrix.py` from the installed learners and problems; `sciml list --matrix` shows the same in a
terminal, packages of others included. Problems have their default settings. A learner that does not accept a problem
says in one sentence why not.

"""


def page() -> str:
    return HEAD + as_markdown(installed_matrices())


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
    print(f"{PAGE} written.")
