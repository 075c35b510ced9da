"""Builds the reference of the Python API from its docstrings: uv run --group docs python docs/api.py FOLDER.

Whatever pdoc warns of, such as a name that it cannot find, is an error.
"""

import sys
import warnings
from pathlib import Path

import pdoc

import faceedit

MODULES = ("faceedit", "faceedit.errors")


def main() -> None:
    for name in faceedit.__all__:
        vars(faceedit)[name] = getattr(faceedit, name)  # which is imported when it is asked for, and pdoc does not ask
    warnings.filterwarnings("error", module="pdoc")
    pdoc.render.configure(search=False, show_source=False)
    pdoc.pdoc(*MODULES, output_directory=Path(sys.argv[1]))


if __name__ == "__main__":
    main()
