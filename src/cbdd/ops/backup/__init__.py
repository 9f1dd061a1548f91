"""Backups after they were taken: verifying one, and making a database of it."""

from cbdd.ops.backup.restore import RestoreReport, restore_backup
from cbdd.ops.backup.verify import VerifyReport, verify_backup

__all__ = ["RestoreReport", "VerifyReport", "restore_backup", "verify_backup"]
