"""Operations on files: what is wrong with one, how bad it is, and what to do next."""

from cbdd.ops.diagnosis import Diagnosis, Finding
from cbdd.ops.doctor import diagnose

__all__ = ["Diagnosis", "Finding", "diagnose"]
