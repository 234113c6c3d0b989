// Children that borrow the memory of their parent set their own actions, and start programs with them.
#define _GNU_SOURCE
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

static volatile int count;
static void note(int signal) { count += signal; }
static void other(int signal) { count += 1000 * signal; }

// A child that sets these two, and shows what the program it starts ignores.
static void start(void (*quit)(int), void (*fault)(int)) {
    fflush(stdout);
    if (vfork() == 0) {
        signal(SIGQUIT, quit);
        signal(SIGSEGV, fault);
        signal(61, quit);
        struct sigaction now;
        sigaction(SIGQUIT, NULL, &now);
        if (now.sa_handler != quit)
            _exit(9);
        sigaction(SIGSEGV, NULL, &now);
        if (now.sa_handler != fault)
            _exit(8);
        char *environment[] = {NULL};
        execle("/bin/cat", "cat", "/proc/self/status", NULL, environment);
        _exit(7);
    }
    int status;
    wait(&status);
    printf("status %x\n", status);
}

static void show(void) {
    struct sigaction quit, fault;
    sigaction(SIGQUIT, NULL, &quit);
    sigaction(SIGSEGV, NULL, &fault);
    printf("quit %d fault %d count %d\n", quit.sa_handler == note, fault.sa_handler == SIG_DFL, count);
}

// A child that has a handler run for once, and one that dies.
static void raise_in_child(void) {
    int status;
    fflush(stdout);
    if (vfork() == 0) {
        struct sigaction once = {.sa_handler = other, .sa_flags = SA_RESETHAND};
        sigaction(SIGQUIT, &once, NULL);
        kill(getpid(), SIGQUIT);
        struct sigaction now;
        sigaction(SIGQUIT, NULL, &now);
        _exit(now.sa_handler == SIG_DFL ? 3 : 4);
    }
    wait(&status);
    printf("once %x\n", status);
    if (vfork() == 0) {
        signal(SIGQUIT, SIG_DFL);
        kill(getpid(), SIGQUIT);
        _exit(5);
    }
    wait(&status);
    printf("default %x\n", status & 0x7f);
}

int main(int arguments, char **argument) {
    setvbuf(stdout, NULL, _IOFBF, 4096);
    signal(SIGQUIT, note);
    start(SIG_IGN, SIG_IGN);
    show();
    start(SIG_DFL, other);
    show();
    raise_in_child();
    show();
    if (arguments > 1 && fork() == 0) {
        // A child of fork whose own child of vfork comes before any signal: its dump is its own.
        raise_in_child();
        show();
        raise(SIGQUIT);
        show();
        fflush(stdout);
        _exit(0);
    }
    int status;
    wait(&status);
    raise(SIGQUIT);
    show();
    return 0;
}
