#!/usr/bin/env bash
# A whole run as jobs that wait for each other. From the folder of the clone, for a run in 4 shards:
#
#     slurm/chain.sh 4 run=runs/big experiment=paper student.path=… distill.deepspeed=zero2
#
#     --dry            print what would be submitted
#     --until VERB     submit nothing after that verb
#     --serve FILE     start servers beside the arrays; a line for each: NAME [settings], or NAME -- COMMAND (aotd serve)
#
# Settings are those of `aotd run`, the same for every job. Options for SLURM are read from the environment: AOTD_ALL for
# every job (--partition=… --account=…), and after it AOTD_ARRAY, AOTD_TRAIN, AOTD_EVALUATE, AOTD_SERVE.
#
# Called again, it asks `aotd status` and submits what is missing. `aotd status` names a shard that failed; jobs that need
# it do not start. With other arms in distill or evaluate, remove RUN/state/distill.json and evaluate.json first.
set -euo pipefail
shopt -s inherit_errexit  # when SLURM refuses one job, submit no more

# ── the chain ─────────────────────────────────────────────────────────────────────────────────────

chain() {
    local load servers ready shards="" gather trained evaluated verb group last
    load=$(job load '')
    servers=$(serve "$load")
    # A task should not hold a node while its server is queued.
    ready=${load:+afterok:$load}
    [[ -z $servers ]] || ready+=${ready:+,}after:$servers
    for verb in "${divided[@]}"; do
        # Shards that are at this verb go on from here. Each waits only for its own job.
        group=$(shards_at "$verb")
        last=$(arrays "$verb" "$group" "$ready")
        shards+=${last:+:$last}
    done
    [[ -z $servers ]] || end "$servers" "${shards#:}" >/dev/null
    gather=$(job gather "${shards#:}" "shard.of=$count")
    trained=$(train "$gather")
    evaluated=$(job evaluate "$trained")
    job report "$evaluated" >/dev/null
}

divided=(decompose execute convert verify)
order=(load "${divided[@]}" gather distill evaluate report)

# ── one verb: prints the number of its job, or nothing where nothing is left to do ────────────────

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
    local first=$1 group=$2 after=$3 verb options id=''
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

serve() { # the numbers of the servers' jobs, with a colon between them
    local after=$1 line words name options ids=''
    read -ra options <<<"${AOTD_SERVE:-}"
    for line in ${servers_asked[@]+"${servers_asked[@]}"}; do
        shards_left || break
        read -ra words <<<"$line"
        name=${words[0]}
        words=("${words[@]:1}")
        [[ ${words[0]:-} == -- ]] || words=(${settings_of_serve[@]+"${settings_of_serve[@]}"} ${words[@]+"${words[@]}"})
        ids+=:$(submit "serve-$name" "${after:+afterok:$after}" --output="$run/logs/serve-$name-%j.log" \
            ${options[@]+"${options[@]}"} slurm/serve.sbatch "$run" "$name" ${words[@]+"${words[@]}"})
    done
    printf '%s' "${ids#:}"
}

end() { # ends servers when the arrays have come to an end, whatever end that is
    local ids=${1//:/ }
    # A pre-empted server is queued and gets no signal.
    submit end "afterany:$2" --output="$run/logs/end-%j.log" \
        --wrap="scancel --full --signal=TERM $ids || true; scancel --state=PENDING $ids || true"
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

shards_left() { # whether an array is submitted
    local verb group
    for verb in "${divided[@]}"; do
        group=$(shards_at "$verb")
        if [[ -n $group ]] && wanted "$verb"; then return 0; fi
    done
    return 1
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

dry='' until=report servers_asked=()
while [[ ${1:-} == --* ]]; do
    case $1 in
    --dry) dry=yes ;;
    --until) until=${2:-} && shift ;;
    --serve)
        [[ -f ${2:-} ]] || die "--serve ${2:-}: there is no such file"
        while read -r line || [[ -n $line ]]; do
            [[ -z $line || $line == \#* ]] || servers_asked+=("$line")
        done <"$2"
        [[ -n ${servers_asked[*]+x} ]] || die "--serve $2: names no server: a line is NAME [settings], or NAME -- COMMAND"
        shift
        ;;
    *) die "there is no option $1: --dry, --until VERB or --serve FILE" ;;
    esac
    shift
done
[[ ${1:-} =~ ^[1-9][0-9]*$ ]] || die "say how many shards: slurm/chain.sh 4 run=runs/big …"
[[ " ${order[*]} " == *" $until "* ]] || die "--until $until: one of ${order[*]}"
count=$1 run=runs/demo
shift
settings=("$@") settings_of_serve=()
for setting in "$@"; do
    [[ $setting == *=* ]] || die "$setting is not a setting: write key=value"
    if [[ $setting == run=* ]]; then run=${setting#run=}; else settings_of_serve+=("$setting"); fi
done
for line in ${servers_asked[@]+"${servers_asked[@]}"}; do
    [[ ${line%%[[:space:]]*} =~ ^[A-Za-z0-9_-]+$ ]] || die "--serve: ${line%%[[:space:]]*} is no name for a server: $line"
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
