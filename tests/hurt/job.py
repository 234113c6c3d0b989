"""A shell with job control on a terminal of its own runs `threaddump run`: Ctrl-Z, fg, Ctrl-\\ and Ctrl-C. Prints
what was seen, a line each; the arguments are the program under test and the program to run."""
import sys, time

from shell import Shell, children

tool, program = sys.argv[1:3]
shell = Shell("$ ")
expect, command = shell.expect, shell.command


def states(tool_pid):
    (child,) = children(tool_pid)
    return [open("/proc/%d/stat" % p).read().rsplit(")", 1)[1].split()[0] for p in (tool_pid, child)]


expect(rb"\$ $")
for options in ("", "--once"):
    command("'%s' run --no-registers %s -- '%s' wait" % (tool, options, program))
    expect(rb"out wait")
    time.sleep(0.3)
    if options:
        shell.type(b"\x1c")
        expect(rb"thread 0 \(tid")
        time.sleep(0.5)
    for _ in range(3):
        shell.type(b"\x1a")
        expect(rb"Stopped")
        expect(rb"\$ $")
        (tool_pid,) = children(shell.pid)
        print("stopped:", *states(tool_pid))
        command("fg")
        expect(rb"wait\r\n")
        time.sleep(0.2)
        print("continued:", "T" in states(tool_pid) or "t" in states(tool_pid))
    if not options:
        shell.type(b"\x1c")
        expect(rb"thread 0 \(tid (\d+)\)")
        print("dumped")
        time.sleep(0.2)
    shell.type(b"\x03")
    expect(rb"\$ $")
    command("echo status=$?")
    print("status", expect(rb"status=(\d+)\r").group(1).decode())
# In a pipe line both have the terminal; the reader ends by itself.
command("'%s' run -- echo through | tr a-z A-Z; echo status=${PIPESTATUS[0]}" % tool)
expect(rb"THROUGH")
print("pipe", expect(rb"status=(\d+)\r").group(1).decode())
command("exit")
