"""TensorFlow as everything here wants it: quiet, and the same numbers for the same seed."""

from __future__ import annotations

import os
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache

from wellai_exp.ledger import spent


def cores() -> int:
    """Count the cores that this process may use."""
    # A container may have fewer than the machine.
    return len(os.sched_getaffinity(0)) if sys.platform == "linux" else os.cpu_count() or 1


@contextmanager
def native_stderr_hidden() -> Iterator[None]:
    """Hide what native libraries write to stderr; show it after all where the block fails.

    TensorFlow's C++ part reports missing GPUs there before any log level is in force.
    """
    sys.stderr.flush()
    kept = os.dup(2)
    with tempfile.TemporaryFile() as hidden:
        os.dup2(hidden.fileno(), 2)
        try:
            yield
        except BaseException:
            hidden.seek(0)
            os.write(kept, hidden.read())
            raise
        finally:
            os.dup2(kept, 2)
            os.close(kept)


@cache
@spent("import")
def prepare_tensorflow() -> None:
    """Import TensorFlow, look for its devices, and make its operations deterministic; once a process."""
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    with native_stderr_hidden():
        import tensorflow as tf

        tf.config.list_physical_devices()
        # Without it, the sums of a parallel reduction may come out in another order from run to run.
        tf.config.experimental.enable_op_determinism()
        tf.constant(0.0)
    # Each trial traces a function of its own, and TensorFlow would warn that this costs time.
    tf.get_logger().setLevel("ERROR")
