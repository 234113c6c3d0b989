// Call frame information only in .debug_frame: plain, compressed in three ways, and only in a separate file.
// build: cc -O2 -g -fno-asynchronous-unwind-tables -fno-unwind-tables -fomit-frame-pointer $SRC -o $OUT
// build(zlib): cc -O2 -g -gz=zlib -fno-asynchronous-unwind-tables -fno-unwind-tables -fomit-frame-pointer $SRC -o $OUT
// build(zdebug): cc -O2 -g -fno-asynchronous-unwind-tables -fno-unwind-tables -fomit-frame-pointer $SRC -o $OUT.plain && objcopy --compress-debug-sections=zlib-gnu $OUT.plain $OUT
// build(zstd): cc -O2 -g -fno-asynchronous-unwind-tables -fno-unwind-tables -fomit-frame-pointer $SRC -o $OUT.plain && objcopy --compress-debug-sections=zstd $OUT.plain $OUT
// build(separate): cc -O2 -g -Wl,--build-id=0xdeadbeef0123456789abcdef00000000deadbeef -fno-asynchronous-unwind-tables -fno-unwind-tables -fomit-frame-pointer $SRC -o $OUT.full && mkdir -p $OUT.dir/.build-id/de && objcopy --only-keep-debug $OUT.full $OUT.dir/.build-id/de/adbeef0123456789abcdef00000000deadbeef.debug && strip -o $OUT $OUT.full
// build(i386): cc -m32 -idirafter /usr/include/x86_64-linux-gnu -O2 -g -fno-asynchronous-unwind-tables -fno-unwind-tables -fomit-frame-pointer $SRC -o $OUT
// needs(i386): -m32
// may-fail(zstd): binutils without zstd
// debug-dir(separate): $OUT.dir
// stack: stay < third < second < main
#include <stdio.h>
#include <unistd.h>

__attribute__((noinline)) int stay(void) {
    puts("ready");
    fflush(stdout);
    for (;;) pause();
}

__attribute__((noinline)) int third(int n, int m) {
    volatile int room[33] = {n, m};
    return stay() + room[n];
}

__attribute__((noinline)) int second(int n) {
    return third(n, 2 * n) + n;
}

int main(int argc, char **argv) {
    (void)argv;
    return second(argc) + 1;
}
