"""Tests of closed incidents, as `cbdd incident close` writes them."""
