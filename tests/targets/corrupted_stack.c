// A corrupted stack: the return address of a frame is overwritten with zero, with text, with an address of
// data, or the whole rest of the stack with zeros. Whatever follows must not be invented. First argument: how.
// build: cc -O1 -g -fno-stack-protector -fno-omit-frame-pointer $SRC -o $OUT
// args: zero
// args: text
// args: data
// args: wipe
// stack: stay < damaged
#include <stdio.h>
#include <string.h>
#include <unistd.h>

static char data[64];

static __attribute__((noinline)) void stay(void) {
    write(1, "ready\n", 6);
    for (;;) pause();
}

static __attribute__((noinline)) void damaged(const char *how) {
    void **frame = __builtin_frame_address(0);
    if (!strcmp(how, "zero")) frame[1] = NULL;
    if (!strcmp(how, "text")) memcpy(frame, "AAAAAAAABBBBBBBB", 16);
    if (!strcmp(how, "data")) frame[1] = data;
    if (!strcmp(how, "wipe")) memset(frame, 0, 512);
    stay();
    __asm__ volatile("");
}

static __attribute__((noinline)) void victim(const char *how) {
    damaged(how);
    __asm__ volatile("");
}

int main(int argc, char **argv) {
    victim(argc > 1 ? argv[1] : "zero");
    return 0;
}
