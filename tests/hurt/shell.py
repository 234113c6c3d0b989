"""A shell with job control on a terminal of its own."""
import os, pty, re, select, signal, sys, time


class Shell:
    def __init__(self, prompt):
        self.pid, self.terminal = pty.fork()
        if self.pid == 0:
            os.environ["PS1"] = prompt
            os.execlp("bash", "bash", "--norc", "--noprofile", "-i")
        self.seen = b""

    def expect(self, pattern, seconds=30):
        """Reads until the pattern comes; what follows stays for the next one."""
        deadline = time.time() + seconds
        while True:
            match = re.search(pattern, self.seen)
            if match:
                self.seen = self.seen[match.end():]
                return match
            ready, _, _ = select.select([self.terminal], [], [], max(0, deadline - time.time()))
            if not ready:
                self.give_up("missing: %r in %r" % (pattern, self.seen[-2000:]))
            try:
                self.seen += os.read(self.terminal, 65536)
            except OSError:
                self.give_up("the shell ended before %r came, after %r" % (pattern, self.seen[-2000:]))

    def give_up(self, why):
        print(why)
        os.kill(self.pid, signal.SIGKILL)
        sys.exit(1)

    def type(self, keys):
        os.write(self.terminal, keys)

    def command(self, line):
        self.type(line.encode() + b"\n")


def children(of):
    tasks = "/proc/%d/task" % of
    return [int(c) for t in os.listdir(tasks) for c in open("%s/%s/children" % (tasks, t)).read().split()]
