/* Ends in the way that the arguments say, after some output: exit N; signal N, sent to itself; the faults
 * segv, fpe, ill, trap, bus and abort, in another thread than the first if that is asked for by a second word
 * "thread"; handled, which receives each fatal signal and SIGQUIT and goes on; child, whose child crashes; wait,
 * which prints what SIGQUIT does and ends by SIGTERM. */
#define _GNU_SOURCE
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

static volatile int zero;
static volatile sig_atomic_t caught;

static void fault(const char *kind)
{
    if (strcmp(kind, "segv") == 0)
        *(volatile int *)16 = 1;
    else if (strcmp(kind, "fpe") == 0)
        zero = 7 / zero;
    else if (strcmp(kind, "ill") == 0)
        __asm__ volatile("ud2");
    else if (strcmp(kind, "trap") == 0)
        __asm__ volatile("int3");
    else if (strcmp(kind, "abort") == 0)
        abort();
    else if (strcmp(kind, "bus") == 0) {
        FILE *file = tmpfile();
        if (!file || ftruncate(fileno(file), 1) != 0)
            _exit(99);
        char *page = mmap(NULL, 8192, PROT_READ | PROT_WRITE, MAP_SHARED, fileno(file), 0);
        page[4096] = 1;
    }
}

static void *fault_in_thread(void *kind)
{
    fault(kind);
    return NULL;
}

static void *idle(void *unused)
{
    for (;;)
        pause();
    return unused;
}

static void on_signal(int signal)
{
    (void)signal;
    caught++;
}

static int handled(void)
{
    static const int signals[] = { SIGILL, SIGTRAP, SIGABRT, SIGBUS, SIGFPE, SIGSEGV, SIGSYS, SIGXCPU, SIGQUIT };
    int count = sizeof signals / sizeof *signals;
    for (int i = 0; i < count; i++)
        signal(signals[i], on_signal);
    for (int i = 0; i < count; i++)
        raise(signals[i]);
    printf("caught %d of %d\n", (int)caught, count);
    return 0;
}

static int with_child(void)
{
    pid_t child = fork();
    if (child == 0) {
        fault("segv");
        _exit(99);
    }
    int status = 0;
    waitpid(child, &status, 0);
    printf("child: signal %d, core %d\n", WTERMSIG(status), !!WCOREDUMP(status));
    return 3;
}

int main(int argc, char **argv)
{
    const char *kind = argc > 1 ? argv[1] : "";
    pthread_t thread;
    /* Whoever sees the second thread may send the signal. */
    if (strcmp(kind, "catch") == 0)
        signal(SIGQUIT, on_signal);
    if (strcmp(kind, "child") != 0)
        pthread_create(&thread, NULL, idle, NULL);
    printf("out %s\n", kind);
    fflush(stdout);
    fprintf(stderr, "err %s\n", kind);
    if (strcmp(kind, "exit") == 0)
        return atoi(argv[2]);
    if (strcmp(kind, "signal") == 0) {
        signal(atoi(argv[2]), SIG_DFL);
        raise(atoi(argv[2]));
    }
    if (strcmp(kind, "handled") == 0)
        return handled();
    if (strcmp(kind, "child") == 0)
        return with_child();
    if (strcmp(kind, "catch") == 0 || strcmp(kind, "wait") == 0) {
        while (!caught)
            usleep(1000);
        printf("caught %d\n", (int)caught);
        return 5;
    }
    if (argc > 2 && strcmp(argv[2], "thread") == 0) {
        pthread_create(&thread, NULL, fault_in_thread, (void *)kind);
        pthread_join(thread, NULL);
    }
    fault(kind);
    return 98;
}
