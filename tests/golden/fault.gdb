
Thread 2 (Thread 0x7f00007fe6c0 (LWP 4712) "worker \"1\""):
#0  0x000055d0000011f3 in store () at src/store.cc:12
#1  Store::write () at src/store.cc:40
#2  <signal handler called>
#3  0x000055d000001300 in handler(int) ()
#4  0x00007f0000099999 in ?? () from /usr/lib/x86_64-linux-gnu/libc.so.6
#5  0x00007f0000088888 in start_thread () from /usr/lib/x86_64-linux-gnu/libc.so.6
#6  0x00000000deadbeef in ?? ()
Backtrace stopped: there is no unwind information

Thread 1 (Thread 0x7fdaf07ba740 (LWP 4711) "crasher"):
#0  0x00007fdaf088c503 in clock_nanosleep () at ../sysdeps/unix/sysv/linux/clock_nanosleep.c:71
#1  0x00007fdaf0890e53 in nanosleep () at ../sysdeps/unix/sysv/linux/nanosleep.c:25
