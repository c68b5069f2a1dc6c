#!/usr/bin/env bash
# Runs a command as all that a batch job does, and has the job queued again where its time is up before its work is:
#
#     #SBATCH --requeue --open-mode=append --signal=B:USR1@120
#     exec bash slurm/durable.sh .venv/bin/aotd execute run=runs/big
#
# SLURM tells the batch script alone (B:), 120 s before it ends the job. The command is told in turn; aotd puts on the
# disk what it has and leaves with status 138, and the job goes back into the queue under its number. When it comes to
# run again, the same command goes on.
set -uo pipefail

told=
child=
trap 'told=yes; kill -USR1 "$child" 2>/dev/null' USR1
trap 'kill -TERM "$child" 2>/dev/null' TERM

# srun stands between a command and the file that its errors go to; `aotd status` names that file.
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
