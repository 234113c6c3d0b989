
Thread 1 (Thread 0x7fdaf07ba740 (LWP 4711) "node"):
#0  0x00007fdaf088c503 in clock_nanosleep () at ../sysdeps/unix/sysv/linux/clock_nanosleep.c:71
#1  0x00007f8bac0066f4 in JS:*waits /a.js:4:15 ()
#2  0x00007f8bac0064ec in ?? ()
#3  0x00007f3681087011 in inner () at /src/p.c:9
#4  outer () at /src/p.c:14
#5  0x00007f8bac0064ec in Interpreter ()
