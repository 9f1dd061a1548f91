"""Names of databases and collections."""

from __future__ import annotations

import pytest
from pymongo.errors import InvalidName, OperationFailure

from cbdd.catalog.namespace import (
    catalog_key,
    check_collection_name,
    check_database_name,
    check_new_namespace,
)


@pytest.mark.parametrize("name", ["", "a b", "a.b", "a$b", "a/b", "a\\b", "a\0b", 'a"b', "\ud800"])
def test_database_name_with_a_forbidden_character_is_refused(name: str) -> None:
    with pytest.raises(InvalidName):
        check_database_name(name)


@pytest.mark.parametrize("name", ["", "a..b", ".a", "a.", "a$b", "$cmd", "a\0b", "\ud800"])
def test_collection_name_with_a_forbidden_form_is_refused(name: str) -> None:
    with pytest.raises(InvalidName):
        check_collection_name(name)


@pytest.mark.parametrize("name", ["a", "a.b", "a b", "é", "system", "C:\\x", "/etc/passwd"])
def test_collection_names_are_no_paths_and_most_are_allowed(name: str) -> None:
    check_new_namespace("shop", name)


def test_database_name_of_63_bytes_is_the_longest() -> None:
    check_database_name("x" * 63)
    with pytest.raises(OperationFailure, match="longer than 63") as raised:
        check_database_name("x" * 64)
    assert raised.value.code == 73


def test_namespace_of_255_bytes_is_the_longest() -> None:
    check_new_namespace("shop", "x" * 250)
    with pytest.raises(OperationFailure, match="too long") as raised:
        check_new_namespace("shop", "x" * 251)
    assert raised.value.code == 73


def test_system_collections_cannot_be_made() -> None:
    with pytest.raises(OperationFailure, match="system") as raised:
        check_new_namespace("shop", "system.users")
    assert raised.value.code == 73


def test_catalog_keys_sort_by_database_then_collection() -> None:
    keys = [catalog_key("a", "z"), catalog_key("a", "zz"), catalog_key("ab", "a")]
    assert keys == sorted(keys)
