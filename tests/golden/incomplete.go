thread 0 [tid 4711, "server"]: not reached: exited; state Z

-----

SIGQUIT: quit
PC=0x7fdaf088c503 m=1 sigcode=0

thread 1 [tid 4712, "reader"]:
poll(...)
	/usr/lib/x86_64-linux-gnu/libc.so.6+0xcf503 (6196744a316dbd57c0fd8968df1680aac482cec4) +0x4f pc=0x7fdaf088c503
read_loop()(...)
	/build/server/read.cc:88 +0x20 pc=0x4015d0
...the walk ends here: the stack goes on at 0x7ffd00010000, beyond the 262144 bytes that were copied (--stack-bytes copies more)...

-----

SIGQUIT: quit
PC=0x401100 m=2 sigcode=0

thread 2 [tid 4713, "handler"]:
on_alarm(...)
	/build/server/alarm.c:12 +0x10 pc=0x401100
__restore_rt(...)
	/usr/lib/x86_64-linux-gnu/libc.so.6+0x3b050 (6196744a316dbd57c0fd8968df1680aac482cec4) +0x0 pc=0x7fdaf07f8050
spin(...)
	/srv/bin/server+0x1180 (ab12cd34) +0x1 pc=0x401180
??(...)
	/opt/nocfi/libold.so pc=0x7f0011223344
??(...)
	? pc=0x10
maybe(...)
	/srv/bin/server+0x1190 (ab12cd34) +0x9 pc=0x401190
...the walk ends here: there is no unwind information...

-----

thread 3 [tid 4714, "disk"]: not reached: it was not stopped; state D, waits in wait_on_page

-----

thread 4 [tid 4715, "iou-sqp-4711"]: not reached: kernel_worker; state S

-----

SIGQUIT: quit
PC=0x401200 m=5 sigcode=0

thread 5 [tid 4716, "odd"]:
f(...)
	/srv/bin/server+0x1200 (ab12cd34) pc=0x401200
...the walk ends here: some_later_reason...
