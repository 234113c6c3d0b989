// What a program sees of its own handlers must be what it has set.
#define _GNU_SOURCE
#include <setjmp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static sigjmp_buf back;
static volatile int count;

static void jump(int signal) { siglongjmp(back, signal); }
static void note(int signal) { count += signal; }

static void check(int right, int line) {
    if (!right) {
        printf("line %d is wrong\n", line);
        exit(1);
    }
}
#define CHECK(right) check(right, __LINE__)

int main(void) {
    struct sigaction old, new = {.sa_handler = jump, .sa_flags = SA_NODEFER};
    sigaction(SIGSEGV, NULL, &old);
    CHECK(old.sa_handler == SIG_DFL);
    sigaction(SIGQUIT, NULL, &old);
    CHECK(old.sa_handler == SIG_DFL);
    // A fault that the program handles itself.
    sigaction(SIGSEGV, &new, &old);
    if (!sigsetjmp(back, 1))
        *(volatile int *)8 = 1;
    sigaction(SIGSEGV, NULL, &old);
    CHECK(old.sa_handler == jump && (old.sa_flags & SA_NODEFER));
    CHECK(signal(SIGSEGV, SIG_DFL) == jump);
    // Once, and then the default again.
    struct sigaction once = {.sa_handler = note, .sa_flags = SA_RESETHAND};
    sigaction(SIGBUS, &once, NULL);
    raise(SIGBUS);
    CHECK(count == SIGBUS);
    sigaction(SIGBUS, NULL, &old);
    CHECK(old.sa_handler == SIG_DFL);
    CHECK(signal(SIGQUIT, note) == SIG_DFL);
    raise(SIGQUIT);
    CHECK(count == SIGBUS + SIGQUIT);
    CHECK(sigset(SIGQUIT, SIG_HOLD) == note);
    raise(SIGQUIT);
    CHECK(count == SIGBUS + SIGQUIT);
    CHECK(sigset(SIGQUIT, note) == SIG_HOLD);
    CHECK(count == SIGBUS + 2 * SIGQUIT);
    CHECK(signal(SIGQUIT, SIG_IGN) == note);
    raise(SIGQUIT);
    CHECK(signal(SIGQUIT, SIG_DFL) == SIG_IGN);
    CHECK(sigaction(99, &new, NULL) == -1 && sigaction(SIGKILL, &new, NULL) == -1);
    CHECK(signal(SIGUSR1, note) == SIG_DFL);
    raise(SIGUSR1);
    CHECK(count == SIGBUS + 2 * SIGQUIT + SIGUSR1);
    puts("all right");
    fflush(stdout);
    // A sent signal that is fatal.
    raise(SIGFPE);
    return 0;
}
