"""Benchmarks, re-runnable alone: `make bench`. Each prints one table; none is a test, since machines differ."""
