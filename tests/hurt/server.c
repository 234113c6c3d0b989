/* A server with epoll and worker threads, and a client in a process of its own that asks and checks each
 * answer. The client ends when a line comes on standard input, and prints how many answers were right,
 * and how many wrong. */
#define _GNU_SOURCE
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <poll.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <netinet/in.h>
#include <sys/wait.h>
#include <unistd.h>

#define WORKERS 4
#define CONNECTIONS 6
#define LENGTH 3000

static int epoll;

/* As a correct program does: goes on after a short count, and after EINTR. */
static int all(int fd, char *bytes, size_t length, int writes)
{
    for (size_t done = 0; done < length;) {
        ssize_t count = writes ? send(fd, bytes + done, length - done, MSG_NOSIGNAL)
                               : recv(fd, bytes + done, length - done, 0);
        if (count > 0)
            done += (size_t)count;
        else if (count == 0 || errno != EINTR)
            return -1;
    }
    return 0;
}

static void answer_to(const char *question, char *answer)
{
    unsigned state = 17;
    for (int i = 0; i < LENGTH; i++) {
        state = state * 31 + (unsigned char)question[i];
        answer[i] = (char)(state >> 7);
    }
}

static void arm(int fd, int operation)
{
    struct epoll_event event = { .events = EPOLLIN | EPOLLONESHOT, .data.fd = fd };
    if (epoll_ctl(epoll, operation, fd, &event) != 0)
        abort();
}

static void *serve(void *unused)
{
    for (;;) {
        struct epoll_event event;
        int count = epoll_wait(epoll, &event, 1, -1);
        if (count < 0 && errno != EINTR)
            abort();
        if (count != 1)
            continue;
        char question[LENGTH], answer[LENGTH];
        if (all(event.data.fd, question, LENGTH, 0) != 0) {
            close(event.data.fd);
            continue;
        }
        answer_to(question, answer);
        if (all(event.data.fd, answer, LENGTH, 1) == 0)
            arm(event.data.fd, EPOLL_CTL_MOD);
    }
    return unused;
}

static void accept_for_ever(int listener)
{
    for (;;) {
        int fd = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
        if (fd >= 0)
            arm(fd, EPOLL_CTL_ADD);
        else if (errno != EINTR)
            abort();
    }
}

static int end_is_asked_for(void)
{
    struct pollfd input = { .fd = 0, .events = POLLIN };
    return poll(&input, 1, 0) > 0;
}

static void ask(const struct sockaddr_in *address)
{
    unsigned long right = 0, wrong = 0;
    int fds[CONNECTIONS];
    for (int i = 0; i < CONNECTIONS; i++) {
        fds[i] = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
        if (connect(fds[i], (const struct sockaddr *)address, sizeof *address) != 0)
            exit(3);
    }
    char questions[CONNECTIONS][LENGTH], answer[LENGTH], expected[LENGTH];
    for (unsigned round = 0; wrong == 0 && !end_is_asked_for(); round++) {
        for (int i = 0; i < CONNECTIONS; i++) {
            for (int at = 0; at < LENGTH; at++)
                questions[i][at] = (char)(round * 7 + (unsigned)(i * at));
            wrong += all(fds[i], questions[i], LENGTH, 1) != 0;
        }
        for (int i = 0; i < CONNECTIONS; i++) {
            answer_to(questions[i], expected);
            if (all(fds[i], answer, LENGTH, 0) == 0 && !memcmp(answer, expected, LENGTH))
                right++;
            else
                wrong++;
        }
    }
    printf("%lu %lu\n", right, wrong);
    fflush(stdout);
}

int main(void)
{
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    struct sockaddr_in address = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
    socklen_t length = sizeof address;
    int listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (bind(listener, (struct sockaddr *)&address, length) != 0 || listen(listener, 16) != 0
        || getsockname(listener, (struct sockaddr *)&address, &length) != 0)
        return 2;
    pid_t client = fork();
    if (client == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        ask(&address);
        _exit(0);
    }
    epoll = epoll_create1(EPOLL_CLOEXEC);
    pthread_t thread;
    for (int i = 0; i < WORKERS; i++)
        if (pthread_create(&thread, NULL, serve, NULL) != 0)
            return 2;
    accept_for_ever(listener);
}
