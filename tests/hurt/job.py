"""A shell with job control on a terminal of its own runs `threaddump run`: Ctrl-Z, fg, Ctrl-\\ and Ctrl-C. Prints
what was seen, a line each; the arguments are the program under test and the program to run."""
import os, pty, re, select, sys, time

tool, program = sys.argv[1:3]
pid, terminal = pty.fork()
if pid == 0:
    os.environ["PS1"] = "$ "
    os.execlp("bash", "bash", "--norc", "--noprofile", "-i")

seen = b""


def expect(pattern, seconds=30):
    """Reads until the pattern comes; what follows stays for the next one."""
    global seen
    deadline = time.time() + seconds
    while True:
        match = re.search(pattern, seen)
        if match:
            seen = seen[match.end():]
            return match
        ready, _, _ = select.select([terminal], [], [], max(0, deadline - time.time()))
        if not ready:
            print("missing: %r in %r" % (pattern, seen[-2000:]))
            os.write(terminal, b"\x03\x03")
            sys.exit(1)
        try:
            seen += os.read(terminal, 65536)
        except OSError:
            print("the shell ended before %r came, after %r" % (pattern, seen[-2000:]))
            sys.exit(1)


def states(tool_pid):
    child = open("/proc/%d/task/%d/children" % (tool_pid, tool_pid)).read().split()
    for task in os.listdir("/proc/%d/task" % tool_pid):
        child = child or open("/proc/%d/task/%s/children" % (tool_pid, task)).read().split()
    return [open("/proc/%s/stat" % p).read().rsplit(")", 1)[1].split()[0] for p in (tool_pid, child[0])]


def command(line):
    os.write(terminal, line.encode() + b"\n")


command("echo shell=$$")
shell = int(expect(rb"shell=(\d+)\r").group(1))
for options in ("", "--once"):
    command("'%s' run --no-registers %s -- '%s' wait" % (tool, options, program))
    expect(rb"out wait")
    time.sleep(0.3)
    if options:
        os.write(terminal, b"\x1c")
        expect(rb"thread 0 \(tid")
        time.sleep(0.5)
    for _ in range(3):
        os.write(terminal, b"\x1a")
        expect(rb"Stopped")
        expect(rb"\$ $")
        tool_pid = int(open("/proc/%d/task/%d/children" % (shell, shell)).read().split()[0])
        print("stopped:", *states(tool_pid))
        command("fg")
        expect(rb"wait\r\n")
        time.sleep(0.2)
        print("continued:", "T" in states(tool_pid) or "t" in states(tool_pid))
    if not options:
        os.write(terminal, b"\x1c")
        expect(rb"thread 0 \(tid (\d+)\)")
        print("dumped")
        time.sleep(0.2)
    os.write(terminal, b"\x03")
    expect(rb"\$ $")
    command("echo status=$?")
    print("status", expect(rb"status=(\d+)\r").group(1).decode())
# In a pipe line both have the terminal; the reader ends by itself.
command("'%s' run -- echo through | tr a-z A-Z; echo status=${PIPESTATUS[0]}" % tool)
expect(rb"THROUGH")
print("pipe", expect(rb"status=(\d+)\r").group(1).decode())
command("exit")
