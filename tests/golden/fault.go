SIGSEGV: segmentation violation
PC=0x55d0000011f3 m=1 sigcode=1 addr=0x1234

thread 1 [tid 4712, "worker \"1\""]:
store(int*, int) const(...)
	src/store.cc:12
Store::write(std::vector<int> const&)(...)
	src/store.cc:40 +0x13 pc=0x55d0000011f3
__restore_rt(...)
	/usr/lib/x86_64-linux-gnu/libc.so.6+0x42520 (e3103c603f624119a9e5c025e4e5dc430f8519b0) +0x0 pc=0x7f0000042520
handler(int)(...)
	/srv/bin/crasher+0x11f3 (e3103c603f624119a9e5c025e4e5dc430f8519b0) +0x10 pc=0x55d000001300
??(...)
	/usr/lib/x86_64-linux-gnu/libc.so.6+0x99999 (e3103c603f624119a9e5c025e4e5dc430f8519b0) pc=0x7f0000099999
start_thread(...)
	/usr/lib/x86_64-linux-gnu/libc.so.6+0x88888 (e3103c603f624119a9e5c025e4e5dc430f8519b0) +0x305 pc=0x7f0000088888
??(...)
	? pc=0xdeadbeef
...the walk ends here: there is no unwind information...
rip    0x55d0000011f3
rflags 0x10202
fs_base 0x7f00007fe6c0

-----

SIGQUIT: quit
PC=0x7fdaf088c503 m=0 sigcode=0

thread 0 [tid 4711, "crasher"]:
clock_nanosleep(...)
	../sysdeps/unix/sysv/linux/clock_nanosleep.c:71 +0x23 pc=0x7fdaf088c503
nanosleep(...)
	../sysdeps/unix/sysv/linux/nanosleep.c:25 +0x13 pc=0x7fdaf0890e53
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
