"""Python threads that sleep, wait for a lock, a queue, a socket and a child process."""
import queue
import socket
import subprocess
import threading
import time

lock = threading.Lock()
lock.acquire()
near, far = socket.socketpair()
child = subprocess.Popen(["sleep", "1000"])


def deeper(depth, function, *arguments):
    return deeper(depth - 1, function, *arguments) if depth else function(*arguments)


kinds = [
    (time.sleep, 1000),
    (lock.acquire,),
    (queue.Queue().get,),
    (near.recv, 1),
    (child.wait,),
    (sorted, [3, 1, 2]),
    (lambda: sorted([2, 1], key=lambda _: lock.acquire()),),
]
for number, (function, *arguments) in enumerate(kinds):
    threading.Thread(target=deeper, args=(number * 5, function, *arguments), daemon=True).start()
time.sleep(0.3)
print("ready", flush=True)
time.sleep(1000)
