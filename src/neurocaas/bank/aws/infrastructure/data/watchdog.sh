#!/bin/sh
# Ends this instance when no task has run on it for long, or when it is too old, whatever the job manager believes.
# Run once a minute by a timer. Time is counted in seconds since boot: a clock that is set cannot hasten or delay it.
set -u

: "${UNCLAIMED_MINUTES:?}" "${LIFETIME_MINUTES:?}"
state=${STATE_FOLDER:-/run/neurocaas-watchdog}
now=$(cut -d. -f1 "${UPTIME_FILE:-/proc/uptime}")

end() {
    echo "neurocaas-watchdog: ending this instance: $1" >&2
    exec shutdown -h now
}

mkdir -p "$state"
[ "$now" -lt $((LIFETIME_MINUTES * 60)) ] || end "it has been up for $((now / 60)) minutes; $LIFETIME_MINUTES are allowed"

# A Docker that does not answer runs no task that anybody could get results from.
tasks=$(docker ps --quiet --filter label=com.amazonaws.ecs.task-arn 2>/dev/null) || tasks=
if [ -n "$tasks" ]; then
    echo "$now" >"$state/claimed"
    exit 0
fi
claimed=$(cat "$state/claimed" 2>/dev/null) || claimed=0
idle=$((now - ${claimed:-0}))
[ "$idle" -lt $((UNCLAIMED_MINUTES * 60)) ] || end "no task has run for $((idle / 60)) minutes"
