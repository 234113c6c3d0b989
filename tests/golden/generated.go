SIGQUIT: quit
PC=0x7fdaf088c503 m=0 sigcode=0

thread 0 [tid 4711, "node"]:
clock_nanosleep(...)
	../sysdeps/unix/sysv/linux/clock_nanosleep.c:71 +0x23 pc=0x7fdaf088c503
JS:*waits /a.js:4:15(...)
	? +0x134 pc=0x7f8bac0066f4
??(...)
	? pc=0x7f8bac0064ec
inner(...)
	/src/p.c:9
outer(...)
	/src/p.c:14 +0x11 pc=0x7f3681087011
Interpreter(...)
	? +0xc pc=0x7f8bac0064ec
rax    0xfffffffffffffdfc
rbx    0x12c
rcx    0x7fdaf088c503
rdx    0x7ffd6c7a91e0
rdi    0x0
rsi    0x0
rbp    0x7ffd6c7a9220
rsp    0x7ffd6c7a91c8
r8     0x0
r9     0x0
r10    0x7ffd6c7a9220
r11    0x202
r12    0x7ffd6c7a91e0
r13    0x7ffd6c7a93e8
r14    0x1
r15    0x7ffd6c7a93e8
rip    0x7fdaf088c503
rflags 0x202
cs     0x33
fs     0x0
gs     0x0
fs_base 0x7fdaf07ba740
gs_base 0x0
orig_rax 0xe6
