#!/usr/bin/env bash
# Runs the command of a batch job, and queues the job again if its time is up before the command ends:
#
#     #SBATCH --requeue --open-mode=append --signal=B:USR1@120
#     exec bash slurm/durable.sh .venv/bin/aotd execute run=runs/big
#
# SLURM signals only the batch script (B:), 120 s before it ends the job. The script signals the command. aotd writes what
# it has and leaves with status 138, and the job goes back into the queue under its number. When the job runs again, the
# same command goes on.
set -uo pipefail

told=
child=
trap 'told=yes; kill -USR1 "$child" 2>/dev/null' USR1
trap 'kill -TERM "$child" 2>/dev/null' TERM

# srun stands between the command and the file of its errors. `aotd status` names that file.
AOTD_LOG=$(readlink -e /proc/self/fd/2 || true)
export AOTD_LOG

"$@" &
child=$!
# A signal ends `wait`, not the command.
while true; do
    wait "$child"
    status=$?
    kill -0 "$child" 2>/dev/null || break
done

if [[ -n $told && $status -eq 138 ]]; then
    echo "told that time is up: job ${SLURM_JOB_ID:-} goes back into the queue" >&2
    exec scontrol requeue "$SLURM_JOB_ID"
fi
exit "$status"
