// No call frame information at all: the frame pointer chain is the only way (variant fp), or there is none
// (variant nofp: threaddump must stop there or go on only as far as it can prove).
// build(fp): cc -O1 -fno-asynchronous-unwind-tables -fno-unwind-tables -fno-omit-frame-pointer -fno-optimize-sibling-calls $SRC -o $OUT
// build(nofp): cc -O2 -fno-asynchronous-unwind-tables -fno-unwind-tables -fomit-frame-pointer $SRC -o $OUT
// build(i386-fp): cc -m32 -idirafter /usr/include/x86_64-linux-gnu -O1 -fno-asynchronous-unwind-tables -fno-unwind-tables -fno-omit-frame-pointer -fno-optimize-sibling-calls $SRC -o $OUT
// needs(i386-fp): -m32
// stack(i386-fp): *pause < stay < third < second < main
// stack(fp): *pause < stay < third < second < main < *libc_start*
// stack(nofp): *pause < stay
#include <stdio.h>
#include <unistd.h>

__attribute__((noinline)) int stay(void) {
    puts("ready");
    fflush(stdout);
    for (;;) pause();
}

__attribute__((noinline)) int third(int n) {
    return stay() + n;
}

__attribute__((noinline)) int second(int n) {
    volatile int room[9] = {n};
    return third(n) + room[n];
}

int main(int argc, char **argv) {
    (void)argv;
    return second(argc) + 1;
}
