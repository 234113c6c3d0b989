SIGQUIT: quit
PC=0x401000 m=0 sigcode=0

thread 0 [tid 4711, "\e[2J\e]0;owned\x07\r\nthread 1 (tid 1) \"fake\": running‮txt.exe​\u{2028}x\u{9b}31m"]:
\e[2J\e]0;owned\x07\r\nthread 1 (tid 1) "fake": running‮txt.exe​\u{2028}x\u{9b}31m(...)
	\e[2J\e]0;owned\x07\r\nthread 1 (tid 1) "fake": running‮txt.exe​\u{2028}x\u{9b}31m:3 +0x1 pc=0x401000
??(...)
	/tmp/\e[2J\e]0;owned\x07\r\nthread 1 (tid 1) "fake": running‮txt.exe​\u{2028}x\u{9b}31m+0x1001 (ff) pc=0x401001
...the walk ends here: \e[2J\e]0;owned\x07\r\nthread 1 (tid 1) "fake": running‮txt.exe​\u{2028}x\u{9b}31m...
