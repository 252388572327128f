"""Benchmarks of personsearch; `python -m benchmarks` lists them and runs one."""
