// An indirect function (IFUNC): one thread in the implementation that was chosen, or the program while its
// resolver runs, which has the symbol's address.
// build(implementation): cc -O2 -g -Wl,-z,lazy $SRC -o $OUT
// build(implementation-static): cc -O2 -g -static $SRC -o $OUT
// build(implementation-g0): cc -O2 $SRC -o $OUT
// build(resolver): cc -O2 -g -DSTAY -Wl,-z,lazy $SRC -o $OUT
// build(resolver-now): cc -O2 -g -DSTAY -Wl,-z,now $SRC -o $OUT
// build(resolver-static): cc -O2 -g -DSTAY -static $SRC -o $OUT
// build(resolver-g0): cc -O2 -DSTAY -static $SRC -o $OUT
// build(clang): clang -O2 -g $SRC -o $OUT
// stack(implementation,implementation-static,implementation-g0,clang): stay < plain_work < main
// stack(resolver,resolver-now,resolver-static): stay < choose
// stack(resolver-g0): stay < *
// end: root
#include <sys/syscall.h>

// A resolver of a static program runs before the C library does.
static __attribute__((noinline)) long stay(void) {
    long result = SYS_write;
    __asm__ volatile("syscall" : "+a"(result) : "D"(1), "S"("ready\n"), "d"(6) : "rcx", "r11", "memory");
    for (;;) {
        result = SYS_pause;
        __asm__ volatile("syscall" : "+a"(result) : : "rcx", "r11", "memory");
        if (result > 0) return result;
    }
}

static __attribute__((noinline)) long plain_work(long n) {
    return stay() + n;
}

static __attribute__((used)) long (*choose(void))(long) {
#ifdef STAY
    if (stay() == 5) return 0;
#endif
    return plain_work;
}

long work(long) __attribute__((ifunc("choose")));

int main(int argc, char **argv) {
    (void)argv;
    return (int)work(argc) + 1;
}
