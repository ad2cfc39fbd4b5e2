"""What several parts of the tests and the benchmarks share. `tests/README.md` says which module is for what."""
