"""Operations on files: what is wrong with one, how bad it is, and what to do next."""

from cbdd.ops.doctor import Diagnosis, Finding, diagnose

__all__ = ["Diagnosis", "Finding", "diagnose"]
