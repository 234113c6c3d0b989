
Thread 6 (LWP 4716 "odd"):
#0  0x0000000000401200 in f ()
Backtrace stopped: some_later_reason

Thread 5 (LWP 4715 "iou-sqp-4711"):

Thread 4 (LWP 4714 "disk"):
Backtrace stopped: it was not stopped, so there are no registers

Thread 3 (LWP 4713 "handler"):
#0  0x0000000000401100 in on_alarm () at /build/server/alarm.c:12
#1  <signal handler called>
#2  0x0000000000401180 in spin ()
#3  0x00007f0011223344 in ?? () from /opt/nocfi/libold.so
#4  0x0000000000000010 in ?? ()
#5  0x0000000000401190 in maybe ()
Backtrace stopped: there is no unwind information

Thread 2 (LWP 4712 "reader"):
#0  0x00007fdaf088c503 in poll () from /usr/lib/x86_64-linux-gnu/libc.so.6
#1  0x00000000004015d0 in read_loop () at /build/server/read.cc:88
Backtrace stopped: the stack goes on at 0x7ffd00010000, beyond the 262144 bytes that were copied (--stack-bytes copies more)

Thread 1 (LWP 4711 "server"):
