// .eh_frame without .eh_frame_hdr: an index has to be built.
// build: cc -O2 -g -static -Wl,--no-eh-frame-hdr $SRC -o $OUT
// build(dynamic): cc -O2 -g -Wl,--no-eh-frame-hdr $SRC -o $OUT
// build(stripped): cc -O2 -static -Wl,--no-eh-frame-hdr -s $SRC -o $OUT
// stack(): stay < third < second < main
// stack(dynamic): stay < third < second < main
#include <stdio.h>
#include <unistd.h>

__attribute__((noinline)) int stay(void) {
    puts("ready");
    fflush(stdout);
    for (;;) pause();
}

__attribute__((noinline)) int third(int n) {
    volatile int room[33] = {n};
    return stay() + room[n];
}

__attribute__((noinline)) int second(int n) {
    return third(n) + n;
}

int main(int argc, char **argv) {
    (void)argv;
    return second(argc) + 1;
}
