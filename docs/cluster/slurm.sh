#!/bin/bash
# Several nodes of a Slurm cluster for one run: from the project's root, `sbatch docs/cluster/slurm.sh`.
# The environment (.venv) has to be visible on all nodes, the images only on the first.
# In params.yaml: execution.engine ray, execution.address auto, and execution.cpus, gpus of one training.
#SBATCH --job-name=leanet
#SBATCH --nodes=2
#SBATCH --ntasks-per-node=1
#SBATCH --cpus-per-task=8
#SBATCH --gpus-per-node=1
#SBATCH --time=12:00:00
#SBATCH --requeue
set -euo pipefail
source .venv/bin/activate
head=$(scontrol show hostnames "$SLURM_JOB_NODELIST" | head -n 1)
# Other users' jobs reach the same ports: only who knows this secret is listened to.
export RAY_AUTH_MODE=token
RAY_AUTH_TOKEN=$(python -c 'import secrets; print(secrets.token_hex(32))')
export RAY_AUTH_TOKEN
# Starts Ray on every node, `dvc repro` on the first, and ends Ray with it. What was preempted goes on when requeued.
srun ray symmetric-run --address "$head:6379" --min-nodes "$SLURM_JOB_NUM_NODES" \
    --num-cpus "$SLURM_CPUS_PER_TASK" -- dvc repro
