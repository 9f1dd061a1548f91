"""Whether this installation runs compiled or interpreted: ``python -m cbdd.build_info``."""

from __future__ import annotations

import argparse
import sys

COMPILED_SUFFIXES = (".so", ".pyd")
CORE_MODULES = (
    "cbdd.storage.btree",
    "cbdd.storage.transaction",
    "cbdd.document.raw",
    "cbdd.index.key_string",
    "cbdd.catalog.writer",
    "cbdd.query.matcher",
)


def build_kind() -> str:
    """``compiled`` when every core module is an extension module, ``interpreted`` when none is.

    :returns: ``compiled``, ``interpreted`` or, for a broken installation, ``mixed``.
    """
    kinds = {_is_compiled(name) for name in CORE_MODULES}
    if len(kinds) > 1:
        return "mixed"
    return "compiled" if kinds.pop() else "interpreted"


def _is_compiled(name: str) -> bool:
    __import__(name)
    path = sys.modules[name].__file__ or ""
    return path.endswith(COMPILED_SUFFIXES)


def main() -> int:
    """Print the kind; with ``--require KIND`` fail when it is another."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--require", choices=["compiled", "interpreted"])
    wanted = parser.parse_args().require
    kind = build_kind()
    sys.stdout.write(f"cbdd is {kind}\n")
    return 1 if wanted and wanted != kind else 0


if __name__ == "__main__":
    sys.exit(main())
