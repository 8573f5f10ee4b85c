"""Training killed at random moments, again and again, ends with the records of an unkilled one."""

import json
import subprocess
import sys

import pytest
import trainee

from repro.store.places import ROOT

KILLS = 50

pytestmark = pytest.mark.slow


def test_fifty_kills_change_no_record(tmp_path, record_property):
    command = [sys.executable, trainee.__file__, str(tmp_path), "--kills", str(KILLS)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=900)
    assert done.returncode == 0, done.stderr[-2000:]
    log = json.loads(done.stdout.splitlines()[-1])
    how = f"{log['at an event']} at an event, {log['at a time']} at a time"
    ended = f"{log['trainings']} trainings, {len(log['differences'])} differences"
    record_property("shows", f"{log['kills']} kills ({how}), {ended}")
    assert min(log["at an event"], log["at a time"]) >= KILLS // 4
    assert log["trainings"] >= 3
    assert log["differences"] == []
