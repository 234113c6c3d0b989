// Interrupted in a PLT stub, before the function was bound: at its first instruction, after its push, in PLT0
// after its push, and in the dynamic linker's resolver. Which one: first argument, a count of steps in the stub.
// build: cc -O2 -g -fcf-protection=none -Wl,-z,lazy $SRC -o $OUT
// build(ibt): cc -O2 -g -fcf-protection=full -Wl,-z,lazy $SRC -o $OUT
// args: 1
// args: 2
// args: 3
// args: 4
// args: 5
// args: 12
// stack: handler < through_plt < main
// end: root
#define _GNU_SOURCE
#include <dlfcn.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <ucontext.h>
#include <unistd.h>

static volatile sig_atomic_t armed;
static int wanted, seen;
static unsigned long first, last;

static void handler(int number, siginfo_t *info, void *context) {
    ucontext_t *interrupted = context;
    unsigned long pc = interrupted->uc_mcontext.gregs[REG_RIP];
    (void)number;
    (void)info;
    if (!armed || (pc >= first && pc < last) || ++seen < wanted) return;
    write(1, "ready\n", 6);
    for (;;) pause();
}

__attribute__((noinline)) static int through_plt(const char *text) {
    armed = 1;
    return atoi(text) + 1;
}
__attribute__((noinline)) static void through_plt_end(void) {
    __asm__ volatile("");
}

static void set_trap_flag(void) {
    __asm__ volatile("lea -128(%%rsp), %%rsp; pushf; orq $0x100, (%%rsp); popf; lea 128(%%rsp), %%rsp" ::: "memory", "cc");
}

int main(int argc, char **argv) {
    struct sigaction action = {.sa_sigaction = handler, .sa_flags = SA_SIGINFO};
    wanted = argc > 1 ? (int)strtol(argv[1], NULL, 10) : 1;
    first = (unsigned long)through_plt;
    last = first + 64;
    through_plt_end();
    sigaction(SIGTRAP, &action, NULL);
    pause == NULL ? abort() : (void)0;
    set_trap_flag();
    return through_plt("42") + 1;
}
