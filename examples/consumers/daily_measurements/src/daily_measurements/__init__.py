"""Imports measurements from CSV and prints daily summaries."""
