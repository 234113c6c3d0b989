
Thread 3 (LWP 4713 ""):
#0  0x0000000000401146 in recurse () at r.c:5
#1  0x0000000000401146 in recurse () at r.c:5

Thread 2 (LWP 4712 ""):
#0  0x0000000000401146 in recurse () at r.c:5
#1  0x0000000000401146 in recurse () at r.c:5

Thread 1 (LWP 4711 ""):
#0  0x0000000000401146 in recurse () at r.c:5
#1  0x0000000000401146 in recurse () at r.c:5
