"""Settings for all tests."""

import os
import signal

# A shell's background ignores Ctrl-C, and so would the programs that tests start to interrupt them.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)

# Two threads of torch beside another busy process spend their time waiting for each other: one is
# faster on a small machine. Set before torch is imported anywhere.
os.environ.setdefault("OMP_NUM_THREADS", "1")
