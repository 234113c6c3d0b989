/* The process that tests/live_collect.rs looks at: one phenomenon for each first argument. Prints
 * "ready" when it is in place. */
#define _GNU_SOURCE
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static volatile int parked;
static volatile int received;

static void ready(void)
{
    puts("ready");
    fflush(stdout);
}

static void *park(void *argument)
{
    volatile uint64_t mark = 0x746d61726b000000ull + (uintptr_t)argument;
    char name[16];
    snprintf(name, sizeof name, "park %d)", (int)(uintptr_t)argument);
    pthread_setname_np(pthread_self(), name);
    __sync_fetch_and_add(&parked, 1);
    for (;;)
        pause();
    return (void *)(uintptr_t)mark;
}

static void start(int count)
{
    for (int i = 0; i < count; i++) {
        pthread_t thread;
        pthread_create(&thread, NULL, park, (void *)(uintptr_t)i);
    }
    while (__sync_fetch_and_add(&parked, 0) < count)
        usleep(1000);
    usleep(20000);
}

static void count(int number)
{
    (void)number;
    __sync_fetch_and_add(&received, 1);
}

/* A child sends so many real-time signals, which queue; prints how many arrived. */
static void storm(int wanted)
{
    struct sigaction action = { .sa_handler = count };
    sigaction(SIGRTMIN, &action, NULL);
    pid_t target = getpid();
    ready();
    pid_t child = fork();
    if (child == 0) {
        for (int sent = 0; sent < wanted; usleep(50)) {
            union sigval value = { .sival_int = sent };
            if (sigqueue(target, SIGRTMIN, value) == 0)
                sent++;
            else if (errno != EAGAIN)
                _exit(1);
        }
        _exit(0);
    }
    int status;
    while (waitpid(child, &status, WNOHANG) != child)
        usleep(100);
    usleep(50000);
    printf("%d\n", received);
    fflush(stdout);
}

static void *leader_gone(void *unused)
{
    (void)unused;
    usleep(20000);
    ready();
    park((void *)7);
    return NULL;
}

static void *nothing(void *unused)
{
    return unused;
}

static void *churn(void *unused)
{
    (void)unused;
    for (;;) {
        pthread_t thread;
        if (pthread_create(&thread, NULL, nothing, NULL) == 0)
            pthread_join(thread, NULL);
    }
    return NULL;
}

static void on_usr1(int number)
{
    (void)number;
    ready();
    for (;;)
        pause();
}

/* A handler on an alternate stack waits; what it interrupted has the mark on its own stack. */
static void alternate(void)
{
    stack_t stack = { .ss_size = 1 << 16 };
    stack.ss_sp = malloc(stack.ss_size);
    sigaltstack(&stack, NULL);
    struct sigaction action = { .sa_handler = on_usr1, .sa_flags = SA_ONSTACK };
    sigaction(SIGUSR1, &action, NULL);
    volatile uint64_t mark = 0x746d61726b000000ull;
    raise(SIGUSR1);
    (void)mark;
}

static void vfork_parent(void)
{
    ready();
    pid_t child = vfork();
    if (child == 0) {
        struct timespec time = { .tv_sec = 2 };
        syscall(SYS_nanosleep, &time, NULL);
        _exit(0);
    }
    waitpid(child, NULL, 0);
    puts("done");
    fflush(stdout);
}

static void *spin(void *unused)
{
    (void)unused;
    for (;;)
        __sync_fetch_and_add(&parked, 1);
    return NULL;
}

/* Runs code in anonymous memory: push %rbp; mov %rsp,%rbp; call *%rdi; pop %rbp; ret */
static void jit(void)
{
    static const unsigned char code[] = { 0x55, 0x48, 0x89, 0xe5, 0xff, 0xd7, 0x5d, 0xc3 };
    unsigned char *memory = mmap(NULL, 4096, PROT_READ | PROT_WRITE | PROT_EXEC,
                                 MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    memcpy(memory + 64, code, sizeof code);
    ready();
    ((void (*)(int (*)(void)))(void *)(memory + 64))(pause);
}

int main(int argc, char **argv)
{
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    const char *what = argc > 1 ? argv[1] : "";
    int number = argc > 2 ? atoi(argv[2]) : 1;
    pthread_t thread;
    if (!strcmp(what, "threads")) {
        start(number);
        ready();
    } else if (!strcmp(what, "storm")) {
        storm(number);
    } else if (!strcmp(what, "leader")) {
        pthread_create(&thread, NULL, leader_gone, NULL);
        pthread_exit(NULL);
    } else if (!strcmp(what, "churn")) {
        for (int i = 0; i < 3; i++)
            pthread_create(&thread, NULL, churn, NULL);
        ready();
    } else if (!strcmp(what, "alternate")) {
        alternate();
    } else if (!strcmp(what, "vfork")) {
        vfork_parent();
    } else if (!strcmp(what, "spin")) {
        pthread_create(&thread, NULL, spin, NULL);
        ready();
    } else if (!strcmp(what, "jit")) {
        jit();
    } else if (!strcmp(what, "exec")) {
        if (number == 1)
            ready();
        usleep(2000);
        execl("/proc/self/exe", argv[0], "exec", "2", NULL);
    }
    for (;;)
        pause();
}
