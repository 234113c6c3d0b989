
Thread 1 (Thread 0x7fdaf07ba740 (LWP 4711) "sleep"):
#0  0x00007fdaf088c503 in clock_nanosleep () at ../sysdeps/unix/sysv/linux/clock_nanosleep.c:71
#1  0x00007fdaf0890e53 in nanosleep () at ../sysdeps/unix/sysv/linux/nanosleep.c:25
#2  0x000055e9f1a534af in xnanosleep () at lib/xnanosleep.c:57
#3  main () at src/sleep.c:145
#4  0x00007fdaf07e424a in __libc_start_call_main () at ../sysdeps/nptl/libc_start_call_main.h:58
#5  0x000055e9f1a4f621 in ?? ()
