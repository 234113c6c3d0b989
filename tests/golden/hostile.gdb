
Thread 1 (LWP 4711 "\e[2J\e]0;owned\x07\r\nthread 1 (tid 1) \"fake\": running‮txt.exe​\u{2028}x\u{9b}31m"):
#0  0x0000000000401000 in \e[2J\e]0;owned\x07\r\nthread 1 (tid 1) "fake": running‮txt.exe​\u{2028}x\u{9b}31m () at \e[2J\e]0;owned\x07\r\nthread 1 (tid 1) "fake": running‮txt.exe​\u{2028}x\u{9b}31m:3
#1  0x0000000000401001 in ?? () from /tmp/\e[2J\e]0;owned\x07\r\nthread 1 (tid 1) "fake": running‮txt.exe​\u{2028}x\u{9b}31m
Backtrace stopped: \e[2J\e]0;owned\x07\r\nthread 1 (tid 1) "fake": running‮txt.exe​\u{2028}x\u{9b}31m
