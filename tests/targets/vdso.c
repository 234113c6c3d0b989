// Interrupted inside the vdso: the program single-steps itself with the trap flag and its SIGTRAP handler
// stays for good once the interrupted pc is some instructions deep in the vdso.
// build: cc -O2 -g $SRC -o $OUT
// build(static): cc -O2 -g -static $SRC -o $OUT
// stack: handler < *gettime < ask < main
// end: root
#define _GNU_SOURCE
#include <elf.h>
#include <signal.h>
#include <stdio.h>
#include <sys/auxv.h>
#include <time.h>
#include <ucontext.h>
#include <unistd.h>

static unsigned long low, high;
static int steps;

static void handler(int number, siginfo_t *info, void *context) {
    ucontext_t *interrupted = context;
    unsigned long pc = interrupted->uc_mcontext.gregs[REG_RIP];
    (void)number;
    (void)info;
    if (pc < low || pc >= high || ++steps < 9) return;
    puts("ready");
    fflush(stdout);
    for (;;) pause();
}

static __attribute__((noinline)) long ask(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return now.tv_sec;
}

static void set_trap_flag(void) {
    __asm__ volatile("lea -128(%%rsp), %%rsp; pushf; orq $0x100, (%%rsp); popf; lea 128(%%rsp), %%rsp" ::: "memory", "cc");
}

int main(void) {
    struct sigaction action = {.sa_sigaction = handler, .sa_flags = SA_SIGINFO};
    low = getauxval(AT_SYSINFO_EHDR);
    high = low + 0x2000;
    sigaction(SIGTRAP, &action, NULL);
    ask();
    set_trap_flag();
    ask();
    puts("not reached: the vdso made a system call instead");
    return 1;
}
