"""The version that is written into files; the package's version comes from here too."""

from typing import Final

VERSION: Final = "0.2.0"
