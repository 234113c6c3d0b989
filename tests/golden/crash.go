SIGSEGV: segmentation violation
PC=0x401146 m=2 sigcode=1 addr=0x10

thread 2 [tid 4713, ""]:
recurse(...)
	r.c:5 +0x20 pc=0x401146
recurse(...)
	r.c:5 +0x20 pc=0x401146

-----

SIGQUIT: quit
PC=0x401146 m=0 sigcode=0

thread 0 [tid 4711, ""]:
recurse(...)
	r.c:5 +0x20 pc=0x401146
recurse(...)
	r.c:5 +0x20 pc=0x401146

-----

SIGQUIT: quit
PC=0x401146 m=1 sigcode=0

thread 1 [tid 4712, ""]:
recurse(...)
	r.c:5 +0x20 pc=0x401146
recurse(...)
	r.c:5 +0x20 pc=0x401146
