// The last instruction of a function is a call that never returns: the return address is the start of the next
// function, so a lookup that does not step back names the wrong one.
// build: cc -O2 -g $SRC -o $OUT
// build(no-symbols-sizes): cc -O2 -g0 $SRC -o $OUT
// build(i386): cc -m32 -idirafter /usr/include/x86_64-linux-gnu -O2 -g $SRC -o $OUT
// needs(i386): -m32
// stack: wait_forever < ends_with_call < main
// end: root
#include <stdio.h>
#include <unistd.h>

static __attribute__((noinline, noreturn)) void wait_forever(void) {
    puts("ready");
    fflush(stdout);
    for (;;) pause();
}

__attribute__((noinline, noclone, noreturn)) void ends_with_call(void) {
    wait_forever();
}

__attribute__((noinline)) int wrong_next_function(int n) {
    return n * 3;
}

int main(int argc, char **argv) {
    (void)argv;
    if (argc > 100) return wrong_next_function(argc);
    ends_with_call();
}
