"""What the C compiler is told when the core is compiled, by whatever command builds the wheel."""

from __future__ import annotations

import os
from typing import Any, Final

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

COMPILER_FLAGS: Final = (
    # Native integers wrap, also where the compiler could take an overflow for impossible.
    "-fwrapv",
    # Calls within the library go straight to the function: else each goes through a table, as if
    # another library might replace it, and single writes take a fifth more.
    "-fvisibility=hidden",
)


class CompilerFlags(BuildHookInterface[Any]):
    """Adds the flags to those of the environment, which the step that compiles hands on."""

    PLUGIN_NAME = "custom"

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Before the core is compiled."""
        self._before = os.environ.get("CFLAGS")
        os.environ["CFLAGS"] = " ".join(filter(None, [self._before, *COMPILER_FLAGS]))

    def finalize(self, version: str, build_data: dict[str, Any], artifact_path: str) -> None:
        """When the wheel is made."""
        if self._before is None:
            del os.environ["CFLAGS"]
        else:
            os.environ["CFLAGS"] = self._before
