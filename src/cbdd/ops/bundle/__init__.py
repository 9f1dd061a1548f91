"""One redacted archive about a database, for someone else to look at."""

from cbdd.ops.bundle.archive import Bundle, read_bundle, write_bundle
from cbdd.ops.bundle.content import collect
from cbdd.ops.bundle.pseudonyms import Pseudonyms, load_key, new_key, save_key

__all__ = [
    "Bundle",
    "Pseudonyms",
    "collect",
    "load_key",
    "new_key",
    "read_bundle",
    "save_key",
    "write_bundle",
]
