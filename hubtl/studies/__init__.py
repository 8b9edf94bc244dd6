"""Run several runs or evaluations side by side: compare, rank, tune, ablate, evaluate."""
