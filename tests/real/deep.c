// For LLVM's lli: it makes code of this, and registers it for debuggers.
#include <stdio.h>
#include <unistd.h>

static __attribute__((noinline)) int deep(int depth) {
    volatile char space[100];
    space[3] = (char)depth;
    if (depth > 0) return deep(depth - 1) + space[3];
    puts("ready");
    fflush(stdout);
    for (;;) pause();
}

int main(void) {
    return deep(4);
}
