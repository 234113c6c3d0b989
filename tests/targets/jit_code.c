// Code made at run time: no module, no CFI, frame pointers; it calls back into C.
// build: cc -O2 -g -fno-omit-frame-pointer $SRC -o $OUT
// stack: stay < called_back < ? < run < main
// end: root
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

// push %rbp; mov %rsp,%rbp; sub $16,%rsp; call *%rdi; leave; ret
static const unsigned char code[] = {0x55, 0x48, 0x89, 0xe5, 0x48, 0x83, 0xec, 0x10, 0xff, 0xd7, 0xc9, 0xc3};

static __attribute__((noinline)) int stay(void) {
    puts("ready");
    fflush(stdout);
    for (;;) pause();
}

static __attribute__((noinline)) int called_back(void) {
    return stay() + 1;
}

static __attribute__((noinline)) int run(int (*generated)(int (*)(void))) {
    return generated(called_back) + 1;
}

int main(void) {
    void *page = mmap(NULL, 4096, PROT_READ | PROT_WRITE | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    memcpy(page, code, sizeof code);
    return run((int (*)(int (*)(void)))page) + 1;
}
