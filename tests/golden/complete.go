SIGQUIT: quit
PC=0x7fdaf088c503 m=0 sigcode=0

thread 0 [tid 4711, "sleep"]:
clock_nanosleep(...)
	../sysdeps/unix/sysv/linux/clock_nanosleep.c:71 +0x23 pc=0x7fdaf088c503
nanosleep(...)
	../sysdeps/unix/sysv/linux/nanosleep.c:25 +0x13 pc=0x7fdaf0890e53
xnanosleep(...)
	lib/xnanosleep.c:57
main(...)
	src/sleep.c:145 +0x18f pc=0x55e9f1a534af
__libc_start_call_main(...)
	../sysdeps/nptl/libc_start_call_main.h:58 +0x7a pc=0x7fdaf07e424a
??(...)
	/usr/bin/sleep+0x2621 (e3103c603f624119a9e5c025e4e5dc430f8519b0) pc=0x55e9f1a4f621
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
