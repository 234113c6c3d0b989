#!/bin/sh
# all.sh [ARCH...]: live.sh for every machine, or for these. Takes some minutes; fetches what it needs the first time.
. "$(dirname "$0")/lib.sh"
bad=''
for name in ${*:-$all_machines}; do
    sh "$here/live.sh" "$name" || bad="$bad $name"
done
[ -z "$bad" ] || { echo "failed:$bad" && exit 1; }
