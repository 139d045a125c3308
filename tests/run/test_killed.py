"""Some stages killed before some of their file operations; `python -m benchmarks.killed` takes all of both."""

import os
import re
import subprocess
import sys

from conftest import ROOT

STAGES = ("download@leaf", "split@leaf", "train_unet@leaf", "anomaly_maps@leaf")
POINTS = 3  # a stage


def test_a_kill_at_a_file_operation_leaves_what_is_whole_and_the_next_run_ends_in_the_same_bytes(finished):
    env = os.environ | {"OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-m", "benchmarks.killed", str(finished.root), *STAGES, "--points", str(POINTS)]
    done = subprocess.run(command, cwd=ROOT, env=env, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    assert len(re.findall(f"^[a-z_@-]+: {POINTS} kills at ", done.stdout, re.MULTILINE)) == len(STAGES)
    assert done.stdout.endswith(f"{len(STAGES) * POINTS} kills, 0 faults\n")
