"""A stop is heard whichever thread the system gives the signal to."""

import subprocess
import sys

import pytest

WAITS = """
import signal, threading
from chartloop.signals import wake_for_signals

done = threading.Event()
signal.signal(signal.SIGTERM, lambda *_: done.set())
wake_for_signals(lambda: print("ending", flush=True))
threading.Timer(0.2, lambda: signal.pthread_kill(threading.get_ident(), signal.SIGTERM)).start()
print(done.wait())
"""


@pytest.mark.conformance("Processes", "a stop that the system gives to another thread ends the process all the same")
def test_a_main_thread_that_waits_without_end_hears_a_signal_given_to_another_thread() -> None:
    ended = subprocess.run([sys.executable, "-c", WAITS], capture_output=True, text=True, timeout=20, check=False)
    assert ended.stdout == "ending\nTrue\n", "who must know is told first"
