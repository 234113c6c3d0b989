// Handlers that are to interrupt system calls do, and others do not.
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

static volatile int count;
static void note(int signal) { count++; }

// Reads while the signal comes, and a byte after it.
static void try(const char *what, int signal) {
    int ends[2], status;
    char byte;
    pipe(ends);
    fflush(stdout);
    pid_t child = fork();
    if (child == 0) {
        usleep(200000);
        kill(getppid(), signal);
        usleep(600000);
        write(ends[1], "x", 1);
        _exit(0);
    }
    int before = count;
    int got = read(ends[0], &byte, 1);
    printf("%s %d: %d %s, %d calls\n", what, signal, got, got < 0 ? strerror(errno) : "", count - before);
    waitpid(child, &status, 0);
    close(ends[0]);
    close(ends[1]);
}

int main(void) {
    int signals[] = {SIGUSR1, SIGQUIT};
    for (int i = 0; i < 2; i++) {
        int number = signals[i];
        signal(number, note);
        try("restarts", number);
        printf("siginterrupt %d\n", siginterrupt(number, 1));
        try("changed", number);
        signal(number, note);
        try("set after", number);
        struct sigaction now;
        sigaction(number, NULL, &now);
        printf("flags %x\n", now.sa_flags & SA_RESTART);
        printf("siginterrupt %d\n", siginterrupt(number, 0));
        try("back", number);
        signal(number, note);
        try("set again", number);
    }
    errno = 0;
    printf("wrong %d %s\n", siginterrupt(99, 1), strerror(errno));
    return 0;
}
