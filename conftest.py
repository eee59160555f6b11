"""Applies to every test and, through the environment, to the notebooks' kernels."""
import os

os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")      # threads that wait should not spin: on a busy two-core machine that is most of the time
