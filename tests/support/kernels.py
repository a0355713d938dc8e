"""What the kernels of this machine's processor allow a test to expect."""

from pathlib import Path

# With AVX-512, a row's float32 result does not depend on how many rows are computed together in the
# networks of the tests; without, it is off by some roundings.
ROWS_ARE_INDEPENDENT = "avx512f" in Path("/proc/cpuinfo").read_text()
