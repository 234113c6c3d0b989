SIGQUIT: quit
PC=0x7fdaf088c503 m=0 sigcode=0

thread 0 [tid 4711, "w0"]:
clock_nanosleep(...)
	../sysdeps/unix/sysv/linux/clock_nanosleep.c:71 +0x23 pc=0x7fdaf088c503
nanosleep(...)
	../sysdeps/unix/sysv/linux/nanosleep.c:25 +0x13 pc=0x7fdaf0890e53
xnanosleep(...)
	lib/xnanosleep.c:57
rsp    0x7ffd1000
rip    0x7fdaf088c503
orig_rax 0xca

-----

SIGQUIT: quit
PC=0x7fdaf088c503 m=1 sigcode=0

thread 1 [tid 4712, "w1"]:
clock_nanosleep(...)
	../sysdeps/unix/sysv/linux/clock_nanosleep.c:71 +0x23 pc=0x7fdaf088c503
nanosleep(...)
	../sysdeps/unix/sysv/linux/nanosleep.c:25 +0x13 pc=0x7fdaf0890e53
xnanosleep(...)
	lib/xnanosleep.c:57
rsp    0x7ffd1000
rip    0x7fdaf088c503

-----

thread 2 [tid 4713, "w2"]: not reached: it was running; state R

-----

thread 3 [tid 4714, "w3"]: not reached: it was not stopped; state t

-----

thread 4 [tid 4715, "iou-sqp-4711"]: not reached: kernel_worker; state S
