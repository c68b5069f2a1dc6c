#!/usr/bin/env bash
# A whole run as jobs that wait for each other. From the folder of the clone, for a run in 4 shards:
#
#     slurm/chain.sh 4 run=runs/big experiment=paper student.path=… distill.deepspeed=zero2
#
#     --dry            print what would be submitted
#     --until VERB     submit nothing behind that verb
#
# Settings are those of `aotd run`, the same for every job. What is to be asked of SLURM stands in the environment:
# AOTD_ALL for every job (--partition=… --account=…), and after it AOTD_ARRAY, AOTD_TRAIN, AOTD_EVALUATE.
#
# Submitted again, it asks `aotd status` and submits what is missing. A shard that fails is named there; nothing that
# needs it starts. With other arms in distill or evaluate, remove RUN/state/distill.json and evaluate.json first.
set -euo pipefail
shopt -s inherit_errexit  # where one job is not taken, no more are submitted

# ── the chain ─────────────────────────────────────────────────────────────────────────────────────

chain() {
    local load shards="" gather trained evaluated verb group last
    load=$(job load '')
    for verb in "${divided[@]}"; do
        # Shards that are at this verb go on from here; each waits for itself alone.
        group=$(shards_at "$verb")
        last=$(arrays "$verb" "$group" "$load")
        shards+=${last:+:$last}
    done
    gather=$(job gather "${shards#:}" "shard.of=$count")
    trained=$(train "$gather")
    evaluated=$(job evaluate "$trained")
    job report "$evaluated" >/dev/null
}

divided=(decompose execute convert verify)
order=(load "${divided[@]}" gather distill evaluate report)

# ── one verb: what it prints is the number of its job, or nothing where nothing is left to do ─────

job() {
    local verb=$1 after=$2 options=()
    shift 2
    if left "$verb" "$after"; then
        [[ $verb != evaluate ]] || read -ra options <<<"${AOTD_EVALUATE:-}"
        submit "$verb" "${after:+afterok:$after}" --output="$run/logs/$verb-%j.log" \
            ${options[@]+"${options[@]}"} slurm/job.sbatch "$verb" "${settings[@]}" "$@"
    fi
}

arrays() {
    local first=$1 group=$2 after=${3:+afterok:$3} verb options id=''
    read -ra options <<<"${AOTD_ARRAY:-}"
    for verb in "${divided[@]}"; do
        [[ $verb != "$first" ]] || first=
        if [[ -z $first && -n $group ]] && wanted "$verb"; then
            id=$(submit "$verb" "$after" --array="$group" --output="$run/logs/$verb-%A_%a.log" \
                ${options[@]+"${options[@]}"} slurm/array.sbatch "$count" "$verb" "${settings[@]}")
            after=aftercorr:$id
        fi
    done
    printf '%s' "$id"
}

train() {
    local after=$1 options
    if left distill "$after"; then
        read -ra options <<<"${AOTD_TRAIN:-}"
        submit distill "${after:+afterok:$after}" --output="$run/logs/distill-%j.log" \
            ${options[@]+"${options[@]}"} slurm/train.sbatch "${settings[@]}"
    fi
}

submit() {
    local verb=$1 dependency=$2 all words
    shift 2
    read -ra all <<<"${AOTD_ALL:-}"
    words=(sbatch --parsable --job-name="$verb $run" ${all[@]+"${all[@]}"})
    [[ -z $dependency ]] || words+=(--dependency="$dependency" --kill-on-invalid-dep=yes)
    words+=("$@")
    if [[ -n $dry ]]; then
        { printf '%q ' "${words[@]}" && echo; } >&2
        printf '%s' "$verb"
    else
        local id
        id=$("${words[@]}")
        echo "${id%%;*} $verb" >&2
        printf '%s' "${id%%;*}"
    fi
}

# ── what is there ─────────────────────────────────────────────────────────────────────────────────

left() { # whether a verb has something to do: it is not done, or comes after a job that was submitted
    wanted "$1" && { [[ -n $2 ]] || ! grep -q "^$1"$'\t-\tdone\t' <<<"$status"; }
}

shards_at() { # the shards of which this is the first verb that is not done, as an array is told
    local found
    found=$(awk -F'\t' -v verb="$1" \
        '$2 != "-" && $3 != "done" && !seen[$2]++ && $1 == verb { printf "%s%s", comma, $2; comma = "," }' <<<"$status")
    [[ $found != "$every" ]] || found=1-$count
    printf '%s' "$found"
}

wanted() { # whether a verb does not stand behind the one that is the last
    local verb
    for verb in "${order[@]}"; do
        [[ $verb != "$1" ]] || return 0
        [[ $verb != "$until" ]] || return 1
    done
    return 1
}

die() {
    echo "chain.sh: $1" >&2
    exit 2
}

# ── what was asked ────────────────────────────────────────────────────────────────────────────────

dry='' until=report
while [[ ${1:-} == --* ]]; do
    case $1 in
    --dry) dry=yes ;;
    --until) until=${2:-} && shift ;;
    *) die "there is no option $1: --dry or --until VERB" ;;
    esac
    shift
done
[[ ${1:-} =~ ^[1-9][0-9]*$ ]] || die "say how many shards: slurm/chain.sh 4 run=runs/big …"
[[ " ${order[*]} " == *" $until "* ]] || die "--until $until: one of ${order[*]}"
count=$1 run=runs/demo
shift
settings=("$@")
for setting in "$@"; do
    [[ $setting == *=* ]] || die "$setting is not a setting: write key=value"
    [[ $setting != run=* ]] || run=${setting#run=}
done
aotd=${AOTD:-.venv/bin/aotd}
every=$(seq -s, "$count")

if [[ -z $dry ]]; then
    # %j is the name that `submit` gives: the verb, then the run.
    queued=$(squeue --me --noheader --format='%A %j' | awk -v run="$run" '
        { id = $1; sub(/^[^ ]+ [^ ]+ /, "") } $0 == run { print id }' | sort -u | paste -sd, -)
    [[ -z $queued ]] || die "jobs of $run are queued or running ($queued): let them end, or cancel them (scancel), first"
    mkdir -p "$run/logs"
fi
status=$("$aotd" status "$run" "$count" --tsv)
chain
