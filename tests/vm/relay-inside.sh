# Run in the machine by relay.sh, in the folder with the programs. What it has come to is in /out/at.
library=$PWD/libthreaddump_relay.so
wrong=0
# say TRUE WHAT: a line, and whether it is as it should be.
say() {
    echo "$(cut -d' ' -f1 /proc/uptime) $2" >>/out/at
    if [ "$1" = 1 ]; then
        echo "ok: $2"
    else
        echo "WRONG: $2"
        wrong=1
    fi
}
is() { if [ "$1" = "$2" ]; then say 1 "$3"; else say 0 "$3: $1, not $2"; fi; }
# with SETTINGS COMMAND...: runs it with the relay in it.
with() {
    settings=$1
    shift
    LD_PRELOAD=$library THREADDUMP=$settings timeout -s KILL 100 "$@"
}
# start SETTINGS: starts threads.c, sets pid; what it says is in /tmp/said.
start() {
    rm -f /tmp/said
    LD_PRELOAD=$library THREADDUMP=$1 ./threads >/tmp/said 2>/tmp/threads.err &
    for try in 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20; do
        grep -q ready /tmp/said 2>/dev/null && break
        sleep 1
    done
    pid=$(sed -n "s/^pid \([0-9]*\) ready/\1/p" /tmp/said)
}
# await FILE TEXT: until that is in it.
await() {
    for try in 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20 21 22 23 24 25 26 27 28 29 30; do
        [ -e "$1" ] && [ "$(grep -c "$2" "$1")" -ge "${3:-1}" ] && return
        sleep 1
    done
}

# The relay alone, in its own text.
start "helper=none,out=/out/text"
kill -QUIT "$pid"
await /out/text "^x28\|^eflags\|^rflags\|^pstate" 6
is "$(grep -c '^thread [0-9]* \[tid' /out/text)" 6 "threads in the text of the relay"
is "$(grep -c 'not reached\|walk ends here' /out/text)" 0 "threads not reached or cut there"
kill -0 "$pid"
is $? 0 "the program goes on"

# From outside: both ways, and what they have in common.
./threaddump compare "$pid" >/out/compare 2>&1
is $? 0 "compare: $(grep -c '' /out/compare) lines, $(tail -n 1 /out/compare)"
for way in relay ptrace; do
    ./threaddump --via $way "$pid" >/out/$way 2>/out/$way.err
    is $? 0 "a dump by $way"
    said=$(awk -f ./check.awk /tmp/said /out/$way)
    is $? 0 "by $way: $said"
done
grep -q ' via relay, ' /out/relay
is $? 0 "it says that it is by the relay"
is "$(grep -c ' sp=0x.* pc=0x' /out/text)" "$(grep -c '^  #[0-9]' /out/ptrace)" "frames in the text of the relay, as by ptrace"
kill "$pid"

# Its helper does the same.
start "out=/out/helped"
kill -QUIT "$pid"
await /out/helped '^  end \|^thread 6'
sleep 1
said=$(awk -f ./check.awk /tmp/said /out/helped)
is $? 0 "by the helper: $said"
grep -q ' by ptrace, held for ' /out/helped
is $? 0 "it was the helper"

# Many times, and nothing is left over.
kill "$pid"
with "helper=none,out=/tmp/many" ./quits 200 >/tmp/quits
is $? 0 "200 dumps"
facts() { sed -n "s/^$1: \(.*\), resident.*/\1/p" /tmp/quits; }
size() { sed -n "s/^$1: .*, resident //p" /tmp/quits; }
is "$(facts after)" "$(facts before)" "after them as after the first: $(facts after)"
is "$(grep -c '^SIGQUIT' /tmp/many)" 1200 "threads in them"
is "$(grep -c 'not reached\|walk ends here' /tmp/many)" 0 "threads not reached or cut there"
grown=$(($(size after) - $(size before)))
[ $grown -lt 512 ]
is $? 0 "resident memory grew by $grown kB"

# Crashes end as without the relay: signal, code, address, place, registers.
names="segv bus ill trap sys abort raise kill frame alone"
case $(uname -m) in
    aarch64) names="$names pc sp kernel" ;;
    *) names="$names general fpe" ;;
esac
for how in $names; do
    without=$(timeout -s KILL 100 ./fates ./faults $how | grep ended)
    rm -f /tmp/crash
    now=$(with "helper=none,out=/tmp/crash" ./fates ./faults $how | grep ended)
    is "$now" "$without" "$how: $without"
    is "$(head -c 3 /tmp/crash)" SIG "$how: a dump of $(grep -c '^thread ' /tmp/crash) threads"
done
# Where no signal may be queued: the kernel kills the thread for it.
for how in segv bus ill trap sys abort raise; do
    without=$(timeout -s KILL 100 ./fates ./faults $how filter | grep ended)
    now=$(with "helper=none,out=/dev/null" ./fates ./faults $how filter | grep ended)
    is "$now" "$without" "$how filtered: $without"
done

# Stack overflows, of the first thread and of another; several crashes at once; handlers of the program.
for how in main thread; do
    rm -f /tmp/crash
    with "helper=none,out=/tmp/crash" ./stacks $how >/dev/null
    is $? 139 "a stack overflow ($how)"
    is "$(grep -c 'frames elided' /tmp/crash) $(grep -c 'not reached\|walk ends here' /tmp/crash)" "1 0" "its dump is whole"
done
rm -f /tmp/crash
with "helper=none,out=/tmp/crash" ./crowd
status=$?
case $status in 139 | 134) say 1 "a crowd crashes ($status)" ;; *) say 0 "a crowd ended with $status" ;; esac
is "$(grep -c '^thread ' /tmp/crash)" 9 "threads in its one dump"
without=$(./handlers; echo $?)
is "$(with "helper=none,out=/tmp/handlers" ./handlers; echo $?)" "$without" "handlers of the program"
without=$(./locks malloc 2>&1; echo $?)
is "$(with "helper=none,out=/dev/null" ./locks malloc 2>&1; echo $?)" "$without" "a crash in malloc"

with "helper=none,out=/out/filtered" ./filtered >/tmp/filtered
is "$? $(cat /tmp/filtered)" "0 went on" "a dump under a filter that kills for other calls than are documented"
is "$(grep -c '^thread ' /out/filtered)" 2 "threads in it"

# A program is started with the relay in it, by the library that threaddump carries.
mkdir alone && cp threaddump alone/
XDG_CACHE_HOME=/tmp/cache ./alone/threaddump run --relay -o /out/run -- ./stacks >/out/run.said 2>&1
is "$? $(cat /out/run.said)" "0 went on" "run --relay"
grep -q SIGQUIT /out/run
is $? 0 "its dump"

# Nobody may use ptrace: then the relay is asked.
start "helper=none"
if [ -e /proc/sys/kernel/yama/ptrace_scope ]; then
    echo 3 >/proc/sys/kernel/yama/ptrace_scope
    ./threaddump "$pid" >/out/denied 2>/out/denied.err
    is $? 0 "a dump where ptrace is denied"
    grep -q ' via relay (ptrace denied: ' /out/denied
    is $? 0 "it is by the relay"
    said=$(awk -f ./check.awk /tmp/said /out/denied)
    is $? 0 "$said"
else
    echo "no Yama: denied ptrace not tried"
fi
exit $wrong
