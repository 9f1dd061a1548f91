"""Every input in the corpus: seeds, and whatever once made a target fail."""

from __future__ import annotations

import pytest

from tests.fuzz.run import CORPUS, fuzz_blindly, limited
from tests.fuzz.targets import TARGETS

pytestmark = pytest.mark.damage


@pytest.mark.parametrize("name", [*TARGETS])
def test_the_corpus_is_handled(name: str) -> None:
    target = limited(TARGETS[name])
    inputs = sorted((CORPUS / name).glob("*"))
    assert inputs, "no corpus"
    for path in inputs:
        target(path.read_bytes())


@pytest.mark.parametrize("name", [*TARGETS])
def test_neighbours_of_the_corpus_are_handled(name: str) -> None:
    count, failure = fuzz_blindly(name, 0.4, 1)
    assert not failure, failure
    assert count


def test_the_corpus_is_small() -> None:
    assert sum(path.stat().st_size for path in CORPUS.rglob("*") if path.is_file()) < 1 << 20
