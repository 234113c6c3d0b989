// Six threads that say where they are: for each a line "expect TID NAME RETURN...", where the addresses are
// return addresses that follow each other on its stack, and for the one in a signal handler "interrupted TID PC".
// Then "pid N ready". With "crash" the first thread then writes to address 0.
#define _GNU_SOURCE
#include <pthread.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <ucontext.h>
#include <unistd.h>

enum { THREADS = 5, DEPTH = 16 };
#define RETURN ((void *)((uintptr_t)__builtin_extract_return_addr(__builtin_return_address(0)) & ~MARK))
#ifdef __arm__
#define MARK ((uintptr_t)1) // Thumb
#else
#define MARK ((uintptr_t)0)
#endif

struct trail {
    int tid, length;
    const char *name;
    void *at[DEPTH], *interrupted;
};
static struct trail trails[THREADS + 1];
static __thread struct trail *own;
static pthread_barrier_t ready;
static volatile int going;

static void add(void *place) { own->at[own->length++] = place; }

static void begin(int index, const char *name) {
    own = &trails[index];
    own->tid = syscall(SYS_gettid);
    own->name = name;
    prctl(PR_SET_NAME, name);
}

static void *saved_pc(ucontext_t *context) {
#if defined __x86_64__
    return (void *)context->uc_mcontext.gregs[REG_RIP];
#elif defined __i386__
    return (void *)context->uc_mcontext.gregs[REG_EIP];
#elif defined __aarch64__
    return (void *)context->uc_mcontext.pc;
#elif defined __arm__
    return (void *)context->uc_mcontext.arm_pc;
#elif defined __riscv
    return (void *)context->uc_mcontext.__gregs[REG_PC];
#elif defined __powerpc64__
    return (void *)context->uc_mcontext.gp_regs[32];
#elif defined __s390x__
    return (void *)context->uc_mcontext.psw.addr;
#endif
}

__attribute__((noinline)) static void rest(void) {
    add(RETURN);
    pthread_barrier_wait(&ready);
    for (;;) pause();
}

__attribute__((noinline)) static int recurse(int depth) {
    volatile char room[200];
    room[depth] = depth;
    if (depth == 0) rest();
    else recurse(depth - 1);
    return room[depth] + 1;
}

// Every frame but the innermost is added by the one it called, innermost last; so the list is turned around.
__attribute__((noinline)) static int inner(int n) {
    add(RETURN);
    rest();
    return n + 1;
}
__attribute__((noinline)) static int middle(int n) {
    volatile char room[n * 64 + 64]; // a frame whose size the compiler does not know
    room[0] = n;
    add(RETURN);
    return inner(room[0]) + 1;
}
static void *plain(void *index) {
    begin((int)(intptr_t)index, "plain");
    return (void *)(intptr_t)middle((int)(intptr_t)index);
}

static void *deep(void *index) {
    begin((int)(intptr_t)index, "deep");
    return (void *)(intptr_t)recurse(40);
}

__attribute__((noinline)) static void leaf(void) {
    going++;
    for (;;) __asm__ volatile("" ::: "memory");
}
static void *spinning(void *index) {
    begin((int)(intptr_t)index, "spinning");
    pthread_barrier_wait(&ready);
    leaf();
    return 0;
}

static void handler(int number, siginfo_t *info, void *context) {
    (void)number, (void)info;
    own->interrupted = saved_pc(context);
    rest();
}
static void one_argument(int number) {
    (void)number;
    rest();
}
__attribute__((noinline)) static void interrupted(int number) { raise(number); }
static void *in_handler(void *index) {
    begin((int)(intptr_t)index, "handler");
    interrupted(SIGUSR1);
    return 0;
}
static void *on_other_stack(void *index) {
    static char stack[65536];
    begin((int)(intptr_t)index, "altstack");
    stack_t other = { .ss_sp = stack, .ss_size = sizeof stack };
    sigaltstack(&other, 0);
    interrupted(SIGUSR2);
    return 0;
}

int main(int count, char **arguments) {
    pthread_t thread;
    struct sigaction action = { .sa_sigaction = handler, .sa_flags = SA_SIGINFO | SA_ONSTACK };
    sigaction(SIGUSR2, &action, 0);
    struct sigaction simple = { .sa_handler = one_argument };
    sigaction(SIGUSR1, &simple, 0);
    begin(0, "main");
    pthread_barrier_init(&ready, 0, THREADS + 1);
    void *(*bodies[THREADS])(void *) = { plain, deep, spinning, in_handler, on_other_stack };
    for (intptr_t i = 0; i < THREADS; i++) pthread_create(&thread, 0, bodies[i], (void *)(i + 1));
    pthread_barrier_wait(&ready);
    usleep(200000);
    for (int i = 0; i <= THREADS; i++) {
        struct trail *trail = &trails[i];
        printf("expect %d %s", trail->tid, trail->name);
        for (int at = trail->length; at-- > 0;) printf(" 0x%016llx", (unsigned long long)(uintptr_t)trail->at[at]);
        puts("");
        if (trail->interrupted)
            printf("interrupted %d 0x%016llx\n", trail->tid, (unsigned long long)(uintptr_t)trail->interrupted);
    }
    printf("pid %d ready\n", getpid());
    fflush(stdout);
    if (count > 1 && !strcmp(arguments[1], "crash")) *(volatile int *)0 = 1;
    for (;;) pause();
}
