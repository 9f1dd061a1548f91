"""Drills: a copy is broken on purpose, somebody handles the incident, the outcome is graded."""

from cbdd.ops.drill.grade import Check, Grade, grade
from cbdd.ops.drill.scenario import KINDS, Scenario, load_scenario, start_drill

__all__ = ["KINDS", "Check", "Grade", "Scenario", "grade", "load_scenario", "start_drill"]
