"""From a damaged file to a small test: replay, reduce, fake, write."""

from cbdd.ops.reproduction.replay import Replay, replay
from cbdd.ops.reproduction.reproduce import Reproduction, reproduce_file

__all__ = ["Replay", "Reproduction", "replay", "reproduce_file"]
