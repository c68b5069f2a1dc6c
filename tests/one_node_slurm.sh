#!/usr/bin/env bash
# Runs a command where there is a SLURM: the one that answers here, or one of this machine alone, which ends with it.
#
#     tests/one_node_slurm.sh python -m pytest -m slurm
#
# The second way wants root, and Debian or Ubuntu where SLURM is not installed yet. It keeps no accounts.
set -euo pipefail

if sinfo >/dev/null 2>&1; then
    exec "$@"
fi
if [[ $EUID -ne 0 ]]; then
    echo "$0: no SLURM answers (sinfo), and only root can start one: set SLURM_CONF, or go to a node of a cluster" >&2
    exit 2
fi
if ! command -v slurmctld slurmd munged >/dev/null; then
    apt-get -qq update
    DEBIAN_FRONTEND=noninteractive apt-get -qq install --no-install-recommends slurm-wlm munge >/dev/null
fi

folder=$(mktemp -d)
node=$(hostname -s)
export SLURM_CONF=$folder/slurm.conf
pids=()
finish() {
    scontrol shutdown >/dev/null 2>&1 || true
    for pid in "${pids[@]}"; do
        kill "$pid" 2>/dev/null || true
        wait "$pid" 2>/dev/null || true
    done
    rm -rf "$folder"
}
trap finish EXIT

# munge tells SLURM's daemons who is asking.
if ! munge -n >/dev/null 2>&1; then
    install -d -o munge -g munge -m 0700 /etc/munge /var/lib/munge /var/log/munge
    install -d -o munge -g munge -m 0755 /run/munge
    if [[ ! -s /etc/munge/munge.key ]]; then
        (umask 077 && head -c 128 /dev/urandom >/etc/munge/munge.key)
        chown munge:munge /etc/munge/munge.key
    fi
    setpriv --reuid munge --regid munge --clear-groups munged --foreground >"$folder/munged.log" 2>&1 &
    pids+=($!)
fi

mkdir "$folder/state" "$folder/spool"
echo "CgroupAutomount=no" >"$folder/cgroup.conf"
cat >"$SLURM_CONF" <<CONF
ClusterName=one
SlurmctldHost=$node(127.0.0.1)
SlurmUser=root
SlurmdUser=root
AuthType=auth/munge
CredType=cred/munge
SlurmctldPort=26817
SlurmdPort=26818
StateSaveLocation=$folder/state
SlurmdSpoolDir=$folder/spool
SlurmctldPidFile=$folder/slurmctld.pid
SlurmdPidFile=$folder/slurmd.pid
SlurmctldLogFile=$folder/slurmctld.log
SlurmdLogFile=$folder/slurmd.log
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
SwitchType=switch/none
MpiDefault=none
SelectType=select/cons_tres
SelectTypeParameters=CR_Core
SchedulerParameters=batch_sched_delay=0,sched_interval=2
ReturnToService=2
KillWait=5
AccountingStorageType=accounting_storage/none
NodeName=$node NodeAddr=127.0.0.1 CPUs=$(nproc) RealMemory=$(awk '/MemTotal/ {print int($2 / 1024 * 0.9)}' /proc/meminfo)
PartitionName=all Nodes=$node Default=YES MaxTime=INFINITE State=UP
CONF
slurmctld -D >/dev/null 2>&1 &
pids+=($!)
slurmd -D >/dev/null 2>&1 &
pids+=($!)
for _ in $(seq 120); do
    [[ $(sinfo --noheader --format=%T 2>/dev/null) != idle* ]] || break
    sleep 0.5
done
if ! sinfo --noheader --format=%T 2>/dev/null | grep -q idle; then
    echo "$0: SLURM does not come up:" >&2
    tail -n 20 "$folder"/*.log >&2
    exit 1
fi
"$@"
