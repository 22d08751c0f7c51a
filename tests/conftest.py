"""Settings for all tests."""

import os

# Two threads of torch beside another busy process spend their time waiting for each other: one is
# faster on a small machine. Set before torch is imported anywhere.
os.environ.setdefault("OMP_NUM_THREADS", "1")
