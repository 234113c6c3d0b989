# Has the handler log into a real systemd-journald, and a real syslogd, of which nobody else sees anything:
#
#     unshare --mount --pid --fork --mount-proc sh tests/journal.sh THREADDUMP CORE FOLDER
#
# What they wrote is in FOLDER: journal, list and info (what coredumpctl says, if it is installed), messages.
set -u
program=$1 core=$2 folder=$3
mount -t tmpfs none /run || exit 77
mkdir -p /run/systemd/journal /run/log/journal
journald=/usr/lib/systemd/systemd-journald
[ -x $journald ] || journald=/lib/systemd/systemd-journald
handle() {
    "$program" handle-core --store="$folder/store" P=4711 I=4711 s=11 "t=$(date +%s)" u=0 g=0 d=1 F= "e=$1" <"$core"
}
wait_for() {
    n=0
    while ! "$@" >/dev/null 2>&1; do
        n=$((n + 1))
        [ $n -lt 600 ] || return 1
        sleep 0.1
    done
}
logged() { journalctl --no-pager -q -o cat _TRANSPORT=journal SYSLOG_IDENTIFIER=threaddump | grep -q .; }
if [ -x $journald ]; then
    $journald &
    pid=$!
    wait_for test -S /run/systemd/journal/socket
    handle journaled
    wait_for logged
    journalctl --no-pager -o json _TRANSPORT=journal SYSLOG_IDENTIFIER=threaddump >"$folder/journal"
    if command -v coredumpctl >/dev/null; then
        coredumpctl --no-pager list >"$folder/list" 2>&1
        coredumpctl --no-pager info >"$folder/info" 2>&1
    fi
    kill $pid
    wait $pid 2>/dev/null
    rm -f /run/systemd/journal/socket
fi
if busybox syslogd --help 2>&1 | grep -q -- -O; then
    mount -t tmpfs none /dev || exit 77
    mknod /dev/null c 1 3
    : >"$folder/messages"
    busybox syslogd -n -O "$folder/messages" &
    pid=$!
    wait_for test -S /dev/log
    handle logged
    wait_for grep threaddump "$folder/messages"
    kill $pid
fi
