"""Signals that end a process, as Ctrl-C."""

import os
import signal

import pytest

from hqmd_cli.terminal.stops import stops_as_interrupts

pytestmark = pytest.mark.unix


@pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, 143), (getattr(signal, "SIGHUP", None), 129)])
def test_they_are_raised_as_ctrl_c_and_tell_the_exit_code(number, code):
    before = signal.getsignal(number)
    with pytest.raises(KeyboardInterrupt), stops_as_interrupts() as stop:
        os.kill(os.getpid(), number)
    assert stop.exit_code == code and signal.getsignal(number) is before


def test_nohup_goes_on():
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        with stops_as_interrupts():
            os.kill(os.getpid(), signal.SIGHUP)
    finally:
        signal.signal(signal.SIGHUP, before)
