# What live.sh has done in a machine, for sh there; $names are the programs of the job that say "pid N ready".

# Small stacks, so that there is little to keep. Each core file has the number of its process.
ulimit -c unlimited
ulimit -S -s 256
echo /out/core.%p >/proc/sys/kernel/core_pattern
mkdir /out/sysroot

# keep PID: copies the files a process has mapped.
keep() {
    awk '$6 ~ "^/" { print $6 }' "/proc/$1/maps" | sort -u | while read -r file; do
        [ -e "/out/sysroot$file" ] || { mkdir -p "/out/sysroot${file%/*}" && cp -L "$file" "/out/sysroot$file"; }
    done
}

# whole ARGUMENT...: runs something with a stack of the usual size.
whole() { (ulimit -S -s 8192 && exec "$@"); }

# dump NAME PID: dumps a process and ends it with a core file (of a shell's background processes SIGQUIT is ignored). Of the dumps the second counts: after the first, calls that go on
# after an interruption have become other calls, as they are when the core file is written.
dump() {
    keep "$2"
    for task in "/proc/$2/task"/*; do echo "${task##*/} $(cat "$task/syscall")"; done >"/out/$1.syscall"
    # 1: stacks are incomplete, which those of arm and of busybox may be; the dump says so.
    whole ./threaddump "$2" >"/out/$1.dump" 2>"/out/$1.messages"
    [ $? -le 1 ] || bad=1
    whole ./threaddump --quiet --format json -o "/out/$1.json" "$2"
    [ $? -le 1 ] || bad=1
    grep -h "TracerPid\|^State" "/proc/$2/task"/*/status | sort | uniq -c
    kill -ABRT "$2" || bad=1
    wait "$2"
    mv "/out/core.$2" "/out/$1.core" || bad=1
}

# In its place there may be a tracer that sees only half of a process: it has to say so.
refused() {
    if whole ./narrow-threaddump "$1" >/out/refused 2>&1; then
        echo "narrow-threaddump: not refused: DIFFERS" >>/out/narrow
        bad=1
    else
        sed 's/pid [0-9]*/pid N/; s/^/arm tracer, aarch64 process: /; q' /out/refused >>/out/narrow
    fi
}

bad=0
for name in $names; do
    "./$name" >"/out/$name.said" &
    for try in $(seq 60); do
        grep -q ready "/out/$name.said" && break
        sleep 1
    done
    pid=$(sed -n 's/^pid \([0-9]*\) ready/\1/p' "/out/$name.said")
    [ ! -e narrow-threaddump ] || [ "$name" != waits ] || refused "$pid"
    if [ -e narrow-threaddump ] && [ "$name" = narrow ]; then
        whole ./narrow-threaddump "$pid" >/out/narrow-dump 2>&1
        [ $? -le 1 ] || bad=1
        echo "arm tracer, arm process: $(grep -c '^  #' /out/narrow-dump) frames" >>/out/narrow
    fi
    dump "$name" "$pid"
done
mkfifo pipe
/bin/busybox sleep 100000 &
sleeper=$!
/bin/busybox cat pipe &
reader=$!
# It opens the pipe once somebody writes, and then reads.
exec 3>pipe
for pid in $sleeper $reader; do
    # 3 and 0 and so on: in a system call; another word: not yet.
    for try in $(seq 60); do
        case $(cat "/proc/$pid/syscall") in [0-9]*) break ;; esac
        sleep 1
    done
done
sleep 1
dump sleep $sleeper
dump cat $reader
exec 3>&-
exit $bad
