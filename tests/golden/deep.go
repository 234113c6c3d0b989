SIGQUIT: quit
PC=0x401146 m=0 sigcode=0

thread 0 [tid 4711, "recurse"]:
recurse(...)
	r.c:5 +0x20 pc=0x401146
recurse(...)
	r.c:5 +0x20 pc=0x401146
recurse(...)
	r.c:5 +0x20 pc=0x401146
...99997 frames elided...
recurse(...)
	r.c:5 +0x20 pc=0x401146
recurse(...)
	r.c:5 +0x20 pc=0x401146
main(...)
	r.c:9 +0x15 pc=0x401170
