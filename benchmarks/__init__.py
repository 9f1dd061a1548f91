"""CBDD beside what a Python developer would use instead; see `__main__`."""
