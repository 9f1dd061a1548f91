"""Getting back what verifies from a damaged database, into a new file."""

from cbdd.ops.recovery.recover import RecoverOptions, recover_file
from cbdd.ops.recovery.report import CollectionOutcome, RecoverReport

__all__ = ["CollectionOutcome", "RecoverOptions", "RecoverReport", "recover_file"]
