"""One target under atheris: `python -m tests.fuzz.guided TARGET CORPUS [options of libFuzzer]`.

New inputs go to a folder of their own, so that a run does not grow the corpus in the repository.
"""

from __future__ import annotations

import sys
import tempfile

import atheris

with atheris.instrument_imports(include=["cbdd"]):
    from tests.fuzz.targets import TARGETS


def main() -> None:
    name, corpus = sys.argv[1:3]
    with tempfile.TemporaryDirectory(prefix="cbdd-fuzz-") as folder:
        atheris.Setup([sys.argv[0], folder, corpus, *sys.argv[3:]], TARGETS[name])
        atheris.Fuzz()


if __name__ == "__main__":
    main()
