"""A shell with job control on a terminal of its own runs `threaddump run`, and the program stops by itself or is
stopped by somebody else. Prints what was seen, a line each; the arguments are the program under test and the program
to run."""
import os, re, signal, sys, time

from shell import Shell, children

tool, program = sys.argv[1:3]
shell = Shell("outer$ ")
pid, expect, command = shell.pid, shell.expect, shell.command


def field(name, of):
    return re.search(r"%s:\s*(\S+)" % name, open("/proc/%d/status" % of).read()).group(1)


def stopped(*pids):
    """Their states, once all have stopped: who is released by a tracer is awake for a moment."""
    deadline = time.time() + 5
    while any(field("State", of) != "T" for of in pids) and time.time() < deadline:
        time.sleep(0.01)
    return " ".join(field("State", of) for of in pids)


expect(rb"outer\$ $")
for options in ("", "--once"):
    # A shell stops itself, and is in a process group of its own.
    command("PS1='inner$ ' '%s' run --no-registers %s -- bash --norc --noprofile -i" % (tool, options))
    expect(rb"inner\$ $")
    (tool_pid,) = children(pid)
    (inner,) = children(tool_pid)
    if options:
        os.kill(tool_pid, signal.SIGQUIT)
        expect(rb"thread 0 \(tid")
        while field("TracerPid", inner) != "0":
            time.sleep(0.01)
    for _ in range(2):
        command("suspend")
        expect(rb"Stopped")
        expect(rb"outer\$ $")
        print("suspended:", stopped(tool_pid, inner))
        command("fg")
        expect(rb"run")
        time.sleep(0.5)
        command("echo alive=$((6*7))")
        expect(rb"alive=42")
        print("alive", "not traced" if field("TracerPid", inner) == "0" else "traced")
    if not options:
        os.kill(inner, signal.SIGQUIT)
        time.sleep(0.3)
        os.kill(tool_pid, signal.SIGQUIT)
        expect(rb"thread 0 \(tid (\d+)\)")
        print("dumped")
    command("exit 7")
    expect(rb"outer\$ $")
    command("echo status=$?")
    print("status", expect(rb"status=(\d+)\r").group(1).decode())
# Somebody else stops the program.
command("'%s' run --no-registers -- '%s' wait" % (tool, program))
expect(rb"out wait")
time.sleep(0.3)
(tool_pid,) = children(pid)
(inner,) = children(tool_pid)
for _ in range(2):
    os.kill(inner, signal.SIGSTOP)
    expect(rb"Stopped")
    expect(rb"outer\$ $")
    print("stopped:", stopped(tool_pid, inner))
    command("fg")
    expect(rb"wait\r\n")
    time.sleep(0.3)
    print("continued:", "T" not in (field("State", tool_pid), field("State", inner)))
shell.type(b"\x03")
expect(rb"outer\$ $")
command("echo status=$?")
print("status", expect(rb"status=(\d+)\r").group(1).decode())
# In a script no shell waits for stops, and whoever stopped the program may continue it.
command("sh -c \"'%s' run --no-registers -- '%s' wait; echo script=\\$?\"" % (tool, program))
expect(rb"out wait")
time.sleep(0.3)
(script,) = children(pid)
(tool_pid,) = children(script)
(inner,) = children(tool_pid)
os.kill(inner, signal.SIGSTOP)
time.sleep(0.5)
print("in a script:", field("State", tool_pid) != "T")
os.kill(inner, signal.SIGCONT)
os.kill(inner, signal.SIGTERM)
print("script", expect(rb"script=(\d+)\r").group(1).decode())
command("exit")
