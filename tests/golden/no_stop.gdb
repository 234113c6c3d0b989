
Thread 5 (LWP 4715 "iou-sqp-4711"):

Thread 4 (LWP 4714 "w3"):
Backtrace stopped: it was not stopped, so there are no registers

Thread 3 (LWP 4713 "w2"):
Backtrace stopped: it was running, and /proc tells registers only of threads that wait

Thread 2 (LWP 4712 "w1"):
#0  0x00007fdaf088c503 in clock_nanosleep () at ../sysdeps/unix/sysv/linux/clock_nanosleep.c:71
#1  0x00007fdaf0890e53 in nanosleep () at ../sysdeps/unix/sysv/linux/nanosleep.c:25
#2  0x000055e9f1a534af in xnanosleep () at lib/xnanosleep.c:57

Thread 1 (LWP 4711 "w0"):
#0  0x00007fdaf088c503 in clock_nanosleep () at ../sysdeps/unix/sysv/linux/clock_nanosleep.c:71
#1  0x00007fdaf0890e53 in nanosleep () at ../sysdeps/unix/sysv/linux/nanosleep.c:25
#2  0x000055e9f1a534af in xnanosleep () at lib/xnanosleep.c:57
