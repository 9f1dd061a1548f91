"""PAGE_CHECKSUM: damage from outside, no commit in the log did it.

`CBDD_INCIDENT_DB=FILE pytest` judges a file: it fails with the damaged one, and passes with the
repaired one.
"""

import os

import pytest

from cbdd.errors import CbddError
from cbdd.ops import diagnose
from cbdd.ops.recovery import recover_file
from cbdd.testing.damage import PATH, damages, specimens


def test_the_file_is_sound():
    """Judges the file that CBDD_INCIDENT_DB names: it fails with the damaged one."""
    path = os.environ.get("CBDD_INCIDENT_DB")
    if not path:
        pytest.skip("CBDD_INCIDENT_DB names no file")
    found = diagnose(path)
    assert [each.code for each in found.findings if each.severity != "info"] == []


SPECIMEN, DAMAGE, SEED, NUMBER = "clean", "bit flipped in a page", 1, 1
CODES = ["PAGE_CHECKSUM"]
SAVED = 80  # documents that a recovery saves; None where nothing can be recovered


def test_the_damage_is_named_and_what_verifies_is_saved(tmp_path):
    """The same kind of damage in a database that is made for it."""
    made = list(damages(specimens(SEED)[SPECIMEN], DAMAGE, SEED, NUMBER + 1))[NUMBER]
    for path, data in made.files.items():
        (tmp_path / os.path.basename(path)).write_bytes(data)
    path = str(tmp_path / os.path.basename(PATH))
    assert [each.code for each in diagnose(path).findings if each.severity != "info"] == CODES
    try:
        report = recover_file(path, str(tmp_path / "new.cbdd"))
    except CbddError:
        assert SAVED is None
    else:
        assert sum(each.saved for each in report.collections) == SAVED
