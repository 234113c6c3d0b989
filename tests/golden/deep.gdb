
Thread 1 (LWP 4711 "recurse"):
#0  0x0000000000401146 in recurse () at r.c:5
#1  0x0000000000401146 in recurse () at r.c:5
#2  0x0000000000401146 in recurse () at r.c:5
(... 99997 frames left out ...)
#1000000x0000000000401146 in recurse () at r.c:5
#1000010x0000000000401146 in recurse () at r.c:5
#1000020x0000000000401170 in main () at r.c:9
