"""Tools to prove that nothing is lost: simulated disks, crash states, faults, damage, histories.

For the tests of programs that use CBDD as much as for those of CBDD itself.
"""
