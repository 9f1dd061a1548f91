"""Writing a reproduction as a test file of its own: it needs nothing but cbdd and pytest."""

from __future__ import annotations

import json
import re
from typing import Any, Final

from bson import json_util

from cbdd.ops.reproduction.judge import INTERPRETER
from cbdd.ops.reproduction.operations import Operation

_NAME: Final = re.compile(r"[^a-z0-9]+")


def operations_program(operations: list[Operation], code: str, facts: dict[str, Any]) -> str:
    """A test that fails while the fault is there: the operations leave an unsound database.

    :param facts: release and LSN, for the docstring.
    """
    listed = "\n".join(f"    {_literal(each)}," for each in operations)
    name = _NAME.sub("_", code.lower()).strip("_")
    return f'''"""{code}: a commit breaks what must hold. Found by replaying a damaged file.

Release {facts.get("cbdd") or "unknown"}, LSN {facts.get("lsn")}. Names and values are fake, their
shapes are not. Run it with pytest; it passes when the fault is repaired.
"""

import cbdd
from bson import json_util
from pymongo.errors import OperationFailure

OPERATIONS = [
{listed}
]


{INTERPRETER.rstrip()}


def test_operations_leave_no_{name}(tmp_path):
    operations = [json_util.loads(each) for each in OPERATIONS]
    assert problems_after(str(tmp_path / "a.cbdd"), operations) == []
'''


def _literal(operation: Operation) -> str:
    """An operation as a string literal of canonical Extended JSON."""
    text = json_util.dumps(operation, json_options=json_util.CANONICAL_JSON_OPTIONS)
    return repr(text)


SOUND_TEST: Final = '''\
def test_the_file_is_sound():
    """Judges the file that CBDD_INCIDENT_DB names: it fails with the damaged one."""
    path = os.environ.get("CBDD_INCIDENT_DB")
    if not path:
        pytest.skip("CBDD_INCIDENT_DB names no file")
    found = diagnose(path)
    assert [each.code for each in found.findings if each.severity != "info"] == []
'''


def damage_program(codes: list[str], specimen: dict[str, Any] | None) -> str:
    """A test for damage from outside.

    :param specimen: a damaged database of `cbdd.testing.damage` of which doctor says the same:
        specimen, damage, seed, number, codes, saved, lost; None when there is none.
    """
    shown = ", ".join(codes)
    again = "" if specimen is None else _AGAIN.format(**{k: repr(v) for k, v in specimen.items()})
    imports = "" if specimen is None else _AGAIN_IMPORTS
    return f'''"""{shown}: damage from outside, no commit in the log did it.

`CBDD_INCIDENT_DB=FILE pytest` judges a file: it fails with the damaged one, and passes with the
repaired one.
"""

import os

import pytest
{imports}from cbdd.ops import diagnose


{SOUND_TEST}{again}'''


_AGAIN_IMPORTS: Final = """\
from cbdd.errors import CbddError
from cbdd.ops.recovery import recover_file
from cbdd.testing.damage import PATH, damages, specimens
"""

_AGAIN: Final = '''

SPECIMEN, DAMAGE, SEED, NUMBER = {specimen}, {damage}, {seed}, {number}
CODES = {codes}
SAVED = {saved}  # documents that a recovery saves; None where nothing can be recovered


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
'''


def readable(operations: list[Operation]) -> list[str]:
    """The operations for people, one on each line."""
    return [json.dumps(each, default=str) for each in operations]
