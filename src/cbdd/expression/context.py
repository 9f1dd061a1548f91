"""What is the same for all documents of a statement: the time, its variables, the dice."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Mapping
from typing import Any

from bson.codec_options import CodecOptions
from pymongo.errors import OperationFailure

from cbdd.document.raw import TYPE_DATE
from cbdd.expression.node import NOW, Environment, Expression, environment_of
from cbdd.expression.number import int64_value
from cbdd.expression.parser import ExpressionParser, user_variable
from cbdd.expression.value import Value, document_value, encode_document

EMPTY_DOCUMENT = b"\x05\0\0\0\0"


class ExpressionContext:
    """Compiles and surrounds the expressions of one statement.

    :param let: the statement's variables, each an expression without a document.
    :param now_milliseconds: what $$NOW is; default: now.
    :param random: unpredictable bytes, for $rand and $sampleRate.
    """

    def __init__(
        self,
        let: Mapping[str, Any] | bytes | None = None,
        codec_options: CodecOptions[Any] | None = None,
        now_milliseconds: int | None = None,
        random: Callable[[int], bytes] = os.urandom,
    ) -> None:
        if now_milliseconds is None:
            now_milliseconds = int(time.time() * 1000)
        self.random = random
        self.refused_in = ""
        """Where the filter is used, if $expr is refused there."""
        self._failures: list[OperationFailure] = []
        self._shared: dict[str, Value] = {NOW: Value(TYPE_DATE, int64_value(now_milliseconds).data)}
        if let:
            values = document_value(encode_document(let, codec_options))
            for name, value in values.fields():
                expression = self.compile(value)
                self.require_sound()
                self._shared[user_variable(name)] = expression.evaluate(
                    self.environment(EMPTY_DOCUMENT)
                )

    def compile(self, value: Value) -> Expression:
        """Compile an expression.

        :raises OperationFailure: see `ExpressionParser.parse`.
        """
        return ExpressionParser(frozenset(self._shared), self.random, self._failures).parse(value)

    def require_sound(self) -> None:
        """Raise the first error in what was compiled that no document could avoid."""
        if self._failures:
            raise self._failures[0]

    def environment(self, document: bytes) -> Environment:
        """Return what an expression is evaluated in for a document."""
        return environment_of(document, self._shared)

    def random_fraction(self) -> float:
        """Return a number from 0 up to 1."""
        return (int.from_bytes(self.random(8), "little") >> 11) / (1 << 53)
