"""What the C compiler is told."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys

import pytest
from hatchling.builders.hooks.plugin.interface import BuildHookInterface
from scripts.compiler_flags import CompilerFlags

from cbdd.build_info import build_kind


def hook() -> CompilerFlags:
    assert issubclass(CompilerFlags, BuildHookInterface)
    return CompilerFlags("", {}, None, None, "", "wheel")


@pytest.mark.parametrize("before", [None, "-O1 -fno-wrapv"])
def test_flags_are_set_while_the_wheel_is_made(
    before: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    if before is None:
        monkeypatch.delenv("CFLAGS", raising=False)
    else:
        monkeypatch.setenv("CFLAGS", before)
    made = hook()
    made.initialize("standard", {})
    flags = os.environ["CFLAGS"].split()
    made.finalize("standard", {}, "")
    assert os.environ.get("CFLAGS") == before
    expected = (before or "").split() + ["-fwrapv", "-fvisibility=hidden"]  # the last one counts
    assert flags == expected


@pytest.mark.skipif(build_kind() != "compiled", reason="the compiled core")
@pytest.mark.skipif(shutil.which("nm") is None, reason="needs nm")
def test_library_hands_out_nothing_but_its_beginning() -> None:
    # Other packages have such libraries, too: ours is the one that begins our modules.
    (library,) = (
        module.__file__
        for name, module in list(sys.modules.items())
        if name.endswith("__mypyc") and hasattr(module, "init_cbdd___storage___btree")
    )
    assert library is not None
    listed = subprocess.run(
        ["nm", "-D", "--defined-only", library], capture_output=True, text=True, check=True
    )
    names = [line.split()[-1] for line in listed.stdout.splitlines()]
    assert [name for name in names if not name.startswith("PyInit_")] == []
    assert len(names) == 1
