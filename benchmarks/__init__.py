"""Measurements beside their peers, in one run. Not part of the tests: `make bench`."""
